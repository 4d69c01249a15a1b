"""IBM watsonx.ai: text, chat, embeddings, reranking."""

from dialects import Exchange, compact, sse

URL = "https://us-south.ml.cloud.ibm.com/ml/v1"
MODEL = "ibm/granite-4-h-small"
ASKED = {"request": {"model_id": MODEL, "project_id": "p"}, "request_model": MODEL,
         "provider": "ibm.watsonx.ai"}  # fmt: skip
TEXT = {**ASKED, "operation": "text_completion"}
READING = {"recognised": True, "model": MODEL, "finish_reasons": ("eos_token",),
           "status": "completed", "final": True}  # fmt: skip
COUNTS = {"input_tokens": 8, "output_tokens": 11}
CHAT = {"recognised": True, "model": MODEL, "response_id": "chat-1", "finish_reasons": ("stop",),
        "status": "completed", "final": True}  # fmt: skip
INPUT = {"recognised": True, "model": MODEL, "status": "completed", "final": True}


def text(made: int, read: int = 0, stop: str = "not_finished") -> dict[str, object]:
    result = {"generated_text": "a", "generated_token_count": made, "input_token_count": read,
              "stop_reason": stop}  # fmt: skip
    return {"model_id": MODEL, "results": [result]}


def chat(**more: object) -> dict[str, object]:
    return {"id": "chat-1", "model_id": MODEL, "model": MODEL, **more}


STOP = {"index": 0, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 8, "completion_tokens": 11, "total_tokens": 19}

EXCHANGES = [
    Exchange("text", f"{URL}/text/generation", compact(text(11, 8, "eos_token")), COUNTS,
             reading=READING, **TEXT),
    Exchange("text of the first version", "https://eu-de.ml.cloud.ibm.com/ml/v1-beta/generation/text",
             compact(text(11, 8, "eos_token")), COUNTS, reading=READING, **TEXT),
    Exchange("a stream states its input once", f"{URL}/text/generation_stream",
             sse(text(0, 8), text(1), text(9), text(11, 0, "eos_token")), COUNTS,
             reading=READING, **TEXT),
    Exchange("a stream that states its input in the end", f"{URL}/text/generation_stream",
             sse(text(0), text(1), text(11, 8, "eos_token")), COUNTS, reading=READING, **TEXT),
    Exchange("a stream that is cut", f"{URL}/text/generation_stream",
             sse(text(0, 8), text(1), text(9)), {"input_tokens": 8, "output_tokens": 9},
             reading={"recognised": True, "model": MODEL}, **TEXT),
    Exchange("a stream with an error", f"{URL}/text/generation_stream",
             sse(text(0, 8), {"errors": [{"code": "model_no_support", "message": "No."}]}),
             {"input_tokens": 8, "output_tokens": 0},
             reading={"recognised": True, "model": MODEL, "status": "failed",
                      "error_type": "model_no_support"}, **TEXT),
    Exchange("a deployment", f"{URL}/deployments/d-1/text/generation",
             compact(text(11, 8, "eos_token")), COUNTS, reading=READING,
             **TEXT | {"request": {}, "request_model": None}),
    Exchange("null members", f"{URL}/text/generation",
             compact({"model_id": MODEL, "results": [{"generated_token_count": None,
                      "input_token_count": None, "stop_reason": None}]}),
             {}, reading={"model": MODEL}, **TEXT),
    Exchange("an error", f"{URL}/text/generation",
             compact({"errors": [{"code": "authentication_token_expired"}], "trace": "t"}), {},
             reading={"status": "failed", "error_type": "authentication_token_expired"}, **TEXT),
    Exchange("chat", f"{URL}/text/chat", compact(chat(choices=[STOP], usage=USAGE)), COUNTS,
             reading=CHAT, **ASKED),
    Exchange("a stream of chat", f"{URL}/text/chat_stream",
             sse(chat(choices=[{"delta": {"content": "a"}, "finish_reason": None}]),
                 chat(choices=[STOP]), chat(choices=[], usage=USAGE)),
             COUNTS, reading={**CHAT, "status": None, "final": False}, **ASKED),
    Exchange("chat without usage", f"{URL}/text/chat", compact(chat(choices=[STOP])), {},
             reading=CHAT, **ASKED),
    Exchange("chat with null usage", f"{URL}/text/chat",
             compact(chat(choices=[STOP], usage=None)), {}, reading=CHAT, **ASKED),
    Exchange("chat at a server of one's own", "https://cpd.corp/ml/v1/text/chat",
             compact(chat(choices=[STOP], usage=USAGE)), COUNTS, reading=CHAT, **ASKED),
    Exchange("embeddings", f"{URL}/text/embeddings",
             compact({"model_id": MODEL, "results": [{"embedding": [0.5]}],
                      "input_token_count": 7}),
             {"input_tokens": 7}, reading=INPUT, **ASKED | {"operation": "embeddings"}),
    Exchange("reranking", f"{URL}/text/rerank",
             compact({"model_id": MODEL, "results": [{"index": 1, "score": 0.5}],
                      "input_token_count": 9}),
             {"input_tokens": 9}, reading=INPUT, **ASKED | {"operation": "rerank"}),
]  # fmt: skip
