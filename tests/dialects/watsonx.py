"""IBM watsonx.ai: text, chat, embeddings, reranking."""

from typing import Any

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
LENGTH = {"index": 0, "finish_reason": "length"}
DELTA = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
STREAMED = {**CHAT, "status": None, "final": False}
BEGUN = {**STREAMED, "finish_reasons": None}


def refused(code: str, status: int) -> dict[str, object]:
    return {"errors": [{"code": code, "message": "No.", "more_info": "https://ibm.example"}],
            "trace": "903f", "status_code": status}  # fmt: skip


def of_input(operation: str, path: str, *results: object) -> list[Exchange]:
    """Give what embeddings and reranking have in common."""
    asked: dict[str, Any] = {**ASKED, "operation": operation, "url": f"{URL}/{path}"}
    said = {"model_id": MODEL, "created_at": "2026-11-22T08:00:00Z", "results": results}
    unknown = {**INPUT, "recognised": False}
    deployed = asked | {
        "url": f"{URL}/deployments/d-1/{path}",
        "request": {},
        "request_model": None,
    }
    warning = {"warnings": [{"id": "truncated", "message": "The input was truncated."}]}
    return [
        Exchange(f"{operation} of a deployment, truncated to its limit",
                 body=compact({**said, "input_token_count": 512, "system": warning}),
                 usage={"input_tokens": 512}, reading=INPUT, **deployed),
        Exchange(f"{operation} without a count", body=compact(said), usage={}, reading=unknown,
                 **asked),
        Exchange(f"{operation} with null members",
                 body=compact({"model_id": None, "results": results, "input_token_count": None}),
                 usage={}, reading={**unknown, "model": None}, **asked),
        Exchange(f"an error of {operation}", body=compact(refused("model_not_supported", 404)),
                 usage={}, reading={"status": "failed", "error_type": "model_not_supported"},
                 **asked),
    ]  # fmt: skip


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
    Exchange("text that was cut short by a limit", f"{URL}/text/generation",
             compact(text(20, 8, "max_tokens")), {"input_tokens": 8, "output_tokens": 20},
             reading={**READING, "finish_reasons": ("max_tokens",)}, **TEXT),
    Exchange("a stream that was cut short by a limit", f"{URL}/text/generation_stream",
             sse(text(1, 8), text(20, 0, "max_tokens")),
             {"input_tokens": 8, "output_tokens": 20},
             reading={**READING, "finish_reasons": ("max_tokens",)}, **TEXT),
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
             sse(chat(choices=[DELTA]), chat(choices=[STOP]), chat(choices=[], usage=USAGE)),
             COUNTS, reading=STREAMED, **ASKED),
    Exchange("a stream of chat at a deployment, cut short by a limit",
             f"{URL}/deployments/d-1/text/chat_stream",
             sse(chat(choices=[DELTA], usage=None), chat(choices=[LENGTH], usage=None),
                 chat(choices=[], usage=USAGE)),
             COUNTS, reading={**STREAMED, "finish_reasons": ("length",)},
             **ASKED | {"request": {"messages": []}, "request_model": None}),
    Exchange("a stream of chat without usage", f"{URL}/text/chat_stream",
             sse(chat(choices=[DELTA]), chat(choices=[STOP])), {}, reading=STREAMED, **ASKED),
    Exchange("a stream of chat that is cut", f"{URL}/text/chat_stream",
             sse(chat(choices=[DELTA]), chat(choices=[DELTA])), {}, reading=BEGUN, **ASKED),
    Exchange("a stream of chat that breaks with an error", f"{URL}/text/chat_stream",
             sse(chat(choices=[DELTA]), refused("downstream_request_failed", 500)), {},
             reading={**BEGUN, "status": "failed", "error_type": "downstream_request_failed"},
             **ASKED),
    Exchange("a stream of chat that is an error only", f"{URL}/text/chat_stream",
             sse(refused("invalid_input_argument", 400)), {},
             reading={"status": "failed", "error_type": "invalid_input_argument"}, **ASKED),
    Exchange("chat that was cut short by a limit", f"{URL}/text/chat",
             compact(chat(choices=[LENGTH], usage=USAGE)), COUNTS,
             reading={**CHAT, "finish_reasons": ("length",)}, **ASKED),
    Exchange("an error of chat", f"{URL}/text/chat", compact(refused("token_quota_reached", 403)),
             {}, reading={"status": "failed", "error_type": "token_quota_reached"}, **ASKED),
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
    *of_input("embeddings", "text/embeddings", {"embedding": [0.5]}, {"embedding": [0.25]}),
    *of_input("rerank", "text/rerank", {"index": 1, "score": 0.5}, {"index": 2, "score": -0.5}),
]  # fmt: skip
