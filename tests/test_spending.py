"""What a tally says in a table: nothing that is unknown as zero, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

import tokenmeter
from tokenmeter import Tally
from tokenmeter.meter import Meter
from tokenmeter.notebook.spending import COLUMNS, cost, hints, provenance, shown, spent
from tokenmeter.notebook.tables import Figure
from trials import ask, ask_unpriced, stepping


@pytest.fixture
def unpriced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tokenmeter.meter._default", Meter())
    yield
    tokenmeter.shutdown()


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tokenmeter.meter._default", stepping([]))
    yield
    tokenmeter.shutdown()


def tally(**counts: int) -> Tally:
    made = Tally()
    for name, count in counts.items():
        setattr(made, name, count)
    return made


def test_what_nobody_knows_is_a_question_in_each_column() -> None:
    assert spent(None, None) == (*[Figure("?")] * 7, "unknown")
    assert len(spent(Tally(), None)) == len(COLUMNS)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"attempts": 2, "calls": 2}, "reported"),
        ({"attempts": 2, "calls": 1, "failed": 1}, "reported, 1 retried, 1 failed"),
        ({"attempts": 2, "calls": 2, "estimated": 1}, "1 with estimated tokens"),
        ({"attempts": 2, "calls": 2, "partial": 2}, "2 with partial tokens"),
        (
            {"attempts": 3, "calls": 3, "unknown": 1, "abandoned": 1},
            "1 abandoned, 1 with unknown tokens",
        ),
        ({}, ""),
    ],
)
def test_it_says_where_the_numbers_come_from(counts: dict[str, int], said: str) -> None:
    assert provenance(tally(**counts)) == said


@pytest.mark.usefixtures("priced")
def test_money_is_a_lower_bound_where_a_part_has_no_price() -> None:
    with tokenmeter.tally() as known:
        ask()
    with tokenmeter.tally() as in_part:
        ask()
        ask_unpriced()
    with tokenmeter.tally() as nothing:
        ask_unpriced()
    assert [cost(each) for each in (known, in_part, nothing)] == [
        "0.00001 USD",
        "≥ 0.00001 USD",
        "no price",
    ]


def test_money_of_several_currencies_is_not_added() -> None:
    both = Tally()
    both.costs.update({"USD": Decimal(1), "EUR": Decimal("2.5")})
    assert cost(both) == "2.5 EUR + 1 USD"


@pytest.mark.usefixtures("unpriced")
def test_where_no_prices_are_configured_it_says_how() -> None:
    with tokenmeter.tally() as used:
        ask()
    assert hints(used) == (
        "no prices: tokenmeter.configure(prices='genai-prices') adds what calls cost",
    )


def test_where_no_call_was_seen_it_says_how() -> None:
    assert hints(Tally()) == (
        (
            "no call was seen: tokenmeter.instrument() meters every client in the process, and "
            "tokenmeter.propagate(function) has the calls of a thread seen here"
        ),
    )
    assert str(shown(Tally(), "mine")).splitlines()[0] == "mine"


def test_columns_of_the_cache_and_of_reasoning_are_there_where_there_is_any() -> None:
    assert "cached" not in shown(tally(attempts=1)).columns
    assert "cached" in shown(tally(attempts=1, cache_read_tokens=3)).columns
    assert "reasoning" in shown(tally(attempts=1, reasoning_tokens=3)).columns
