"""OpenAI chat completions."""

from dialects import Exchange, compact, sse

URL = "https://api.openai.com/v1/chat/completions"
HEAD = {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "service_tier": "default"}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 9,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 7, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
COUNTS = {
    "input_tokens": 20,
    "output_tokens": 9,
    "cache_read_tokens": 7,
    "input_audio_tokens": 2,
    "reasoning_tokens": 4,
}
READING = {
    "recognised": True,
    "model": "gpt-4o-2024-08-06",
    "response_id": "chatcmpl-1",
    "service_tier": "default",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
ASKED = {"request": {"model": "gpt-4o"}, "request_model": "gpt-4o", "provider": "openai"}

EXCHANGES = [
    Exchange(
        "a plain answer",
        URL,
        compact(
            {
                **HEAD,
                "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
                "usage": USAGE,
            }
        ),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream with usage",
        URL,
        sse(
            {**HEAD, "choices": [{"delta": {"content": "hi"}, "finish_reason": None}]},
            {**HEAD, "choices": [{"delta": {}, "finish_reason": "stop"}]},
            {**HEAD, "choices": [], "usage": USAGE},
            b"[DONE]",
        ),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "an error",
        URL,
        compact({"error": {"message": "Slow down", "type": "requests", "code": "rate_limit"}}),
        {},
        reading={"status": "failed", "error_type": "rate_limit"},
        **ASKED,
    ),
]
