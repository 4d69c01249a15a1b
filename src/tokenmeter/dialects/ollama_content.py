"""What Ollama's requests give a model to read, and what its answers hold.

Sources: ``docs/api.md``, ``docs/capabilities/thinking.mdx`` and
``docs/capabilities/tool-calling.mdx`` of https://github.com/ollama/ollama (the last two read
2026-11-23), and recorded traffic.

``generate`` puts ``system`` and ``prompt`` into the model's template as chat does, unless the
request says ``raw``; ``context`` is an earlier exchange as tokens. Every line of a stream is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects.content import (
    Image,
    Message,
    Part,
    Piece,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_content import json_text
from tokenmeter.dialects.wording import called, every, text_of, written


class _Function(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    parameters: Any = None
    arguments: Any = None
    index: int | None = None


class _Tool(msgspec.Struct):
    function: _Function | None = None
    id: str | None = None


class _Message(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Tool] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Options(msgspec.Struct):
    num_predict: Count | None = None


class _Asked(msgspec.Struct):
    """A request of chat, generate, or embeddings of either version."""

    messages: list[_Message] | None = None
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    raw: bool | None = None
    context: list[int] | None = None
    images: list[str] | None = None
    input: str | list[str] | None = None
    tools: list[_Tool] | None = None
    format: Any = None
    think: bool | str | None = None
    options: _Options | None = None


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request of chat or generate gives the model to read."""
    asked = decode(_REQUEST, request)
    form, think = asked.format or None, asked.think
    return Prompt(
        messages=tuple(_messages(asked)),
        texts=tuple(filter(None, (asked.prompt, asked.suffix))) if _is_bare(asked) else (),
        ids=len(asked.context or ()),
        tools=tuple(_tools(asked.tools or ())),
        schema=Tool("", parameters=form) if isinstance(form, dict) else None,
        answer_format=form if isinstance(form, str) else None,
        limit=asked.options.num_predict if asked.options else None,
        reasoning=_REASONING.get(think, str(think)) if think is not None else None,
    )


def texts(request: bytes) -> Prompt:
    """Say what a request of embeddings gives the model to read."""
    asked = decode(_REQUEST, request)
    return Prompt(texts=tuple(filter(None, (asked.prompt, *every(asked.input)))))


_REASONING: dict[bool | str, str] = {True: "enabled", False: "none"}


def _is_bare(asked: _Asked) -> bool:
    return bool(asked.raw or asked.suffix)


def _messages(asked: _Asked) -> Iterator[Message]:
    for message in asked.messages or ():
        yield Message(message.role or "", tuple(_parts(message)))
    if asked.system:
        yield Message("system", (Text(asked.system),))
    if asked.prompt and not _is_bare(asked):
        images = [Image(image) for image in asked.images or ()]
        yield Message("user", (Text(asked.prompt), *images))


def _parts(message: _Message) -> Iterator[Part]:
    if message.thinking:
        yield Thought(message.thinking)
    if message.role == "tool":
        result = tuple(text_of(message.content))
        yield ToolResult(result, message.tool_name, message.tool_call_id)
    else:
        yield from text_of(message.content)
    yield from map(Image, message.images or ())
    for call in message.tool_calls or ():
        of = call.function or _Function()
        yield ToolCall(of.name or "", json_text(of.arguments or {}), call.id)


def _tools(tools: Iterable[_Tool]) -> Iterator[Tool]:
    for tool in tools:
        if (of := tool.function) is not None:
            yield Tool(of.name or "", of.description, of.parameters)


class _Said(msgspec.Struct):
    """A plain answer, or a line of a stream."""

    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None


_SAID = msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one line, or in a plain answer."""
    said = decode(_SAID, data)
    message = said.message or _Message()
    yield from written("reasoning", 0, message.thinking or said.thinking)
    yield from written("text", 0, message.content or said.response)
    for n, call in enumerate(message.tool_calls or ()):
        of = call.function or _Function()
        yield from called(n if of.index is None else of.index, of.name, of.arguments)
