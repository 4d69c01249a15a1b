"""Voyage AI's embeddings: text, contextualised chunks, multimodal.

Sources, read 2026-11-22: https://docs.voyageai.com/docs/multimodal-embeddings,
https://app.unpkg.com/voyageai@0.0.4 (``openapi.yml``), and recorded traffic of text.

Counting: OpenAI's form, but ``total_tokens`` is all that is reported, and it is all input.
Multimodal embeddings also say how much of it was text, and the pixels: 560 are one of its tokens.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.fields import Count, billable
from tokenmeter.event import Usage


class _Usage(msgspec.Struct):
    total_tokens: Count | None = None
    text_tokens: Count | None = None
    image_pixels: Count | None = None
    video_pixels: Count | None = None


class _Body(msgspec.Struct):
    object: str | None = None
    model: str | None = None
    usage: _Usage | None = None


_NO_USAGE = _Usage()


class VoyageEmbeddings(Dialect):
    """Read embeddings of every kind."""

    name = "voyage_embeddings"
    counts_output = False

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: the total is the input."""
        usage = body.usage or _NO_USAGE
        return Reading(
            recognised=body.object == "list" and body.usage is not None,
            model=body.model or None,
            usage=Usage(
                input_tokens=usage.total_tokens,
                input_text_tokens=usage.text_tokens,
                other_counts=billable(
                    image_pixels=usage.image_pixels, video_pixels=usage.video_pixels
                ),
            ),
            status="completed",
            final=True,
        )
