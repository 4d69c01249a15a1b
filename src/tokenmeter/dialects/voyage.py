"""Voyage AI's embeddings: text, contextualised chunks, multimodal.

Sources, read 2026-11-22: https://docs.voyageai.com/docs/multimodal-embeddings,
https://app.unpkg.com/voyageai@0.0.4 (``openapi.yml``), and recorded traffic of text.

Counting: OpenAI's form, but ``total_tokens`` is all that is reported, and it is all input.
Multimodal embeddings also say how much of it was text, and the pixels: 560 are one of its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Image, Message, Other, Part, Prompt
from tokenmeter.dialects.fields import Count, billable, decode
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


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    image_url: str | None = None
    image_base64: str | None = None


class _Input(msgspec.Struct):
    content: list[_Part] | None = None


class _Asked(msgspec.Struct):
    input: str | list[str] | None = None
    inputs: list[list[str] | _Input] | None = None


_ASKED = msgspec.json.Decoder(_Asked)


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

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read; images are in messages."""
        asked = decode(_ASKED, request)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input or []
        inputs = asked.inputs or ()
        chunks = [text for one in inputs if isinstance(one, list) for text in one]
        parts = [part for one in inputs if isinstance(one, _Input) for part in one.content or ()]
        media = tuple(_media(parts))
        return Prompt(
            messages=(Message("input", media),) if media else (),
            texts=(*texts, *chunks, *(part.text for part in parts if part.text)),
        )


def _media(parts: list[_Part]) -> Iterator[Part]:
    for part in parts:
        if image := part.image_url or part.image_base64:
            yield Image(image)
        elif part.text is None:
            yield Other((part.type or "").partition("_")[0])
