"""Hugging Face text generation (TGI)."""

from dialects import Exchange, compact, sse

URL = "https://api-inference.huggingface.co/models/HuggingFaceH4/zephyr-7b-beta"
LOCAL = "http://127.0.0.1:8080"
MODEL = "HuggingFaceH4/zephyr-7b-beta"
ASKED = {"request": {"inputs": "Hi", "parameters": {"details": True}}, "provider": "huggingface",
         "operation": "text_completion"}  # fmt: skip
NAMED = {**ASKED, "request_model": MODEL}
ENDED = {"recognised": True, "status": "completed", "final": True}
READING = {**ENDED, "finish_reasons": ("length",)}
COUNTS = {"input_tokens": 4, "output_tokens": 3}
HEADERS = {"X-Prompt-Tokens": "4", "X-Generated-Tokens": "3"}


def token(index: int, text: object = None, **more: object) -> dict[str, object]:
    return {"index": index, "token": {"id": 9, "text": "a", "logprob": -0.5, "special": False},
            "generated_text": text, "details": None, **more}  # fmt: skip


def generated(**details: object) -> dict[str, object]:
    return {"generated_text": "aaa", "details": {"finish_reason": "length", **details}}


PREFILL = [{"id": n, "text": "b", "logprob": None} for n in range(4)]

EXCHANGES = [
    Exchange("details and headers", f"{LOCAL}/generate",
             compact(generated(generated_tokens=3, prefill=[])), COUNTS, reading=READING,
             headers=HEADERS, **ASKED),
    Exchange("headers alone", f"{LOCAL}/generate", compact({"generated_text": "aaa"}), COUNTS,
             reading={**ENDED, "model": "m"}, headers={**HEADERS, "X-Model-Id": "m"}, **ASKED),
    Exchange("headers that are no numbers", f"{LOCAL}/generate",
             compact({"generated_text": "aaa"}), {}, reading=ENDED,
             headers={"x-prompt-tokens": "-4", "x-generated-tokens": "many"}, **ASKED),
    Exchange("the prompt's tokens", f"{LOCAL}/generate",
             compact(generated(generated_tokens=3, prefill=PREFILL)), COUNTS, reading=READING,
             **ASKED),
    Exchange("the best of three", f"{LOCAL}/generate",
             compact(generated(generated_tokens=3, best_of_sequences=[
                 {"generated_tokens": 5, "finish_reason": "eos_token"}, {"generated_tokens": 2}])),
             {"input_tokens": 4, "output_tokens": 10}, reading=READING, headers=HEADERS, **ASKED),
    Exchange("a list", URL, compact([generated(generated_tokens=3, prompt_tokens=4)]), COUNTS,
             reading=READING, **NAMED),
    Exchange("a list without details", URL, compact([{"generated_text": "aaa"}]), {},
             reading=ENDED, **NAMED),
    Exchange("a stream", f"{LOCAL}/generate_stream",
             sse(token(1), token(2), token(3, "aaa", details={
                 "finish_reason": "length", "generated_tokens": 3, "input_length": 4})),
             COUNTS, reading=READING, **ASKED),
    Exchange("a stream without details", f"{LOCAL}/generate_stream",
             sse(token(1), token(2), token(3, "aaa")), {}, reading=ENDED, **ASKED),
    Exchange("a stream that is cut", f"{LOCAL}/generate_stream", sse(token(1), token(2)), {},
             reading={"recognised": True}, **ASKED),
    Exchange("a stream with an error", f"{LOCAL}/generate_stream",
             sse(token(1), {"error": "Request failed", "error_type": "generation"}), {},
             reading={"recognised": True, "status": "failed", "error_type": "generation"},
             **ASKED),
    Exchange("a stream that was refused at once", f"{LOCAL}/generate_stream",
             sse({"error": "Model is overloaded", "error_type": "overloaded"}), {},
             reading={"status": "failed", "error_type": "overloaded"}, **ASKED),
    Exchange("a stream whose details are null in part", f"{LOCAL}/generate_stream",
             sse(token(1), token(2, "aa", details={
                 "finish_reason": "eos_token", "generated_tokens": 2, "input_length": None})),
             {"output_tokens": 2}, reading={**ENDED, "finish_reasons": ("eos_token",)}, **ASKED),
    Exchange("a stream of a model in the path", URL,
             sse(token(1), token(2), token(3, "aaa", details={
                 "finish_reason": "length", "generated_tokens": 3, "input_length": 4})),
             COUNTS, reading=READING, **NAMED),
    Exchange("a model that is being loaded", URL,
             compact({"error": f"Model {MODEL} is currently loading", "estimated_time": 20.5}),
             {}, reading={"status": "failed", "error_type": "error"}, **NAMED),
    Exchange("a list of errors, which only the status of the response tells", URL,
             compact({"error": ["Error in `inputs`: field required"], "warnings": []}), {},
             reading={}, **NAMED),
    Exchange("an error", f"{LOCAL}/generate",
             compact({"error": "Model is overloaded", "error_type": "overloaded"}), {},
             reading={"status": "failed", "error_type": "overloaded"}, **ASKED),
    Exchange("no JSON", URL, b"Not Found", {}, reading={}, **NAMED),
    Exchange("vectors of another task", URL, compact([[0.5, 0.25]]), {}, reading={}, **NAMED),
    Exchange("somebody else's generate", f"{LOCAL}/generate", compact({"text": ["aaa"]}), {},
             reading={}, **ASKED),
]  # fmt: skip
