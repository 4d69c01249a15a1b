"""What Cohere's requests give a model to read, and what its answers hold.

Sources: the types of https://github.com/cohere-ai/cohere-python 7.3 (read 2026-11-23 for their
fields) and recorded traffic.

Citations mark what was written and are no text of their own. In a v1 stream ``tool-calls-chunk``
brings a call bit by bit, and ``tool-calls-generation`` and ``stream-end`` repeat what came.
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


class _Url(msgspec.Struct):
    url: str | None = None
    detail: str | None = None


class _Document(msgspec.Struct):
    data: Any = None


class _Block(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    image_url: str | _Url | None = None
    document: _Document | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    parameters: Any = None
    arguments: Any = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None
    name: str | None = None  # the rest is v1
    parameters: Any = None
    text: str | None = None
    index: int | None = None


class _Result(msgspec.Struct):
    call: _Call | None = None
    outputs: list[Any] | None = None


class _Message(msgspec.Struct):
    role: str | None = None
    content: str | list[_Block] | _Block | None = None
    tool_plan: str | None = None
    tool_calls: list[_Call] | _Call | None = None
    tool_call_id: str | None = None
    message: str | None = None  # the rest is v1
    tool_results: list[_Result] | None = None


class _Definition(msgspec.Struct):
    function: _Function | None = None
    name: str | None = None  # the rest is v1
    description: str | None = None
    parameter_definitions: dict[str, dict[str, Any]] | None = None


class _Format(msgspec.Struct):
    type: str | None = None
    json_schema: Any = None
    schema: Any = None


class _Thinking(msgspec.Struct):
    type: str | None = None
    token_budget: int | None = None


class _Input(msgspec.Struct):
    content: list[_Block] | None = None


class _Asked(msgspec.Struct):
    """A request of either version of chat, of generate, or of embed."""

    messages: list[_Message] | None = None
    documents: list[str | dict[str, Any]] | None = None
    tools: list[_Definition] | None = None
    tool_choice: str | None = None
    strict_tools: bool | None = None
    response_format: _Format | None = None
    thinking: _Thinking | None = None
    max_tokens: Count | None = None
    # v1
    preamble: str | None = None
    chat_history: list[_Message] | None = None
    message: str | None = None
    tool_results: list[_Result] | None = None
    conversation_id: str | None = None
    connectors: list[Any] | None = None
    # generate
    prompt: str | None = None
    preset: str | None = None
    num_generations: Count | None = None
    # embed
    texts: list[str] | None = None
    images: list[str] | None = None
    inputs: list[_Input] | None = None


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    thinking, form = asked.thinking or _Thinking(), asked.response_format or _Format()
    schema = form.schema if form.json_schema is None else form.json_schema
    blocks = [block for one in asked.inputs or () for block in one.content or ()]
    budget = thinking.token_budget or thinking.type
    return Prompt(
        messages=(*_messages(asked), *_images(asked, blocks)),
        texts=(*filter(None, [asked.prompt]), *(asked.texts or ()), *_texts(blocks)),
        tools=tuple([_tool(one, asked.strict_tools) for one in asked.tools or ()]),
        tool_choice=asked.tool_choice.lower() if asked.tool_choice else None,
        schema=None if schema is None else Tool("", parameters=schema),
        answer_format=form.type,
        choices=asked.num_generations or 1,
        limit=asked.max_tokens,
        reasoning="none" if thinking.type == "disabled" else str(budget) if budget else None,
        elsewhere=tuple([name for name in _ELSEWHERE if getattr(asked, name)]),
    )


_ELSEWHERE = ("conversation_id", "connectors", "preset")
"""Fields that name what the model reads: earlier messages, what a search finds, a prompt."""


def _messages(asked: _Asked) -> Iterator[Message]:
    if asked.preamble:
        yield Message("SYSTEM", (Text(asked.preamble),))
    for document in asked.documents or ():
        yield Message("document", (_document(document),))
    for message in (*(asked.chat_history or ()), *(asked.messages or ())):
        yield Message(message.role or "", tuple(_parts(message)))
    if asked.message:
        yield Message("USER", (Text(asked.message),))
    if asked.tool_results:
        yield Message("TOOL", tuple(map(_result, asked.tool_results)))


def _document(document: str | dict[str, Any]) -> Text:
    """Give a document: a text, or one of some fields, which v2 puts below ``data``."""
    data = document.get("data") if isinstance(document, dict) else None
    return Text(json_text(document if data is None else data))


def _parts(message: _Message) -> Iterator[Part]:
    content = message.content
    blocks = [_Block(text=content)] if isinstance(content, str) else every(content)
    inner = [part for block in blocks for part in _block(block)]
    is_result = message.tool_call_id is not None
    yield from text_of(message.message or message.tool_plan)
    yield from [ToolResult(tuple(inner), id=message.tool_call_id)] if is_result else inner
    for call in every(message.tool_calls):
        of = call.function or _Function(call.name, arguments=call.parameters)
        yield ToolCall(of.name or "", json_text(of.arguments or {}), call.id)
    yield from map(_result, message.tool_results or ())


def _block(block: _Block) -> Iterator[Part]:
    yield from text_of(block.text)
    if block.thinking:
        yield Thought(block.thinking)
    if isinstance(block.image_url, str):
        yield Image(block.image_url)
    elif block.image_url is not None and block.image_url.url:
        yield Image(block.image_url.url, block.image_url.detail)
    if block.document is not None:
        yield Text(json_text(block.document.data))


def _result(result: _Result) -> ToolResult:
    name = result.call.name if result.call else None
    return ToolResult(tuple([Text(json_text(output)) for output in result.outputs or ()]), name)


def _tool(tool: _Definition, strict: bool | None) -> Tool:
    if tool.function is not None:
        of = tool.function
        return Tool(of.name or "", of.description, of.parameters, strict=strict)
    return Tool(tool.name or "", tool.description, _schema(tool.parameter_definitions or {}))


def _schema(definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Give the parameters of a v1 tool as a JSON schema."""
    return {
        "type": "object",
        "properties": {
            name: {key: value for key, value in one.items() if key != "required"}
            for name, one in definitions.items()
        },
        "required": [name for name, one in definitions.items() if one.get("required")],
    }


def _texts(blocks: Iterable[_Block]) -> Iterator[str]:
    return (block.text for block in blocks if block.text)


def _images(asked: _Asked, blocks: Iterable[_Block]) -> Iterator[Message]:
    """Give the images to embed as a message, which is where images are."""
    given = [Image(image) for image in asked.images or ()]
    found = [part for block in blocks for part in _block(block) if isinstance(part, Image)]
    if given or found:
        yield Message("input", (*given, *found))


class _Delta(msgspec.Struct):
    message: _Message | None = None


class _Written(msgspec.Struct):
    text: str | None = None
    index: int | None = None


class _Said(msgspec.Struct):
    """A plain answer, or an event of a stream."""

    type: str | None = None
    event_type: str | None = None
    index: int | None = None
    message: _Message | None = None
    delta: _Delta | None = None
    # v1
    text: str | None = None
    tool_calls: list[_Call] | None = None
    tool_call_delta: _Call | None = None
    search_queries: list[_Written] | None = None
    generations: list[_Written] | None = None


_SAID = msgspec.json.Decoder(_Said)

_REPEATS = ("tool-calls-generation", "stream-end")


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one event, or in a plain answer."""
    if not data.startswith(b"{"):
        return
    said = decode(_SAID, data)
    if said.event_type in _REPEATS:
        return
    message = said.delta.message if said.delta else said.message
    if message is not None:
        yield from _in_message(message, said.index or 0)
    yield from written("text", said.index or 0, said.text)
    for n, query in enumerate(said.search_queries or ()):
        yield from written("text", f"query {n}", query.text)
    for n, made in enumerate(said.generations or ()):
        yield from written("text", n if made.index is None else made.index, made.text)
    yield from _in_calls(said.tool_calls or ())
    if said.tool_call_delta is not None:
        yield from written("text", "plan", said.tool_call_delta.text)
        yield from _in_calls([said.tool_call_delta])


def _in_message(message: _Message, start: int) -> Iterator[Piece]:
    """Give what a message of v2 holds; in a stream it is one thing, at the index of the event."""
    yield from written("text", "plan", message.tool_plan)
    if isinstance(message.content, str):
        yield from written("text", start, message.content)
    else:
        for n, block in enumerate(every(message.content), start):
            yield from written("reasoning", n, block.thinking)
            yield from written("text", n, block.text)
    yield from _in_calls(every(message.tool_calls), start)


def _in_calls(calls: Iterable[_Call], start: int = 0) -> Iterator[Piece]:
    for n, call in enumerate(calls, start):
        of = call.function or _Function(call.name, arguments=call.parameters)
        yield from called(n if call.index is None else call.index, of.name, of.arguments)
