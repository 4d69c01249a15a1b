"""Where events go: an exporter is a callable of an event, optionally with `flush` and `close`.

One file each. They are made by name (``"jsonl:usage.jsonl"``), or handed over as objects.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent

Exporter = Callable[[UsageEvent], object]

_NAMES = {
    "jsonl": ("tokenmeter.exporters.jsonl", "Jsonl"),
    "memory": ("tokenmeter.exporters.memory", "Memory"),
    "otel": ("tokenmeter.exporters.otel", "Otel"),
    "otel-spans": ("tokenmeter.exporters.otel_spans", "OtelSpans"),
    "otlp": ("tokenmeter.exporters.otel", "otlp"),
    "stdout": ("tokenmeter.exporters.stdout", "Stdout"),
}


def exporter(given: str | Exporter) -> Exporter:
    """Make an exporter of a name, ``"name"`` or ``"name:argument"``, or take a callable as it is.

    Raises:
        ConfigurationError: No exporter has that name, its argument is wrong, or the thing given
            cannot be called.

    >>> exporter("stdin")
    Traceback (most recent call last):
    ...
    tokenmeter.errors.ConfigurationError: there is no exporter 'stdin'; \
known names are jsonl:PATH, memory, stdout
    """
    if isinstance(given, str):
        return _by_name(given)
    if not callable(given) or isinstance(given, type):
        raise ConfigurationError(
            f"an exporter is a name such as 'jsonl:usage.jsonl' or a callable of an event; "
            f"got {given!r}"
        )
    return given


def _by_name(given: str) -> Exporter:
    name, colon, argument = given.partition(":")
    if name not in _NAMES:
        raise ConfigurationError(
            f"there is no exporter {name!r}; known names are jsonl:PATH, memory, stdout"
        )
    module, factory = _NAMES[name]
    make: Any = getattr(importlib.import_module(module), factory)
    return make.from_argument(argument if colon else None)  # type: ignore[no-any-return]
