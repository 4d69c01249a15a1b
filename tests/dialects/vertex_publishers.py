"""Other publishers' models on Vertex AI: their own formats, and the model in the path."""

from typing import Any

from dialects import Exchange, compact, sse

HOST = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
CLAUDE = f"{HOST}/publishers/anthropic/models/claude-sonnet-4@20250514"
MISTRAL = f"{HOST}/publishers/mistralai/models/mistral-small-2503"
TUNED = f"{HOST}/endpoints/openapi/chat/completions"
MESSAGE = {"id": "msg_vrtx_1", "type": "message", "model": "claude-sonnet-4-20250514"}
SAID = {"input_tokens": 16, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0}
COUNTS = {
    "input_tokens": 20,
    "output_tokens": 9,
    "cache_read_tokens": 4,
    "cache_write_tokens": 0,
}
ANSWERED = {
    "recognised": True,
    "model": "claude-sonnet-4-20250514",
    "response_id": "msg_vrtx_1",
    "finish_reasons": ("end_turn",),
    "status": "completed",
    "final": True,
}
CHAT = {"id": "c1", "object": "chat.completion", "model": "mistral-small-2503"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
CHAT_COUNTS = {"input_tokens": 12, "output_tokens": 5}
CHATTED = {
    "recognised": True,
    "model": "mistral-small-2503",
    "response_id": "c1",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
WHOLE = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
CALL = {"id": "t1", "function": {"name": "weather", "arguments": "{}"}}
LAST = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}


def claude(name: str, method: str, body: bytes, **more: Any) -> Exchange:
    given = {"usage": COUNTS, "reading": ANSWERED, "provider": "gcp.vertex_ai"} | more
    asked = {"anthropic_version": "vertex-2023-10-16", "stream": method != "rawPredict"}
    options = {"request": asked, "request_model": "claude-sonnet-4@20250514"} | given
    return Exchange(name, f"{CLAUDE}:{method}", body, **options)


def mistral(name: str, method: str, body: bytes, **more: Any) -> Exchange:
    given = {"usage": CHAT_COUNTS, "reading": CHATTED, "provider": "gcp.vertex_ai"} | more
    asked = {"model": "mistral-small-2503", "messages": []}
    options = {"request": asked, "request_model": "mistral-small-2503"} | given
    return Exchange(name, f"{MISTRAL}:{method}", body, **options)


EXCHANGES = [
    claude(
        "Claude",
        "rawPredict",
        compact({**MESSAGE, "stop_reason": "end_turn", "usage": {**SAID, "output_tokens": 9}}),
    ),
    claude(
        "Claude in a stream",
        "streamRawPredict",
        sse(
            {"type": "message_start", "message": {**MESSAGE, "usage": SAID}},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 9},
            },
            {"type": "message_stop"},
        ),
    ),
    claude(
        "Claude refused by Google",
        "rawPredict",
        compact({"error": {"code": 404, "message": "no model", "status": "NOT_FOUND"}}),
        usage={},
        reading={"status": "failed", "error_type": "NOT_FOUND"},
    ),
    mistral("Mistral", "rawPredict", compact({**CHAT, "choices": [WHOLE], "usage": USAGE})),
    mistral(
        "Mistral in a stream",
        "streamRawPredict",
        sse(
            {**CHAT, "choices": [{"index": 0, "delta": {"content": "hi"}}]},
            {**CHAT, "choices": [LAST], "usage": USAGE},
            b"[DONE]",
        ),
    ),
    mistral(
        "Mistral without usage",
        "rawPredict",
        compact({**CHAT, "choices": [WHOLE]}),
        usage={},
    ),
    mistral(
        "Mistral with members that are null",
        "rawPredict",
        compact({**CHAT, "choices": [WHOLE], "usage": {**USAGE, "prompt_tokens_details": None}}),
    ),
    mistral(
        "Mistral refused",
        "rawPredict",
        compact({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}),
        usage={},
        reading={"status": "failed", "error_type": "RESOURCE_EXHAUSTED"},
    ),
    mistral(
        "a Mistral stream that was cut",
        "streamRawPredict",
        sse({**CHAT, "choices": [{"index": 0, "delta": {"content": "hi"}}]}),
        usage={},
        reading={"recognised": True, "model": "mistral-small-2503", "response_id": "c1"},
    ),
    mistral(
        "Mistral that calls a tool and read its cache",
        "rawPredict",
        compact(
            {
                **CHAT,
                "choices": [{"message": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"}],
                "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 8}},
            }
        ),
        usage=CHAT_COUNTS | {"cache_read_tokens": 8},
        reading=CHATTED | {"finish_reasons": ("tool_calls",)},
    ),
    mistral(
        "a Mistral stream that a limit cut short, with members that are null",
        "streamRawPredict",
        sse(
            {**CHAT, "choices": [{"delta": {"content": "hi"}, "finish_reason": None}]},
            {
                **CHAT,
                "choices": [{"delta": {"content": ""}, "finish_reason": "length"}],
                "usage": {**USAGE, "service_tier": None, "prompt_tokens_details": None},
            },
            b"[DONE]",
        ),
        reading=CHATTED | {"finish_reasons": ("length",)},
    ),
    mistral(
        "a Mistral stream that calls a tool, without usage",
        "streamRawPredict",
        sse(
            {**CHAT, "choices": [{"delta": {"tool_calls": [CALL]}}], "usage": None},
            {**CHAT, "choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": None},
            b"[DONE]",
        ),
        usage={},
        reading=CHATTED | {"finish_reasons": ("tool_calls",)},
    ),
    mistral(
        "a Mistral stream refused, in a list",
        "streamRawPredict",
        compact([{"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}}]),
        usage={},
        reading={"status": "failed", "error_type": "PERMISSION_DENIED"},
    ),
    Exchange(
        "chat completions of Vertex AI",
        TUNED,
        compact({**CHAT, "model": "google/gemini-2.5-flash", "choices": [WHOLE], "usage": USAGE}),
        CHAT_COUNTS,
        "gcp.vertex_ai",
        CHATTED | {"model": "google/gemini-2.5-flash"},
        {"model": "google/gemini-2.5-flash"},
        request_model="google/gemini-2.5-flash",
    ),
    Exchange(
        "chat completions of AI Studio",
        "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        compact({**CHAT, "model": "gemini-2.5-pro", "choices": [WHOLE], "usage": USAGE}),
        CHAT_COUNTS,
        "gcp.gemini",
        CHATTED | {"model": "gemini-2.5-pro"},
        {"model": "gemini-2.5-pro"},
        request_model="gemini-2.5-pro",
    ),
]
