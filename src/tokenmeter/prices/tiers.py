"""Service tiers: which are the usual one, and what vendors document of the others as a factor.

A factor is for tiers that a book has no prices of. A tier that is neither here nor in a book has no
price: priority tiers cost a premium that differs from model to model, and the price of capacity
that was reserved is nobody else's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

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


def is_usual(tier: str | None) -> bool:
    """Say whether a tier is the one whose prices are the listed ones."""
    return tier is None or tier.lower() in USUAL
