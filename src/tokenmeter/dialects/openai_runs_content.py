"""What is read and written in runs of OpenAI's assistants, as far as it passes by.

Sources: the types of https://github.com/openai/openai-python 3.54 (``types/beta``; read 2026-11-23
for their fields) and recorded traffic. The thread and the assistant are with the vendor; what a
run wrote is in the events of its stream, and in messages that are fetched apart. For counting
only: imported by who counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tokenmeter.dialects.content import Message, Piece, Prompt, Text, ToolResult
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_content import Content, ToolSpec, parts_of, tools_of


class _Message(msgspec.Struct):
    role: str | None = None
    content: Content = None


class _Thread(msgspec.Struct):
    messages: list[_Message] | None = None


class _ToolOutput(msgspec.Struct):
    tool_call_id: str | None = None
    output: str | None = None


class _Request(msgspec.Struct):
    instructions: str | None = None
    additional_instructions: str | None = None
    additional_messages: list[_Message] | None = None
    thread: _Thread | None = None
    tool_outputs: list[_ToolOutput] | None = None
    tools: list[ToolSpec] | None = None
    max_completion_tokens: Count | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read beside what the vendor keeps."""
    asked = decode(_REQUEST, request)
    return Prompt(
        messages=tuple(_messages(asked)),
        tools=tuple(tools_of(asked.tools or ())),
        limit=asked.max_completion_tokens,
        elsewhere=("thread",),
    )


def _messages(asked: _Request) -> Iterator[Message]:
    for instructions in (asked.instructions, asked.additional_instructions):
        if instructions:
            yield Message("system", (Text(instructions),))
    known = asked.thread.messages if asked.thread else None
    for said in (*(known or ()), *(asked.additional_messages or ())):
        yield Message(said.role or "user", tuple(parts_of(said.content)))
    for given in asked.tool_outputs or ():
        result = ToolResult((Text(given.output or ""),), id=given.tool_call_id)
        yield Message("tool", (result,))


class _Value(msgspec.Struct):
    value: str | None = None


class _Part(msgspec.Struct):
    index: int = 0
    text: _Value | None = None


class _Called(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    type: str | None = None
    id: str | None = None
    function: _Called | None = None
    code_interpreter: _Called | None = None


class _Steps(msgspec.Struct):
    tool_calls: list[_Call] | None = None


class _Delta(msgspec.Struct):
    content: list[_Part] | None = None
    step_details: _Steps | None = None


class _Event(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    delta: _Delta | None = None


_EVENT = msgspec.json.Decoder(_Event)


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one event."""
    event = decode(_EVENT, data) if data.lstrip().startswith(b"{") else _Event()
    if event.delta is None:
        return
    for part in event.delta.content or ():
        if part.text is not None and part.text.value:
            yield Piece("text", f"{event.id}.{part.index}", part.text.value)
    steps = event.delta.step_details or _Steps()
    for call in steps.tool_calls or ():
        yield from _called(f"{event.id}.{call.index}", call)


def _called(key: str, call: _Call) -> Iterator[Piece]:
    called = call.function or call.code_interpreter or _Called()
    name = called.name or (call.id and call.type)  # the first piece of a call has its id
    if name:
        yield Piece("name", key, name)
    yield Piece("arguments", key, called.arguments or called.input or "")
