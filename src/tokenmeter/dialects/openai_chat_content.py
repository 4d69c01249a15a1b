"""What is read and written in OpenAI chat completions and legacy completions.

Sources: the types of https://github.com/openai/openai-python 3.54 (``types/chat``,
``types/completion*.py``; read 2026-11-23 for their fields) and recorded traffic. Reasoning of
other servers is in ``reasoning_content`` (DeepSeek and many), ``reasoning`` (Groq, vLLM), in
``reasoning_details`` beside it (OpenRouter, which says there whether it is the reasoning or a
summary of it), or in content parts of type ``thinking`` (Mistral). For counting only: imported by
who counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from tokenmeter.dialects.content import (
    Message,
    Other,
    Part,
    Piece,
    Prompt,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_content import (
    Choice,
    Content,
    Function,
    ToolSpec,
    choice_of,
    json_text,
    parts_of,
    schema_of,
    texts_and_ids,
    thought,
    tools_of,
)


class _Called(msgspec.Struct):
    name: str | None = None
    arguments: Any = None
    input: str | None = None

    @property
    def said(self) -> str:
        return json_text(self.input if self.arguments is None else self.arguments)


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Called | None = None
    custom: _Called | None = None


class _Detail(msgspec.Struct):
    type: str | None = None
    text: str | None = None


class _Audio(msgspec.Struct):
    transcript: str | None = None


class _Any(msgspec.Struct):
    pass


class _Message(msgspec.Struct):
    role: str | None = None
    name: str | None = None
    content: Content = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[_Detail] | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Called | None = None
    tool_call_id: str | None = None
    audio: _Audio | None = None
    images: list[_Any] | None = None
    executed_tools: list[_Any] | None = None


class _Format(msgspec.Struct):
    type: str | None = None
    json_schema: Function | None = None
    schema: Any = None


class _Reasoning(msgspec.Struct):
    type: str | None = None
    effort: str | None = None
    enabled: bool | None = None
    max_tokens: Count | None = None
    budget_tokens: Count | None = None


class _Request(msgspec.Struct):
    messages: list[_Message] | None = None
    prompt: Any = None
    suffix: str | None = None
    tools: list[ToolSpec] | None = None
    functions: list[ToolSpec] | None = None
    tool_choice: Choice = None
    function_call: Choice = None
    response_format: _Format | None = None
    n: Count | None = None
    best_of: Count | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    reasoning_effort: str | None = None
    reasoning: _Reasoning | None = None
    thinking: _Reasoning | None = None
    # what the model reads beside it
    data_sources: list[_Any] | None = None
    search_parameters: _Any | None = None
    web_search_options: _Any | None = None


_ELSEWHERE = ("data_sources", "search_parameters", "web_search_options")
_elsewhere = attrgetter(*_ELSEWHERE)
_REQUEST = msgspec.json.Decoder(_Request)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    texts, ids = texts_and_ids(asked.prompt)
    named = zip(_ELSEWHERE, _elsewhere(asked), strict=True)
    said = asked.response_format or _Format()
    return Prompt(
        messages=tuple(map(_message, asked.messages or ())),
        texts=(*texts, asked.suffix) if asked.suffix else texts,
        ids=ids,
        tools=tuple(tools_of((*(asked.tools or ()), *(asked.functions or ())))),
        tool_choice=choice_of(asked.tool_choice or asked.function_call),
        schema=schema_of(said.json_schema or Function(), _schema(said)) if _schema(said) else None,
        answer_format=said.type if said.type not in ("json_schema", "text") else None,
        choices=max(1, asked.n or 1, asked.best_of or 1) * max(1, len(texts)),
        limit=asked.max_completion_tokens or asked.max_tokens,
        reasoning=_reasoning(asked),
        elsewhere=tuple(name for name, given in named if given is not None),
    )


def _schema(said: _Format) -> Any:
    return said.json_schema.schema if said.json_schema else said.schema


def _reasoning(asked: _Request) -> str | None:
    said = asked.reasoning or asked.thinking
    if asked.reasoning_effort or said is None:
        return asked.reasoning_effort
    if said.enabled is False or said.type == "disabled":
        return "none"
    number = said.max_tokens or said.budget_tokens
    return said.effort or (str(number) if number else said.type or "enabled")


def _message(said: _Message) -> Message:
    parts, role = tuple(_parts(said)), said.role or "user"
    if role in ("tool", "function"):
        parts = (ToolResult(parts, said.name, said.tool_call_id),)
    return Message(role, parts, said.name)


def _parts(said: _Message) -> Iterator[Part]:
    given = said.reasoning_content or said.reasoning
    if given:
        yield Thought(given)
    yield from parts_of(said.content)
    if said.refusal:
        yield Text(said.refusal)
    if said.audio is not None:
        yield Other("audio")
    for call, called in _calls(said):
        yield ToolCall(called.name or "", called.said, call.id)


def _calls(said: _Message) -> Iterator[tuple[_Call, _Called]]:
    for call in said.tool_calls or ():
        yield call, call.function or call.custom or _Called()
    if said.function_call is not None:
        yield _Call(), said.function_call


# What an answer holds


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in a chunk, or in a whole answer."""
    if not data.lstrip().startswith(b"{"):  # [DONE]
        return
    for choice in decode(_ANSWER, data).choices or ():
        key = str(choice.index)
        said = choice.delta or choice.message  # some send both, and the message repeats
        if choice.text and (said is None or not said.content):  # Together repeats what it says
            yield Piece("text", key, choice.text)
        if said is not None:
            yield from _reasoned(key, said)
            yield from _written(key, said)
            yield from _called(key, said, whole=choice.delta is None)


def _reasoned(key: str, said: _Message) -> Iterator[Piece]:
    for detail in said.reasoning_details or ():
        if detail.type == "reasoning.text":
            yield Piece("reasoning", key, detail.text or "")
        else:
            yield Piece("hidden", key, "")
    given = said.reasoning_content or said.reasoning
    if given and not said.reasoning_details:
        yield Piece("reasoning", key, given)


def _written(key: str, said: _Message) -> Iterator[Piece]:
    if isinstance(said.content, str):
        if said.content:
            yield Piece("text", key, said.content)
    else:
        for part in said.content or ():
            if part.type in ("thinking", "reasoning"):
                yield Piece("reasoning", key, thought(part))
            else:
                yield Piece("text", key, part.text or "")
    if said.refusal:
        yield Piece("refusal", key, said.refusal)
    if said.audio is not None:
        yield Piece("text", f"{key}.audio", said.audio.transcript or "")
        yield Piece("other", f"{key}.audio", "")
    if said.images or said.executed_tools:
        yield Piece("other", key, "")


def _called(key: str, said: _Message, *, whole: bool) -> Iterator[Piece]:
    for at, (call, called) in enumerate(_calls(said)):
        known = (at,) if whole else (call.index, call.id, at)
        at_call = f"{key}.{next(name for name in known if name is not None)}"
        if called.name:
            yield Piece("name", at_call, called.name)
        yield Piece("arguments", at_call, called.said)
