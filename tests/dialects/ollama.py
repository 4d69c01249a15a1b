"""Ollama's chat, generate and embeddings."""

from dialects import Exchange, compact, lines

URL = "http://127.0.0.1:11434/api"
HEAD = {"model": "gemma3:1b", "created_at": "2026-08-07T06:08:23.577476Z"}
COUNTED = {"prompt_eval_count": 21, "eval_count": 8, "prompt_eval_duration": 9}
COUNTS = {"input_tokens": 21, "output_tokens": 8}
READING = {
    "recognised": True,
    "model": "gemma3:1b",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
ASKED = {"request": {"model": "gemma3"}, "request_model": "gemma3", "provider": "ollama"}
END = {"done": True, "done_reason": "stop"}


def said(text: str, **more: object) -> dict[str, object]:
    return {**HEAD, "message": {"role": "assistant", "content": text}, "done": False, **more}


def vectors(**more: object) -> bytes:
    return compact({"model": "nomic", **more})


EMBEDDED = {"recognised": True, "status": "completed", "final": True}
EMBEDS = {**ASKED, "operation": "embeddings"}
COMPLETES = {**ASKED, "operation": "text_completion"}

EXCHANGES = [
    Exchange("chat", f"{URL}/chat", compact(said("hi", **END, **COUNTED)), COUNTS,
             reading=READING, **ASKED),
    Exchange("a stream", f"{URL}/chat",
             lines(said("h"), said("i"), said('"error" is a word'), said("", **END, **COUNTED)),
             COUNTS, reading=READING, **ASKED),
    Exchange("a stream whose lines are spaced", f"{URL}/chat",
             b'{"model": "gemma3:1b", "message": {"role": "assistant"}, "done": false}\n'
             b'{"model": "gemma3:1b", "message": {"role": "assistant"}, "done": true, '
             b'"done_reason": "stop", "prompt_eval_count": 21, "eval_count": 8}\n',
             COUNTS, reading=READING, **ASKED),
    Exchange("a prompt that was read from the cache in part", f"{URL}/chat",
             compact(said("hi", **END, **COUNTED, prompt_eval_cached_count=16)),
             {**COUNTS, "cache_read_tokens": 16}, reading=READING, **ASKED),
    Exchange("a prompt count that is left out is unknown", f"{URL}/generate",
             compact({**HEAD, "response": "hi", **END, "eval_count": 8}),
             {"output_tokens": 8}, reading=READING, **COMPLETES),
    Exchange("null members", f"{URL}/generate",
             compact({**HEAD, "response": "", **END, "prompt_eval_count": None,
                      "eval_count": None, "context": None}),
             {}, reading=READING, **COMPLETES),
    Exchange("a stream of generate that hit its limit", f"{URL}/generate",
             lines({**HEAD, "response": "h", "done": False},
                   {**HEAD, "response": "", "done": True, "done_reason": "length", **COUNTED}),
             COUNTS, reading={**READING, "finish_reasons": ("length",)}, **COMPLETES),
    Exchange("a stream that breaks", f"{URL}/chat",
             lines(said("h"), said("i"), {"error": "unexpected EOF"}),
             {}, reading={"recognised": True, "model": "gemma3:1b", "status": "failed",
                          "error_type": "error"}, **ASKED),
    Exchange("an error", f"{URL}/chat", compact({"error": "model 'x' not found"}), {},
             reading={"status": "failed", "error_type": "error"}, **ASKED),
    Exchange("a stream that is cut", f"{URL}/chat", lines(said("h"), said("i")), {},
             reading={"recognised": True, "model": "gemma3:1b"}, **ASKED),
    Exchange("the cloud", "https://ollama.com/api/chat", compact(said("hi", **END, **COUNTED)),
             COUNTS, reading=READING, **ASKED),
    Exchange("embeddings", f"{URL}/embed",
             vectors(embeddings=[[0.5, -1e-3]], prompt_eval_count=2),
             {"input_tokens": 2}, reading={**EMBEDDED, "model": "nomic"}, **EMBEDS),
    Exchange("embeddings with a count of a wrong type", f"{URL}/embed",
             vectors(embeddings=[[0.5]], prompt_eval_count="2"),
             {}, reading={**EMBEDDED, "model": "nomic"}, **EMBEDS),
    Exchange("the older embeddings report nothing", f"{URL}/embeddings",
             compact({"embedding": [0.5, -1e-3]}), {}, reading=EMBEDDED, **EMBEDS),
    Exchange("a gateway that answers in OpenAI's form there", f"{URL}/embeddings",
             vectors(object="list", data=[{"embedding": [0.5]}], usage={"prompt_tokens": 3}),
             {"input_tokens": 3}, reading={**EMBEDDED, "model": "nomic"}, **EMBEDS),
    Exchange("somebody else's chat at that path", f"{URL}/chat",
             compact({"id": "1", "message": {"role": "assistant"}}),
             {}, reading={}, **ASKED),
]  # fmt: skip
