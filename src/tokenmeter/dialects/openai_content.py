"""What OpenAI's formats have in common in what is read and written: parts of messages, tools.

Sources: the types of https://github.com/openai/openai-python 3.54 (``types/chat``,
``types/responses``; read 2026-11-23 for their fields), and recorded traffic, which also shows what
Mistral, OpenRouter and others add to them. For counting only: imported by who counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Union, cast

import msgspec

from tokenmeter.dialects.content import Image, Other, Part, Text, Thought, Tool


class _ImageUrl(msgspec.Struct):
    url: str | None = None
    detail: str | None = None


class _Held(msgspec.Struct):
    """A file or a sound: in the request, or somewhere else."""

    data: str | None = None
    file_data: str | None = None


class ContentPart(msgspec.Struct):
    """A part of a message, of all kinds at once."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    thinking: Union[str, list[ContentPart], None] = None  # noqa: UP007 - resolved at run time
    image_url: str | _ImageUrl | None = None
    detail: str | None = None
    input_audio: _Held | None = None
    file: _Held | None = None
    file_data: str | None = None


Content = Union[str, list[ContentPart], None]  # noqa: UP007 - resolved at run time


def parts_of(content: Content) -> Iterator[Part]:
    """Give the parts of a message's content."""
    if isinstance(content, str):
        yield Text(content)
        return
    for part in content or ():
        yield _PARTS.get(part.type or "text", _other)(part)


def thought(part: ContentPart) -> str:
    """Give the text of a part that is reasoning."""
    if isinstance(part.thinking, str):
        return part.thinking
    if part.thinking is not None:
        return "".join(inner.text or "" for inner in part.thinking)
    return part.text or ""


def _text(part: ContentPart) -> Part:
    return Text(part.text or "")


def _thought(part: ContentPart) -> Part:
    return Thought(thought(part))


def _refusal(part: ContentPart) -> Part:
    return Text(part.refusal or "")


def _image(part: ContentPart) -> Part:
    given = part.image_url
    if isinstance(given, _ImageUrl):
        return Image(given.url or "", given.detail)
    return Image(given or "", part.detail)


def _audio(part: ContentPart) -> Part:
    return Other("audio", size_of(part.input_audio.data if part.input_audio else None))


def _file(part: ContentPart) -> Part:
    return Other("file", size_of(part.file.file_data if part.file else part.file_data))


def _other(part: ContentPart) -> Part:
    return Other((part.type or "").removesuffix("_url").removeprefix("input_"))


_PARTS: dict[str, Callable[[ContentPart], Part]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "summary_text"), _text),
    **dict.fromkeys(("thinking", "reasoning_text", "reasoning"), _thought),
    **dict.fromkeys(("image_url", "input_image", "image", "computer_screenshot"), _image),
    **dict.fromkeys(("file", "input_file"), _file),
    "refusal": _refusal,
    "input_audio": _audio,
}


def size_of(data: str | None) -> int | None:
    """Give the bytes that base64 stands for, with or without ``data:`` before it."""
    return None if data is None else len(data.rpartition(",")[2]) * 3 // 4


def json_text(value: object) -> str:
    """Give what is JSON text already, or any other value as such."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def texts_and_ids(given: object) -> tuple[tuple[str, ...], int]:
    """Give what is a text, texts, tokens or lists of tokens as texts, and as a number of tokens."""
    if isinstance(given, str):
        return (given,), 0
    items = cast("list[object]", given) if isinstance(given, list) else []
    texts = [item for item in items if isinstance(item, str)]
    inner = [cast("list[object]", item) for item in items if isinstance(item, list)]
    return tuple(texts), _ids(items) + sum(map(_ids, inner))


def _ids(items: Iterable[object]) -> int:
    return sum(isinstance(item, int) for item in items)


class Function(msgspec.Struct):
    """A function that may be called, or the format of an answer."""

    name: str | None = None
    description: str | None = None
    parameters: Any = None
    format: Any = None
    schema: Any = None
    strict: bool | None = None


class ToolSpec(Function):
    """A tool as chat completions (``function``, ``custom``) and responses (flat) say it."""

    type: str | None = None
    function: Function | None = None
    custom: Function | None = None
    server_label: str | None = None
    server_description: str | None = None
    tools: list[ToolSpec] | None = None


def tools_of(specs: Iterable[ToolSpec]) -> Iterator[Tool]:
    """Give tools, those in a namespace too."""
    for spec in specs:
        said, kind = spec.function or spec.custom or spec, spec.type or "function"
        yield Tool(
            name=said.name or spec.server_label or kind,
            description=said.description or spec.server_description,
            parameters=said.format if said.parameters is None else said.parameters,
            kind=kind,
            strict=said.strict,
        )
        yield from tools_of(spec.tools or ())


def schema_of(said: Function, parameters: Any) -> Tool:
    """Give the format that an answer must have."""
    return Tool(said.name or "", said.description, parameters, "json_schema", said.strict)


class _Chosen(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    mode: str | None = None
    function: Function | None = None
    custom: Function | None = None
    allowed_tools: _Chosen | None = None


Choice = Union[str, _Chosen, None]  # noqa: UP007 - resolved at run time


def choice_of(chosen: Choice) -> str | None:
    """Say which tool may or must be called: a mode, or a name."""
    if not isinstance(chosen, _Chosen):
        return chosen
    named, allowed = chosen.function or chosen.custom or chosen, chosen.allowed_tools or chosen
    return named.name or allowed.mode or chosen.type
