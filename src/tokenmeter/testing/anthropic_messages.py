"""Anthropic's messages and its count of tokens, as its API answers (read 2026-11)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tokenmeter.event import Usage
from tokenmeter.testing.formats import Block, Event, Format, PromptCache
from tokenmeter.testing.replies import (
    Json,
    Prompt,
    Reply,
    Tool,
    call_id,
    last_said,
    pieces,
    section,
)

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_THINKING_WORDS = 8


def error(status: int) -> Json:
    """Return Anthropic's error body for a status."""
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = f"The model server was scripted to answer {status}."
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def _blocks(request: Json) -> Iterator[Block]:
    """Yield the prompt's parts in the order of Anthropic's cache: tools, system, messages."""
    yield from (_block(tool) for tool in request.get("tools") or ())
    yield from map(_block, _parts(request.get("system") or []))
    for message in request["messages"]:
        yield from map(_block, _parts(message["content"]))


def _parts(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _block(part: Json) -> Block:
    control = section(part, "cache_control")
    content = {key: value for key, value in part.items() if key != "cache_control"}
    return Block(content, (control.get("ttl") or "5m") if control else None)


def _prompt(request: Json, cache: PromptCache) -> Prompt:
    thinking = section(request, "thinking").get("type") in ("enabled", "adaptive")
    return Prompt(
        said=last_said(request["messages"]),
        input=cache.look_up(request["model"], list(_blocks(request))),
        tool=_offered_tool(request),
        schema=_output_schema(request),
        limit=request["max_tokens"],
        reasoning=_THINKING_WORDS if thinking else 0,
    )


def _output_schema(request: Json) -> Json | None:
    config = section(request, "output_config")
    return (section(config, "format") or section(request, "output_format")).get("schema")


def _offered_tool(request: Json) -> Tool | None:
    tools = [tool for tool in request.get("tools") or () if "input_schema" in tool]
    refused = section(request, "tool_choice").get("type") == "none"
    kinds = [part.get("type") for part in _parts(request["messages"][-1]["content"])]
    if not tools or refused or "tool_result" in kinds:
        return None
    return Tool(tools[0]["name"], tools[0]["input_schema"])


def count_tokens(request: Json) -> Json:
    """Answer Anthropic's count of tokens, which is no model call."""
    counted = PromptCache().look_up("", list(_blocks({"messages": (), **request})))
    return {"input_tokens": counted.input_tokens}


def _usage(usage: Usage, output_tokens: int) -> Json:
    """Render a usage; Anthropic's ``input_tokens`` leaves both kinds of cached input out."""
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": (usage.input_tokens or 0) - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens or 0,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _final_usage(usage: Usage) -> Json:
    thinking = {"thinking_tokens": usage.reasoning_tokens or 0}
    return _usage(usage, usage.output_tokens or 0) | {"output_tokens_details": thinking}


def _stop_reason(answer: Reply) -> str:
    if answer.calls:
        return "tool_use"
    return "max_tokens" if answer.truncated else "end_turn"


def _content(answer: Reply) -> list[Json]:
    blocks: list[Json] = []
    if answer.thought:
        blocks.append({"type": "thinking", "thinking": answer.thought, "signature": "c2lnbmF0dXJl"})
    calls: list[Json] = [
        {
            "type": "tool_use",
            "id": call_id(f"toolu_{answer.number:08d}", index),
            "name": call.name,
            "input": call.arguments,
        }
        for index, call in enumerate(answer.calls)
    ]
    return [*blocks, *(calls or [{"type": "text", "text": answer.texts[0]}])]


def _message(answer: Reply) -> Json:
    return {
        "model": answer.model,
        "id": f"msg_{answer.number:08d}",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer.usage, 1),
    }


def _body(answer: Reply, _request: Json) -> Json:
    return _message(answer) | {
        "content": _content(answer),
        "stop_reason": _stop_reason(answer),
        "usage": _final_usage(answer.usage),
    }


def _events(answer: Reply, _request: Json) -> Iterator[Event]:
    yield _named({"type": "message_start", "message": _message(answer)})
    for index, block in enumerate(_content(answer)):
        yield from _block_events(index, block)
    # The counts of message_delta are cumulative (Anthropic's streaming guide, read 2026-11).
    usage = _final_usage(answer.usage)
    for name in ("cache_creation", "service_tier", "inference_geo"):
        del usage[name]
    delta = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    last = {"type": "message_delta", "delta": delta, "usage": usage}
    yield Event(last, "message_delta", reports=True)
    yield Event({"type": "message_stop"}, "message_stop", terminal=True)


def _named(payload: Json) -> Event:
    return Event(payload, payload["type"])


def _block_events(index: int, block: Json) -> Iterator[Event]:
    opened, deltas = _STREAMED[block["type"]](block)
    start = {"type": "content_block_start", "index": index, "content_block": block | opened}
    yield _named(start)
    if index == 0:
        yield _named({"type": "ping"})
    for delta in deltas:
        yield _named({"type": "content_block_delta", "index": index, "delta": delta})
    yield _named({"type": "content_block_stop", "index": index})


def _text_deltas(block: Json) -> tuple[Json, list[Json]]:
    deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    return {"text": ""}, deltas


def _thinking_deltas(block: Json) -> tuple[Json, list[Json]]:
    deltas: list[Json] = [
        {"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])
    ]
    signature = {"type": "signature_delta", "signature": block["signature"]}
    return {"thinking": "", "signature": ""}, [*deltas, signature]


def _tool_deltas(block: Json) -> tuple[Json, list[Json]]:
    parts = ["", *pieces(json.dumps(block["input"]))]
    return {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


_STREAMED = {"text": _text_deltas, "thinking": _thinking_deltas, "tool_use": _tool_deltas}

MESSAGES = Format(
    name="anthropic.messages",
    required=("model", "messages", "max_tokens"),
    prompt=_prompt,
    body=_body,
    events=_events,
    error=error,
    error_event=Event(error(529), "error"),
)
