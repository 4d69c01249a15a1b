"""Replicate's predictions."""

from typing import Any

from dialects import Exchange, compact

URL = "https://api.replicate.com/v1"
MODEL = "meta/meta-llama-3-8b-instruct"
ASKED = {"request": {"input": {"prompt": "Hi"}}, "request_model": MODEL, "provider": "replicate",
         "operation": "generate_content"}  # fmt: skip
FETCHED = {"provider": "replicate", "operation": "generate_content", "method": "GET"}
READING = {"recognised": True, "model": MODEL, "response_id": "p-1", "background": True}
OVER = {**READING, "finish_reasons": ("succeeded",), "status": "completed", "final": True}
CANCELLED = FETCHED | {"method": "POST"}
METRICS = {"input_token_count": 12, "output_token_count": 30, "predict_time": 0.51}


def prediction(status: str, **more: object) -> bytes:
    urls = {"get": f"{URL}/predictions/p-1", "cancel": f"{URL}/predictions/p-1/cancel"}
    return compact({"id": "p-1", "model": MODEL, "version": "hidden", "status": status,
                    "urls": urls, **more})  # fmt: skip


PENDING = {**READING, "pending": True}
FAILED = {**OVER, "finish_reasons": ("failed",), "status": "failed", "error_type": "error"}
CANCELED = {**OVER, "finish_reasons": ("canceled",), "status": "abandoned"}
ABORTED = {**CANCELED, "finish_reasons": ("aborted",)}
REFUSED = {"background": True}
MADE = {"input_tokens": 12, "output_tokens": 30}


def created(what: str, url: str, **asked: Any) -> list[Exchange]:
    """Give what may come of a creation that waits (``Prefer: wait``), or is refused."""
    options = {**ASKED, **asked}
    late = {"input_token_count": 12, "output_token_count": None}
    invalid = {"title": "Input validation failed", "detail": "prompt is required", "status": 422}
    return [
        Exchange(f"{what} that waited", url, prediction("succeeded", metrics=METRICS), MADE,
                 reading=OVER, **options),
        Exchange(f"{what} of which not all is counted", url,
                 prediction("succeeded", metrics=late, error=None), {"input_tokens": 12},
                 reading=OVER, **options),
        Exchange(f"{what} that failed while it waited", url,
                 prediction("failed", error="Prompt is too long", metrics={}), {}, reading=FAILED,
                 **options),
        Exchange(f"{what} that was refused", url, compact(invalid), {}, reading=REFUSED,
                 **options),
    ]  # fmt: skip


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
             **CANCELLED),
    Exchange("an error", f"{URL}/models/{MODEL}/predictions",
             compact({"title": "Unauthenticated", "status": 401}), {},
             reading={"background": True}, **ASKED),
    *created("a version", f"{URL}/predictions", request={"version": "5c7d", "input": {}},
             request_model="5c7d"),
    *created("a deployment", f"{URL}/deployments/acme/llama/predictions",
             request_model="acme/llama"),
    Exchange("a fetched answer with tokens", f"{URL}/predictions/p-1",
             prediction("succeeded", metrics=METRICS, output=["a", "b"]), MADE, reading=OVER,
             **FETCHED),
    Exchange("an answer that is fetched too early", f"{URL}/predictions/p-1",
             prediction("processing", output=["a"], metrics=None), {}, reading=PENDING,
             **FETCHED),
    Exchange("a fetched answer that its deadline aborted", f"{URL}/predictions/p-1",
             prediction("aborted", completed_at="2026-11-22T08:00:00Z"), {}, reading=ABORTED,
             **FETCHED),
    Exchange("there is nothing to fetch", f"{URL}/predictions/p-2",
             compact({"detail": "The requested resource could not be found.", "status": 404}), {},
             reading=REFUSED, **FETCHED),
    Exchange("a cancellation of what was made in part", f"{URL}/predictions/p-1/cancel",
             prediction("canceled", metrics={"input_token_count": 12, "output_token_count": 7}),
             {"input_tokens": 12, "output_tokens": 7}, reading=CANCELED, **CANCELLED),
    Exchange("a cancellation that takes its time", f"{URL}/predictions/p-1/cancel",
             prediction("processing"), {}, reading=PENDING, **CANCELLED),
    Exchange("a cancellation that comes too late", f"{URL}/predictions/p-1/cancel",
             prediction("succeeded", metrics=METRICS), MADE, reading=OVER, **CANCELLED),
    Exchange("a cancellation of what had not started", f"{URL}/predictions/p-1/cancel",
             prediction("aborted", metrics=None, error=None), {}, reading=ABORTED, **CANCELLED),
    Exchange("there is nothing to cancel", f"{URL}/predictions/p-2/cancel",
             compact({"title": "Not found", "detail": "No such prediction", "status": 404}), {},
             reading=REFUSED, **CANCELLED),
]  # fmt: skip
