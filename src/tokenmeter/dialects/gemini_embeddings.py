"""Google's embeddings: embedContent and batchEmbedContents, and Vertex AI's predict.

Sources, read 2026-11-22: https://googleapis.github.io/js-genai/interfaces/types.ContentEmbeddingStatistics.html,
the types of google-genai 3.4, and recorded traffic.

Counting: ``usageMetadata`` where there is one (newer models); predict counts each text by itself in
its ``statistics``, which are added up. Older models report nothing. Vectors are skipped.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, billable, error_code
from tokenmeter.dialects.gemini import (
    COLUMNS,
    InPath,
    ModalityTokens,
    by_modality,
    without_column,
)
from tokenmeter.event import Usage


class _UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: Count | None = None
    prompt_token_details: list[ModalityTokens] | None = None  # on AI Studio
    prompt_tokens_details: list[ModalityTokens] | None = None  # on Vertex AI


class _Statistics(msgspec.Struct):
    token_count: Count | None = None


class _Embedding(msgspec.Struct):
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct):
    embeddings: _Embedding | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    billable_character_count: Count | None = None


class _Body(msgspec.Struct, rename="camel"):
    embedding: _Embedding | None = None
    embeddings: list[_Embedding] | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: _UsageMetadata | None = None
    metadata: _Metadata | None = None
    error: ErrorBody | None = None


class GeminiEmbeddings(Dialect):
    """Read embeddings."""

    name = "gemini_embeddings"
    counts_output = False

    request: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(InPath)
    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: input only."""
        vectors = (body.embedding, body.embeddings, body.predictions)
        return Reading(
            recognised=any(found is not None for found in vectors),
            usage=_usage(body),
            status="failed" if body.error else "completed",
            error_type=error_code(body.error, "error") if body.error else None,
            final=body.error is None,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import gemini_embeddings_content as content

        return content.prompt(request)


def _usage(body: _Body) -> Usage:
    said = body.usage_metadata or _UsageMetadata()
    read = by_modality(said.prompt_token_details or said.prompt_tokens_details)
    counted = said.prompt_token_count
    characters = body.metadata.billable_character_count if body.metadata else None
    return Usage(
        input_tokens=_added(body.predictions) if counted is None else counted,
        input_text_tokens=read.get("TEXT"),
        input_audio_tokens=read.get("AUDIO"),
        input_image_tokens=read.get("IMAGE"),
        other_counts=billable(
            billableCharacterCount=characters,
            **without_column("promptTokensDetails", read, COLUMNS),
        ),
    )


def _added(predictions: list[_Prediction] | None) -> int | None:
    """Add up the texts of one request; unknown when one of them is."""
    counts = [_counted(prediction.embeddings or _Embedding()) for prediction in predictions or ()]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _counted(embedding: _Embedding) -> int | None:
    return embedding.statistics.token_count if embedding.statistics else None
