"""OpenAI Assistants: runs."""

from typing import Any

from dialects import Exchange, compact, sse

THREADS = "https://api.openai.com/v1/threads"
CREATE = f"{THREADS}/thread_1/runs"
RUN = {
    "id": "run_1",
    "object": "thread.run",
    "model": "gpt-4o",
    "status": "queued",
    "usage": None,
    "last_error": None,
    "incomplete_details": None,
}
USAGE = {
    "prompt_tokens": 381,
    "completion_tokens": 88,
    "total_tokens": 469,
    "prompt_token_details": {"cached_tokens": 128},
    "completion_tokens_details": {"reasoning_tokens": 64},
}
COUNTS = {
    "input_tokens": 381,
    "output_tokens": 88,
    "cache_read_tokens": 128,
    "reasoning_tokens": 64,
}
PENDING = {
    "recognised": True,
    "model": "gpt-4o",
    "response_id": "run_1",
    "pending": True,
    "background": True,
}
ENDED = PENDING | {"pending": False, "final": True, "status": "completed"}
COMPLETED = ENDED | {"finish_reasons": ("completed",)}
STEP = {
    "id": "step_1",
    "object": "thread.run.step",
    "status": "completed",
    "usage": {"prompt_tokens": 9},
}
FAILURE = {"code": "rate_limit_exceeded", "message": "Slow down"}


def run(**changed: Any) -> dict[str, Any]:
    return RUN | changed


def exchange(name: str, body: object, usage: dict[str, Any], **more: Any) -> Exchange:
    data = body if isinstance(body, bytes) else compact(body)
    known = {"provider": "openai", "operation": "invoke_agent", "url": CREATE}
    return Exchange(**{**known, **more}, name=name, body=data, usage=usage)


POLL = {"url": f"{CREATE}/run_1", "method": "GET"}
CANCEL = {"url": f"{CREATE}/run_1/cancel"}
SUBMIT = {
    "url": f"{CREATE}/run_1/submit_tool_outputs",
    "request": {"tool_outputs": [{"tool_call_id": "call_1", "output": "9"}]},
}
PLAIN = {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38}
PLAIN_COUNTS = {"input_tokens": 31, "output_tokens": 7}
BROKEN = {"message": "Sorry, something went wrong.", "type": "server_error", "code": None}


def later(what: str, **given: Any) -> list[Exchange]:
    """Give what a run that was created before may be, whichever way it is asked for."""
    none = {"message": "No run found with id 'run_1'.", "type": "invalid_request_error"}
    nulls = dict.fromkeys(PLAIN) | {"completion_tokens": 7, "prompt_tokens_details": None}
    return [
        exchange(
            f"{what}, cut short by a limit",
            run(
                status="incomplete",
                usage=PLAIN,
                incomplete_details={"reason": "max_completion_tokens"},
            ),
            PLAIN_COUNTS,
            reading=ENDED | {"finish_reasons": ("max_completion_tokens",)},
            **given,
        ),
        exchange(
            f"{what}, with null members",
            run(status="completed", usage=nulls, model=None),
            {"output_tokens": 7},
            reading=COMPLETED | {"model": None},
            **given,
        ),
        exchange(
            f"{what}, which failed uncounted",
            run(status="failed", last_error={"code": "server_error", "message": "Sorry"}),
            {},
            reading=ENDED | {"status": "failed", "error_type": "server_error"},
            **given,
        ),
        exchange(
            f"{what}, which is not there",
            {"error": none},
            {},
            reading={"status": "failed", "error_type": "invalid_request_error"},
            **given,
        ),
    ]


EXCHANGES = [
    exchange(
        "a run that was created",
        run(),
        {},
        reading=PENDING,
        request={"assistant_id": "asst_1", "model": "gpt-4o-mini"},
        request_model="gpt-4o-mini",
    ),
    exchange(
        "a run that is polled and has ended",
        run(status="completed", usage=USAGE),
        COUNTS,
        reading=COMPLETED,
        url=f"{CREATE}/run_1",
        method="GET",
    ),
    exchange(
        "a run that waits for tools",
        run(status="requires_action"),
        {},
        reading=PENDING,
        url=f"{CREATE}/run_1",
        method="GET",
    ),
    exchange(
        "a run that is being cancelled",
        run(status="cancelling"),
        {},
        reading=PENDING,
        url=f"{CREATE}/run_1/cancel",
    ),
    exchange(
        "a run that was cut short by a limit",
        run(status="incomplete", usage=USAGE, incomplete_details={"reason": "max_prompt_tokens"}),
        COUNTS,
        reading=ENDED | {"finish_reasons": ("max_prompt_tokens",)},
    ),
    exchange(
        "a run that failed",
        run(
            status="failed", usage={"prompt_tokens": 5, "completion_tokens": 0}, last_error=FAILURE
        ),
        {"input_tokens": 5, "output_tokens": 0},
        reading=ENDED | {"status": "failed", "error_type": "rate_limit_exceeded"},
    ),
    exchange(
        "a run that expired",
        run(status="expired", usage=None),
        {},
        reading=ENDED | {"status": "failed", "error_type": "expired"},
    ),
    exchange(
        "a run that was cancelled",
        run(status="cancelled", usage=USAGE),
        COUNTS,
        reading=ENDED | {"status": "abandoned"},
    ),
    exchange(
        "a streamed run, of which a step says less than the whole",
        sse(
            {"id": "thread_1", "object": "thread"},
            run(),
            run(status="in_progress"),
            {
                "object": "thread.message.delta",
                "delta": {"content": [{"text": {"value": '"thread.run"'}}]},
            },
            STEP,
            run(status="completed", usage=USAGE),
            b"[DONE]",
        ),
        COUNTS,
        reading=COMPLETED,
        url=f"{THREADS}/runs",
        request={"assistant_id": "asst_1", "stream": True},
    ),
    exchange(
        "a stream that ends where tools are needed",
        sse(run(), run(status="requires_action"), b"[DONE]"),
        {},
        reading=PENDING,
    ),
    exchange(
        "a stream that goes on with the output of tools",
        sse(run(status="in_progress"), run(status="completed", usage=USAGE), b"[DONE]"),
        COUNTS,
        reading=COMPLETED,
        url=f"{CREATE}/run_1/submit_tool_outputs",
        request={"tool_outputs": [], "stream": True},
    ),
    exchange(
        "a stream with an error inside, after which the run may go on",
        sse(run(status="in_progress"), {"error": {"message": "Oops", "type": "server_error"}}),
        {},
        reading=PENDING
        | {"pending": False, "background": False, "status": "failed", "error_type": "server_error"},
    ),
    exchange(
        "an error",
        {"error": {"message": "No", "type": "invalid_request_error", "code": "invalid_thread"}},
        {},
        reading={"status": "failed", "error_type": "invalid_thread"},
        request={"assistant_id": "asst_1"},
    ),
    exchange(
        "a run of somebody else's, on a path of the same name",
        {"run_id": "1", "thread_id": "2", "status": "pending", "assistant_id": "3"},
        {},
        reading={},
        url="https://graphs.example/threads/2/runs",
        provider="openai_compatible",
    ),
    exchange(
        "outputs of tools, after which the run goes on",
        run(status="queued"),
        {},
        reading=PENDING,
        **SUBMIT,
    ),
    exchange(
        "a stream after the outputs of tools, which breaks with an error",
        sse(run(status="queued"), run(status="in_progress"), {"error": BROKEN}),
        {},
        reading=PENDING
        | {"pending": False, "background": False, "status": "failed", "error_type": "server_error"},
        **SUBMIT,
    ),
    exchange(
        "a cancelled run that made something",
        run(status="cancelled", usage=PLAIN),
        PLAIN_COUNTS,
        reading=ENDED | {"status": "abandoned"},
        **CANCEL,
    ),
    *later("outputs of tools for a run", **SUBMIT),
    *later("a run that is polled", **POLL),
    *later("a run that is cancelled too late", **CANCEL),
]
