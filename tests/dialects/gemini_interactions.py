"""Google's Interactions."""

from typing import Any

from dialects import Exchange, compact, sse

URL = "https://generativelanguage.googleapis.com/v1beta/interactions"
VERTEX = "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/interactions"
HEAD = {"id": "v1_1", "object": "interaction", "model": "gemini-3.8-flash"}
USAGE = {
    "total_tokens": 391,
    "total_input_tokens": 300,
    "initial_input_tokens": 10,
    "total_cached_tokens": 120,
    "total_output_tokens": 30,
    "total_tool_use_tokens": 50,
    "total_thought_tokens": 11,
    "input_tokens_by_modality": [
        {"modality": "text", "tokens": 40},
        {"modality": "image", "tokens": 160},
        {"modality": "document", "tokens": 100},
    ],
    "tool_use_tokens_by_modality": [{"modality": "text", "tokens": 50}],
    "output_tokens_by_modality": [{"modality": "audio", "tokens": 30}],
    "cached_tokens_by_modality": [
        {"modality": "text", "tokens": 20},
        {"modality": "document", "tokens": 100},
    ],
    "grounding_tool_count": [{"type": "google_search", "count": 2}, {"type": "google_maps"}],
}
COUNTS = {
    "input_tokens": 350,
    "output_tokens": 41,
    "cache_read_tokens": 120,
    "reasoning_tokens": 11,
    "input_text_tokens": 90,
    "input_image_tokens": 160,
    "output_audio_tokens": 30,
    "other_counts": {
        "total_tool_use_tokens": 50,
        "input_tokens_by_modality.document": 100,
        "cached_tokens_by_modality.document": 100,
        "grounding_tool_count.google_search": 2,
    },
}
DONE = {**HEAD, "status": "completed", "service_tier": "standard", "usage": USAGE}
READING = {
    "recognised": True,
    "model": "gemini-3.8-flash",
    "response_id": "v1_1",
    "service_tier": "standard",
    "finish_reasons": ("completed",),
    "status": "completed",
    "final": True,
    "background": True,
}
SMALL = {"total_input_tokens": 9, "total_output_tokens": 2, "total_thought_tokens": 0}
SMALL_COUNTS = {"input_tokens": 9, "output_tokens": 2, "reasoning_tokens": 0}
RUNNING = {**HEAD, "status": "in_progress"}
STARTED = {"event_type": "interaction.created", "interaction": RUNNING}


def exchange(
    name: str, body: bytes, usage: dict[str, Any], reading: dict[str, Any], **more: Any
) -> Exchange:
    model = "gemini-3.8-flash"
    options = {"request": {"model": model, "input": "hello"}, "request_model": model} | more
    given = {"url": URL, "provider": "gcp.gemini", "operation": "generate_content"} | options
    return Exchange(name, body=body, usage=usage, reading=reading, **given)


FETCHED = {"method": "GET", "request": None, "request_model": None, "url": f"{URL}/v1_1"}
PENDING = {
    "recognised": True,
    "model": "gemini-3.8-flash",
    "response_id": "v1_1",
    "pending": True,
    "background": True,
}
CUT = {name: READING[name] for name in ("recognised", "model", "response_id", "background")}
ON_VERTEX = {"url": VERTEX, "provider": "gcp.vertex_ai"}
FEW = {"total_input_tokens": 9, "total_output_tokens": 2, "total_thought_tokens": 5}
FEW_COUNTS = {"input_tokens": 9, "output_tokens": 7, "reasoning_tokens": 5}
REFUSED = {"status": "failed", "error_type": "NOT_FOUND"}
NOT_FOUND = compact({"error": {"code": 404, "message": "none", "status": "NOT_FOUND"}})


def ended(status: str, **more: Any) -> dict[str, Any]:
    return {"finish_reasons": (status,), "status": "completed", "final": True} | more


def later(place: str, url: str, provider: str) -> list[Exchange]:
    """Give what an interaction that was created before may be, when it is fetched or cancelled."""
    known = {"provider": provider, "request": None, "request_model": None}
    get = known | {"url": f"{url}/v1_1", "method": "GET"}
    cancel = known | {"url": f"{url}/v1_1/cancel"}
    return [
        exchange(
            f"fetched {place}, cut short by a limit",
            compact({**HEAD, "status": "budget_exceeded", "usage": FEW}),
            FEW_COUNTS,
            CUT | ended("budget_exceeded"),
            **get,
        ),
        exchange(
            f"fetched {place} with null members",
            compact({**HEAD, "status": "completed", "usage": None, "service_tier": None}),
            {},
            CUT | ended("completed", final=False),
            **get,
        ),
        exchange(
            f"fetched {place} after a failure",
            compact({**HEAD, "status": "failed", "errors": [{"code": "timeout"}], "usage": FEW}),
            FEW_COUNTS,
            CUT | {"status": "failed", "error_type": "timeout", "final": True},
            **get,
        ),
        exchange(
            f"fetched {place} as a stream that was cut",
            sse(STARTED, {"event_type": "step.delta", "metadata": {"total_usage": FEW}}),
            FEW_COUNTS,
            CUT,
            **get,
        ),
        exchange(f"nothing to fetch {place}", NOT_FOUND, {}, REFUSED, **get),
        exchange(
            f"cancelled {place} after some output",
            compact({**HEAD, "status": "cancelled", "usage": FEW}),
            FEW_COUNTS,
            CUT | {"status": "abandoned", "final": True},
            **cancel,
        ),
        exchange(
            f"cancelled {place} before there was usage",
            compact({**HEAD, "status": "cancelled", "usage": None}),
            {},
            CUT | {"status": "abandoned"},
            **cancel,
        ),
        exchange(
            f"cancelled {place} too late",
            compact({**HEAD, "status": "completed", "usage": FEW, "service_tier": "flex"}),
            FEW_COUNTS,
            CUT | ended("completed", service_tier="flex"),
            **cancel,
        ),
        exchange(
            f"cancelled {place}, and not ended yet",
            compact({**HEAD, "status": "in_progress"}),
            {},
            PENDING,
            **cancel,
        ),
        exchange(f"nothing to cancel {place}", NOT_FOUND, {}, REFUSED, **cancel),
    ]


EXCHANGES = [
    exchange(
        "thoughts and tool results are added, and modalities told apart",
        compact(DONE),
        COUNTS,
        READING,
    ),
    exchange(
        "a stream",
        sse(
            STARTED,
            {"event_type": "interaction.status_update", "status": "in_progress"},
            {"event_type": "step.delta", "index": 0, "metadata": {"usage": SMALL}},
            {"event_type": "step.delta", "index": 1, "delta": {"text": "hi"}},
            {"event_type": "interaction.completed", "interaction": DONE},
            b"[DONE]",
        ),
        COUNTS,
        READING,
    ),
    exchange(
        "the terminal event leaves out what an event before it said",
        sse(
            STARTED,
            {"event_type": "step.delta", "metadata": {"total_usage": SMALL}},
            {
                "event_type": "interaction.completed",
                "interaction": {"id": "v1_1", "object": "interaction", "status": "completed"},
            },
        ),
        SMALL_COUNTS,
        {name: value for name, value in READING.items() if name != "service_tier"},
    ),
    exchange(
        "a stream that was cut",
        sse(STARTED, {"event_type": "step.delta", "metadata": {"usage": SMALL}}),
        SMALL_COUNTS,
        CUT,
    ),
    exchange(
        "an error in a stream",
        sse(
            STARTED,
            {"event_type": "error", "error": {"code": "gateway_timeout", "message": "slow"}},
        ),
        {},
        CUT | {"status": "failed", "error_type": "gateway_timeout"},
    ),
    exchange("a background interaction is pending", compact(RUNNING), {}, PENDING),
    exchange("one that waits its turn", compact({**HEAD, "status": "queued"}), {}, PENDING),
    exchange("fetched", compact(DONE), COUNTS, READING, **FETCHED),
    exchange("fetched too early", compact(RUNNING), {}, PENDING, **FETCHED),
    exchange(
        "fetched as a stream from some event on",
        sse(
            {"event_type": "step.delta", "index": 1, "delta": {"text": "hi"}},
            {"event_type": "interaction.completed", "interaction": DONE},
        ),
        COUNTS,
        READING,
        **FETCHED,
    ),
    exchange(
        "cancelled",
        compact({**HEAD, "status": "cancelled", "usage": SMALL}),
        SMALL_COUNTS,
        CUT | {"status": "abandoned", "final": True},
        url=f"{URL}/v1_1/cancel",
        request=None,
        request_model=None,
    ),
    exchange(
        "a function is to be called, on Vertex AI",
        compact({**HEAD, "status": "requires_action", "usage": SMALL}),
        SMALL_COUNTS,
        CUT | {"finish_reasons": ("requires_action",), "status": "completed", "final": True},
        **ON_VERTEX,
    ),
    exchange(
        "a stream on Vertex AI",
        sse(
            STARTED,
            {"event_type": "step.delta", "index": 0, "delta": {"text": "hi"}},
            {
                "event_type": "interaction.completed",
                "interaction": {**HEAD, "status": "completed", "usage": FEW},
            },
        ),
        FEW_COUNTS,
        CUT | ended("completed"),
        **ON_VERTEX,
    ),
    exchange(
        "cut short by a limit on Vertex AI",
        compact({**HEAD, "status": "incomplete", "usage": FEW}),
        FEW_COUNTS,
        CUT | ended("incomplete"),
        **ON_VERTEX,
    ),
    exchange(
        "null usage on Vertex AI",
        compact({**HEAD, "status": "completed", "usage": None}),
        {},
        CUT | ended("completed", final=False),
        **ON_VERTEX,
    ),
    exchange(
        "refused on Vertex AI",
        compact({"error": {"code": 403, "message": "x", "status": "PERMISSION_DENIED"}}),
        {},
        {"status": "failed", "error_type": "PERMISSION_DENIED"},
        **ON_VERTEX,
    ),
    *later("on AI Studio", URL, "gcp.gemini"),
    *later("on Vertex AI", VERTEX, "gcp.vertex_ai"),
    exchange(
        "an agent that failed",
        compact(
            {
                "id": "v1_1",
                "object": "interaction",
                "agent": "deep-research",
                "status": "failed",
                "errors": [{"code": None}, {"code": "tool_unavailable", "message": "x"}],
            }
        ),
        {},
        CUT | {"model": "deep-research", "status": "failed", "error_type": "tool_unavailable"},
        request={"agent": "deep-research", "input": "x", "background": True},
        request_model=None,
    ),
    exchange(
        "one that is not stored has no id",
        compact({"object": "interaction", "status": "completed", "model": "m", "usage": SMALL}),
        SMALL_COUNTS,
        {
            "recognised": True,
            "model": "m",
            "finish_reasons": ("completed",),
            "status": "completed",
            "final": True,
        },
    ),
    exchange(
        "null members",
        compact(
            {
                **HEAD,
                "status": "completed",
                "usage": {"total_input_tokens": None, "input_tokens_by_modality": None},
                "errors": None,
            }
        ),
        {},
        {name: value for name, value in READING.items() if name != "service_tier"},
    ),
    exchange(
        "no usage is unknown",
        compact({**HEAD, "status": "completed"}),
        {},
        {**CUT, "finish_reasons": ("completed",), "status": "completed"},
    ),
    exchange(
        "refused",
        compact({"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}),
        {},
        {"status": "failed", "error_type": "RESOURCE_EXHAUSTED"},
    ),
    exchange(
        "refused with a code of its own",
        compact({"error": {"code": "invalid_request", "message": "x"}}),
        {},
        {"status": "failed", "error_type": "invalid_request"},
    ),
]
