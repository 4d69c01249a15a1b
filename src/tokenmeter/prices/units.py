"""Units: what can have a price, what it is a part of, and where an event counts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tokenmeter.dialects.billed import NAMES


class Unit(NamedTuple):
    """Something that can have a price.

    Attributes:
        within: What it is a part of, the nearest whole first.
        per: How many of it the price is for.
    """

    within: tuple[str, ...] = ()
    per: int = 1_000_000


_INPUT, _OUTPUT = ("input_tokens",), ("output_tokens",)
_WRITES = ("cache_write_tokens", *_INPUT)

UNITS: Mapping[str, Unit] = {
    "input_tokens": Unit(),
    "cache_read_tokens": Unit(_INPUT),
    "cache_write_tokens": Unit(_INPUT),
    "cache_write_5m_tokens": Unit(_WRITES),
    "cache_write_1h_tokens": Unit(_WRITES),
    "input_text_tokens": Unit(_INPUT),
    "input_audio_tokens": Unit(_INPUT),
    "input_image_tokens": Unit(_INPUT),
    "input_video_tokens": Unit(_INPUT),
    "cache_read_audio_tokens": Unit(("cache_read_tokens", "input_audio_tokens", *_INPUT)),
    "cache_read_image_tokens": Unit(("cache_read_tokens", "input_image_tokens", *_INPUT)),
    "output_tokens": Unit(),
    "reasoning_tokens": Unit(_OUTPUT),
    "output_text_tokens": Unit(_OUTPUT),
    "output_audio_tokens": Unit(_OUTPUT),
    "output_image_tokens": Unit(_OUTPUT),
    "output_video_tokens": Unit(_OUTPUT),
    "citation_tokens": Unit(_OUTPUT),
    "audio_seconds": Unit(per=3600),
    "pages": Unit(per=1000),
    "rerank_searches": Unit(per=1000),
    "web_searches": Unit(per=1000),
    "calls": Unit(per=1000),
}
"""All that can have a price: columns of events, and what stands in ``other_counts``."""

OVERLAPS = ("cache_read_audio_tokens", "cache_read_image_tokens")
"""What is a part of two things, of which neither is a part of the other: `Unit.within`'s first."""


def names_of(unit: str) -> tuple[str, ...] | None:
    """Give the names under which ``other_counts`` has a unit; ``None``: it is a column."""
    return NAMES.get(unit)
