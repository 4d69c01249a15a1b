"""What chat completions, responses and embeddings have in common: details, money, other counts.

Sources, read 2026-11-22: https://docs.x.ai/developers/cost-tracking,
https://openrouter.ai/docs/use-cases/usage-accounting,
https://github.com/perplexityai/perplexity-py (``types/responses_usage.py``), and recorded traffic.

Money, where the vendor says what it charged:

- ``cost_in_usd_ticks`` (xAI): 10,000,000,000 ticks are a dollar.
- ``cost`` as an object with ``total_cost`` (Perplexity), in dollars, its only ``currency``.
- ``cost`` as a number beside ``is_byok`` or ``cost_details`` (OpenRouter, Vercel): credits, each a
  dollar. With a key of one's own (``is_byok``) it is the gateway's fee alone, so what the upstream
  charged is added; where that is unknown, so is the cost.
- ``cost`` as a bare number says no currency, and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tokenmeter.dialects.fields import Count
from tokenmeter.event import Cost

SOURCE = "provider"
"""The ``price_source`` of what the vendor itself says that an answer cost."""

_TICKS_OF_A_DOLLAR = 10  # as a power of ten
_TOO_MUCH = Decimal(10) ** 9


class InputDetails(msgspec.Struct):
    """The parts of the input."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    # the same facts by other names
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class OutputDetails(msgspec.Struct):
    """The parts of the output."""

    reasoning_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    accepted_prediction_tokens: Count | None = None
    rejected_prediction_tokens: Count | None = None


NO_INPUT_DETAILS, NO_OUTPUT_DETAILS = InputDetails(), OutputDetails()


class ServerTools(msgspec.Struct):
    """What a gateway ran beside the model."""

    web_search_requests: Count | None = None
    tool_calls_executed: Count | None = None


class _Total(msgspec.Struct):
    total_cost: Decimal | None = None
    currency: str = "USD"


class _Upstream(msgspec.Struct):
    upstream_inference_cost: Decimal | None = None


class Charged(msgspec.Struct):
    """The members of a usage that say money."""

    cost: Decimal | _Total | None = None
    cost_details: _Upstream | None = None
    is_byok: bool | None = None
    cost_in_usd_ticks: Count | None = None


def cost_of(said: Charged) -> Cost | None:
    """Give what the vendor says that the answer cost, or ``None`` where it does not say."""
    if said.cost_in_usd_ticks is not None:
        return _cost(Decimal(said.cost_in_usd_ticks).scaleb(-_TICKS_OF_A_DOLLAR))
    if said.cost is None:
        return None
    if isinstance(said.cost, _Total):
        return _cost(said.cost.total_cost) if said.cost.currency == "USD" else None
    if said.is_byok is None and said.cost_details is None:
        return None
    if said.is_byok:
        upstream = said.cost_details or _Upstream()
        return _cost(said.cost, upstream.upstream_inference_cost)
    return _cost(said.cost)


def _cost(*amounts: Decimal | None) -> Cost | None:
    """Add the amounts up, where all of them are known and are money."""
    known = [amount for amount in amounts if amount is not None and amount.is_finite()]
    if len(known) < len(amounts) or not all(0 <= amount < _TOO_MUCH for amount in known):
        return None
    return Cost(amount=sum(known, Decimal()), currency="USD", price_source=SOURCE)


def named(said: msgspec.Struct | None, names: Sequence[str]) -> dict[str, int]:
    """Collect the counts of these names that are not zero."""
    return {name: n for name in names if (n := getattr(said, name, None))}
