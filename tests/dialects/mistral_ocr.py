"""Mistral's reading of documents."""

from typing import Any

from dialects import Exchange, compact

DONE: dict[str, Any] = {
    "recognised": True,
    "model": "mistral-ocr-2505",
    "status": "completed",
    "final": True,
}
PAGES = [{"index": 0, "markdown": "# Title", "images": [], "dimensions": None}]
ANSWER = {"model": "mistral-ocr-2505", "pages": PAGES}
REFUSED = {"object": "error", "message": "No such model", "type": "invalid_model", "code": "1500"}


def ocr(
    name: str, body: object, usage: dict[str, Any], reading: dict[str, Any], **more: Any
) -> Exchange:
    asked = {
        "url": "https://api.mistral.ai/v1/ocr",
        "provider": "mistral_ai",
        "operation": "ocr",
        "request": {"model": "mistral-ocr-latest", "document": {"type": "document_url"}},
        "request_model": "mistral-ocr-latest",
    }
    return Exchange(name, body=compact(body), usage=usage, reading=reading, **(asked | more))


EXCHANGES = [
    ocr(
        "pages are counted",
        ANSWER | {"usage_info": {"pages_processed": 3, "doc_size_bytes": 9_001}},
        {"other_counts": {"pages_processed": 3}},
        DONE,
    ),
    ocr(
        "a size that is not known",
        ANSWER | {"usage_info": {"pages_processed": 1, "doc_size_bytes": None}},
        {"other_counts": {"pages_processed": 1}},
        DONE,
    ),
    ocr(
        "an annotation",
        ANSWER | {"usage_info": {"pages_processed": 2}, "document_annotation": '{"title": "T"}'},
        {"other_counts": {"pages_processed": 2}},
        DONE,
    ),
    ocr("no usage", ANSWER, {}, {"model": "mistral-ocr-2505"}),
    ocr("a null usage", ANSWER | {"usage_info": None}, {}, {"model": "mistral-ocr-2505"}),
    ocr("a refusal", REFUSED, {}, {}),
    ocr(
        "a gateway's host",
        ANSWER | {"usage_info": {"pages_processed": 3}},
        {"other_counts": {"pages_processed": 3}},
        DONE,
        url="https://gate.way/mistral/v1/ocr",
    ),
]
