"""Cohere's chat (v1 and v2), generate and embed."""

from dialects import Exchange, compact, lines, sse

V1, V2 = "https://api.cohere.com/v1", "https://api.cohere.com/v2"
BILLED = {"input_tokens": 5, "output_tokens": 3}
META = {"api_version": {"version": "1"}, "billed_units": BILLED,
        "tokens": {"input_tokens": 206, "output_tokens": 4}}  # fmt: skip
USAGE = {"billed_units": BILLED, "tokens": {"input_tokens": 206, "output_tokens": 4}}
COUNTS = {"input_tokens": 5, "output_tokens": 3}
READING = {
    "recognised": True,
    "response_id": "r-1",
    "finish_reasons": ("COMPLETE",),
    "status": "completed",
    "final": True,
}
ASKED = {"request": {"model": "command-a"}, "request_model": "command-a", "provider": "cohere"}
MESSAGE = {"role": "assistant", "content": [{"type": "text", "text": "Hola."}]}

START = {"type": "message-start", "id": "r-1", "delta": {"message": {"role": "assistant"}}}
TEXT = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Ho"}}}}


def end(reason: str = "COMPLETE", **more: object) -> dict[str, object]:
    return {"type": "message-end", "delta": {"finish_reason": reason, **more}}


def v2(**more: object) -> bytes:
    return compact({"id": "r-1", "message": MESSAGE, "finish_reason": "COMPLETE", **more})


CHAT_V1 = {"response_id": "r-1", "text": "Hola.", "generation_id": "g-1",
           "finish_reason": "COMPLETE", "meta": META}  # fmt: skip
GENERATED = {"id": "r-1", "generations": [{"id": "g-1", "text": "a", "finish_reason": "COMPLETE"}],
             "prompt": "b", "meta": META}  # fmt: skip

EXCHANGES = [
    Exchange("chat v1", f"{V1}/chat", compact(CHAT_V1), COUNTS, reading=READING, **ASKED),
    Exchange(
        "a stream of chat v1",
        f"{V1}/chat",
        lines(
            {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
            {"is_finished": False, "event_type": "text-generation", "text": "Hola."},
            {
                "is_finished": True,
                "event_type": "stream-end",
                "response": CHAT_V1,
                "finish_reason": "COMPLETE",
            },
        ),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "chat v1 whose end says TIMEOUT",
        f"{V1}/chat",
        lines(
            {"is_finished": False, "event_type": "stream-start", "generation_id": "g-1"},
            {"is_finished": True, "event_type": "stream-end", "finish_reason": "TIMEOUT",
             "response": {"response_id": "r-1", "finish_reason": "TIMEOUT", "meta": META}},
        ),
        COUNTS,
        reading={**READING, "finish_reasons": ("TIMEOUT",), "status": "failed",
                 "error_type": "TIMEOUT"},
        **ASKED,
    ),
    Exchange(
        "chat v2: billed units beat tokens, each side alone",
        f"{V2}/chat",
        v2(usage={"billed_units": {"input_tokens": 5},
                  "tokens": {"input_tokens": 206, "output_tokens": 4}}),
        {"input_tokens": 5, "output_tokens": 4},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "cached tokens are no part of a billed input on another base",
        f"{V2}/chat",
        v2(usage={**USAGE, "cached_tokens": 192}),
        {**COUNTS, "other_counts": {"cached_tokens": 192}},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "cached tokens of the billed input are a part of it",
        f"{V2}/chat",
        v2(usage={"billed_units": BILLED, "tokens": BILLED, "cached_tokens": 4}),
        {**COUNTS, "cache_read_tokens": 4},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "tokens alone, with an image that is outside of them",
        f"{V2}/chat",
        v2(usage={"tokens": {"input_tokens": 9, "output_tokens": 3, "image_tokens": 259},
                  "cached_tokens": 0}),
        {"input_tokens": 268, "output_tokens": 3, "input_image_tokens": 259,
         "cache_read_tokens": 0},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream of chat v2",
        f"{V2}/chat",
        sse(START, TEXT, {"type": "content-end", "index": 0}, end(usage=USAGE), b"[DONE]"),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream of chat v2 that ends in an error",
        f"{V2}/chat",
        sse(START, end("ERROR", usage={}, error="No.", error_type="INVALID_TOOL_GENERATION"),
            b"[DONE]"),
        {},
        reading={**READING, "finish_reasons": ("ERROR",), "status": "failed",
                 "error_type": "INVALID_TOOL_GENERATION"},
        **ASKED,
    ),
    Exchange(
        "a stream of chat v2 that is cut",
        f"{V2}/chat",
        sse(START, TEXT, TEXT),
        {},
        reading={"recognised": True, "response_id": "r-1"},
        **ASKED,
    ),
    Exchange(
        "null members",
        f"{V2}/chat",
        v2(usage={"billed_units": None, "tokens": None, "cached_tokens": None}),
        {},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "an error",
        f"{V2}/chat",
        compact({"id": "r-1", "message": "invalid api token"}),
        {},
        reading={"response_id": "r-1"},
        **ASKED,
    ),
    Exchange(
        "at a gateway",
        "https://gateway.example/cohere/v2/chat",
        v2(usage=USAGE),
        COUNTS,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "generate",
        "https://api.cohere.ai/v1/generate",
        compact(GENERATED),
        COUNTS,
        reading=READING,
        operation="text_completion",
        **ASKED,
    ),
    Exchange(
        "a stream of generate",
        "https://api.cohere.ai/v1/generate",
        lines(
            {"text": "a", "is_finished": False, "event_type": "text-generation"},
            {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE",
             "response": GENERATED},
        ),
        COUNTS,
        reading=READING,
        operation="text_completion",
        **ASKED,
    ),
    Exchange(
        "embeddings with images",
        f"{V2}/embed",
        compact({"id": "r-1", "embeddings": {"float": [[0.5]]},
                 "meta": {"billed_units": {"input_tokens": 2, "image_tokens": 12, "images": 1}}}),
        {"input_tokens": 2, "other_counts": {"image_tokens": 12, "images": 1}},
        reading={"recognised": True, "response_id": "r-1", "status": "completed", "final": True},
        operation="embeddings",
        **ASKED,
    ),
]  # fmt: skip
