"""OpenAI embeddings."""

from dialects import Exchange, compact

URL = "https://api.openai.com/v1/embeddings"
ASKED = {
    "request": {"model": "text-embedding-3-small", "input": "hi"},
    "request_model": "text-embedding-3-small",
    "provider": "openai",
    "operation": "embeddings",
}

EXCHANGES = [
    Exchange(
        "a plain answer",
        URL,
        compact(
            {
                "object": "list",
                "model": "text-embedding-3-small",
                "data": [{"object": "embedding", "embedding": [0.5, -0.5], "index": 0}],
                "usage": {"prompt_tokens": 8, "total_tokens": 8},
            }
        ),
        {"input_tokens": 8},
        reading={
            "recognised": True,
            "model": "text-embedding-3-small",
            "status": "completed",
            "final": True,
        },
        **ASKED,
    ),
    Exchange(
        "an error",
        URL,
        compact({"error": {"message": "No", "type": "invalid_request_error", "code": None}}),
        {},
        reading={"status": "failed", "error_type": "invalid_request_error"},
        **ASKED,
    ),
]
