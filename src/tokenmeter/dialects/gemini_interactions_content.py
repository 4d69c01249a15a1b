"""What a request to Google's Interactions gives to read, and what an answer holds.

Sources: the types of https://github.com/googleapis/python-genai 3.4 (read 2026-11-23 for their
fields) and recorded traffic.

The input is a text, content, or steps (turns, calls of functions, what they gave back); an answer
is steps too. In a stream a step begins with what stands at its start, and grows by deltas; the
terminal event leaves the steps out, and where it had them it would repeat them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects.content import (
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
from tokenmeter.dialects.gemini_content import json_text, media

_MEDIA = frozenset({"image", "audio", "video", "document", "file"})

_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


class _Content(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    data: str | None = None
    uri: str | None = None
    mime_type: str | None = None
    resolution: str | None = None


class _Step(msgspec.Struct):
    """A turn, a call or a result; older clients send turns with a role and bare content."""

    type: str | None = None
    role: str | None = None
    content: list[_Content] | _Content | str | None = None
    text: str | None = None
    data: str | None = None
    uri: str | None = None
    mime_type: str | None = None
    resolution: str | None = None
    name: str | None = None
    id: str | None = None
    call_id: str | None = None
    arguments: Any = None
    result: Any = None
    summary: list[_Content] | None = None
    signature: str | None = None


class _Function(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: Any = None


class _AllowedTools(msgspec.Struct):
    mode: str | None = None
    tools: list[str] | None = None


class _ToolChoice(msgspec.Struct):
    allowed_tools: _AllowedTools | None = None


class _GenerationConfig(msgspec.Struct):
    max_output_tokens: Count | None = None
    thinking_level: str | None = None
    tool_choice: _ToolChoice | str | None = None


class _Format(msgspec.Struct):
    type: str | None = None
    mime_type: str | None = None
    schema: Any = None


class _Request(msgspec.Struct):
    input: list[_Step] | _Step | str | None = None
    system_instruction: str | None = None
    tools: list[_Function] | None = None
    generation_config: _GenerationConfig | None = None
    response_format: Any = None
    response_mime_type: str | None = None
    previous_interaction_id: str | None = None
    cached_content: str | None = None


class _Delta(msgspec.Struct):
    type: str | None = None
    signature: str | None = None
    text: str | None = None
    arguments: Any = None
    mime_type: str | None = None


class _Event(msgspec.Struct):
    """An event of a stream, or a whole interaction."""

    event_type: str | None = None
    index: int | None = None
    step: _Step | None = None
    delta: _Delta | None = None
    steps: list[_Step] | None = None


_REQUEST = msgspec.json.Decoder(_Request)
_EVENT = msgspec.json.Decoder(_Event)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read.

    Raises:
        msgspec.DecodeError: The request is not JSON.
    """
    asked = decode(_REQUEST, request)
    config = asked.generation_config or _GenerationConfig()
    elsewhere = ("previous_interaction_id", "cached_content")
    schema, formatted = _answer_format(asked.response_format)
    return Prompt(
        messages=tuple(_messages(asked)),
        tools=tuple(map(_tool, asked.tools or ())),
        tool_choice=_tool_choice(config.tool_choice),
        schema=schema,
        answer_format=asked.response_mime_type or formatted,
        limit=config.max_output_tokens,
        reasoning=config.thinking_level,
        elsewhere=tuple(name for name in elsewhere if getattr(asked, name)),
    )


def _messages(asked: _Request) -> Iterator[Message]:
    if asked.system_instruction is not None:
        yield Message("system", (Text(asked.system_instruction),))
    given = asked.input
    if isinstance(given, str):
        yield Message("user", (Text(given),))
    for step in given if isinstance(given, list) else ():
        yield Message(_role(step), tuple(_parts(step)))
    if isinstance(given, _Step):
        yield Message(_role(given), tuple(_parts(given)))


def _role(step: _Step) -> str:
    if step.role:
        return step.role
    kind = step.type or ""
    return "model" if kind in ("model_output", "thought") or kind.endswith("_call") else "user"


def _parts(step: _Step) -> Iterator[Part]:
    kind = step.type or ""
    if kind == "thought":
        said = "".join(content.text or "" for content in step.summary or ())
        yield Thought(said, step.signature)
    elif kind.endswith("_call"):
        yield ToolCall(step.name or kind, _arguments(step.arguments), step.id)
    elif kind.endswith("_result"):
        yield ToolResult(tuple(_given_back(step.result)), step.name, step.call_id)
    elif kind in _MEDIA:
        yield media(step.mime_type or kind, step.data, step.uri, step.resolution)
    elif step.text is not None:
        yield Text(step.text)
    yield from _contents(step.content)


def _contents(given: list[_Content] | _Content | str | None) -> Iterator[Part]:
    if isinstance(given, str):
        yield Text(given)
    elif given is not None:
        for content in given if isinstance(given, list) else [given]:
            yield from _content(content)


def _content(content: _Content) -> Iterator[Part]:
    if content.type in _MEDIA:
        mime = content.mime_type or content.type
        yield media(mime, content.data, content.uri, content.resolution)
    elif content.text is not None:
        yield Text(content.text)


def _given_back(result: Any) -> Iterator[Part]:
    if isinstance(result, str):
        yield Text(result)
        return
    try:
        yield from _contents(msgspec.convert(result, list[_Content]))
    except msgspec.ValidationError:
        yield Text(json_text(result))


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _tool(given: _Function) -> Tool:
    if given.type in (None, "function"):
        return Tool(given.name or "", given.description, given.parameters)
    return Tool(given.name or given.type, kind=given.type)


def _tool_choice(choice: _ToolChoice | str | None) -> str | None:
    if isinstance(choice, str):
        return _CHOICES.get(choice)
    allowed = choice and choice.allowed_tools
    if not allowed:
        return None
    named = allowed.tools or ()
    if allowed.mode == "any" and len(named) == 1:
        return named[0]
    return _CHOICES.get(allowed.mode or "")


def _answer_format(given: Any) -> tuple[Tool | None, str | None]:
    """Find the schema: an entry for text has it inside, and it may stand bare."""
    formats: list[Any] = given if isinstance(given, list) else [given]  # pyright: ignore[reportUnknownVariableType]
    for one in formats:
        try:
            said = msgspec.convert(one, _Format)
        except msgspec.ValidationError:
            continue
        if said.schema is not None:
            return Tool("", parameters=said.schema, kind="schema"), said.mime_type
        if said.type in (None, "object", "array"):
            return Tool("", parameters=one, kind="schema"), None
    return None, None


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in an event, or in a whole interaction.

    Raises:
        msgspec.DecodeError: The data is not JSON.
    """
    if not data.startswith(b"{"):  # [DONE]
        return
    event = decode(_EVENT, data)
    if event.step is not None:
        yield from _begun(event.step, str(event.index or 0))
    if event.delta is not None:
        yield from _grown(event.delta, str(event.index or 0))
    for at, step in enumerate(event.steps or ()):
        yield from _begun(step, str(at))


def _begun(step: _Step, key: str) -> Iterable[Piece]:
    """Give what a step has at its start, or all of it; a result is no work of the model."""
    kind = step.type or ""
    if kind == "thought":
        return (Piece("hidden", key, step.signature or ""),)
    if kind == "model_output":
        return [_made(part, key) for part in _contents(step.content)]
    if kind == "code_execution_call":
        return (Piece("text", key, _code(step.arguments)),)
    if kind.endswith("_call"):
        return (*_named(step.name or kind, key), *_argued(step.arguments, key))
    return ()


def _made(part: Part, key: str) -> Piece:
    if isinstance(part, Text):
        return Piece("text", key, part.text)
    return Piece("other", key, "")


def _grown(delta: _Delta, key: str) -> Iterable[Piece]:
    kind = delta.type or ""
    if kind.startswith("thought"):
        return (Piece("hidden", key, delta.signature or ""),)
    if kind == "text":
        return (Piece("text", key, delta.text or ""),)
    if kind == "arguments_delta":
        return _argued(delta.arguments, key)
    if kind == "code_execution_call":
        return (Piece("text", key, _code(delta.arguments)),)
    if kind.endswith("_call"):
        return _argued(delta.arguments, key)
    return (Piece("other", key, ""),) if kind in _MEDIA else ()


def _named(name: str, key: str) -> Iterable[Piece]:
    return (Piece("name", key, name),)


def _argued(arguments: Any, key: str) -> Iterable[Piece]:
    text = _arguments(arguments)
    return (Piece("arguments", key, text),) if text not in ("", "{}") else ()


def _code(arguments: Any) -> str:
    try:
        return msgspec.convert(arguments, dict[str, Any]).get("code") or ""
    except msgspec.ValidationError:
        return ""
