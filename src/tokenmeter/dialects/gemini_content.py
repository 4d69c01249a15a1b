"""What a request to Gemini gives it to read, and what an answer holds; for generateContent.

Sources, read 2026-11-23: the types of https://github.com/googleapis/python-genai 3.4 (their
fields), https://ai.google.dev/api/caching, and recorded traffic.

Google's servers take names in camel case and in snake case, mixed too, so names are brought to
snake case first; what people name themselves (arguments, results, schemas) is left as it is. Many
models give a call of a function no id, and each chunk of a stream numbers its parts from zero: a
call is told from others by its own text, and from equal ones beside it by its number.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, cast

import msgspec

from tokenmeter.dialects.content import (
    Image,
    Message,
    Other,
    Part,
    Piece,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.fields import Count, decode, salvage

T = TypeVar("T", bound=msgspec.Struct)

_ANYTHING = msgspec.json.Decoder(Any)

_OWN = frozenset(
    {
        *("args", "response", "parameters", "parameters_json_schema"),
        *("response_schema", "response_json_schema"),
    }
)
"""Members whose inner names are not Google's."""

_DEPTH = 24
"""Google's own names stand no deeper."""

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")

_CHOICES = {"AUTO": "auto", "NONE": "none", "ANY": "required"}


class _Blob(msgspec.Struct):
    mime_type: str | None = None
    data: str | None = None
    file_uri: str | None = None


class _Call(msgspec.Struct):
    name: str | None = None
    tool_type: str | None = None
    args: Any = None
    partial_args: list[_PartialArgument] | None = None
    will_continue: bool | None = None
    id: str | None = None


class _PartialArgument(msgspec.Struct):
    json_path: str | None = None
    string_value: str | None = None
    number_value: float | None = None
    bool_value: bool | None = None


class _Response(msgspec.Struct):
    name: str | None = None
    tool_type: str | None = None
    response: Any = None
    parts: list[_Part] | None = None
    id: str | None = None


class _Code(msgspec.Struct):
    code: str | None = None
    output: str | None = None


class _Resolution(msgspec.Struct):
    level: str | None = None


class _Part(msgspec.Struct):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None
    file_data: _Blob | None = None
    function_call: _Call | None = None
    function_response: _Response | None = None
    tool_call: _Call | None = None
    tool_response: _Response | None = None
    executable_code: _Code | None = None
    code_execution_result: _Code | None = None
    media_resolution: _Resolution | None = None


class Content(msgspec.Struct):
    """A turn of the conversation, or the system's instruction."""

    role: str | None = None
    parts: list[_Part] | _Part | None = None


class _Declaration(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    parameters: Any = None
    parameters_json_schema: Any = None


class _CallingConfig(msgspec.Struct):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ToolConfig(msgspec.Struct):
    function_calling_config: _CallingConfig | None = None


class _ThinkingConfig(msgspec.Struct):
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _GenerationConfig(msgspec.Struct):
    candidate_count: int | None = None
    max_output_tokens: Count | None = None
    media_resolution: str | None = None
    response_mime_type: str | None = None
    response_schema: Any = None
    response_json_schema: Any = None
    thinking_config: _ThinkingConfig | None = None


class _Request(msgspec.Struct):
    contents: list[Content] | Content | None = None
    system_instruction: Content | str | None = None
    tools: list[dict[str, Any]] | dict[str, Any] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: _GenerationConfig | None = None
    cached_content: str | None = None


class _Candidate(msgspec.Struct):
    content: Content | None = None
    index: int | None = None


class _Answer(msgspec.Struct):
    candidates: list[_Candidate] | None = None


def snake(data: bytes) -> Any:
    """Decode JSON and bring Google's own names to snake case.

    Raises:
        msgspec.DecodeError: The data is not JSON.
    """
    return _snake(decode(_ANYTHING, data), _DEPTH)


def _snake(value: Any, depth: int) -> Any:
    if not depth:
        return value
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [_snake(item, depth - 1) for item in items]
    if not isinstance(value, dict):
        return value
    members = {_HUMP.sub("_\\g<0>", k).lower(): v for k, v in cast("dict[str, Any]", value).items()}
    return {k: v if k in _OWN else _snake(v, depth - 1) for k, v in members.items()}


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read.

    Raises:
        msgspec.DecodeError: The request is not JSON.
    """
    asked: _Request = salvage(snake(request), _Request)
    config = asked.generation_config or _GenerationConfig()
    return Prompt(
        messages=tuple(_messages(asked, _resolution(config.media_resolution))),
        tools=tuple(_tools(asked.tools)),
        tool_choice=_tool_choice(asked.tool_config),
        schema=_schema(config),
        answer_format=config.response_mime_type,
        choices=max(config.candidate_count or 1, 1),
        limit=config.max_output_tokens,
        reasoning=_reasoning(config.thinking_config),
        elsewhere=("cachedContent",) if asked.cached_content else (),
    )


def _all(value: list[T] | T | None) -> list[T]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _messages(asked: _Request, detail: str | None) -> Iterator[Message]:
    system = asked.system_instruction
    if isinstance(system, str):
        yield Message("system", (Text(system),))
    elif system is not None:
        yield Message("system", parts_of(system, detail))
    for content in _all(asked.contents):
        yield Message(content.role or "user", parts_of(content, detail))


def parts_of(content: Content, detail: str | None = None) -> tuple[Part, ...]:
    """Give the parts of a turn; what has no resolution of its own has the request's."""
    return tuple(part for found in _all(content.parts) for part in _parts(found, detail))


def _parts(part: _Part, detail: str | None) -> Iterator[Part]:
    if part.text is not None:
        yield Thought(part.text) if part.thought else Text(part.text)
    if part.thought_signature:
        yield Thought("", part.thought_signature)
    for blob in (part.inline_data, part.file_data):
        if blob is not None:
            own = part.media_resolution or _Resolution()
            yield media(blob.mime_type, blob.data, blob.file_uri, _resolution(own.level) or detail)
    for call in (part.function_call, part.tool_call):
        if call is not None:
            yield ToolCall(call.name or call.tool_type or "", json_text(call.args), call.id)
    for given in (part.function_response, part.tool_response):
        if given is not None:
            yield _result(given, detail)
    if part.executable_code is not None:
        yield ToolCall("code_execution", part.executable_code.code or "")
    if part.code_execution_result is not None:
        yield ToolResult((Text(part.code_execution_result.output or ""),), "code_execution")


def _result(given: _Response, detail: str | None) -> ToolResult:
    text = Text(json_text(given.response))
    more = [inner for part in given.parts or () for inner in _parts(part, detail)]
    return ToolResult((text, *more), given.name or given.tool_type, given.id)


def media(mime: str | None, data: str | None, uri: str | None, detail: str | None) -> Part:
    """Give what a file is to the model: an image, text, or something else."""
    kind, source = (mime or "").partition("/")[0].lower(), None
    if data is not None:
        source = f"data:{mime or ''};base64,{data.replace('-', '+').replace('_', '/')}"
    if kind == "image":
        return Image(source or uri or "", detail)
    text = _text_in(source) if kind == "text" and source else None
    if text is not None:
        return Text(text)
    size = None if data is None else len(data) * 3 // 4
    return Other(kind if kind in ("audio", "video") else "file", size)


def _text_in(source: str) -> str | None:
    try:
        return base64.b64decode(source.partition(",")[2] + "==").decode("utf-8", "replace")
    except ValueError:  # not base64, or not even ASCII
        return None


def json_text(value: Any) -> str:
    """Give JSON as text; what cannot be written is none."""
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except RecursionError:
        return ""


def _resolution(level: str | None) -> str | None:
    return level.removeprefix("MEDIA_RESOLUTION_").lower() if level else None


def _tools(given: list[dict[str, Any]] | dict[str, Any] | None) -> Iterator[Tool]:
    for tool in given if isinstance(given, list) else [given or {}]:
        for kind, said in tool.items():
            if kind == "function_declarations":
                declared = salvage(said, list[_Declaration])
                yield from map(_function, declared or ())
            else:
                yield Tool(kind, kind=kind)


def _function(declared: _Declaration) -> Tool:
    name, schema = declared.name or "", declared.parameters_json_schema
    if schema is not None:
        return Tool(name, declared.description, schema)
    return Tool(name, declared.description, declared.parameters, native=True)


def _tool_choice(config: _ToolConfig | None) -> str | None:
    calling = config and config.function_calling_config
    if not calling:
        return None
    allowed = calling.allowed_function_names or ()
    if calling.mode == "ANY" and len(allowed) == 1:
        return allowed[0]
    return _CHOICES.get(calling.mode or "")


def _schema(config: _GenerationConfig) -> Tool | None:
    other = config.response_json_schema
    schema = config.response_schema if other is None else other
    return None if schema is None else Tool("", parameters=schema, kind="schema")


def _reasoning(config: _ThinkingConfig | None) -> str | None:
    if config is None:
        return None
    if config.thinking_level:
        return config.thinking_level.lower()
    budget = config.thinking_budget
    return None if budget is None else str(budget) if budget else "none"


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in a chunk, or in a whole answer.

    Raises:
        msgspec.DecodeError: The data is not JSON.
    """
    answer: _Answer = salvage(snake(data), _Answer)
    for at, candidate in enumerate(answer.candidates or ()):
        key = str(at if candidate.index is None else candidate.index)
        seen = Counter[str]()
        for part in _all((candidate.content or Content()).parts):
            yield from _written(part, key, seen)


def _written(part: _Part, key: str, seen: Counter[str]) -> Iterator[Piece]:
    if part.thought:
        yield Piece("hidden", key, "")
    if part.thought_signature:
        yield Piece("hidden", f"{key}.signature", part.thought_signature)
    if part.text and not part.thought:
        yield Piece("text", key, part.text)
    if part.executable_code is not None:
        yield Piece("text", f"{key}.code", part.executable_code.code or "")
    if part.function_call is not None:
        yield from _called(part.function_call, key, seen)
    if part.inline_data is not None:
        kind = (part.inline_data.mime_type or "file").partition("/")[0].lower()
        yield Piece("other", f"{key}.{kind}", "")


def _called(call: _Call, key: str, seen: Counter[str]) -> Iterable[Piece]:
    text = json_text(call.args)
    if call.partial_args is not None or call.will_continue is not None or not call.name:
        parts = "".join(map(_partial, call.partial_args or ()))
        return (Piece("name", key, call.name or ""), Piece("arguments", key, parts))
    at = f"{key}.{call.id or call.name}{text}"
    seen[at] += 1
    at += f".{seen[at]}" if seen[at] > 1 else ""
    return Piece("name", at, call.name), Piece("arguments", at, text)


def _partial(given: _PartialArgument) -> str:
    if given.string_value is not None:
        return given.string_value
    value = given.number_value if given.bool_value is None else given.bool_value
    return json_text(value)
