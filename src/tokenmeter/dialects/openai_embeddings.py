"""OpenAI embeddings, and everybody who speaks them.

Source, read 2026-11-22: https://platform.openai.com/docs/api-reference/embeddings, and recorded
traffic. An embedding has input only; ``total_tokens`` equals ``prompt_tokens``. The vectors are
skipped, not decoded.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
from tokenmeter.dialects.openai_usage import Charged, cost_of
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import Usage


class _Usage(Charged):
    prompt_tokens: Count | None = None


class _Body(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: ErrorBody | None = None


class _Request(msgspec.Struct):
    input: Any = None


_REQUEST = msgspec.json.Decoder(_Request)


class OpenAIEmbeddings(Dialect):
    """Read embeddings."""

    name = "openai_embeddings"
    counts_output = False
    marks = (b'"usage"', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def reading(self, body: _Body) -> Reading:
        """Normalise: input only."""
        return Reading(
            recognised=body.usage is not None or body.object == "list",
            model=body.model or None,
            response_id=body.id or None,
            usage=Usage(input_tokens=body.usage.prompt_tokens if body.usage else None),
            cost=None if body.usage is None else cost_of(body.usage),
            status="failed" if body.error else "completed",
            error_type=error_code(body.error, "error") if body.error else None,
            final=body.error is None,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what is to be embedded."""
        from tokenmeter.dialects.openai_content import texts_and_ids

        texts, ids = texts_and_ids(decode(_REQUEST, request).input)
        return Prompt(texts=texts, ids=ids)
