"""Service tiers and regions: which are the usual ones, and what vendors document as a factor.

A factor is for tiers that a book has no prices of. A tier that is neither here nor in a book has no
price: priority tiers cost a premium that differs from model to model, and the price of capacity
that was reserved is nobody else's business.

Searches cost the same in every tier and region, as Anthropic says of batches:
https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool (read 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from tokenmeter.prices.books import Asked, Factor, NoPrice, Origin

USUAL = frozenset(
    ("auto", "default", "on-demand", "on_demand", "standard", "standard_only", "unspecified")
)
"""Words of vendors for the tier whose prices are the listed ones."""


class Documented(NamedTuple):
    """A factor on the usual price, and the vendor's page that says so."""

    factor: Decimal
    source: str


_HALF = Decimal("0.5")

FACTORS: Mapping[tuple[str, str], Documented] = {
    (provider, tier): Documented(factor, source)
    for provider, tier, factor, source in (
        # Read 2026-11-23.
        (
            "anthropic", "batch", _HALF,
            "https://platform.claude.com/docs/en/build-with-claude/batch-processing#pricing",
        ),
        (
            "aws.bedrock", "batch", _HALF,
            "https://docs.aws.amazon.com/bedrock/latest/userguide/capacity-limits-cost-optimization.html",
        ),
        (
            "azure.ai.openai", "batch", _HALF,
            "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/how-to/batch",
        ),
        (
            "azure.ai.openai", "flex", _HALF,
            "https://learn.microsoft.com/azure/foundry/openai/how-to/flex-processing",
        ),
        ("fireworks", "batch", _HALF, "https://fireworks.ai/blog/batch-api"),
        ("gcp.gemini", "batch", _HALF, "https://ai.google.dev/gemini-api/docs/optimization"),
        ("gcp.gemini", "flex", _HALF, "https://ai.google.dev/gemini-api/docs/optimization"),
        ("groq", "batch", _HALF, "https://groq.com/pricing"),
        ("groq", "flex", Decimal(1), "https://console.groq.com/docs/flex-processing"),
        ("openai", "batch", _HALF, "https://developers.openai.com/api/docs/guides/batch"),
        ("openai", "flex", _HALF, "https://developers.openai.com/api/docs/guides/flex-processing"),
        ("together", "batch", _HALF, "https://docs.together.ai/docs/inference/pricing"),
    )
}  # fmt: skip
"""By provider and tier: what the usual price is multiplied by, where nobody has another one."""


REGIONS: Mapping[str, Mapping[str, Documented]] = {
    "anthropic": {
        "global": Documented(
            Decimal(1), "https://platform.claude.com/docs/en/manage-claude/data-residency"
        ),
        "us": Documented(
            Decimal("1.1"), "https://platform.claude.com/docs/en/manage-claude/data-residency"
        ),
    },
}  # Read 2026-11-23.
"""By provider and region, where the answer says the region, and the price depends on it."""

_ANYWHERE = re.compile(r"claude-(?:[1-3]|v|instant|(?:opus|sonnet|haiku)-4(?:-[0-5]\b|-\d{8}|$))")
"""Models whose price is the same in every region: those before Claude Opus 4.6 and Sonnet 4.6, by
https://support.claude.com/en/articles/15422948 (read 2026-11-23)."""

_SEARCHES = frozenset(("web_searches", "calls"))
_READ = "2026-11-23"


def is_usual(tier: str | None) -> bool:
    """Say whether a tier is the one whose prices are the listed ones."""
    return tier is None or tier.lower() in USUAL


def of_tier(asked: Asked) -> Factor | NoPrice | None:
    """Give the factor of a tier that a book has no prices of; ``None``: it is the usual one."""
    if is_usual(asked.tier):
        return None
    tier = str(asked.tier).lower()
    documented = FACTORS.get((asked.provider, tier))
    return _factor(tier, documented) if documented else NoPrice("unknown_tier")


def of_region(asked: Asked) -> Factor | NoPrice | None:
    """Give the factor of a region; ``None``: the price does not depend on it, or nobody knows."""
    regions = REGIONS.get(asked.provider)
    if regions is None or asked.region is None or _ANYWHERE.match(asked.model):
        return None
    region = asked.region.lower()
    documented = regions.get(region)
    if documented is None:
        return NoPrice("unknown_region")
    return None if documented.factor == 1 else _factor(region, documented)


def _factor(name: str, documented: Documented) -> Factor:
    return Factor(documented.factor, Origin(name, _READ), _SEARCHES)
