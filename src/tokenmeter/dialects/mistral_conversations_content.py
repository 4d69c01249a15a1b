"""What Mistral's conversations give a model to read, and what the answers in them hold.

Sources: https://docs.mistral.ai/studio/agents/agents-api (read 2026-11-23) and the types of
mistralai 3.7 (``ConversationRequest``, ``ConversationEvents``). Not proved on recorded traffic.

A request that names neither a model nor an agent goes on with a conversation that Mistral keeps.
What a connector was asked for the model wrote, what it found it did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tokenmeter.dialects.content import Message, Part, Piece, Prompt, Text, ToolCall, ToolResult
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_content import (
    Choice,
    ContentPart,
    Function,
    ToolSpec,
    choice_of,
    json_text,
    parts_of,
    schema_of,
    thought,
    tools_of,
)
from tokenmeter.dialects.wording import called, every, written


class _Entry(msgspec.Struct):
    """What a conversation is made of: a message, a call of a tool, or its result."""

    type: str | None = None
    role: str | None = None
    content: str | list[ContentPart] | ContentPart | None = None
    name: str | None = None
    arguments: Any = None
    result: str | None = None
    tool_call_id: str | None = None
    output_index: int | None = None  # in a stream


class _Format(msgspec.Struct):
    type: str | None = None
    json_schema: Function | None = None


class _Arguments(msgspec.Struct):
    max_tokens: Count | None = None
    tool_choice: Choice = None
    reasoning_effort: str | None = None
    response_format: _Format | None = None


class _Asked(msgspec.Struct):
    model: str | None = None
    agent_id: str | None = None
    inputs: str | list[_Entry] | None = None
    instructions: str | None = None
    tools: list[ToolSpec] | None = None
    completion_args: _Arguments | None = None


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    given = asked.completion_args or _Arguments()
    form = given.response_format or _Format()
    kept = (("agent_id", asked.agent_id), ("conversation", not (asked.model or asked.agent_id)))
    return Prompt(
        messages=tuple(_messages(asked)),
        tools=tuple(tools_of(asked.tools or ())),
        tool_choice=choice_of(given.tool_choice),
        schema=schema_of(form.json_schema, form.json_schema.schema) if form.json_schema else None,
        answer_format=form.type if form.type not in ("json_schema", "text") else None,
        limit=given.max_tokens,
        reasoning=given.reasoning_effort,
        elsewhere=tuple([name for name, is_there in kept if is_there]),
    )


def _messages(asked: _Asked) -> Iterator[Message]:
    if asked.instructions:
        yield Message("system", (Text(asked.instructions),))
    inputs = asked.inputs
    for entry in [_Entry(content=inputs)] if isinstance(inputs, str) else inputs or ():
        yield Message(entry.role or _ROLES.get(entry.type or "", "user"), tuple(_parts(entry)))


_ROLES = {
    "function.result": "tool",
    **dict.fromkeys(("function.call", "tool.execution", "message.output"), "assistant"),
}


def _parts(entry: _Entry) -> Iterator[Part]:
    if isinstance(entry.content, str):
        yield Text(entry.content)
    else:
        yield from parts_of(every(entry.content))
    if entry.name is not None:
        yield ToolCall(entry.name, json_text(entry.arguments), entry.tool_call_id)
    if entry.result is not None:
        yield ToolResult((Text(entry.result),), id=entry.tool_call_id)


class _Said(_Entry):
    """A plain answer, or an event of a stream."""

    outputs: list[_Entry] | None = None


_SAID = msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one event, or in a plain answer."""
    if not data.startswith(b"{"):
        return
    said = decode(_SAID, data)
    for n, entry in enumerate(said.outputs or ()):
        yield from _in_entry(n, entry)
    if said.type in ("message.output.delta", "tool.execution.started", "tool.execution.delta"):
        yield from _in_entry(said.output_index or 0, said)
    elif said.type == "function.call.delta":
        yield from _in_entry(said.output_index or 0, _once_named(said))


def _once_named(call: _Said) -> _Said:
    """Leave the name out of all but the first delta: it is a required field of each."""
    arguments = json_text(call.arguments)
    call.name = call.name if not arguments or arguments.startswith("{") else None
    return call


def _in_entry(key: int, entry: _Entry) -> Iterator[Piece]:
    if isinstance(entry.content, str):
        yield from written("text", key, entry.content)
    else:
        for part in every(entry.content):
            if part.type in ("thinking", "reasoning"):
                yield from written("reasoning", key, thought(part))
            else:
                yield from written("text", key, part.text)
    yield from called(key, entry.name, entry.arguments)
