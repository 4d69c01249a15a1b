"""Dialects of somebody else's: handed to ``configure(dialects=[…])`` or brought by a package.

A package brings one by an entry point of the group ``tokenmeter.dialects`` that names an object or
its class. Each is checked before it is used.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from tokenmeter.dialects import Dialect
from tokenmeter.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "tokenmeter.dialects"

logger = logging.getLogger("tokenmeter")


def checked(given: object) -> Dialect:
    """Give the dialect back when it is one.

    Raises:
        ConfigurationError: Something is missing or of another type; the message names each.

    >>> checked(17)
    Traceback (most recent call last):
    ...
    tokenmeter.errors.ConfigurationError: a dialect derives from tokenmeter.dialects.Dialect; got 17
    """
    if isinstance(given, type):
        name = given.__name__
        raise ConfigurationError(f"a dialect is an object; got the class {name}: give {name}()")
    if Dialect not in type(given).__mro__:
        raise ConfigurationError(
            f"a dialect derives from tokenmeter.dialects.Dialect; got {given!r}"
        )
    wrong = [
        f"{name} must be {what}"
        for name, what, fits in _NEEDS
        if not fits(getattr(given, name, None))
    ]
    if getattr(type(given), "reading", None) is Dialect.reading:
        wrong.append("reading must be written: it says what a body means")
    if wrong:
        raise ConfigurationError(f"{type(given).__name__} is no dialect: {'; '.join(wrong)}")
    return cast("Dialect", given)


@functools.cache
def installed() -> tuple[EntryPoint, ...]:
    """Give what installed packages bring, not loaded yet."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))


@functools.cache
def load(point: EntryPoint) -> Dialect | None:
    """Give the dialect that an entry point names; one that is no dialect is logged and left out.

    Raises:
        Exception: Whatever importing the package raises.
    """
    found: Any = point.load()
    try:
        return checked(found() if isinstance(found, type) else found)
    except ConfigurationError as exc:
        logger.warning("the dialect %s (%s) is left out: %s", point.name, point.value, exc)
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_pattern(value: object) -> bool:
    try:
        return isinstance(value, str) and value != "" and bool(re.compile(value))
    except re.error:
        return False


def _is_decoder(value: object) -> bool:
    return isinstance(value, msgspec.json.Decoder)


def _is_tuple_of(kind: type) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        return isinstance(value, tuple) and all(
            isinstance(item, kind) for item in cast("tuple[object, ...]", value)
        )

    return fits


_NEEDS: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("name", "a name, such as 'acme_generate'", _is_text),
    ("path", "a regular expression for the end of a path, such as '/v1/generate'", _is_pattern),
    ("operation", "OpenTelemetry's name of the operation, such as 'chat'", _is_text),
    ("answer", "a msgspec.json.Decoder", _is_decoder),
    ("request", "a msgspec.json.Decoder", _is_decoder),
    ("marks", "a tuple of bytes", _is_tuple_of(bytes)),
    ("headers", "a tuple of strings", _is_tuple_of(str)),
    ("fold", "a method", callable),
    ("reading", "a method", callable),
    ("headed", "a method", callable),
)
