"""Mistral's reading of documents (OCR).

Sources, read 2026-11-22: the types of mistralai 3.7 (``OCRResponse``, ``OCRUsageInfo``), which
Mistral generates from its API definition, and https://docs.litellm.ai/docs/ocr.

Counting: pages, no tokens. ``pages_processed``, by which it is billed, is in ``other_counts``.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.fields import Count, billable
from tokenmeter.event import Usage


class _Usage(msgspec.Struct):
    pages_processed: Count | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    usage_info: _Usage | None = None


class MistralOcr(Dialect):
    """Read documents that were read."""

    name = "mistral_ocr"
    counts_input = counts_output = False

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: pages are all there is."""
        usage = body.usage_info
        pages = usage.pages_processed if usage is not None else None
        return Reading(
            recognised=usage is not None,
            model=body.model or None,
            usage=Usage(other_counts=billable(pages_processed=pages)),
            status="completed" if usage is not None else None,
            final=usage is not None,
        )
