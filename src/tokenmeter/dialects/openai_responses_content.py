"""What is read and written in OpenAI responses.

Sources: the types of https://github.com/openai/openai-python 3.54 (``types/responses``; read
2026-11-23 for their fields) and recorded traffic,
https://developers.openai.com/api/reference/resources/responses/methods/create for the limit, which
is of reasoning too. A stream tells everything three times: bit by bit, when a part or an item is
done, and in the response that is completed; only the first is taken. For counting only: imported
by who counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    Written,
)
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.openai_content import (
    Choice,
    Content,
    ContentPart,
    Function,
    ToolSpec,
    choice_of,
    json_text,
    parts_of,
    schema_of,
    size_of,
    tools_of,
)


class _Item(msgspec.Struct):
    """An item of a conversation, of all kinds at once."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: Content = None
    summary: list[ContentPart] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    code: str | None = None
    output: str | list[ContentPart] | ContentPart | None = None
    tools: list[ToolSpec] | None = None

    @property
    def called(self) -> str:
        """The name of the tool that is called."""
        name = self.name or (self.type or "").removesuffix("_call")
        return f"{self.namespace}.{name}" if self.namespace else name

    @property
    def said(self) -> str:
        """What a call of a tool says."""
        given = (self.arguments, self.input, self.code)
        return json_text(next((text for text in given if text is not None), None))


class _Format(Function):
    type: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _Any(msgspec.Struct):
    pass


class _Request(msgspec.Struct):
    input: str | list[_Item] | None = None
    instructions: str | list[_Item] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: Choice = None
    text: _Text | None = None
    max_output_tokens: Count | None = None
    reasoning: _Reasoning | None = None
    # what the model reads beside it
    previous_response_id: str | None = None
    conversation: str | _Any | None = None
    prompt: str | _Any | None = None
    preset: str | None = None


_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "preset")
_elsewhere = attrgetter(*_ELSEWHERE)
_REQUEST = msgspec.json.Decoder(_Request)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    items = [*_items(asked.instructions, "system"), *_items(asked.input, "user")]
    said = (asked.text and asked.text.format) or _Format()
    named = zip(_ELSEWHERE, _elsewhere(asked), strict=True)
    elsewhere = [name for name, given in named if given is not None]
    elsewhere += [_REFERENCE for item in items if item.type == _REFERENCE]
    tools = [*(asked.tools or ()), *(tool for item in items for tool in item.tools or ())]
    return Prompt(
        messages=tuple(_message(item) for item in items if item.type not in _NOT_READ),
        tools=tuple(tools_of(tools)),
        tool_choice=choice_of(asked.tool_choice),
        schema=schema_of(said, said.schema) if said.schema is not None else None,
        answer_format=said.type if said.type not in ("json_schema", "text") else None,
        limit=asked.max_output_tokens,
        reasoning=asked.reasoning.effort if asked.reasoning else None,
        elsewhere=tuple(dict.fromkeys(elsewhere)),
        form="responses",
    )


_REFERENCE = "item_reference"
_NOT_READ = (_REFERENCE, "additional_tools", "mcp_list_tools", "tool_search_output")
"""Items that are no messages: what they name is elsewhere, or among the tools."""


def _items(given: str | list[_Item] | None, role: str) -> list[_Item]:
    return [_Item(role=role, content=given)] if isinstance(given, str) else given or []


def _message(item: _Item) -> Message:
    kind = item.type or "message"
    if kind == "message":
        return Message(item.role or "user", tuple(parts_of(item.content)))
    if kind.endswith("_output"):
        return Message("tool", (ToolResult(tuple(_output(item)), id=item.call_id),))
    return Message("assistant", tuple(_turn(item, kind)))


def _turn(item: _Item, kind: str) -> Iterator[Part]:
    """Give what the model wrote in an earlier turn."""
    if kind == "reasoning":
        yield from _thoughts(item)
    elif kind in _CALLS or item.said:
        yield ToolCall(item.called, item.said, item.call_id, stored=item.id is not None)
        if item.output is not None:
            yield ToolResult(tuple(_output(item)))
    else:
        yield Other(kind, size_of(item.encrypted_content))


def _thoughts(item: _Item) -> Iterator[Part]:
    for part in parts_of(item.content):
        yield Thought(part.text) if isinstance(part, (Text, Thought)) else part
    if not item.content:
        yield Other("reasoning", size_of(item.encrypted_content))


def _output(item: _Item) -> Iterator[Part]:
    output = item.output
    return parts_of([output] if isinstance(output, ContentPart) else output)


# What an answer holds


class _Event(msgspec.Struct):
    type: str | None = None
    output: list[_Item] | None = None
    output_index: int = 0
    content_index: int = 0
    delta: str | None = None
    item: _Item | None = None

    @property
    def kind(self) -> str:
        """What the event is, without what all have in front."""
        return (self.type or "").removeprefix("response.")

    @property
    def at(self) -> str:
        """The key of the item."""
        return str(self.output_index)


_EVENT = msgspec.json.Decoder(_Event)

_DELTAS: dict[str, Written] = {
    "output_text.delta": "text",
    "refusal.delta": "refusal",
    "reasoning_text.delta": "reasoning",
    "reasoning.delta": "reasoning",
}
_CALL_DELTAS = (
    "function_call_arguments.delta",
    "mcp_call_arguments.delta",
    "custom_tool_call_input.delta",
    "code_interpreter_call_code.delta",
)
_WRITTEN: dict[str, Written] = {"refusal": "refusal", "reasoning_text": "reasoning"}

_CALLS = ("function_call", "custom_tool_call", "mcp_call", "code_interpreter_call")
_NOT_WRITTEN = ("message", "reasoning", "mcp_list_tools")
"""Items that are not written by the model, or that say more of themselves."""


def pieces(data: bytes) -> Iterator[Piece]:
    """Give what the model wrote in one event, or in a whole response."""
    if not data.lstrip().startswith(b"{"):  # some gateways close with [DONE]
        return
    event = decode(_EVENT, data)
    kind = event.kind
    for at, item in enumerate(event.output or ()):
        yield from _whole(str(at), item)
    if kind in _DELTAS:
        yield Piece(_DELTAS[kind], f"{event.at}.{event.content_index}", event.delta or "")
    elif kind in _CALL_DELTAS:
        yield Piece("arguments", event.at, event.delta or "")
    elif kind == "reasoning_summary_text.delta":
        yield Piece("hidden", event.at, "")
    elif event.item is not None:
        yield from _ITEM_EVENTS.get(kind, _nothing)(event.at, event.item)


def _whole(key: str, item: _Item) -> Iterator[Piece]:
    yield from _begun(key, item)
    if item.type in _CALLS:
        yield Piece("arguments", key, item.said)
    elif item.type == "message" and item.role != "user":
        yield from _content(key, item.content)
    elif item.type == "reasoning":
        yield from _ended(key, item)
        yield from _content(key, item.content)


def _content(key: str, content: Content) -> Iterator[Piece]:
    for at, part in enumerate(content if isinstance(content, list) else ()):
        written = _WRITTEN.get(part.type or "", "text")
        yield Piece(written, f"{key}.{at}", part.text or part.refusal or "")


def _begun(key: str, item: _Item) -> Iterator[Piece]:
    kind = item.type or ""
    if kind in _CALLS:
        yield Piece("name", key, item.called)
    elif kind and kind not in _NOT_WRITTEN and not kind.endswith("_output"):
        yield Piece("other", key, "")


def _ended(key: str, item: _Item) -> Iterator[Piece]:
    if item.type == "reasoning" and not item.content:
        yield Piece("hidden", key, "")


def _nothing(_key: str, _item: _Item) -> Iterator[Piece]:
    return iter(())


_ITEM_EVENTS: dict[str, Callable[[str, _Item], Iterator[Piece]]] = {
    "output_item.added": _begun,
    "output_item.done": _ended,
}
