"""Gemini's generateContent, on AI Studio and on Vertex AI."""

from typing import Any

from dialects import Exchange, compact, sse

STUDIO = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro"
GLOBAL = "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global"
VERTEX = f"{GLOBAL}/publishers/google/models/gemini-2.5-pro"
HEAD = {"modelVersion": "gemini-2.5-pro", "responseId": "r1"}
SAID = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "index": 0}]}
STOP = {"candidates": [{"content": {}, "finishReason": "STOP", "index": 0}]}
USAGE = {
    "promptTokenCount": 300,
    "candidatesTokenCount": 20,
    "toolUsePromptTokenCount": 50,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 120,
    "totalTokenCount": 377,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 40},
        {"modality": "IMAGE", "tokenCount": 100},
        {"modality": "AUDIO", "tokenCount": 60},
        {"modality": "VIDEO", "tokenCount": 100},
    ],
    "toolUsePromptTokensDetails": [{"modality": "TEXT", "tokenCount": 50}],
    "candidatesTokensDetails": [
        {"modality": "TEXT", "tokenCount": 8},
        {"modality": "IMAGE", "tokenCount": 12},
    ],
    "cacheTokensDetails": [
        {"modality": "TEXT", "tokenCount": 20},
        {"modality": "VIDEO", "tokenCount": 100},
    ],
    "serviceTier": "standard",
}
COUNTS = {
    "input_tokens": 350,
    "output_tokens": 27,
    "cache_read_tokens": 120,
    "reasoning_tokens": 7,
    "input_text_tokens": 90,
    "input_image_tokens": 100,
    "input_audio_tokens": 60,
    "output_text_tokens": 8,
    "output_image_tokens": 12,
    "other_counts": {
        "toolUsePromptTokenCount": 50,
        "promptTokensDetails.VIDEO": 100,
        "cacheTokensDetails.VIDEO": 100,
    },
}
READING = {
    "recognised": True,
    "model": "gemini-2.5-pro",
    "response_id": "r1",
    "finish_reasons": ("STOP",),
    "status": "completed",
    "final": True,
}
SMALL = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
SMALL_COUNTS = {"input_tokens": 9, "output_tokens": 3}


def exchange(
    name: str,
    body: bytes,
    usage: dict[str, Any],
    reading: dict[str, Any],
    url: str = f"{STUDIO}:generateContent",
    **more: Any,
) -> Exchange:
    given = {"provider": "gcp.gemini", "request_model": "gemini-2.5-pro"} | more
    asked = {"contents": [{"parts": [{"text": "hello"}]}]}
    options = {"request": asked, "operation": "generate_content"} | given
    return Exchange(name, url, body, usage, reading=reading, **options)


ON_VERTEX = {"provider": "gcp.vertex_ai"}
IN_STREAM = f"{STUDIO}:streamGenerateContent"
PARTIAL = {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}
FAILED = {"status": "failed", "error_type": "RESOURCE_EXHAUSTED"}
ERROR = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}

EXCHANGES = [
    exchange(
        "thoughts and tool results are added, and modalities told apart",
        compact({**STOP, **HEAD, "usageMetadata": USAGE}),
        COUNTS,
        READING | {"service_tier": "standard"},
    ),
    exchange(
        "the tier that served stands in a header alone",
        compact({**STOP, **HEAD, "usageMetadata": SMALL}),
        SMALL_COUNTS,
        READING | {"service_tier": "flex"},
        headers={"x-gemini-service-tier": "flex"},
    ),
    exchange(
        "the tier of the usage goes before that of the header",
        compact({**STOP, **HEAD, "usageMetadata": USAGE}),
        COUNTS,
        READING | {"service_tier": "standard"},
        headers={"x-gemini-service-tier": "priority"},
    ),
    exchange(
        "a stream whose newest usage stands",
        sse(
            {**SAID, **HEAD, "usageMetadata": PARTIAL},
            {**SAID, **HEAD},
            {**STOP, **HEAD, "usageMetadata": SMALL},
        ),
        SMALL_COUNTS,
        READING,
        IN_STREAM,
    ),
    exchange(
        "a stream as an array",
        compact(
            [
                {**SAID, **HEAD, "usageMetadata": PARTIAL},
                {**STOP, **HEAD, "usageMetadata": SMALL},
            ]
        ),
        SMALL_COUNTS,
        READING,
        IN_STREAM,
    ),
    exchange(
        "Vertex AI names the traffic alone in the first chunks",
        sse(
            {**SAID, **HEAD, "usageMetadata": {"trafficType": "ON_DEMAND"}},
            {**STOP, **HEAD, "usageMetadata": {**SMALL, "trafficType": "ON_DEMAND_FLEX"}},
        ),
        SMALL_COUNTS,
        READING | {"service_tier": "ON_DEMAND_FLEX"},
        f"{VERTEX}:streamGenerateContent",
        **ON_VERTEX,
    ),
    exchange(
        "a chunk that names the traffic alone takes no counts away",
        sse(
            {**SAID, **HEAD, "usageMetadata": SMALL},
            {**STOP, **HEAD, "usageMetadata": {"trafficType": "ON_DEMAND"}},
        ),
        SMALL_COUNTS,
        READING,
        f"{VERTEX}:streamGenerateContent",
        **ON_VERTEX,
    ),
    exchange(
        "enumerations as numbers",
        compact(
            {
                "candidates": [{"finishReason": 1}, {"finishReason": 2}, {"finishReason": 9}],
                "usageMetadata": {
                    "promptTokenCount": 9,
                    "candidatesTokenCount": 3,
                    "trafficType": 1,
                    "promptTokensDetails": [
                        {"modality": 0, "tokenCount": 1},
                        {"modality": 1, "tokenCount": 2},
                        {"modality": 2, "tokenCount": 5},
                        {"modality": 5, "tokenCount": 1},
                    ],
                },
            }
        ),
        {
            **SMALL_COUNTS,
            "input_text_tokens": 3,
            "input_image_tokens": 5,
            "other_counts": {"promptTokensDetails.DOCUMENT": 1},
        },
        {
            "recognised": True,
            "finish_reasons": ("STOP", "MAX_TOKENS", "9"),
            "service_tier": "ON_DEMAND",
            "status": "completed",
            "final": True,
        },
    ),
    exchange(
        "a prompt that was blocked",
        compact(
            {
                **HEAD,
                "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
                "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
            }
        ),
        {"input_tokens": 4, "output_tokens": 0},
        READING | {"finish_reasons": ("PROHIBITED_CONTENT",)},
    ),
    exchange(
        "a blocked prompt of which nothing was counted",
        compact(
            {
                **HEAD,
                "promptFeedback": {"blockReason": "MODEL_ARMOR"},
                "usageMetadata": {"trafficType": "ON_DEMAND"},
            }
        ),
        {},
        READING | {"finish_reasons": ("MODEL_ARMOR",), "service_tier": "ON_DEMAND"},
        f"{VERTEX}:generateContent",
        **ON_VERTEX,
    ),
    exchange(
        "thoughts used up the whole output",
        compact(
            {
                "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
                "usageMetadata": {
                    "promptTokenCount": 15,
                    "thoughtsTokenCount": 2,
                    "totalTokenCount": 17,
                },
            }
        ),
        {"input_tokens": 15, "output_tokens": 2, "reasoning_tokens": 2},
        {
            "recognised": True,
            "finish_reasons": ("MAX_TOKENS",),
            "status": "completed",
            "final": True,
        },
    ),
    exchange(
        "no usage is unknown",
        compact({**STOP, **HEAD}),
        {},
        READING,
    ),
    exchange(
        "null members and a total that tells nothing",
        compact(
            {
                **STOP,
                **HEAD,
                "promptFeedback": None,
                "usageMetadata": {
                    "promptTokenCount": 4,
                    "candidatesTokenCount": None,
                    "promptTokensDetails": None,
                    "candidatesTokensDetails": [None, {"modality": None, "tokenCount": 3}],
                    "totalTokenCount": None,
                },
            }
        ),
        {"input_tokens": 4},
        READING,
    ),
    exchange("an error", compact(ERROR), {}, FAILED),
    exchange("an error in an array", compact([ERROR]), {}, FAILED, IN_STREAM),
    exchange(
        "an error in a stream",
        sse({**SAID, **HEAD, "usageMetadata": PARTIAL}, ERROR),
        {"input_tokens": 9, "output_tokens": 1},
        FAILED | {"model": "gemini-2.5-pro", "response_id": "r1", "input_final": False},
        IN_STREAM,
    ),
    exchange(
        "a tuned model, whose request repeats it in the body",
        compact({**STOP, **HEAD, "usageMetadata": SMALL}),
        SMALL_COUNTS,
        READING,
        "https://generativelanguage.googleapis.com/v1beta/tunedModels/mine-1:generateContent",
        request={"model": "tunedModels/mine-1", "contents": []},
        request_model="tunedModels/mine-1",
    ),
    exchange(
        "an endpoint of one's own on Vertex AI",
        compact({**STOP, **HEAD, "usageMetadata": SMALL}),
        SMALL_COUNTS,
        READING,
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
        "/endpoints/123:generateContent",
        request_model="endpoints/123",
        **ON_VERTEX,
    ),
    exchange(
        "Vertex AI in express mode, behind a gateway",
        compact({**STOP, **HEAD, "usageMetadata": SMALL}),
        SMALL_COUNTS,
        READING,
        "https://llm.corp/google/v1beta1/publishers/google/models/gemini-2.5-pro:generateContent",
        **ON_VERTEX,
    ),
]
