"""What an Anthropic messages request gives to read, and what an answer holds.

Apart from `anthropic_messages`, because only estimates need it; used wherever a body has this shape
(Bedrock's InvokeModel and Vertex AI have it without ``model``).

Sources, read 2026-11-23: the types of anthropic-sdk-python 2.12 (their fields),
https://platform.claude.com/docs/en/build-with-claude/streaming and
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool (a tool whose
loading is deferred is not read before something names it),
https://platform.claude.com/docs/en/build-with-claude/compaction (what stands before a compaction
is not read), and recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

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
    Written,
)
from tokenmeter.dialects.fields import Count, decode, salvage

_ELSEWHERE = ("web_search", "web_fetch", "code_execution", "tool_search_tool", "advisor", "mcp")
"""Tools that the vendor runs: what they find is read too, and stands in no request."""


class _Source(msgspec.Struct):
    type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | list[_Block] | None = None


class _Reference(msgspec.Struct):
    name: str | None = None


class _Block(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    source: _Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str | None = None
    tool_use_id: str | None = None
    name: str | None = None
    input: Any = None
    content: str | list[_Block] | dict[str, Any] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    tool_name: str | None = None
    tool: _Reference | None = None


class _Message(msgspec.Struct):
    role: str | None = None
    content: str | list[_Block] | None = None


class _Tool(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: Any = None
    strict: bool | None = None
    defer_loading: bool | None = None


class _ToolChoice(msgspec.Struct):
    type: str | None = None
    name: str | None = None


class _Format(msgspec.Struct):
    type: str | None = None
    schema: Any = None


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None
    effort: str | None = None


class _Thinking(msgspec.Struct):
    type: str | None = None
    budget_tokens: int | None = None


class _Request(msgspec.Struct):
    messages: list[_Message] | None = None
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_format: _Format | None = None
    output_config: _OutputConfig | None = None
    mcp_servers: list[Any] | None = None
    context_management: dict[str, Any] | None = None
    max_tokens: Count | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    try:
        return _prompt(asked)
    except RecursionError as exc:
        raise msgspec.DecodeError("nested too deeply") from exc


def _prompt(asked: _Request) -> Prompt:
    config = asked.output_config or _OutputConfig()
    tools = _loaded(asked)
    return Prompt(
        messages=tuple(_messages(asked)),
        tools=tuple([_tool(tool) for tool in tools]),
        tool_choice=_choice(asked.tool_choice),
        schema=_schema(config.format or asked.output_format),
        limit=asked.max_tokens,
        reasoning=_reasoning(asked.thinking, config.effort),
        elsewhere=tuple(_elsewhere(asked, tools)),
    )


def _messages(asked: _Request) -> Iterator[Message]:
    if asked.system:
        yield Message("system", _parts(asked.system))
    messages = asked.messages or []
    compacted = [at for at, message in enumerate(messages) if _is_compacted(message)]
    for message in messages[compacted[-1] if compacted else 0 :]:
        yield Message(message.role or "user", _parts(message.content))


def _is_compacted(message: _Message) -> bool:
    return any(block.type == "compaction" for block in _blocks(message.content))


def _blocks(content: str | list[_Block] | dict[str, Any] | None) -> list[_Block]:
    return content if isinstance(content, list) else []


def _parts(content: str | list[_Block] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([part for block in _blocks(content) for part in _of_block(block)])


def _of_block(block: _Block) -> Iterator[Part]:
    kind = block.type or "text"
    match kind:
        case "text":
            yield Text(block.text or "")
        case "image":
            yield Image(_where(block))
        case "document":
            yield from _document(block)
        case "search_result":
            yield Text("\n".join(filter(None, (_where(block), block.title))))
            yield from _parts(_inner(block))
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield ToolCall(block.name or "", _json(block.input), block.id)
        case "thinking":
            yield Thought(block.thinking or "")
        case "redacted_thinking":
            yield Thought("")
        case "compaction":
            yield from _parts(_inner(block))
        case "tool_reference" | "tool_addition" | "tool_removal":
            return
        case _ if kind.endswith("tool_result"):
            yield ToolResult(_result(block), id=block.tool_use_id)
        case _:
            yield Other("file" if kind == "container_upload" else kind)


def _where(block: _Block) -> str:
    """Give what an image or a search result is made of, or where it is."""
    if isinstance(block.source, str):
        return block.source
    source = block.source or _Source()
    return source.data or source.url or source.file_id or ""


def _inner(block: _Block) -> str | list[_Block] | None:
    return None if isinstance(block.content, dict) else block.content


def _document(block: _Block) -> Iterator[Part]:
    yield from [Text(said) for said in (block.title, block.context) if said]
    source = block.source if isinstance(block.source, _Source) else _Source()
    if source.type == "text":
        yield Text(source.data or "")
    elif source.content is not None:
        yield from _parts(source.content)
    else:
        yield Other("file", None if source.data is None else len(source.data) * 3 // 4)


def _result(block: _Block) -> tuple[Part, ...]:
    """Give what a tool gave back; what the vendor's own tools did may be unreadable here."""
    if block.type == "web_search_tool_result":
        return (Other("web_search"),)
    if not isinstance(block.content, dict):
        return _parts(block.content)
    if "tool_references" in block.content:
        return ()
    said = _json(block.content)
    sealed = '"encrypted_' in said or '"base64"' in said
    return (Other(block.type or "tool_result"),) if sealed else (Text(said),)


def _json(value: Any) -> str:
    return msgspec.json.encode({} if value is None else value).decode()


def _tool(tool: _Tool) -> Tool:
    own = tool.type is None or tool.type == "custom"
    return Tool(
        name=tool.name or "",
        description=tool.description,
        parameters=tool.input_schema,
        kind="function" if own else str(tool.type),
        strict=tool.strict,
    )


def _loaded(asked: _Request) -> list[_Tool]:
    """Give the tools that the model reads from the start."""
    tools = asked.tools or []
    if not any(tool.defer_loading for tool in tools):
        return tools
    named = {name for m in asked.messages or [] for b in _blocks(m.content) for name in _named(b)}
    return [tool for tool in tools if not tool.defer_loading or tool.name in named]


def _named(block: _Block) -> Iterator[str | None]:
    """Give the tools that a block loads."""
    if block.tool is not None:
        yield block.tool.name
    yield block.tool_name
    for inner in _blocks(block.content):
        yield from _named(inner)
    if isinstance(block.content, dict):
        found = salvage(block.content.get("tool_references"), list[_Block])
        yield from [reference.tool_name for reference in found or ()]


def _choice(choice: _ToolChoice | None) -> str | None:
    if choice is None:
        return None
    return {"any": "required", "tool": choice.name}.get(choice.type or "", choice.type)


def _schema(given: _Format | None) -> Tool | None:
    if given is None or given.schema is None:
        return None
    return Tool(name="", parameters=given.schema, kind=given.type or "json_schema")


def _reasoning(thinking: _Thinking | None, effort: str | None) -> str | None:
    if thinking is None:
        return None
    if thinking.type == "disabled":
        return "none"
    return str(thinking.budget_tokens or effort or thinking.type)


def _elsewhere(asked: _Request, tools: list[_Tool]) -> Iterator[str]:
    """Name what is read and not in the request."""
    for tool in tools:
        yield from [name for name in _ELSEWHERE if (tool.type or "").startswith(name)]
    if asked.mcp_servers:
        yield "mcp"
    if asked.context_management and asked.context_management.get("edits"):
        yield "context_management"


class _Delta(msgspec.Struct):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None


class _Said(msgspec.Struct):
    type: str | None = None
    index: int | None = None
    message: _Message | None = None
    content: str | list[_Block] | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None


_SAID = msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterable[Piece]:
    """Give what the model wrote in one event, or in a message."""
    if not data.startswith(b"{"):
        return ()
    said = decode(_SAID, data)
    return [piece for piece in _written(said) if piece.text or piece.kind == "hidden"]


def _written(said: _Said) -> Iterator[Piece]:
    key = str(said.index or 0)
    content = said.message.content if said.message is not None else said.content
    for at, block in enumerate(_blocks(content)):
        yield from _of_answer(block, str(at))
    if said.content_block is not None:
        yield from _of_answer(said.content_block, key)
    if said.delta is not None:
        yield from _of_delta(said.delta, key)


def _of_answer(block: _Block, key: str) -> Iterator[Piece]:
    match block.type:
        case "text":
            yield Piece("text", key, block.text or "")
        case "thinking":
            yield from _of_delta(_Delta(thinking=block.thinking, signature=block.signature), key)
        case "redacted_thinking":
            yield Piece("hidden", key, block.data or "")
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield Piece("name", key, block.name or "")
            yield Piece("arguments", key, _json(block.input) if block.input else "")
        case _:
            return  # what tools gave back is read by the model, and not written


def _of_delta(delta: _Delta, key: str) -> Iterator[Piece]:
    said: tuple[tuple[Written, str | None], ...] = (
        ("text", delta.text),
        ("arguments", delta.partial_json),
        ("reasoning", delta.thinking),
        ("hidden", delta.signature),
    )
    yield from [Piece(kind, key, text) for kind, text in said if text]
