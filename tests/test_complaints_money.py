"""What users of other meters complain about: costs that are wrong, missing, or nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from priced import call, loaded
from test_prices import HERE, Fixed, genai, rates
from tokenmeter import Meter, UsageEvent
from tokenmeter.prices import Step, compiled

COMPLAINTS = range(46, 57)

ELSEWHERE = {
    46: "test_prices.py::test_regional_profiles_of_bedrock_are_priced_as_such",
    47: "test_price_files.py::test_a_deployment_is_the_model_that_it_runs",
    48: "test_prices.py::test_a_price_is_that_of_the_day_of_the_call",
    49: "test_prices.py::test_the_tier_that_served_is_priced",
    50: "test_prices.py::test_a_tier_that_no_book_prices_is_a_documented_factor",
    51: "test_prices.py::test_an_unknown_model_is_never_free",
    53: "test_otel_measures.py::test_the_cost_says_its_currency",
    54: "test_complaints_reports.py::test_days_do_not_depend_on_the_zone_of_the_reader",
    55: "test_complaints_reports.py::test_ledgers_of_two_machines_add_up",
    56: "test_complaints_reports.py::test_the_parts_of_all_time_are_all_of_it",
}
"""Where a complaint has its test, or one of them, in another file."""

NOT_OF_PRICES = {
    52: "budgets, which are not built yet",
}

THERE = Path(__file__).parent


def test_every_complaint_about_money_has_a_test() -> None:
    here = {int(label) for label in re.findall(r"\bC(\d\d)\b", Path(__file__).read_text())}
    assert here | set(ELSEWHERE) == set(COMPLAINTS) - set(NOT_OF_PRICES)
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (THERE / file).read_text()


OPENAI = {
    "object": "chat.completion", "model": "m",
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1000, "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 600},
    },
}  # fmt: skip
ANTHROPIC = {
    "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hi"}],
    "usage": {"input_tokens": 400, "cache_read_input_tokens": 600, "output_tokens": 100},
}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://api.openai.com/v1/chat/completions", OPENAI),
        ("https://api.anthropic.com/v1/messages", ANTHROPIC),
    ],
)
def test_what_was_cached_is_paid_once_whether_the_vendor_counts_it_inside_or_beside(
    url: str, said: Any
) -> None:
    """C48: cache inclusive and exclusive are swapped, which is up to 37.5 % of the money."""
    events: list[UsageEvent] = []
    prices = Fixed(rates(input_tokens=3, cache_read_tokens="0.3", output_tokens=15))
    meter = Meter([events.append], prices=prices)
    answers = httpx.MockTransport(lambda _request: httpx.Response(200, json=said))
    with httpx.Client(transport=answers) as client:
        meter.wrap(client).post(url, json={"model": "m"})
    # 400 fresh x 3, 600 read x 0.3, 100 written x 15
    assert [event.cost_amount for event in events] == [Decimal("0.00288")]


def test_a_deployment_that_nobody_explains_has_no_price_of_a_model_that_sounds_like_it() -> None:
    """C47: the name of a deployment is not that of a model."""
    event = call(provider="azure.ai.openai", response_model=None, request_model="prod-chat")
    priced = loaded(genai()).priced(event)
    assert (priced.cost_amount, priced.cost_reason) == (None, "unknown_model")


def test_a_long_input_in_a_batch_is_half_of_the_price_of_long_inputs() -> None:
    """C49: a batch has the usual price of its size, or the size is forgotten."""
    steps = (Step(0, Decimal(3)), Step(200_000, Decimal(6)))
    prices = compiled({"input_tokens": steps, "output_tokens": Decimal(15)}, HERE)
    event = call(provider="anthropic", service_tier="batch", input_tokens=300_000)
    assert loaded(Fixed(prices)).priced(event).cost_amount == Decimal("0.90075")


def test_a_guess_is_marked_beside_the_money_that_it_makes() -> None:
    """C51: a guess of tokens that nobody can tell from a report."""
    event = call(input_provenance="estimated", estimator="here")
    priced = loaded(Fixed(rates(input_tokens=3, output_tokens=15))).priced(event)
    assert priced.cost_amount == Decimal("0.0045")
    assert (priced.input_provenance, priced.estimator) == ("estimated", "here")
