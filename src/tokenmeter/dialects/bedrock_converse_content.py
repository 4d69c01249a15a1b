"""What Converse's requests give a model to read, and what its answers hold.

Sources, read 2026-11-22:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html and the pages
it leads to, https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html for
Nova's own form of it (``max_new_tokens``, events by their names), and recorded traffic.

What a tool of the server gave back stands in the answer too; the model did not write it.
"""

from __future__ import annotations

import base64
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
from tokenmeter.dialects.wording import attached, called, text_of, written


class _S3(msgspec.Struct):
    uri: str | None = None


class _Source(msgspec.Struct):
    bytes: str | None = None
    text: str | None = None
    content: list[_Block] | None = None
    s3Location: _S3 | None = None  # noqa: N815 - here and below the vendor's names
    uri: str | None = None


class _Media(msgspec.Struct):
    format: str | None = None
    source: _Source | None = None


class _Guarded(msgspec.Struct):
    text: _Block | None = None
    image: _Media | None = None


class _Use(msgspec.Struct):
    toolUseId: str | None = None  # noqa: N815
    name: str | None = None
    input: Any = None


class _Result(msgspec.Struct):
    toolUseId: str | None = None  # noqa: N815
    content: list[_Block] | None = None


class _Reasoning(msgspec.Struct):
    reasoningText: _Reasoning | None = None  # noqa: N815
    redactedContent: str | None = None  # noqa: N815
    signature: str | None = None
    text: str | None = None


class _Block(msgspec.Struct):
    """A block of a message, of a tool's result, of an answer; also what is as simple as one."""

    text: str | None = None
    image: _Media | None = None
    document: _Media | None = None
    video: _Media | None = None
    audio: _Media | None = None
    json: Any = None
    toolUse: _Use | None = None  # noqa: N815
    toolResult: _Result | list[Any] | None = None  # noqa: N815
    guardContent: _Guarded | None = None  # noqa: N815
    reasoningContent: _Reasoning | None = None  # noqa: N815
    citationsContent: _Message | None = None  # noqa: N815
    searchResult: _Message | None = None  # noqa: N815


class _Message(msgspec.Struct):
    role: str | None = None
    content: list[_Block] | None = None


class _Spec(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    inputSchema: _Block | None = None  # noqa: N815
    strict: bool | None = None


class _Tool(msgspec.Struct):
    toolSpec: _Spec | None = None  # noqa: N815
    systemTool: _Spec | None = None  # noqa: N815


class _Choice(msgspec.Struct):
    any: dict[str, Any] | None = None
    auto: dict[str, Any] | None = None
    tool: _Spec | None = None


class _Tools(msgspec.Struct):
    tools: list[_Tool] | None = None
    toolChoice: _Choice | None = None  # noqa: N815


class _Limits(msgspec.Struct):
    maxTokens: Count | None = None  # noqa: N815
    max_new_tokens: Count | None = None


class _JsonSchema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: Any = None


class _Structure(msgspec.Struct):
    jsonSchema: _JsonSchema | None = None  # noqa: N815


class _TextFormat(msgspec.Struct):
    type: str | None = None
    structure: _Structure | None = None


class _Output(msgspec.Struct):
    textFormat: _TextFormat | None = None  # noqa: N815


class _Effort(msgspec.Struct):
    type: str | None = None
    budget_tokens: int | None = None
    effort: str | None = None
    maxReasoningEffort: str | None = None  # noqa: N815


class _More(msgspec.Struct):
    """Fields of a model's own: each has its word for reasoning."""

    thinking: _Effort | None = None
    reasoning_config: str | _Effort | None = None
    reasoningConfig: _Effort | None = None  # noqa: N815
    reasoning_effort: str | None = None
    output_config: _Effort | None = None


class _Asked(msgspec.Struct):
    messages: list[_Message] | None = None
    system: list[_Block] | None = None
    toolConfig: _Tools | None = None  # noqa: N815
    inferenceConfig: _Limits | None = None  # noqa: N815
    outputConfig: _Output | None = None  # noqa: N815
    additionalModelRequestFields: _More | None = None  # noqa: N815
    reasoningConfig: _Effort | None = None  # noqa: N815
    promptVariables: dict[str, Any] | None = None  # noqa: N815


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    try:
        return _prompt(asked)
    except RecursionError as exc:
        raise msgspec.DecodeError("nested too deeply") from exc


def _prompt(asked: _Asked) -> Prompt:
    tools, limits = asked.toolConfig or _Tools(), asked.inferenceConfig or _Limits()
    output = (asked.outputConfig and asked.outputConfig.textFormat) or _TextFormat()
    more = asked.additionalModelRequestFields or _More()
    more.reasoningConfig = more.reasoningConfig or asked.reasoningConfig
    return Prompt(
        messages=tuple(_messages(asked)),
        tools=tuple(_tools(tools.tools or ())),
        tool_choice=_choice(tools.toolChoice) if tools.toolChoice else None,
        schema=_schema(output.structure.jsonSchema) if output.structure else None,
        answer_format=output.type,
        limit=limits.max_new_tokens if limits.maxTokens is None else limits.maxTokens,
        reasoning=_reasoning(more),
        elsewhere=("promptVariables",) if asked.promptVariables else (),
    )


def _messages(asked: _Asked) -> Iterator[Message]:
    if asked.system:
        yield Message("system", tuple(_parts(asked.system)))
    for message in asked.messages or ():
        yield Message(message.role or "", tuple(_parts(message.content)))


def _parts(blocks: Iterable[_Block] | None) -> Iterator[Part]:
    for block in blocks or ():
        yield from _part(block)


def _part(block: _Block) -> Iterator[Part]:
    yield from text_of(block.text)
    if block.json is not None:
        yield Text(json_text(block.json))
    if block.image is not None:
        yield _image(block.image)
    yield from _document(block.document)
    for what in ("video", "audio"):
        media: _Media | None = getattr(block, what)
        if media is not None:
            yield attached(what, media.source.bytes if media.source else None)
    yield from _tool_parts(block)
    yield from _wrapped(block)


def _tool_parts(block: _Block) -> Iterator[Part]:
    if (use := block.toolUse) is not None:
        yield ToolCall(use.name or "", json_text(use.input or {}), use.toolUseId)
    if isinstance(block.toolResult, _Result):
        result = block.toolResult
        yield ToolResult(tuple(_parts(result.content)), id=result.toolUseId)


def _wrapped(block: _Block) -> Iterator[Part]:
    """Give the parts of the blocks that hold others, or a thought."""
    for contents in (block.citationsContent, block.searchResult):
        yield from _parts(contents.content if contents else ())
    if (guarded := block.guardContent) is not None:
        yield from _parts([_Block(image=guarded.image), *([guarded.text] if guarded.text else [])])
    if (reasoning := block.reasoningContent) is not None:
        if reasoning.reasoningText and reasoning.reasoningText.text:
            yield Thought(reasoning.reasoningText.text)
        if reasoning.redactedContent:
            yield Thought("")


def _image(media: _Media) -> Image:
    source = media.source or _Source()
    named = source.s3Location.uri if source.s3Location else source.uri
    return Image(source.bytes or named or "")


_TEXTS = ("txt", "md", "csv", "html")
"""Formats of documents whose bytes are the text."""


def _document(media: _Media | None) -> Iterator[Part]:
    if media is None:
        return
    source = media.source or _Source()
    if source.text or source.content:
        yield from text_of(source.text)
        yield from _parts(source.content)
    elif media.format in _TEXTS and source.bytes:
        yield _text_in(source.bytes)
    else:
        yield attached("document", source.bytes)


def _text_in(encoded: str) -> Part:
    try:
        return Text(base64.b64decode(encoded).decode("utf-8", "replace"))
    except ValueError:
        return attached("document", encoded)


def _tools(tools: Iterable[_Tool]) -> Iterator[Tool]:
    for tool in tools:
        if (spec := tool.toolSpec) is not None:
            schema = spec.inputSchema.json if spec.inputSchema else None
            yield Tool(spec.name or "", spec.description, schema, strict=spec.strict)
        if (own := tool.systemTool) is not None:
            yield Tool(own.name or "", kind=own.name or "systemTool")


def _choice(choice: _Choice) -> str | None:
    if choice.tool is not None:
        return choice.tool.name
    return "required" if choice.any is not None else "auto" if choice.auto is not None else None


def _schema(schema: _JsonSchema | None) -> Tool | None:
    if schema is None:
        return None
    parameters = schema.schema
    if isinstance(parameters, str):  # Converse wants JSON in a string
        try:
            parameters = msgspec.json.decode(parameters)
        except msgspec.DecodeError:
            return Tool(schema.name or "", schema.description, parameters)
    return Tool(schema.name or "", schema.description, parameters, strict=True)


def _reasoning(more: _More) -> str | None:
    """Give the effort or the budget of reasoning, whatever the model calls it."""
    if more.output_config and more.output_config.effort:
        return more.output_config.effort
    for one in (more.thinking, more.reasoning_config, more.reasoningConfig):
        if isinstance(one, str):
            return one
        if one is not None:
            said = one.budget_tokens or one.maxReasoningEffort or one.type
            return "none" if one.type == "disabled" else str(said) if said else None
    return more.reasoning_effort


class _Answer(msgspec.Struct):
    message: _Message | None = None


class _Said(msgspec.Struct):
    """A plain answer, or an event of a stream; Nova's own events are named."""

    output: _Answer | None = None
    contentBlockIndex: int | None = None  # noqa: N815
    start: _Block | None = None
    delta: _Block | None = None
    contentBlockStart: _Said | None = None  # noqa: N815
    contentBlockDelta: _Said | None = None  # noqa: N815


_SAID = msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one event, or in a plain answer."""
    said = decode(_SAID, data)
    said = said.contentBlockStart or said.contentBlockDelta or said
    key = said.contentBlockIndex or 0
    if said.output is not None and said.output.message is not None:
        for n, block in enumerate(said.output.message.content or ()):
            yield from _in_block(n, block)
    if said.start is not None and said.start.toolUse is not None:
        yield from called(key, said.start.toolUse.name, None)
    if said.delta is not None:
        yield from _in_block(key, said.delta)


def _in_block(key: int, block: _Block) -> Iterator[Piece]:
    yield from written("text", key, block.text)
    if block.toolUse is not None:
        yield from called(key, block.toolUse.name, block.toolUse.input)
    if (reasoning := block.reasoningContent) is not None:
        said = reasoning.reasoningText or reasoning
        yield from written("reasoning", key, said.text)
        yield from written("hidden", key, said.signature or reasoning.redactedContent)
    for cited in (block.citationsContent.content if block.citationsContent else None) or ():
        yield from written("text", key, cited.text)
