"""Google's embeddings."""

from typing import Any

from dialects import Exchange, compact

STUDIO = "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-2"
VERTEX = (
    "https://us-central1-aiplatform.googleapis.com/v1beta1/projects/p/locations/us-central1"
    "/publishers/google/models/"
)
VECTOR = {"values": [0.25, -0.5]}
READING = {"recognised": True, "status": "completed", "final": True}


def exchange(
    name: str,
    url: str,
    body: object,
    usage: dict[str, Any],
    reading: dict[str, Any] = READING,
) -> Exchange:
    model = url.rpartition("/")[2].partition(":")[0]
    provider = "gcp.vertex_ai" if "aiplatform" in url else "gcp.gemini"
    return Exchange(
        name,
        url,
        compact(body),
        usage,
        provider,
        reading,
        {"model": "models/of-the-path", "content": {"parts": [{"text": "hello"}]}},
        "embeddings",
        model,
    )


def predicted(*counts: int | None) -> list[object]:
    return [{"embeddings": {**VECTOR, "statistics": {"token_count": n}}} for n in counts]


EXCHANGES = [
    exchange(
        "a batch with usage",
        f"{STUDIO}:batchEmbedContents",
        {
            "embeddings": [VECTOR, VECTOR],
            "usageMetadata": {
                "promptTokenCount": 14,
                "promptTokenDetails": [{"modality": "TEXT", "tokenCount": 14}],
            },
        },
        {"input_tokens": 14, "input_text_tokens": 14},
    ),
    exchange(
        "a batch of an older model, which reports nothing",
        f"{STUDIO}:batchEmbedContents",
        {"embeddings": [VECTOR]},
        {},
    ),
    exchange(
        "an empty batch",
        f"{STUDIO}:batchEmbedContents",
        {"embeddings": [], "usageMetadata": None},
        {},
    ),
    exchange(
        "one content with usage",
        f"{STUDIO}:embedContent",
        {"embedding": VECTOR, "usageMetadata": {"promptTokenCount": 7}},
        {"input_tokens": 7},
    ),
    exchange(
        "one content of an older model",
        f"{STUDIO}:embedContent",
        {"embedding": VECTOR},
        {},
    ),
    exchange(
        "one content on Vertex AI, with a picture and a video",
        f"{VERTEX}gemini-embedding-2:embedContent",
        {
            "embedding": VECTOR,
            "truncated": False,
            "usageMetadata": {
                "promptTokenCount": 400,
                "promptTokensDetails": [
                    {"modality": "TEXT", "tokenCount": 12},
                    {"modality": "IMAGE", "tokenCount": 258},
                    {"modality": "AUDIO", "tokenCount": 30},
                    {"modality": "VIDEO", "tokenCount": 100},
                ],
                "totalTokenCount": 400,
            },
        },
        {
            "input_tokens": 400,
            "input_text_tokens": 12,
            "input_image_tokens": 258,
            "input_audio_tokens": 30,
            "other_counts": {"promptTokensDetails.VIDEO": 100},
        },
    ),
    exchange(
        "one content with members that are null",
        f"{VERTEX}gemini-embedding-2:embedContent",
        {
            "embedding": VECTOR,
            "metadata": None,
            "usageMetadata": {"promptTokenCount": None, "promptTokensDetails": None},
        },
        {},
    ),
    exchange(
        "one content on Vertex AI, cut short by a limit",
        f"{VERTEX}gemini-embedding-001:embedContent",
        {"embedding": VECTOR, "truncated": True, "usageMetadata": {"promptTokenCount": 2048}},
        {"input_tokens": 2048},
    ),
    exchange(
        "one content on Vertex AI without usage",
        f"{VERTEX}gemini-embedding-001:embedContent",
        {"embedding": VECTOR, "truncated": False},
        {},
    ),
    exchange(
        "an error of one content on Vertex AI",
        f"{VERTEX}gemini-embedding-2:embedContent",
        {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}},
        {},
        {"status": "failed", "error_type": "RESOURCE_EXHAUSTED"},
    ),
    exchange(
        "an error of one content",
        f"{STUDIO}:embedContent",
        {"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}},
        {},
        {"status": "failed", "error_type": "NOT_FOUND"},
    ),
    exchange(
        "predictions are counted one by one",
        f"{VERTEX}text-embedding-005:predict",
        {"predictions": predicted(1, 0, 2), "metadata": {"billableCharacterCount": 20}},
        {"input_tokens": 3, "other_counts": {"billableCharacterCount": 20}},
    ),
    exchange(
        "a prediction without statistics makes the sum unknown",
        f"{VERTEX}text-embedding-005:predict",
        {"predictions": [*predicted(1), {"embeddings": VECTOR}]},
        {},
    ),
    exchange(
        "a multimodal prediction has no statistics",
        f"{VERTEX}multimodalembedding@001:predict",
        {"predictions": [{"imageEmbedding": [0.5], "textEmbedding": [0.5]}]},
        {},
    ),
    exchange(
        "an error of a prediction",
        f"{VERTEX}text-embedding-005:predict",
        {"error": {"code": 401, "message": "API keys", "status": "UNAUTHENTICATED"}},
        {},
        {"status": "failed", "error_type": "UNAUTHENTICATED"},
    ),
]
