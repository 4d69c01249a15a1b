"""What tasks cost and what came out of them: by hand, and against the reader in Python."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tables import reported, table
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.reports.intervals import Sums, of_mean, of_ratio
from tokenmeter.reports.tasks import Tasks
from tokenmeter.settlement import settle

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def call(n: int, hour: float, task: str | None, cents: int, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {
        "user": "ada", "team": "red", "status": "completed", "input_tokens": 100,
        "output_tokens": 10, "input_provenance": "reported", "output_provenance": "reported",
        "cost_amount": Decimal(cents) / 100, "cost_currency": "USD", **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{n}", 1, DAY + timedelta(hours=hour), task=task, **names)


def said(
    n: int, hour: float, task: str, status: Any, evidence: str = "ci", **more: Any
) -> UsageEvent:
    names: dict[str, Any] = {"user": "ada", "team": "red", **more}
    return UsageEvent(
        "outcome", f"o{n}", 1, DAY + timedelta(hours=hour), task=task, status=status,
        evidence=evidence, **names,
    )  # fmt: skip


EVENTS = [
    call(1, 1, "A", 10), call(2, 5, "A", 30), call(3, 1, "B", 7), call(4, 1, "C", 5),
    call(5, 1, None, 50), call(6, 2, "D", 1, user="bob", team="blue"),
    call(7, 2, "D", 0, cost_amount=None, cost_currency=None),
    said(1, 4, "A", "accepted"), said(2, 4, "B", "rejected"), said(3, 4, "D", "accepted", "self"),
    said(4, 9, "E", "accepted"),
]  # fmt: skip


def test_a_row_is_a_task_with_what_became_of_it_and_what_was_spent_after(tmp_path: Path) -> None:
    result = reported(Tasks(), EVENTS, tmp_path)
    columns = ("task", "status", "self_declared", "cost_amount", "cost_after", "unpriced")
    assert table(result, *columns) == [
        (None, None, 0, Decimal("0.5"), Decimal(0), 0),
        ("A", "accepted", 0, Decimal("0.4"), Decimal("0.3"), 0),
        ("B", "rejected", 0, Decimal("0.07"), Decimal(0), 0),
        ("C", None, 0, Decimal("0.05"), Decimal(0), 0),
        ("D", "accepted", 1, Decimal("0.01"), Decimal(0), 1),
        ("E", "accepted", 0, Decimal(0), Decimal(0), 0),
    ]
    assert result.total is not None
    total = dict(zip((c.name for c in result.columns), result.total, strict=True))
    assert {name: total[name] for name in ("tasks", "accepted", "self_declared", "not_accepted",
            "undecided", "cost_amount", "cost_without_task", "cost_undecided")} == {
        "tasks": 4, "accepted": 2, "self_declared": 1, "not_accepted": 1, "undecided": 1,
        "cost_amount": Decimal("1.03"), "cost_without_task": Decimal("0.5"),
        "cost_undecided": Decimal("0.05"),
    }  # fmt: skip
    # All that was spent, also on what was not accepted and on no task, for each that was.
    assert (total["cost_per_task"], total["cost_per_accepted"]) == (
        Decimal("0.1325"), Decimal("0.515"),
    )  # fmt: skip
    assert result.notes == (
        "a task costs 0.1325 USD", "an accepted task costs 0.5150 USD",
    )  # fmt: skip


def test_an_outcome_counts_for_what_was_said_with_it_and_not_for_who_called(tmp_path: Path) -> None:
    result = reported(Tasks(by=("team",)), EVENTS, tmp_path)
    columns = ("team", "tasks", "accepted", "self_declared", "cost_amount", "cost_per_accepted")
    assert table(result, *columns) == [
        ("red", 4, 2, 1, Decimal("1.02"), Decimal("0.51")),
        ("blue", 1, 0, 0, Decimal("0.01"), None),
    ]


def test_a_period_has_its_spending_and_what_was_decided_in_it(tmp_path: Path) -> None:
    result = reported(Tasks(), EVENTS, tmp_path, since=DAY + timedelta(hours=4.5))
    assert table(result, "task", "status", "cost_amount", "cost_after") == [
        ("A", None, Decimal("0.3"), Decimal("0.3")),
        ("E", "accepted", Decimal(0), Decimal(0)),
    ]


def test_calls_that_are_chosen_have_the_outcomes_that_are_chosen_with_them(tmp_path: Path) -> None:
    result = reported(Tasks(by=("team",)), EVENTS, tmp_path, only={"team": "blue"})
    assert table(result, "team", "tasks", "accepted", "cost_per_accepted") == [
        ("blue", 1, 0, None),
    ]  # fmt: skip
    result = reported(Tasks(by=()), EVENTS, tmp_path, only={"user": "ada"})
    assert table(result, "tasks", "accepted", "cost_amount") == [(4, 2, Decimal("1.02"))]


def test_what_outcomes_do_not_say_chooses_none_of_them_and_is_refused(tmp_path: Path) -> None:
    for name in ("model", "provider", "status"):
        with pytest.raises(ConfigurationError, match=f"outcomes do not say the {name} of calls"):
            reported(Tasks(), EVENTS, tmp_path, only={"user": "ada", name: "m"})
    assert not reported(Tasks(), EVENTS, tmp_path, only={"tag:x": "y", "service": "s"}).rows


def test_a_revocation_counts_in_its_own_period_and_for_whom_it_names(tmp_path: Path) -> None:
    events = [said(1, 1, "A", "accepted"), said(2, 30, "A", "revoked", user="bob")]
    columns = ("user", "accepted", "not_accepted")
    by_user, second = Tasks(by=("user",)), DAY + timedelta(days=1)
    first = reported(by_user, events, tmp_path, until=second)
    assert table(first, *columns) == [("ada", 1, 0)]
    for since in (second, None):
        later = reported(by_user, events, tmp_path, since=since)
        assert table(later, *columns) == [("bob", 0, 1)]


def test_a_status_is_that_of_the_task_whoever_said_it_and_whoever_is_chosen(tmp_path: Path) -> None:
    events = [
        call(1, 1, "A", 10), call(2, 1, "B", 5), call(3, 1, "B", 5, user="bob"),
        said(1, 4, "A", "accepted", user=None), said(2, 4, "B", "rejected", user="bob"),
    ]  # fmt: skip
    columns = ("task", "status", "accepted", "not_accepted", "undecided", "cost_amount")
    hers = reported(Tasks(), events, tmp_path, only={"user": "ada"})
    assert table(hers, *columns) == [
        ("A", "accepted", 0, 0, 0, Decimal("0.1")), ("B", "rejected", 0, 0, 0, Decimal("0.05")),
    ]  # fmt: skip
    later = reported(Tasks(), [*events, call(4, 30, "A", 1)], tmp_path,
                     since=DAY + timedelta(days=1))  # fmt: skip
    assert table(later, *columns) == [("A", None, 0, 0, 0, Decimal("0.01"))]


def test_what_is_beyond_the_top_is_added_up_in_one_row(tmp_path: Path) -> None:
    result = reported(Tasks(top=2), EVENTS, tmp_path)
    assert table(result, "task", "cost_amount", "accepted") == [
        (None, Decimal("0.5"), 0), ("A", Decimal("0.4"), 1), ("(others)", Decimal("0.13"), 1),
    ]  # fmt: skip


def test_spending_and_status_are_those_of_the_reader_in_python(tmp_path: Path) -> None:
    chance = random.Random(7)
    events = [call(n, chance.uniform(0, 99), f"T{chance.randrange(9)}", chance.randrange(9))
              for n in range(200)]  # fmt: skip
    statuses = ("accepted", "rejected", "revoked", "abandoned")
    events += [said(n, chance.uniform(0, 99), f"T{chance.randrange(12)}", chance.choice(statuses),
                    chance.choice(["self", "ci"]), reference=chance.choice([None, "7", "8"]))
               for n in range(60)]  # fmt: skip
    result = reported(Tasks(), events, tmp_path)
    columns = ("task", "status", "self_declared", "cost_amount", "cost_after")
    found = {row[0]: row[1:] for row in table(result, *columns)}
    assert found == {
        name: (
            account.status,
            int(account.is_self_declared),
            account.spent.costs.get("USD", Decimal(0)),
            account.spent_after.costs.get("USD", Decimal(0)),
        )
        for name, account in settle(events).tasks.items()
        if account.decided is not None or account.spent.calls
    }


def sums(pairs: list[tuple[float, float]]) -> Sums:
    return Sums(
        len(pairs), sum(x for x, _ in pairs), sum(y for _, y in pairs),
        sum(x * x for x, _ in pairs), sum(y * y for _, y in pairs), sum(x * y for x, y in pairs),
    )  # fmt: skip


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    """Costs of tasks are skewed: of 40 tasks with lognormal costs, a third of them accepted."""
    chance = random.Random(3)
    mean, ratio, tries = 0, 0, 2_000
    true_mean = 2.718281828**0.32  # exp(s²/2), s = 0.8
    for _ in range(tries):
        pairs = [(chance.lognormvariate(0, 0.8), float(chance.random() < 1 / 3)) for _ in range(40)]
        low, high = of_mean(sums(pairs))
        assert low is not None and high is not None  # noqa: PT018
        mean += low <= true_mean <= high
        low, high = of_ratio(sums(pairs))
        ratio += (low or 0) <= true_mean * 3 <= (high if high is not None else float("inf"))
    assert 0.90 < mean / tries < 0.97
    assert 0.93 < ratio / tries < 0.98


@pytest.mark.parametrize("pairs", [[], [(1.0, 1.0)] * 4, [(1.0, 0.0)] * 40])
def test_of_too_few_there_is_no_interval(pairs: list[tuple[float, float]]) -> None:
    assert of_ratio(sums(pairs)) == (None, None)


def test_where_the_sum_could_as_well_be_nothing_nothing_bounds_the_ratio() -> None:
    assert of_ratio(sums([(1.0, 1.0)] + [(1.0, 0.0)] * 9)) == (None, None)


def test_what_was_spent_beside_tasks_raises_the_whole_interval() -> None:
    pairs = [(1.0, 1.0), (2.0, 1.0), (3.0, 0.0), (1.5, 1.0), (2.5, 1.0), (1.0, 1.0)]
    without, beside = of_ratio(sums(pairs)), of_ratio(sums(pairs), 10.0)
    assert without.low is not None
    assert beside.low is not None
    assert beside.low > without.low


def test_of_no_calls_and_no_outcomes_there_are_zero_tasks(tmp_path: Path) -> None:
    result = reported(Tasks(by=()), [], tmp_path)
    columns = ("tasks", "accepted", "undecided", "calls", "unpriced", "cost_amount")
    assert table(result, *columns) == [(0, 0, 0, 0, 0, Decimal(0))]
