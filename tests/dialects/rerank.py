"""Reranking: Cohere, Voyage, Jina and servers that speak like them."""

from dialects import Exchange, compact

DONE = {"recognised": True, "status": "completed", "final": True}
ASKED = {"request": {"model": "r", "query": "q"}, "request_model": "r", "operation": "rerank"}
RANKED = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0}]

EXCHANGES = [
    Exchange(
        "Cohere bills search units and reports no tokens",
        "https://api.cohere.com/v2/rerank",
        compact({"id": "x", "results": RANKED, "meta": {"billed_units": {"search_units": 1}}}),
        {"other_counts": {"search_units": 1}},
        provider="cohere",
        reading={**DONE, "response_id": "x"},
        **ASKED,
    ),
    Exchange(
        "version 1",
        "https://api.cohere.ai/v1/rerank",
        compact({"id": "x", "results": RANKED, "meta": {"billed_units": {"search_units": 2}}}),
        {"other_counts": {"search_units": 2}},
        provider="cohere",
        reading={**DONE, "response_id": "x"},
        **ASKED,
    ),
    Exchange(
        "Voyage reports a total, all of it input",
        "https://api.voyageai.com/v1/rerank",
        compact({"object": "list", "data": RANKED, "model": "rerank-2",
                 "usage": {"total_tokens": 57}}),
        {"input_tokens": 57},
        provider="voyage",
        reading={**DONE, "model": "rerank-2"},
        **ASKED,
    ),
    Exchange(
        "Jina",
        "https://api.jina.ai/v1/rerank",
        compact({"model": "jina-reranker-v3", "results": RANKED,
                 "usage": {"total_tokens": 30, "prompt_tokens": 30}}),
        {"input_tokens": 30},
        provider="jina",
        reading={**DONE, "model": "jina-reranker-v3"},
        **ASKED,
    ),
    Exchange(
        "a server of one's own without usage",
        "http://127.0.0.1:8000/rerank",
        compact({"id": "x", "model": "bge", "results": RANKED, "usage": None, "meta": None}),
        {},
        provider="cohere_compatible",
        reading={**DONE, "model": "bge", "response_id": "x"},
        **ASKED,
    ),
    Exchange(
        "somebody else's answer at such a path",
        "http://127.0.0.1:8000/rerank",
        compact({"results": [{"index": 0, "score": 0.5}]}),
        {},
        provider="cohere_compatible",
        reading={**DONE, "recognised": False},
        **ASKED,
    ),
]  # fmt: skip
