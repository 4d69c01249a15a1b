"""Tokenizers of somebody else's: handed to ``count`` or ``configure``, or brought by a package.

A package brings them by an entry point of the group ``tokenmeter.tokenizers`` that names a mapping
of patterns of model names to functions, the same that ``configure(tokenizers=…)`` takes. Packages
are searched when something is counted for the first time.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

from tokenmeter.errors import ConfigurationError
from tokenmeter.guard import Guard

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tokenmeter.tokens.families import Length

Tokenizer = Callable[[str, str | None], int]
"""Counts the tokens of a text for a model, whose name is ``None`` where nobody said it."""

ENTRY_POINTS = "tokenmeter.tokenizers"


class UnusableError(Exception):
    """Say that a tokenizer failed, which the guard has noted: count the built-in way."""


class Tokenizers:
    """The tokenizers that were given for patterns of model names, then those of packages.

    The first pattern that fits is taken. A tokenizer that fails never harms who counts.

    Args:
        given: Functions by pattern, such as ``{"my-model*": count}``; case does not matter.
        guard: Notes which of them failed.

    Raises:
        ConfigurationError: A pattern or a tokenizer cannot be used.

    >>> words = Tokenizers({"my-model*": lambda text, model: len(text.split())})
    >>> words.length("My-Model-7b")("so it is")
    3
    """

    def __init__(
        self, given: Mapping[str, Tokenizer] | None = None, guard: Guard | None = None
    ) -> None:
        self._given = checked({} if given is None else given)
        self._guard = guard or Guard()

    def length(self, model: str | None) -> Length | None:
        """Give what counts for a model, or ``None`` where the built-in way does.

        What it gives raises `UnusableError` where the tokenizer fails.
        """
        name = (model or "").lower()
        for pattern, tokenizer in self._all():
            if fnmatchcase(name, pattern.lower()):
                place = f"the tokenizer for {pattern}"
                return functools.partial(self._count, place, tokenizer, model)
        return None

    def _all(self) -> Iterator[tuple[str, Tokenizer]]:
        yield from self._given.items()
        for point in _installed():
            brought = self._guard.run(f"the tokenizers of {point.name}", _load, point)
            yield from (brought or {}).items()

    def _count(self, place: str, tokenizer: Tokenizer, model: str | None, text: str) -> int:
        counted = self._guard.run(place, _counted, tokenizer, text, model)
        if counted is None:
            raise UnusableError
        return counted


def checked(given: object) -> dict[str, Tokenizer]:
    """Give tokenizers by pattern when they are.

    Raises:
        ConfigurationError: The message names what was given and what is expected.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"tokenizers is a mapping of patterns of model names to functions, such as "
            f"{{'my-model*': count}}; got {given!r}"
        )
    for pattern, tokenizer in cast("Mapping[object, object]", given).items():
        if not isinstance(pattern, str) or not pattern:
            raise ConfigurationError(
                f"a pattern of model names is a string such as 'my-model*'; got {pattern!r}"
            )
        if not callable(tokenizer) or inspect.iscoroutinefunction(tokenizer):
            raise ConfigurationError(
                f"the tokenizer for {pattern!r} is a function of a text and the name of a model "
                f"that gives a number of tokens, such as lambda text, model: len(text) // 4; "
                f"got {tokenizer!r}"
            )
    return dict(cast("Mapping[str, Tokenizer]", given))


@functools.cache
def _installed() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))


@functools.cache
def _load(point: EntryPoint) -> dict[str, Tokenizer]:
    return checked(point.load())


def _counted(tokenizer: Tokenizer, text: str, model: str | None) -> int:
    try:
        counted = operator.index(tokenizer(text, model))
    except BaseException as exc:
        if type(exc).__name__ == "PanicException":  # what Rust raises (pyo3), and no Exception
            raise RuntimeError("the tokenizer panicked") from exc
        raise
    if counted < 0:
        raise ValueError("a text has no negative number of tokens")
    return counted
