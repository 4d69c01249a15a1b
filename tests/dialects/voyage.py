"""Voyage AI's embeddings."""

from dialects import Exchange, compact

URL = "https://api.voyageai.com/v1"
ASKED = {"request": {"model": "voyage-4"}, "request_model": "voyage-4", "provider": "voyage",
         "operation": "embeddings"}  # fmt: skip
READING = {"recognised": True, "model": "voyage-4", "status": "completed", "final": True}


def vectors(**more: object) -> bytes:
    return compact({"object": "list", "data": [{"embedding": [0.5]}], "model": "voyage-4", **more})


EXCHANGES = [
    Exchange("a total is all input", f"{URL}/embeddings", vectors(usage={"total_tokens": 3}),
             {"input_tokens": 3}, reading=READING, **ASKED),
    Exchange("contextualised chunks", f"{URL}/contextualizedembeddings",
             vectors(usage={"total_tokens": 30}), {"input_tokens": 30}, reading=READING, **ASKED),
    Exchange("text and images", f"{URL}/multimodalembeddings",
             vectors(usage={"text_tokens": 5, "image_pixels": 2_000_000, "total_tokens": 3576}),
             {"input_tokens": 3576, "input_text_tokens": 5,
              "other_counts": {"image_pixels": 2_000_000}},
             reading=READING, **ASKED),
    Exchange("null usage", f"{URL}/embeddings", vectors(usage=None), {},
             reading={**READING, "recognised": False}, **ASKED),
    Exchange("a negative total", f"{URL}/embeddings", vectors(usage={"total_tokens": -3}), {},
             reading=READING, **ASKED),
    Exchange("an error", f"{URL}/embeddings", compact({"detail": "Model x is not supported."}), {},
             reading={"status": "completed", "final": True}, **ASKED),
]  # fmt: skip
