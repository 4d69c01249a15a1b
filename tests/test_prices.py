"""Prices: what a usage costs, by hand-worked examples and against genai-prices' own calculation."""

from __future__ import annotations

import decimal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, data_snapshot
from genai_prices.types import ModelPrice
from hypothesis import assume, given
from hypothesis import strategies as st

from priced import call, loaded
from tokenmeter.prices import Asked, NoPrice, Origin, Rates, Step, compiled
from tokenmeter.prices.genai_prices import PROVIDERS, UNITS, GenaiPrices
from tokenmeter.prices.tiers import FACTORS, USUAL
from tokenmeter.prices.units import UNITS as COUNTED
from tokenmeter.providers import HOSTS, REGIONAL

HERE = Origin("here", "1")


class Fixed:
    """A book that says the same of every model."""

    def __init__(self, *rates: Rates) -> None:
        self.rates = rates
        self.asked: list[Asked] = []

    def find(self, asked: Asked, /) -> Sequence[Rates]:
        self.asked.append(asked)
        return self.rates


def rates(**prices: Any) -> Rates:
    return compiled({name: Decimal(price) for name, price in prices.items()}, HERE)


@cache
def genai() -> GenaiPrices:
    return GenaiPrices()


# What stands in a book, applied by hand


def test_a_part_with_a_price_of_its_own_is_taken_out_of_its_whole() -> None:
    # 400 fresh input x 3 + 500 read x 0.30 + 60 written x 3.75 + 40 for an hour x 6
    # + 70 visible output x 15 + 30 of reasoning x 20, each by the million
    found = rates(
        input_tokens=3,
        cache_read_tokens="0.30",
        cache_write_tokens="3.75",
        cache_write_1h_tokens=6,
        output_tokens=15,
        reasoning_tokens=20,
    ).amount(
        call(
            cache_read_tokens=500,
            cache_write_tokens=100,
            cache_write_5m_tokens=60,
            cache_write_1h_tokens=40,
            reasoning_tokens=30,
        )
    )
    assert found == Decimal("0.001200") + Decimal("0.000150") + Decimal("0.000225") + Decimal(
        "0.000240"
    ) + Decimal("0.001050") + Decimal("0.000600")


def test_cached_audio_is_neither_cached_text_nor_fresh_audio() -> None:
    # 1000 input: 600 text (200 of them cached), 400 audio (100 of them cached)
    prices = rates(
        input_tokens=4,
        cache_read_tokens="0.40",
        input_audio_tokens=32,
        cache_read_audio_tokens="0.50",
        output_tokens=16,
    )
    event = call(
        cache_read_tokens=300,
        input_audio_tokens=400,
        other_counts={"cacheTokensDetails.AUDIO": 100},
    )
    # 400 x 4 + 200 x 0.40 + 300 x 32 + 100 x 0.50 + 100 x 16
    assert prices.amount(event) == Decimal("0.012930")
    unsaid = call(cache_read_tokens=300, input_audio_tokens=400)
    assert prices.amount(unsaid) == NoPrice("unknown_split")


def test_above_a_size_of_input_all_tokens_have_the_other_price() -> None:
    steps = (Step(0, Decimal(3)), Step(200_000, Decimal(6)))
    prices = compiled({"input_tokens": steps, "output_tokens": Decimal(15)}, HERE)
    at, above = call(input_tokens=200_000), call(input_tokens=200_001)
    assert prices.amount(at) == Decimal("0.6015")
    assert prices.amount(above) == Decimal("1.201506")


def test_searches_seconds_and_calls_are_priced_by_what_vendors_count() -> None:
    prices = rates(input_tokens=1, output_tokens=1, web_searches=10, calls=5)
    event = call(other_counts={"web_search_requests": 3})
    assert prices.amount(event) == Decimal("0.0011") + Decimal("0.030") + Decimal("0.005")
    spoken = call(
        input_tokens=None, output_tokens=None, other_counts={"seconds": 7},
        input_provenance="unknown", output_provenance="unknown",
    )  # fmt: skip
    hours = compiled({"audio_seconds": Decimal("0.04")}, HERE, least={"audio_seconds": 10})
    assert hours.amount(spoken) == Decimal("0.04") * 10 / 3600


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"cache_read_tokens": 1001}, "contradictory_usage"),
        ({"output_tokens": None, "output_provenance": "unknown"}, "unknown_tokens"),
        ({"input_tokens": None, "input_provenance": "unknown"}, "unknown_tokens"),
    ],
)
def test_what_nobody_knows_has_no_amount(columns: dict[str, Any], reason: str) -> None:
    prices = rates(input_tokens=3, cache_read_tokens=1, output_tokens=15)
    event = loaded(Fixed(prices)).priced(call(**columns))
    assert (event.cost_amount, event.cost_reason) == (None, reason)


def test_a_side_that_has_tokens_and_no_price_is_never_free() -> None:
    assert rates(input_tokens=3).amount(call()) == NoPrice("no_price_of_output")
    assert rates(output_tokens=3).amount(call()) == NoPrice("no_price_of_input")
    nothing_written = call(output_tokens=None, output_provenance="none")
    assert rates(input_tokens=3).amount(nothing_written) == Decimal("0.003")


def test_a_price_of_zero_is_a_price() -> None:
    event = loaded(Fixed(rates(input_tokens=0, output_tokens=0))).priced(call())
    assert event.cost_amount == 0
    assert event.cost_reason is None


def test_an_hour_of_the_day_has_its_own_price_over_midnight_too() -> None:
    night = compiled(
        {"input_tokens": Decimal(1), "output_tokens": Decimal(1)},
        HERE,
        between=(time(16, 30), time(0, 30)),
    )
    pricing = loaded(Fixed(night, rates(input_tokens=2, output_tokens=2)))
    for at, amount in (
        ("16:29:59", 2),
        ("16:30:00", 1),
        ("23:59:59", 1),
        ("00:29", 1),
        ("00:30", 2),
    ):
        ts = datetime.fromisoformat(f"2026-11-01T{at}+00:00")
        assert pricing.priced(call(ts=ts)).cost_amount == Decimal("0.0011") * amount


def test_amounts_do_not_depend_on_the_programs_own_arithmetic() -> None:
    prices = rates(input_tokens="2.50", output_tokens=10)
    with decimal.localcontext(prec=2, traps=[decimal.Inexact]):
        assert prices.amount(call()) == Decimal("0.0035")


def test_seconds_do_not_depend_on_the_programs_own_arithmetic() -> None:
    hours = compiled({"audio_seconds": Decimal("0.04")}, HERE)
    with decimal.localcontext(prec=2, traps=[decimal.Inexact]):
        amount = hours.amount(call(input_tokens=0, output_tokens=0, other_counts={"seconds": 7}))
    assert amount == decimal.Context(prec=28).divide(Decimal("0.28"), 3600)


def test_a_model_is_looked_up_once_a_day_tier_and_region() -> None:
    book = Fixed(rates(input_tokens=1, output_tokens=1))
    pricing = loaded(book)
    for _ in range(3):
        pricing.priced(call())
        pricing.priced(call(service_tier="default"))
        pricing.priced(call(ts=datetime(2026, 11, 2, tzinfo=UTC)))
        pricing.priced(call(region="eu"))
    assert [asked.region for asked in book.asked] == [None, None, None, "eu"]


def test_the_day_and_the_hour_are_those_of_utc_wherever_the_clock_is() -> None:
    night = compiled({"input_tokens": Decimal(1), "output_tokens": Decimal(1)}, HERE,
                     between=(time(16, 30), time(0, 30)))  # fmt: skip
    book = Fixed(night, rates(input_tokens=2, output_tokens=2))
    there = datetime.fromisoformat("2026-11-02T01:00:00+08:00")
    priced = loaded(book).priced(call(ts=there))
    assert (priced.cost_amount, priced.price_date) == (Decimal("0.0011"), "2026-11-01")
    assert [asked.day.isoformat() for asked in book.asked] == ["2026-11-01"]


@pytest.mark.parametrize("name", ["compaction.input_tokens", "svg_usage.output_tokens"])
def test_what_another_model_used_within_the_call_is_never_free(name: str) -> None:
    prices = rates(input_tokens=3, output_tokens=15)
    assert prices.amount(call(other_counts={name: 5})) == NoPrice("billed_beside")


# Who says a price


def test_what_served_is_priced_and_not_what_was_asked_for() -> None:  # C49
    event = call(request_model="gpt-4o", response_model="gpt-4o-mini")
    priced = loaded(genai()).priced(event)
    # gpt-4o-mini: 0.15 and 0.60 by the million, https://platform.openai.com/docs/pricing
    assert priced.cost_amount == Decimal("0.00021")


def test_the_tier_that_served_is_priced() -> None:  # C49, C50
    amounts = {
        tier: loaded(genai()).priced(call(response_model="gpt-5", service_tier=tier)).cost_amount
        for tier in (None, "default", "flex", "priority", "scale")
    }
    # gpt-5: 1.25 and 10; flex half of it; priority 2.50 and 20 (openai.com/api-priority-processing)
    usual = Decimal("0.00225")
    assert amounts == {
        None: usual, "default": usual, "flex": usual / 2, "priority": usual * 2, "scale": None
    }  # fmt: skip
    assert loaded(genai()).priced(call(service_tier="scale")).cost_reason == "unknown_tier"


def test_the_fast_mode_of_claude_has_prices_of_its_own() -> None:
    opus = {"provider": "anthropic", "response_model": "claude-opus-5"}
    priced = loaded(genai()).priced(call(service_tier="fast", **opus))
    # 10 and 50, twice the usual: https://openrouter.ai/anthropic/claude-opus-5-fast
    assert priced.cost_amount == Decimal("0.015")


@pytest.mark.parametrize(("provider", "tier"), FACTORS)
def test_a_tier_that_no_book_prices_is_a_documented_factor(provider: str, tier: str) -> None:
    event = call(provider=provider, service_tier=tier.upper())
    priced = loaded(Fixed(rates(input_tokens=3, output_tokens=15))).priced(event)
    factor, source = FACTORS[provider, tier]
    assert priced.cost_amount == Decimal("0.0045") * factor
    assert priced.price_source == f"here, {tier} x {factor}"
    assert source.startswith("https://")


def test_searches_cost_the_same_in_a_batch_and_everywhere() -> None:
    # Batches, https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool:
    # 3 and 15 by the million, half of it, and two searches of 10 by the thousand
    searched = {"provider": "anthropic", "other_counts": {"web_search_requests": 2}}
    prices = rates(input_tokens=3, output_tokens=15, web_searches=10)
    event = call(service_tier="batch", **searched)
    assert loaded(Fixed(prices)).priced(event).cost_amount == Decimal("0.00225") + Decimal("0.02")
    long = compiled(
        {
            "input_tokens": (Step(0, Decimal(3)), Step(999, Decimal(6))),
            "output_tokens": Decimal(15),
        },
        HERE,
    )
    assert loaded(Fixed(long)).priced(event).cost_amount == Decimal("0.00375")


@pytest.mark.parametrize(
    ("model", "region", "amount"),
    [
        # Claude Opus 4.6: 5 and 25 by the million; in the US alone 1.1 times as much, with 4.6 and
        # later: https://platform.claude.com/docs/en/manage-claude/data-residency
        ("claude-opus-4-6", None, "0.0075"),
        ("claude-opus-4-6", "global", "0.0075"),
        ("claude-opus-4-6", "us", "0.00825"),
        # and before at the standard rate: https://support.claude.com/en/articles/15422948
        ("claude-opus-4-5-20251101", "us", "0.0075"),
        ("claude-sonnet-4-20250514", "us", "0.0045"),
        ("claude-haiku-4-5", "us", "0.0015"),
        ("claude-sonnet-4-6", "us", "0.00495"),
    ],
)
def test_claude_in_the_us_alone_costs_more(model: str, region: str | None, amount: str) -> None:
    event = call(provider="anthropic", response_model=model, region=region)
    priced = loaded(genai()).priced(event)
    assert priced.cost_amount == Decimal(amount)
    factor = ", us x 1.1" if region == "us" and "4-6" in model else ""
    assert priced.price_source == f"genai-prices{factor}"


def test_the_premium_of_a_region_is_for_tokens_and_on_top_of_that_of_a_tier() -> None:
    opus = {"provider": "anthropic", "response_model": "claude-opus-5", "region": "us"}
    fast = call(service_tier="fast", other_counts={"web_search_requests": 1}, **opus)
    # 10 and 50 by the million, and 10 for a thousand searches
    assert loaded(genai()).priced(fast).cost_amount == Decimal("0.0165") + Decimal("0.01")
    batch = loaded(genai()).priced(call(service_tier="batch", **opus))
    assert batch.cost_amount == Decimal("0.0075") * Decimal("0.55")
    assert batch.price_source == "genai-prices, us x 1.1"


def test_a_region_that_no_source_prices_has_no_price_where_the_price_depends_on_it() -> None:
    pricing = loaded(genai())
    there = call(provider="anthropic", response_model="claude-opus-5", region="moon")
    assert pricing.priced(there).cost_reason == "unknown_region"
    assert pricing.priced(call(region="moon")).cost_amount == Decimal("0.0035")


@pytest.mark.parametrize("tier", sorted(USUAL))
def test_words_for_the_usual_tier_are_the_usual_price(tier: str) -> None:
    priced = loaded(Fixed(rates(input_tokens=3, output_tokens=15))).priced(call(service_tier=tier))
    assert priced.cost_amount == Decimal("0.0045")


def test_a_price_is_that_of_the_day_of_the_call() -> None:
    pricing = loaded(genai())
    o3 = {"response_model": "o3", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    early = pricing.priced(call(ts=datetime(2025, 3, 1, tzinfo=UTC), **o3))
    late = pricing.priced(call(ts=datetime(2026, 3, 1, tzinfo=UTC), **o3))
    assert (early.cost_amount, early.price_date) == (50, "2025-03-01")
    assert (late.cost_amount, late.price_date) == (10, "2026-03-01")


def test_regional_profiles_of_bedrock_are_priced_as_such() -> None:  # C46
    pricing = loaded(genai())
    amounts = [
        pricing.priced(
            call(provider="aws.bedrock", response_model=None, request_model=f"{where}{model}")
        ).cost_amount
        for model in ("anthropic.claude-sonnet-4-5-20250929-v1:0",)
        for where in ("global.", "us.", "eu.")
    ]
    # 3 and 15; regional profiles 10 % more: https://aws.amazon.com/bedrock/pricing
    assert amounts == [Decimal("0.0045"), Decimal("0.00495"), Decimal("0.00495")]


def test_a_server_of_ones_own_does_not_have_the_vendors_price() -> None:
    for provider in ("openai_compatible", "anthropic_compatible", "nobody"):
        priced = loaded(genai()).priced(call(provider=provider))
        assert (priced.cost_amount, priced.cost_reason) == (None, "unknown_provider")


def test_an_unknown_model_is_never_free() -> None:  # C51
    priced = loaded(genai()).priced(call(response_model="gpt-0"))
    assert (priced.cost_amount, priced.cost_reason) == (None, "unknown_model")
    empty = loaded(genai()).priced(call(provider="azure", response_model="mai-ds-r1:free"))
    assert (empty.cost_amount, empty.cost_reason) == (None, "no_price")


def test_what_the_vendor_says_that_it_cost_stays() -> None:
    event = call(cost_amount=Decimal("0.5"), cost_currency="USD", price_source="openrouter")
    assert loaded(genai()).priced(event) is event


def test_a_reason_of_somebody_who_knew_no_price_goes_with_it() -> None:
    priced = loaded(genai()).priced(call(cost_reason="not_in_the_session"))
    assert (priced.cost_amount, priced.cost_reason) == (Decimal("0.0035"), None)


def test_what_used_nothing_costs_nothing_and_is_no_unpriced_call() -> None:
    nothing = {"input_tokens": None, "output_tokens": None}
    sides = {"input_provenance": "none", "output_provenance": "none"}
    event = call(status="failed", **nothing, **sides)
    assert loaded(genai()).priced(event) is event


def test_every_provider_that_is_renamed_is_one_of_ours() -> None:
    ours = {*HOSTS.values(), *(provider for _, provider in REGIONAL)}
    assert set(PROVIDERS) <= ours
    assert set(PROVIDERS.values()) <= {p.id for p in data_snapshot.get_snapshot().providers}


# Against the package's own calculation

MODELS = [
    (provider, model)
    for provider in data_snapshot.get_snapshot().providers
    for model in provider.models
]


def counts() -> st.SearchStrategy[dict[str, int]]:
    """Give counts of parts, which make up their wholes."""
    parts = {
        name: st.one_of(st.just(0), st.integers(0, 300_000))
        for name in (
            "fresh", "cache_read_tokens", "cache_write_tokens", "input_audio_tokens",
            "input_image_tokens", "written", "reasoning_tokens", "output_audio_tokens",
            "output_image_tokens", "web_searches",
        )
    }  # fmt: skip
    return st.fixed_dictionaries(parts)


def names(match: Any) -> Iterator[str]:
    """Give the names that a model goes by, by the package's own rules."""
    for clause in getattr(match, "or_", [match]):
        yield from (str(text) for text in vars(clause).values() if isinstance(text, str))


def test_a_model_is_found_as_the_package_finds_it() -> None:
    book, everybody = genai(), data_snapshot.get_snapshot().providers
    for provider, model in MODELS:
        for name in {model.id, *names(model.match)}:
            for said in (name.upper(), f"{name}-20251211"):
                found = provider.find_model(said, all_providers=everybody)
                assert book._model(provider, said) is found


@given(st.sampled_from(MODELS), counts(), st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1)))
def test_any_usage_of_any_model_costs_what_the_package_says(
    found: tuple[Any, Any], parts: dict[str, int], now: datetime
) -> None:
    provider, model = found
    assume(provider.find_model(model.id) is model)
    now = now.replace(tzinfo=UTC)
    inputs = ("cache_read_tokens", "cache_write_tokens", "input_audio_tokens", "input_image_tokens")
    outputs = ("reasoning_tokens", "output_audio_tokens", "output_image_tokens")
    usage = {name: parts[name] for name in (*inputs, *outputs)}
    usage["input_tokens"] = parts["fresh"] + sum(parts[name] for name in inputs)
    usage["output_tokens"] = parts["written"] + sum(parts[name] for name in outputs)
    searched = parts["web_searches"] % 100
    ours = genai().find(Asked(provider.id, model.id, None, now.date()))
    event = call(ts=now, **usage, other_counts={"web_search_requests": searched})
    theirs = {
        "output_reasoning_tokens" if k == "reasoning_tokens" else k: n for k, n in usage.items()
    }
    try:
        said = model.calc_price(
            Usage(**theirs, web_searches=searched), provider, genai_request_timestamp=now
        )
    except ValueError:
        said = None
    if isinstance(ours, NoPrice):
        prices = model.get_prices(now)
        known = {key for key, price in vars(prices).items() if price is not None}
        assert not known or not known <= set(UNITS)
        return
    amount = next(each for each in ours if each.hold_at(now.time())).amount(event)
    if isinstance(amount, NoPrice):
        assert said is None or amount.reason.startswith(("no_price_of", "unknown_split"))
    else:
        assert said is not None
        assert amount == said.total_price


def test_all_that_the_package_prices_is_read_or_named_as_not_read() -> None:
    seen: set[str] = set()
    for _, model in MODELS:
        prices = [model.prices] if isinstance(model.prices, ModelPrice) else model.prices
        for each in prices:
            said = each if isinstance(each, ModelPrice) else each.prices
            seen |= {key for key, price in vars(said).items() if price is not None}
    unread = {
        "input_annotated_document_kpages", "storage_searches_kcount",  # left out of amounts
        "input_mchars", "input_text_messages_kcount",  # models with these have no price
    }  # fmt: skip
    assert seen <= set(UNITS) | unread
    assert set(UNITS.values()) <= set(COUNTED)


def test_the_updater_is_never_started_and_nothing_is_loaded_before_it_is_wanted(
    tmp_path: Path,
) -> None:
    code = """
import sys, socket, threading
def refused(*_args, **_kwargs): raise AssertionError("a socket")
socket.socket.connect = refused
import tokenmeter
tokenmeter.configure()
assert "genai_prices" not in sys.modules and "tomllib" not in sys.modules
before = threading.active_count()
tokenmeter.configure(prices="genai-prices")
assert threading.active_count() == before
from genai_prices import data_snapshot
assert not data_snapshot.get_snapshot().from_auto_update
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("fine\n", "")
