"""What every wire format says of requests and answers is held to one contract."""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import pkgutil
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

import tokenmeter.dialects
from dialects import Exchange, compact
from test_dialect_contract import EXAMPLES, ODD, each, mutated, route_of
from tokenmeter.dialects import Dialect
from tokenmeter.dialects.content import Other, Piece, Prompt, Written
from tokenmeter.providers import FORMATS
from tokenmeter.wire.body import pieces


def load(where: str) -> Dialect:
    module, _, name = where.partition(":")
    dialect: Dialect = getattr(importlib.import_module(f"tokenmeter.dialects.{module}"), name)()
    return dialect


DIALECTS = {row.dialect: load(row.dialect) for row in FORMATS if isinstance(row.dialect, str)}
every = pytest.mark.parametrize("name", sorted(DIALECTS))


# Who tells

NO_PROMPT = {
    "mistral_transcriptions:MistralTranscriptions": "audio is read, of a form",
    "openai_moderations:OpenAIModerations": "nothing is counted there",
    "mistral_ocr:MistralOcr": "pages are counted, no tokens",
}
NO_PIECES = {
    "openai_moderations:OpenAIModerations": "nothing is counted there",
    "mistral_ocr:MistralOcr": "pages are counted, no tokens",
}
"""Formats that say nothing of what is read or written, and why."""


def tells(dialect: Dialect, method: str) -> bool:
    return getattr(type(dialect), method) is not getattr(Dialect, method)


def test_every_format_that_counts_tokens_tells_what_is_read_and_written() -> None:
    silent = {name for name, dialect in DIALECTS.items() if not tells(dialect, "prompt")}
    assert silent <= NO_PROMPT.keys()
    wordless = {name for name, dialect in DIALECTS.items()
                if dialect.counts_output and not tells(dialect, "pieces")}  # fmt: skip
    assert wordless <= NO_PIECES.keys()


def test_who_is_excused_is_a_format_that_tells_nothing() -> None:
    assert DIALECTS.keys() >= NO_PROMPT.keys() | NO_PIECES.keys()
    request = compact({"model": "m", "input": "Hi", "messages": [], "document": {}})
    assert [DIALECTS[name].prompt(request) for name in sorted(NO_PROMPT)] == [None] * 3
    body = compact({"id": "a", "text": "", "results": [{"flagged": True}], "pages": []})
    assert [list(DIALECTS[name].pieces(body)) for name in sorted(NO_PIECES)] == [[]] * 2


# Bodies


def check(found: list[Piece]) -> None:
    """Hold pieces to their types; a tokenizer wants text that can be encoded."""
    for kind, key, text in found:
        assert kind in get_args(Written)
        assert isinstance(key, str)
        text.encode()


def ends(body: bytes) -> Iterator[int]:
    """Give where the events of a stream end, or what could be taken for it."""
    if not body.startswith(b"\0"):
        yield from (at + 1 for at, byte in enumerate(body) if byte in b"\n}")
        return
    at = 0
    while at + 4 <= len(body):  # an AWS event stream says how long a message is
        at += struct.unpack_from(">I", body, at)[0]
        yield at


@each
def test_a_body_that_is_cut_holds_the_beginning_of_what_the_whole_holds(exchange: Exchange) -> None:
    dialect = route_of(exchange).dialect
    whole = pieces(dialect, exchange.body)
    check(whole)
    for end in ends(exchange.body):
        part = pieces(dialect, exchange.body[:end])
        assert part == whole[: len(part)], end


@each
@settings(deadline=None, max_examples=EXAMPLES // 4)
@given(data=st.data())
def test_no_body_raises_when_it_is_asked_what_was_written(
    exchange: Exchange, data: st.DataObject
) -> None:
    check(pieces(route_of(exchange).dialect, data.draw(mutated(exchange.body))))


@each
@settings(deadline=None, max_examples=EXAMPLES // 4)
@given(data=st.data())
def test_no_request_raises_when_it_is_asked_what_is_read(
    exchange: Exchange, data: st.DataObject
) -> None:
    dialect, request = route_of(exchange).dialect, compact(exchange.request or {})
    for asked in (request, data.draw(mutated(request))):
        check_prompt(dialect, asked)


def check_prompt(dialect: Dialect, request: bytes) -> None:
    try:
        prompt = dialect.prompt(request)
    except msgspec.DecodeError:
        return
    if prompt is not None:
        assert isinstance(prompt, Prompt)
        assert prompt.choices >= 1
        assert prompt.limit is None or prompt.limit >= 0
        msgspec.json.encode(prompt)  # of its types, and every text can be encoded


def check_pieces(dialect: Dialect, event: bytes) -> None:
    try:
        check(list(dialect.pieces(event)))
    except msgspec.DecodeError:
        return


# Requests and answers in the very shape that a format declares


class Shapes:
    """Draw JSON in the shape of a type, with odd values here and there."""

    def __init__(self, words: list[str]) -> None:
        self._texts = st.sampled_from(words) | st.text(max_size=5)
        self._known: dict[Any, st.SearchStrategy[Any]] = {}

    def of(self, kind: inspect.Type) -> st.SearchStrategy[Any]:
        """Give values of a type; a type may hold itself."""
        key = getattr(kind, "cls", None) or repr(kind)
        if key not in self._known:
            self._known[key] = st.deferred(lambda: self._of(kind))
        return self._known[key]

    def _of(self, kind: inspect.Type) -> st.SearchStrategy[Any]:
        fit, odd = self._fit(kind), st.sampled_from(ODD)
        return st.integers(0, 20).flatmap(lambda n: odd if n == 7 else fit)

    def _fit(self, kind: inspect.Type) -> st.SearchStrategy[Any]:
        if isinstance(kind, inspect.StructType):
            fields = {field.encode_name: self.of(field.type) for field in kind.fields}
            return st.fixed_dictionaries({}, optional=fields)
        if isinstance(kind, inspect.UnionType):
            some = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return st.one_of(*map(self.of, some))
        if isinstance(kind, inspect.ListType):
            return st.lists(self.of(kind.item_type), max_size=3)
        if isinstance(kind, inspect.DictType):
            return st.dictionaries(self._texts, self.of(kind.value_type), max_size=2)
        return _PLAIN.get(type(kind), self._texts)


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.IntType: st.integers(0, 9),
    inspect.FloatType: st.integers(0, 9),
    inspect.BoolType: st.booleans(),
}


FILES = {module.name for module in pkgutil.iter_modules(tokenmeter.dialects.__path__)}


def modules_of(dialect: Dialect) -> list[ModuleType]:
    """Give the modules that read a format: its own, what is beside it, and what that imports."""
    own = {cls.__module__.rpartition(".")[2] for cls in type(dialect).__mro__} & FILES
    beside = {f"{stem}_content" for name in own for stem in (name, name.partition("_")[0])}
    found = [importlib.import_module(f"{tokenmeter.dialects.__name__}.{name}")
             for name in sorted(own | (beside & FILES))]  # fmt: skip
    inner = [thing for module in found for thing in vars(module).values()]
    return [*found, *(thing for thing in inner if isinstance(thing, ModuleType) and
                      thing.__name__.startswith(tokenmeter.dialects.__name__))]  # fmt: skip


def words_in(module: ModuleType) -> set[str]:
    """Give the words that a module compares with, among them the names of kinds."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {word for word in found if isinstance(word, str) and re.fullmatch("[a-z_.-]+", word)}


def held(kind: inspect.Type) -> Iterator[type]:
    """Give the structures that a type is made of."""
    if isinstance(kind, inspect.StructType):
        yield kind.cls
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from held(one)
    if isinstance(kind, inspect.ListType):
        yield from held(kind.item_type)


def bodies_in(modules: list[ModuleType]) -> list[inspect.Type]:
    """Give the structures that are part of no other: requests, answers, events."""
    things = [(module.__name__, thing) for module in modules for thing in vars(module).values()]
    found = {thing: inspect.type_info(thing) for home, thing in things if isinstance(thing, type)
             and issubclass(thing, msgspec.Struct) and thing.__module__ == home}  # fmt: skip
    inner = {one for whole, kind in found.items() if isinstance(kind, inspect.StructType)
             for field in kind.fields for one in held(field.type) if one is not whole}  # fmt: skip
    return [kind for thing, kind in found.items() if thing not in inner]


@functools.cache
def shaped(name: str) -> st.SearchStrategy[Any]:
    modules = modules_of(DIALECTS[name])
    shapes = Shapes(sorted({"x"}.union(*map(words_in, modules))))
    return st.one_of(*map(shapes.of, bodies_in(modules)))


MANY = settings(
    deadline=None,
    max_examples=max(25, settings().max_examples // 10),
    suppress_health_check=list(HealthCheck),
)


@every
@MANY
@given(data=st.data())
def test_nothing_in_the_shape_of_a_format_raises_anything_but_that_it_cannot_be_read(
    name: str, data: st.DataObject
) -> None:
    body = compact(data.draw(shaped(name)))
    check_prompt(DIALECTS[name], body)
    check_pieces(DIALECTS[name], body)


DEPTHS = (50, 200, 330, 480, 700, 950, 2_000, 100_000)
AROUND = ((b'{"messages":', b"}"), (b'{"a":', b"}"), (b"[", b"]"))


@every
def test_what_is_nested_too_deeply_cannot_be_read(name: str) -> None:
    for depth, (before, after) in itertools.product(DEPTHS, AROUND):
        body = before * depth + b"1" + after * depth
        check_prompt(DIALECTS[name], body)
        check_pieces(DIALECTS[name], body)


NO_BASE64 = {
    "gemini:Gemini": {"contents": [
        {"parts": [{"inline_data": {"mime_type": "text/plain", "data": "é"}}]},
    ]},
    "bedrock_converse:BedrockConverse": {"messages": [
        {"content": [{"document": {"format": "txt", "source": {"bytes": "é"}}}]},
    ]},
}  # fmt: skip


@pytest.mark.parametrize("name", NO_BASE64)
def test_a_document_that_is_no_base64_is_no_text(name: str) -> None:
    prompt = DIALECTS[name].prompt(compact(NO_BASE64[name]))
    assert prompt is not None
    [[part]] = [message.parts for message in prompt.messages]
    assert isinstance(part, Other)
