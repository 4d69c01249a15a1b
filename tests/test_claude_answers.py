"""What the Claude Agent SDK says that sessions cost, and each answer's part of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import Cost, Usage
from tokenmeter.frameworks.claude_answers import Bill, bills

counts = st.integers(0, 10**6)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    given, read, written, output = (draw(counts) for _ in range(4))
    return Usage(
        input_tokens=given + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
    )


def total(of: list[Usage], name: str) -> int:
    return sum(getattr(usage, name) or 0 for usage in of)


NAMES = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens",
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(usages(), min_size=1, max_size=20), st.decimals(0, 1000, places=6))
def test_the_parts_of_all_answers_add_up_to_the_whole(of: list[Usage], amount: Decimal) -> None:
    whole: Any = {name: total(of, name) for name in NAMES}
    bill = Bill(Usage(**whole), amount, "anthropic")
    parts = [bill.share(usage).amount for usage in of]
    known = [part for part in parts if part is not None]
    assert len(known) == (len(of) if any(whole.values()) else 0)
    assert not known or abs(sum(known) - amount) <= Decimal("1e-9") * len(of)


@settings(deadline=None)
@given(st.lists(usages(), min_size=1, max_size=9), st.sampled_from([1, 3, 5, 15]))
def test_where_prices_have_the_usual_ratio_each_part_is_that_of_the_list(
    of: list[Usage], dollars: int
) -> None:
    def priced(usage: Usage) -> Decimal:
        one_hour = usage.cache_write_1h_tokens or 0
        five_minutes = (usage.cache_write_tokens or 0) - one_hour
        read = usage.cache_read_tokens or 0
        plain = (usage.input_tokens or 0) - read - five_minutes - one_hour
        ratio = (
            plain + 5 * (usage.output_tokens or 0) + 2 * one_hour
            + Decimal("1.25") * five_minutes + Decimal("0.1") * read
        )  # fmt: skip
        return ratio * dollars / 10**6

    whole: Any = {name: total(of, name) for name in NAMES}
    bill = Bill(Usage(**whole), sum(map(priced, of), start=Decimal()), "anthropic")
    for usage in of:
        part = bill.share(usage).amount
        assert part is None or abs(part - priced(usage)) <= Decimal("1e-9")


def test_what_each_model_used_is_read_with_inclusive_totals() -> None:
    said = {
        "inputTokens": 848, "outputTokens": 128, "cacheReadInputTokens": 400,
        "cacheCreationInputTokens": 40, "cacheCreationEphemeral1hInputTokens": 10,
        "webSearchRequests": 0, "costUSD": 0.004734, "provider": "bedrock",
    }  # fmt: skip
    usage = Usage(
        input_tokens=1288,
        output_tokens=128,
        cache_read_tokens=400,
        cache_write_tokens=40,
        cache_write_1h_tokens=10,
    )
    expected = {"claude-x": Bill(usage, Decimal("0.004734"), "aws.bedrock")}
    assert bills({"claude-x": said}) == expected
    assert bills(None) == {}


def test_searches_that_are_in_the_amount_leave_the_cost_of_answers_unknown() -> None:
    bill = Bill(Usage(input_tokens=5), Decimal("0.01"), "anthropic", searches=1)
    assert bill.share(Usage(input_tokens=5)) == Cost(
        reason="the SDK says the cost of the session alone"
    )
