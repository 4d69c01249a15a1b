"""What stands in ``other_counts``, under the names of vendors: which of it is which billable thing.

The names are those that the dialects of these vendors give.
"""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, ...]] = {
    "input_video_tokens": ("promptTokensDetails.VIDEO", "input_tokens_by_modality.video"),
    "cache_read_audio_tokens": ("cacheTokensDetails.AUDIO", "cached_tokens_by_modality.audio"),
    "cache_read_image_tokens": ("cacheTokensDetails.IMAGE", "cached_tokens_by_modality.image"),
    "output_video_tokens": ("candidatesTokensDetails.VIDEO", "output_tokens_by_modality.video"),
    "citation_tokens": ("citation_tokens",),
    "audio_seconds": ("prompt_audio_seconds", "seconds"),
    "pages": ("pages_processed",),
    "rerank_searches": ("search_units",),
    "web_searches": ("web_search_requests", "num_search_queries", "search_web.invocation"),
}
"""By what it is: the names under which vendors count it."""

_OF_ANOTHER = (".input_tokens", ".output_tokens")


def is_of_another_model(name: str) -> bool:
    """Say whether a count is of tokens that are billed beside those of the columns.

    Anthropic counts a compaction and an advisor so, and OpenAI the model that draws an SVG.

    >>> is_of_another_model("web_search_requests"), is_of_another_model("compaction.input_tokens")
    (False, True)
    """
    return name.endswith(_OF_ANOTHER)
