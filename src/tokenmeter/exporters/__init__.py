"""Where events go: an exporter is a callable of an event, optionally with `flush` and `close`.

One file each. They are made by name (``"jsonl:usage.jsonl"``), or handed over as objects; packages
bring more by the entry-point group ``tokenmeter.exporters``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tokenmeter.event import UsageEvent

if TYPE_CHECKING:
    from tokenmeter.exporters.named import Named

Exporter = Callable[[UsageEvent], object]

Given = str | Mapping[str, Any] | Exporter
"""How an exporter is given: ``"name:argument"``, a table with a ``name``, or the thing itself."""

_NAMES = {
    "jsonl": ("tokenmeter.exporters.jsonl", "Jsonl"),
    "memory": ("tokenmeter.exporters.memory", "Memory"),
    "otel": ("tokenmeter.exporters.otel", "Otel"),
    "otel-spans": ("tokenmeter.exporters.otel_spans", "OtelSpans"),
    "otlp": ("tokenmeter.exporters.otel", "otlp"),
    "postgres": ("tokenmeter.exporters.postgres", "Postgres"),
    "stdout": ("tokenmeter.exporters.stdout", "Stdout"),
    "webhook": ("tokenmeter.exporters.webhook", "Webhook"),
}


def exporter(given: Given) -> Exporter:
    """Make an exporter of a name or a table, or take a callable as it is.

    ``"name:argument"`` calls the factory of that name with the argument, ``"name"`` without one,
    and ``{"name": …, "option": …}`` with the options.

    Raises:
        ConfigurationError: No exporter has that name, its options are wrong, or the thing given
            cannot be called.

    >>> exporter("memory:x")
    Traceback (most recent call last):
    ...
    tokenmeter.errors.ConfigurationError: the exporter 'memory' takes no argument: \
write its name alone
    """
    return made(checked(given))


def made(given: Named | Exporter) -> Exporter:
    """Give the exporter that was checked, made where it is a name.

    Raises:
        ConfigurationError: The name or its options are wrong.
    """
    from tokenmeter.exporters.named import Named

    return given.made() if isinstance(given, Named) else given


def checked(given: Given, place: str = "") -> Named | Exporter:
    """Give a name, or a callable as it is; nothing is made yet.

    Args:
        given: What a user gave.
        place: Where, for errors: ``"exporters[1]"``.

    Raises:
        ConfigurationError: It is neither a name nor a table nor a callable.
    """
    from tokenmeter.exporters.named import named, wrong

    if isinstance(given, str | Mapping):
        return named(given, place)  # pyright: ignore[reportUnknownArgumentType]
    if not callable(given) or isinstance(given, type):
        raise wrong(
            place,
            f"an exporter is a name such as 'jsonl:usage.jsonl' or a callable of an event; "
            f"got {given!r}",
        )
    return given
