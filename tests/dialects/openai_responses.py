"""OpenAI responses."""

from typing import Any

from dialects import Exchange, compact, sse

URL = "https://api.openai.com/v1/responses"
RESPONSE: dict[str, Any] = {
    "object": "response",
    "id": "resp_1",
    "model": "gpt-5-2025-08-07",
    "service_tier": "default",
    "status": "completed",
    "usage": {
        "input_tokens": 40,
        "input_tokens_details": {"cached_tokens": 30},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 8},
        "total_tokens": 52,
    },
}
COUNTS = {
    "input_tokens": 40,
    "output_tokens": 12,
    "cache_read_tokens": 30,
    "reasoning_tokens": 8,
}
READING = {
    "recognised": True,
    "model": "gpt-5-2025-08-07",
    "response_id": "resp_1",
    "service_tier": "default",
    "finish_reasons": ("completed",),
    "status": "completed",
    "final": True,
}
ASKED = {"request": {"model": "gpt-5"}, "request_model": "gpt-5", "provider": "openai"}
STARTED = {**RESPONSE, "status": "in_progress", "usage": None}

EXCHANGES = [
    Exchange("a plain answer", URL, compact(RESPONSE), COUNTS, reading=READING, **ASKED),
    Exchange(
        "a stream",
        URL,
        sse(
            {"type": "response.created", "response": STARTED},
            {"type": "response.output_text.delta", "delta": "hi"},
            {"type": "response.completed", "response": RESPONSE},
        ),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "cut short by a limit",
        URL,
        compact(
            {
                **RESPONSE,
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
            }
        ),
        COUNTS,
        reading={**READING, "finish_reasons": ("max_output_tokens",)},
        **ASKED,
    ),
    Exchange(
        "queued in the background",
        URL,
        compact({**RESPONSE, "status": "queued", "background": True, "usage": None}),
        {},
        reading={
            "recognised": True,
            "model": "gpt-5-2025-08-07",
            "response_id": "resp_1",
            "service_tier": "default",
            "pending": True,
            "background": True,
        },
        **ASKED,
    ),
]
