"""Comparing runs: medians, ranges, what may be chance, and what is left out and said."""

from __future__ import annotations

import decimal
import statistics
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import ConfigurationError
from tokenmeter.notebook.comparing import Comparison, Spread, compared
from tokenmeter.notebook.pace import Pace
from tokenmeter.tallies import Tally
from trials import record


def runs(name: str, *inputs: int, **columns: Any) -> list[Any]:
    return [
        record(n, name=name, calls=1, attempts=1, input_tokens=tokens, **columns)
        for n, tokens in enumerate(inputs)
    ]


def row(comparison: Comparison, measure: str) -> list[str]:
    """Give the cells of a measure as they are shown."""
    (found,) = [cells for cells in comparison.table().rows if cells[0] == measure]
    return [cell if isinstance(cell, str) else cell.text for cell in found[1:]]


def test_each_measure_has_the_middle_the_mean_and_the_range_of_its_runs() -> None:
    (group,) = compared(runs("v1", 10, 40, 20), (), "name").groups
    assert (group.name, group.runs) == ("v1", 3)
    assert group.spreads["input tokens"] == Spread(3, 20, pytest.approx(70 / 3), 10, 40)


@given(st.lists(st.decimals(0, 1000, places=9), min_size=1))
def test_money_is_summed_up_exactly(amounts: list[Decimal]) -> None:
    spread = Spread.of(amounts)
    assert (spread.median, spread.low, spread.high) == (
        statistics.median(amounts), min(amounts), max(amounts)
    )  # fmt: skip
    assert {type(number) for number in spread[1:]} == {Decimal}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((10, 11, 12), (20, 21, 22), "21 (20 to 22) · +91 %"),
        ((10, 11, 12), (5, 5, 6), "5 (5 to 6) · \N{MINUS SIGN}55 %"),
        ((10, 11, 12), (12, 13, 14), "13 (12 to 14) · ~ +18 %"),
        ((10, 11), (20, 21, 22), "21 (20 to 22) · ~ +100 %"),
        ((10, 10, 10), (10, 10, 10), "10 · +0 %"),
        ((10, 10, 10), (10,), "10 · ~ +0 %"),
        ((0, 0, 0), (1, 1, 1), "1"),
    ],
)
def test_a_difference_says_whether_it_may_be_chance(
    first: tuple[int, ...], second: tuple[int, ...], said: str
) -> None:
    found = compared([*runs("v1", *first), *runs("v2", *second)], ("v1", "v2"), "name")
    assert row(found, "input tokens")[1] == said


def test_too_few_runs_are_said_by_name() -> None:
    found = compared([*runs("v1", 1, 2), *runs("v2", 1, 2, 3)], (), "name")
    assert "too few runs to tell a difference from chance (fewer than 3): v1" in str(found)


def test_runs_that_did_not_complete_are_left_out_and_said() -> None:
    ended = [
        *runs("v1", 10, 10, 10),
        record(7, status="failed", input_tokens=999),
        record(8, status="unfinished", input_tokens=None, costs=None),
        record(9, status="failed", input_tokens=999),
    ]
    found = compared(ended, (), "name")
    (group,) = found.groups
    assert (group.runs, group.left_out) == (3, {"failed": 2, "unfinished": 1})
    assert row(found, "input tokens") == ["10"]
    assert "v1: not compared are runs that did not complete (2 failed, 1 unfinished)" in str(found)


def test_money_that_is_not_wholly_known_is_left_out_and_said() -> None:
    priced = runs("v1", 1, 1, costs={"USD": Decimal(2)})
    in_part = runs("v1", 1, costs={"USD": Decimal(1)}, unpriced=1)
    found = compared([*priced, *in_part], (), "name")
    assert row(found, "USD") == ["2, of 2"]
    assert "v1: 1 run of 3 with calls that have no price" in str(found)


def test_tokens_that_nobody_knows_are_left_out_and_said() -> None:
    found = compared([*runs("v1", 8, 8), *runs("v1", 1, unknown=1)], (), "name")
    assert row(found, "input tokens") == ["8, of 2"]
    assert "v1: 1 run of 3 with calls of unknown tokens" in str(found)


def test_estimates_are_compared_and_said() -> None:
    found = compared(runs("v1", 8, 8, estimated=1), (), "name")
    assert row(found, "input tokens") == ["8"]
    assert "v1: 2 runs of 2 with estimated tokens" in str(found)


def test_a_run_that_spent_nothing_spent_nothing_of_each_currency() -> None:
    spent = [*runs("v1", 1, costs={"USD": Decimal(3)}), *runs("v1", 0, 0)]
    assert row(compared(spent, (), "name"), "USD") == ["0 (0 to 3)"]


def test_what_is_nothing_in_some_runs_is_not_left_out_of_the_others() -> None:
    found = compared([record(1, cache_read_tokens=100), record(2), record(3)], (), "name")
    assert row(found, "cached tokens") == ["0 (0 to 100)"]
    assert "reasoning tokens" not in found.measures


def test_the_cost_of_one_of_a_score_is_compared() -> None:
    each: dict[str, Any] = {"costs": {"USD": Decimal("0.9")}}
    found = compared(
        [
            *runs("v1", 1, scores={"solved": 3.0}, **each),
            *runs("v2", 1, scores={"solved": 0.0}, **each),
        ],
        (),
        "name",
    )
    assert row(found, "USD for 1 solved") == ["0.3", "?"]


def test_runs_are_grouped_by_a_parameter() -> None:
    tried = [record(n, params={"t": t}, calls=n) for n, t in enumerate((0.1, 0.1, 0.9))]
    found = compared([*tried, record(9)], ("0.9", "0.1"), "t")
    assert [(group.name, group.runs) for group in found.groups] == [("0.9", 1), ("0.1", 2)]


def test_names_that_no_run_has_are_refused_with_those_there_are() -> None:
    some = [record(1, name="prompt-v1", params={"t": 1})]
    with pytest.raises(ConfigurationError, match="did you mean 'prompt-v1'"):
        compared(some, ("prompt-v2",), "name")
    with pytest.raises(ConfigurationError, match="known names are name, t"):
        compared(some, (), "temperature")
    with pytest.raises(ConfigurationError, match="known measures are calls"):
        compared(some, (), "name").plot("dollars")


def test_it_shows_itself_as_text_and_as_html_that_names_cannot_break() -> None:
    found = compared(runs("<script>", 1, 2, 3), (), "name")
    assert str(found).splitlines()[:4] == [
        "by name: median (lowest to highest)",
        "               <script> (3 runs)",
        "calls                          1",
        "input tokens          2 (1 to 3)",
    ]
    shown = found._repr_html_()
    assert "&lt;script&gt; (3 runs)" in shown
    assert "<script" not in shown
    assert shown.count("<svg") == len([m for m in found.measures if m != "output tokens"])


def test_a_score_of_the_name_of_a_measure_replaces_nothing() -> None:
    scores = {"seconds": 77.0, "calls": 9.0, "USD": 0.5, "accuracy": 1.0}
    (group,) = compared(
        [record(scores=scores, costs={"USD": Decimal(2)}, calls=1)], (), "name"
    ).groups
    medians = {name: spread.median for name, spread in group.spreads.items()}
    assert (medians["calls"], medians["seconds"], medians["USD"]) == (1, 1.0, Decimal(2))
    assert (medians["score.calls"], medians["score.seconds"], medians["score.USD"]) == (9, 77, 0.5)
    assert (medians["accuracy"], medians["USD for 1 score.USD"]) == (1, Decimal(4))


def test_the_context_of_a_program_rounds_nothing() -> None:
    found = [
        record(n, scores={"q": q}, costs={"USD": Decimal(q)}, calls=1)
        for n, q in enumerate((3.14159, 2.5, 1.11))
    ]
    usual = str(compared(found, (), "name"))
    pace = Pace("", 1, 3, 7.0, Tally())
    pace.spent.input_tokens, pace.spent.costs = 10, {"USD": Decimal("1.23456789")}
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact])):
        assert str(compared(found, (), "name")) == usual
        assert "about 3.704 USD in all" in str(pace)


def test_where_there_is_nothing_to_compare_or_to_draw_it_is_said() -> None:
    with pytest.raises(ConfigurationError, match="there are no runs to compare"):
        compared((), ("a",), "name")
    with pytest.raises(ConfigurationError, match="names as text, such as 'v1'; got 1"):
        compared([record(params={"x": 1})], (1,), "x")  # type: ignore[arg-type]  # pyright: ignore
    with pytest.raises(ConfigurationError, match="no run has completed"):
        compared([record(status="failed")], (), "name").plot()
