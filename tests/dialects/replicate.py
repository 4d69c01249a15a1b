"""Replicate's predictions."""

from dialects import Exchange, compact

URL = "https://api.replicate.com/v1"
MODEL = "meta/meta-llama-3-8b-instruct"
ASKED = {"request": {"input": {"prompt": "Hi"}}, "request_model": MODEL, "provider": "replicate",
         "operation": "generate_content"}  # fmt: skip
FETCHED = {"provider": "replicate", "operation": "generate_content", "method": "GET"}
READING = {"recognised": True, "model": MODEL, "response_id": "p-1", "background": True}
OVER = {**READING, "finish_reasons": ("succeeded",), "status": "completed", "final": True}
METRICS = {"input_token_count": 12, "output_token_count": 30, "predict_time": 0.51}


def prediction(status: str, **more: object) -> bytes:
    urls = {"get": f"{URL}/predictions/p-1", "cancel": f"{URL}/predictions/p-1/cancel"}
    return compact({"id": "p-1", "model": MODEL, "version": "hidden", "status": status,
                    "urls": urls, **more})  # fmt: skip


EXCHANGES = [
    Exchange("a creation", f"{URL}/models/{MODEL}/predictions", prediction("starting"), {},
             reading={**READING, "pending": True}, **ASKED),
    Exchange("a creation that waited", f"{URL}/models/{MODEL}/predictions",
             prediction("succeeded", metrics=METRICS), {"input_tokens": 12, "output_tokens": 30},
             reading=OVER, **ASKED),
    Exchange("a version", f"{URL}/predictions", prediction("processing"), {},
             reading={**READING, "pending": True},
             **ASKED | {"request": {"version": "5c7d"}, "request_model": "5c7d"}),
    Exchange("a deployment", f"{URL}/deployments/acme/llama/predictions", prediction("starting"),
             {}, reading={**READING, "pending": True}, **ASKED | {"request_model": "acme/llama"}),
    Exchange("a fetched answer without tokens", f"{URL}/predictions/p-1",
             prediction("succeeded", metrics={"predict_time": 0.51}), {}, reading=OVER, **FETCHED),
    Exchange("null metrics", f"{URL}/predictions/p-1", prediction("succeeded", metrics=None), {},
             reading=OVER, **FETCHED),
    Exchange("a failure", f"{URL}/predictions/p-1", prediction("failed", error="Out of memory"),
             {}, reading={**OVER, "finish_reasons": ("failed",), "status": "failed",
                          "error_type": "error"}, **FETCHED),
    Exchange("a cancellation", f"{URL}/predictions/p-1/cancel", prediction("canceled"), {},
             reading={**OVER, "finish_reasons": ("canceled",), "status": "abandoned"},
             **FETCHED | {"method": "POST"}),
    Exchange("an error", f"{URL}/models/{MODEL}/predictions",
             compact({"title": "Unauthenticated", "status": 401}), {},
             reading={"background": True}, **ASKED),
]  # fmt: skip
