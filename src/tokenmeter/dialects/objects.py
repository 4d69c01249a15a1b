"""Values that somebody has decoded already: an SDK's objects, mappings, our own `Usage`.

They are encoded again, as far as they say anything about usage, and read by the dialect whose
format it is, so no counting rule stands twice. An SDK's object is known by its ``model_dump_json``
(pydantic); attributes of any other object are never touched.

Plain mappings are read by our own names (``input_tokens``, ``output_tokens``, …), and by OpenAI's
and Anthropic's, each with its vendor's rule.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from msgspec.structs import replace

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.event import NOTHING, Usage

_CHAT, _RESPONSES = OpenAIChat(), OpenAIResponses()
_EMBEDDINGS, _MESSAGES = OpenAIEmbeddings(), AnthropicMessages()


_MAPPING: Any = Mapping  # untyped: what stands in a value is anybody's guess
_SEQUENCE: Any = Sequence


class Body(msgspec.Struct):
    """What was said so far: in a vendor's format, or in our own names."""

    dialect: Dialect | None = None
    body: Any = None
    model: str | None = None
    usage: Usage = NOTHING


class Objects(Dialect):
    """Read values; those that carry nothing cost a look-up or two."""

    name = "objects"
    answer: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

    def __init__(self, *, counts_output: bool = True) -> None:
        self.counts_output = counts_output

    def fold(self, body: Body | None, data: Any) -> Body:
        """Lay one more value over the values before it; cumulative counts replace."""
        body = body or Body()
        for value in _values(data):
            form = _form(value, body.dialect)
            if form is not None:
                form(body, value)
        return body

    def reading(self, body: Body) -> Reading:
        """Say what all values mean."""
        if body.dialect is not None:
            return body.dialect.reading(body.body)
        return Reading(recognised=body.usage != NOTHING, model=body.model, usage=body.usage)


def read(value: Any) -> Reading:
    """Say what one value means: an answer, a usage, a list of chunks.

    >>> read({"input_tokens": 3, "output_tokens": -1}).usage.input_tokens
    3
    >>> read({"prompt_tokens": 3, "completion_tokens": 1}).usage.output_tokens
    1
    """
    objects = Objects()
    return objects.reading(objects.fold(None, value))


def number(value: object) -> int | None:
    """Give a value that counts as a whole number, those of numpy and torch too.

    >>> number(3), number("three"), number(True), number(-1)
    (3, None, None, None)
    """
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        return None
    count = operator.index(value)  # type: ignore[arg-type]
    return count if count >= 0 else None


class Form(Protocol):
    """A way to read a value: lays it over what was said so far."""

    def __call__(self, body: Body, value: Any, /) -> None:
        """Read the value."""
        ...


class _Whole(NamedTuple):
    """A whole answer of a dialect."""

    dialect: Dialect

    def __call__(self, body: Body, value: Any) -> None:
        body.dialect, body.body = self.dialect, decode(self.dialect.answer, _encoded(value))


class _Part(NamedTuple):
    """A chunk or an event of a dialect."""

    dialect: Dialect

    def knows(self, kind: str) -> bool:
        """Say whether an event of this type can carry anything."""
        quoted = f'"{kind}"'.encode()
        return any(mark in quoted for mark in self.dialect.marks)

    def __call__(self, body: Body, value: Any) -> None:
        _lay(self.dialect, body, _encoded(value))


class _Bare(NamedTuple):
    """A usage alone, and the event that would stand around it."""

    dialect: Dialect
    event: bytes

    def __call__(self, body: Body, value: Any) -> None:
        usage = msgspec.json.encode(value, enc_hook=_builtin)
        _lay(self.dialect, body, self.event % usage)


def _lay(dialect: Dialect, body: Body, data: bytes) -> None:
    before = body.body if body.dialect is dialect else None
    folded = dialect.fold(before, data)
    if before is not None or dialect.reading(folded).recognised:
        body.dialect, body.body = dialect, folded


def _own(body: Body, value: Any) -> None:
    named = {name: _get(value, name) for name in _OWN if _get(value, name) is not None}
    usage = decode(_own_decoder, msgspec.json.encode(named, enc_hook=_builtin))
    body.dialect, body.body = None, None
    body.usage = replace(body.usage, **{name: getattr(usage, name) for name in named})


def _carrier(body: Body, value: Any) -> None:
    """Read what holds its usage in a member, and has no vendor's form."""
    usage = _get(value, "usage")
    form = _usage_form(usage)
    if form is not None:
        form(body, usage)
        model = _get(value, "model")
        body.model = model if isinstance(model, str) else body.model


_KINDS: dict[str, Form] = {
    "chat.completion": _Whole(_CHAT),
    "list": _Whole(_EMBEDDINGS),
    "message": _Whole(_MESSAGES),
    "response": _Whole(_RESPONSES),
}
"""What ``object`` or ``type`` says of a whole answer."""

_ALWAYS = ("chat.completion", "response")
"""Answers that say something, such as their status, without usage too."""

_EVENTS: tuple[_Part, ...] = (_Part(_RESPONSES), _Part(_MESSAGES))
_CHUNK = _Part(_CHAT)

_OWN = Usage.__struct_fields__
_OwnUsage = msgspec.defstruct(
    "_OwnUsage",
    [
        *((name, Count | None, None) for name in _OWN[:-1]),
        (_OWN[-1], dict[str, Count] | None, None),
    ],
)
_USAGES: tuple[tuple[tuple[str, ...], Form], ...] = (
    (("prompt_tokens", "completion_tokens"), _Bare(_CHAT, b'{"usage":%s}')),
    (
        ("cache_creation_input_tokens", "cache_read_input_tokens"),
        _Bare(_MESSAGES, b'{"usage":%s}'),
    ),
    (
        ("input_tokens_details", "output_tokens_details"),
        _Bare(_RESPONSES, b'{"response":{"usage":%s}}'),
    ),
    (_OWN, _own),
)
"""Names that stand in the usage of one vendor only, and how it is read."""

_own_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_OwnUsage)


def _values(value: Any) -> Iterator[Any]:
    """Give the values that may carry something: of a list its items, of an event its chunk."""
    if not isinstance(value, _SEQUENCE) or isinstance(value, str | bytes | bytearray):
        value = (value,)
    if value and _is_open(value[0]):
        for item in value:
            if _is_open(item):
                yield _get(item, "chunk") if _get(item, "type") == "chunk" else item


def _is_open(value: Any) -> bool:
    kind = cast("type[object]", type(value))
    return issubclass(kind, (_MAPPING, Usage)) or hasattr(kind, "model_dump_json")


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, _MAPPING) else getattr(value, name, None)


def _form(value: Any, so_far: Dialect | None) -> Form | None:
    """Say how to read a value; ``None`` when it carries nothing."""
    usage = _get(value, "usage")
    kind = _get(value, "object") or _get(value, "type")
    if isinstance(kind, str):
        if kind in _ALWAYS or (usage is not None and kind in _KINDS):
            return _KINDS[kind]
        fitting = [event for event in _EVENTS if event.knows(kind)]
        if fitting:
            return next((event for event in fitting if event.dialect is so_far), fitting[0])
    choices = _get(value, "choices")
    if isinstance(choices, _SEQUENCE):
        ended = any(_get(choice, "finish_reason") for choice in choices)
        return _CHUNK if ended or usage or _get(value, "x_groq") else None
    return _carrier if usage is not None else _usage_form(value)


def _usage_form(usage: Any) -> Form | None:
    """Tell whose usage it is by its names."""
    if not _is_open(usage):
        return None
    for names, form in _USAGES:
        if any(_has(usage, name) for name in names):
            return form
    return None


def _has(value: Any, name: str) -> bool:
    return name in value if isinstance(value, _MAPPING) else hasattr(value, name)


_MEMBERS = (
    *("id", "object", "type", "model", "status", "service_tier", "background", "code"),
    *("choices", "usage", "x_groq", "error", "incomplete_details", "response", "message", "delta"),
    "stop_reason",
)
"""Members of a mapping that a dialect may want; what else stands in it may be anything."""

_CONTENT: dict[str, Any] = {
    "choices": {"__all__": {"message", "delta", "logprobs", "text"}},
    "content": True,
    "data": True,
    "instructions": True,
    "message": {"content"},
    "output": True,
    "response": {"instructions", "output", "tools"},
    "tools": True,
}
"""Members of an SDK's object that no dialect wants and that may be large."""


def _encoded(value: Any) -> bytes:
    if isinstance(value, _MAPPING):
        wanted = {name: value[name] for name in _MEMBERS if name in value}
        return msgspec.json.encode(wanted, enc_hook=_builtin)
    text: str = value.model_dump_json(exclude=_CONTENT, exclude_none=True, warnings=False)
    return text.encode()


def _builtin(value: Any) -> Any:
    """Give what can be encoded of a value that cannot; anything else is left out."""
    if isinstance(value, _MAPPING):
        return dict(value)
    return msgspec.Raw(_encoded(value)) if _is_open(value) else number(value)
