"""Aleph Alpha's complete."""

from dialects import Exchange, compact, sse

URL = "https://api.aleph-alpha.com/complete"
ASKED = {"request": {"model": "luminous-base"}, "request_model": "luminous-base",
         "provider": "aleph_alpha", "operation": "text_completion"}  # fmt: skip
READING = {"recognised": True, "model": "2022-04", "finish_reasons": ("maximum_tokens",),
           "status": "completed", "final": True}  # fmt: skip
TOTALS = {"num_tokens_prompt_total": 9, "num_tokens_generated": 1000}
COUNTS = {"input_tokens": 9, "output_tokens": 1000}
CHUNK = {"type": "stream_chunk", "index": 0, "completion": "a"}
SUMMARY = {"type": "stream_summary", "index": 0, "model_version": "2022-04",
           "finish_reason": "maximum_tokens"}  # fmt: skip


def answer(**more: object) -> bytes:
    completions = [{"completion": "a", "finish_reason": "maximum_tokens"}]
    return compact({"completions": completions, "model_version": "2022-04", **more})


EXCHANGES = [
    Exchange("an answer", URL, answer(**TOTALS), COUNTS, reading=READING, **ASKED),
    Exchange("a stream", URL, sse(CHUNK, CHUNK, SUMMARY, {"type": "completion_summary", **TOTALS}),
             COUNTS, reading=READING, **ASKED),
    Exchange("a stream of two completions", URL,
             sse(CHUNK, SUMMARY, {**SUMMARY, "index": 1, "finish_reason": "end_of_text"},
                 {"type": "completion_summary", **TOTALS}, b"[DONE]"),
             COUNTS, reading={**READING, "finish_reasons": ("maximum_tokens", "end_of_text")},
             **ASKED),
    Exchange("a stream that is cut", URL, sse(CHUNK, CHUNK), {}, reading={"recognised": True},
             **ASKED),
    Exchange("an answer without usage", URL, answer(), {}, reading={**READING, "recognised": False},
             **ASKED),
    Exchange("null members", URL,
             answer(num_tokens_prompt_total=None, num_tokens_generated=None), {},
             reading={**READING, "recognised": False}, **ASKED),
    Exchange("an error", URL, compact({"error": "Quota exceeded.", "code": "OUT_OF_QUOTA"}), {},
             reading={"status": "failed", "error_type": "OUT_OF_QUOTA"}, **ASKED),
]  # fmt: skip
