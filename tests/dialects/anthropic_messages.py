"""Anthropic messages."""

from dialects import Exchange, compact, sse

URL = "https://api.anthropic.com/v1/messages"
MESSAGE = {"type": "message", "id": "msg_1", "model": "claude-sonnet-4-5-20250929"}
USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 300,
    "cache_creation_input_tokens": 70,
    "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 25,
    "service_tier": "standard",
    "server_tool_use": {"web_search_requests": 2},
}
COUNTS = {
    "input_tokens": 380,
    "output_tokens": 25,
    "cache_read_tokens": 300,
    "cache_write_tokens": 70,
    "cache_write_5m_tokens": 50,
    "cache_write_1h_tokens": 20,
    "other_counts": {"web_search_requests": 2},
}
READING = {
    "recognised": True,
    "model": "claude-sonnet-4-5-20250929",
    "response_id": "msg_1",
    "service_tier": "standard",
    "finish_reasons": ("end_turn",),
    "status": "completed",
    "final": True,
}
ASKED = {
    "request": {"model": "claude-sonnet-4-5"},
    "request_model": "claude-sonnet-4-5",
    "provider": "anthropic",
}
START = {**MESSAGE, "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}

EXCHANGES = [
    Exchange(
        "a plain answer with both caches",
        URL,
        compact({**MESSAGE, "content": [], "stop_reason": "end_turn", "usage": USAGE}),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream",
        URL,
        sse(
            {"type": "message_start", "message": START},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta"}},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 25},
            },
            {"type": "message_stop"},
        ),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream that breaks",
        URL,
        sse(
            {"type": "message_start", "message": START},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ),
        {**COUNTS, "output_tokens": 1},
        reading={
            "recognised": True,
            "model": "claude-sonnet-4-5-20250929",
            "response_id": "msg_1",
            "service_tier": "standard",
            "status": "failed",
            "error_type": "overloaded_error",
        },
        **ASKED,
    ),
    Exchange(
        "an error",
        URL,
        compact({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}),
        {},
        reading={"status": "failed", "error_type": "rate_limit_error"},
        **ASKED,
    ),
]
