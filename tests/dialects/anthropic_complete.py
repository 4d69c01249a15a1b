"""Anthropic's legacy completions, which report no tokens."""

from typing import Any

from dialects import Exchange, compact, sse

HEAD = {"type": "completion", "id": "compl_1", "model": "claude-2.1"}
READING = {
    "recognised": True,
    "model": "claude-2.1",
    "response_id": "compl_1",
    "finish_reasons": ("stop_sequence",),
    "status": "completed",
    "final": True,
}
UNENDED = {"recognised": True, "model": "claude-2.1", "response_id": "compl_1"}


def exchange(name: str, body: object, **more: Any) -> Exchange:
    data = body if isinstance(body, bytes) else compact(body)
    known = {
        "url": "https://api.anthropic.com/v1/complete",
        "provider": "anthropic",
        "operation": "text_completion",
        "request": {"model": "claude-2.1", "prompt": "\n\nHuman: Hi\n\nAssistant:"},
        "request_model": "claude-2.1",
        "usage": {},
    }
    return Exchange(**{**known, **more}, name=name, body=data)


def said(text: str, stop_reason: str | None = None) -> dict[str, Any]:
    return HEAD | {"completion": text, "stop_reason": stop_reason}


EXCHANGES = [
    exchange("a plain answer", said(" Hello!", "stop_sequence"), reading=READING),
    exchange(
        "a stream",
        sse(said(" Hel"), {"type": "ping"}, said("lo!"), said("", "stop_sequence")),
        reading=READING,
    ),
    exchange(
        "a stream that begins with a ping",
        sse({"type": "ping"}, said(" Hello!"), said("", "stop_sequence")),
        reading=READING,
    ),
    exchange("a stream without its end", sse(said(" Hel"), said("lo!")), reading=UNENDED),
    exchange(
        "a stream with an error inside",
        sse(said(" Hel"), {"type": "error", "error": {"type": "overloaded_error"}}),
        reading=UNENDED | {"status": "failed", "error_type": "overloaded_error"},
    ),
    exchange(
        "an error",
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-2.1"}},
        reading={"status": "failed", "error_type": "not_found_error"},
    ),
]
