"""What the contents of many formats have in common: texts, JSON in texts, pieces with a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, cast

from tokenmeter.dialects.content import Other, Piece, Text, Written
from tokenmeter.dialects.openai_content import json_text, size_of

T = TypeVar("T")


def every(one_or_many: list[T] | T | None) -> list[T]:
    """Give a list of what is one thing, a list of things, or nothing."""
    if one_or_many is None:
        return []
    return cast("list[T]", one_or_many) if isinstance(one_or_many, list) else [one_or_many]


def written(kind: Written, key: object, text: str | None) -> Iterator[Piece]:
    """Give a piece, if there is any text in it."""
    if text:
        yield Piece(kind, str(key), text)


def called(key: object, name: str | None, arguments: Any) -> Iterator[Piece]:
    """Give the pieces of a call of a tool; arguments that are no text are put into JSON."""
    yield from written("name", key, name)
    yield from written("arguments", key, json_text(arguments))


def text_of(text: str | None) -> Iterator[Text]:
    """Give a part, if there is any text in it."""
    if text:
        yield Text(text)


def attached(what: str, base64: str | None) -> Other:
    """Make a part of something that is no text, as base64 in the request or elsewhere."""
    return Other(what, size_of(base64 or None))
