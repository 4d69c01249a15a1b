"""What `configure(prices=…)` takes, and the books that it means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.near import meant
from tokenmeter.prices.books import Book

GENAI_PRICES = "genai-prices"

Source = str | Book
"""A book, or the name of one that takes a second to load."""

Given = str | os.PathLike[str] | Book
"""What a program may say: a name, a file, or an object that finds prices."""


_NO_BOOKS = (type, bytes, bytearray)
"""What has a ``find`` of another kind, or cannot be called by it."""


def checked(given: object, place: str) -> tuple[Source, ...]:
    """Check what is given as sources of prices, and read the files among it.

    Raises:
        ConfigurationError: There is no such name or file, or the file cannot be used.
        MissingExtraError: The package that it names is not installed.
    """
    if isinstance(given, str) or hasattr(given, "find") or hasattr(given, "__fspath__"):
        return (_checked(given, place),)
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise ConfigurationError(
            f"{place} takes {GENAI_PRICES!r}, a TOML file of prices, or a list; got {given!r}"
        )
    listed = cast("Iterable[object]", given)
    return tuple(_checked(one, f"{place}[{n}]") for n, one in enumerate(listed))


def _checked(given: object, place: str) -> Source:
    if given == GENAI_PRICES:
        if find_spec("genai_prices") is None:
            raise MissingExtraError("the prices of models", "prices")
        return GENAI_PRICES
    if isinstance(given, str) and not given.endswith(".toml"):
        advice = meant(given, [GENAI_PRICES], "names")
        raise ConfigurationError(
            f"{place}: there are no prices named {given!r}; {advice}. A file ends in .toml"
        )
    if isinstance(given, str) or hasattr(given, "__fspath__"):
        from tokenmeter.prices.files import PriceFile

        return PriceFile(Path(cast("str", given)))
    if not callable(getattr(given, "find", None)) or isinstance(given, _NO_BOOKS):
        raise ConfigurationError(
            f"{place}: prices are {GENAI_PRICES!r}, a TOML file, or an object with a method "
            f"find(asked); got {given!r}"
        )
    return cast("Book", given)


def books(sources: Sequence[Source]) -> Callable[[], list[Book]]:
    """Give what makes the books; it is to be called once, and may take a second or two."""

    def made() -> list[Book]:
        return [_genai_prices() if isinstance(each, str) else each for each in sources]

    return made


@cache
def _genai_prices() -> Book:
    from tokenmeter.prices.genai_prices import GenaiPrices

    return GenaiPrices()
