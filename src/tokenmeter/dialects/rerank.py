"""Reranking in the form that Cohere gave it, and everybody who speaks it: Voyage, Jina, vLLM.

Sources, read 2026-11-22: ``V2RerankResponse`` of https://github.com/cohere-ai/cohere-python (7.3),
what a client declares of Jina (https://app.unpkg.com/@wildcard-ai/deepcontext@0.1.15,
``JinaApiService``), https://docs.voyageai.com/docs/reranker, and recorded traffic of Cohere and
Voyage.

Counting: Cohere bills search units and reports no tokens; these stand in ``other_counts`` and the
input is unknown. The others report tokens, all of them input. There is no output. A reranker reads
the query with each document anew (Voyage counts it so: query times documents, and documents), so
it stands before each of them in the prompt.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Prompt
from tokenmeter.dialects.fields import Count, billable, decode
from tokenmeter.event import Usage


class _Billed(msgspec.Struct):
    input_tokens: Count | None = None
    search_units: Count | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Usage(msgspec.Struct):
    total_tokens: Count | None = None
    prompt_tokens: Count | None = None


class _Ranked(msgspec.Struct):
    relevance_score: float | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    results: list[_Ranked] | None = None
    data: list[_Ranked] | None = None
    meta: _Meta | None = None
    usage: _Usage | None = None


_NOT_BILLED, _NO_USAGE = _Billed(), _Usage()


class _Document(msgspec.Struct):
    text: str | None = None


class _Asked(msgspec.Struct):
    query: str | _Document | None = None
    documents: list[str | dict[str, Any]] | None = None


_ASKED = msgspec.json.Decoder(_Asked)


class Rerank(Dialect):
    """Read a reranking."""

    name = "rerank"
    counts_output = False

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: all tokens are input."""
        billed = (body.meta.billed_units if body.meta else None) or _NOT_BILLED
        used = body.usage or _NO_USAGE
        reported = (billed.input_tokens, used.prompt_tokens, used.total_tokens)
        ranked = body.data if body.results is None else body.results
        return Reading(
            recognised=any(one.relevance_score is not None for one in ranked or ())
            or billed.search_units is not None,
            model=body.model or None,
            response_id=body.id or None,
            usage=Usage(
                input_tokens=next((count for count in reported if count is not None), None),
                other_counts=billable(search_units=billed.search_units),
            ),
            status="completed",
            final=True,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read: pairs of the query and a document."""
        from tokenmeter.dialects.openai_content import json_text

        asked = decode(_ASKED, request)
        query = asked.query.text if isinstance(asked.query, _Document) else asked.query
        documents = [_text(document) for document in asked.documents or ()]
        texts = [text for document in documents for text in (query or "", json_text(document))]
        return Prompt(texts=tuple(texts))


def _text(document: str | dict[str, Any]) -> Any:
    """Give the text of a document, or all its fields where it has others."""
    return document["text"] if isinstance(document, dict) and "text" in document else document
