"""Places by outcomes: whose they are, when there are none, and why. The game is in its own file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tables import reported, table
from tokenmeter import UsageEvent
from tokenmeter.reports.leaderboard import Leaderboard

DAY = datetime(2026, 11, 2, tzinfo=UTC)
COLUMNS = ("user", "place_by_accepted", "place_by_cost", "cost_per_accepted", "without_place")


def call(n: int, user: str | None, cents: int | None, **more: Any) -> UsageEvent:
    cost = (
        {"cost_amount": Decimal(cents) / 100, "cost_currency": "USD"} if cents is not None else {}
    )
    names: dict[str, Any] = {
        "status": "completed", "input_tokens": 1, "output_tokens": 1,
        "input_provenance": "reported", "output_provenance": "reported", **cost, **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{n}", 1, DAY + timedelta(seconds=n), user=user, **names)


def accepted(user: str | None, count: int, evidence: str = "ci", **more: Any) -> list[UsageEvent]:
    return [
        UsageEvent(
            "outcome", f"{user}-{evidence}-{n}", 1, DAY, task=f"{user}-{evidence}-{n}", user=user,
            status="accepted", evidence=evidence, **more,
        )
        for n in range(count)
    ]  # fmt: skip


def board(tmp_path: Path, events: list[UsageEvent], **settings: Any) -> Any:
    return reported(Leaderboard(**{"fewest_outcomes": 2, **settings}), events, tmp_path)


ADA, BOB, EVE = accepted("ada", 4), accepted("bob", 2), accepted("eve", 4)
SPENT = [call(1, "ada", 100), call(2, "bob", 20), call(3, "eve", 100)]


def test_places_are_by_outcomes_and_by_cost_and_equal_figures_share_one(tmp_path: Path) -> None:
    result = board(tmp_path, [*ADA, *BOB, *EVE, *SPENT])
    assert table(result, *COLUMNS) == [
        ("ada", 1, 2, Decimal("0.25"), None),
        ("eve", 1, 2, Decimal("0.25"), None),
        ("bob", 3, 1, Decimal("0.1"), None),
    ]
    assert (result.notes, result.chart) == ((), None)


def test_volume_is_shown_and_gives_no_place(tmp_path: Path) -> None:
    heavy = [call(10 + n, "zoe", 500, input_tokens=10**6) for n in range(9)]
    result = board(tmp_path, [*ADA, *BOB, *EVE, *SPENT, *heavy])
    assert table(result, *COLUMNS)[-1] == (
        "zoe", None, None, None, "fewer than 2 accepted outcomes",
    )  # fmt: skip
    assert result.column("input_tokens")[-1] == 9 * 10**6


def test_who_vouches_for_themselves_is_counted_apart(tmp_path: Path) -> None:
    own = accepted("zoe", 50, "self")
    result = board(tmp_path, [*ADA, *BOB, *EVE, *own, *SPENT])
    assert table(result, "user", "accepted", "self_declared", "place_by_accepted")[-1] == (
        "zoe", 0, 50, None,
    )  # fmt: skip


def test_an_outcome_is_not_of_whoever_called_for_its_task(tmp_path: Path) -> None:
    thief = [call(20 + n, "zoe", 1, task=f"ada-ci-{n}") for n in range(4)]
    result = board(tmp_path, [*ADA, *BOB, *EVE, *SPENT, *thief])
    assert {row[0]: row[1] for row in table(result, "user", "accepted")} == {
        "ada": 4, "bob": 2, "eve": 4, "zoe": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([*SPENT], "no places: nothing was accepted by anybody but who did it"),
        ([*ADA, *BOB, *SPENT], "no places: 2 could have one, and with fewer than 3 they would"),
        ([*ADA, *BOB, *EVE, *SPENT, *accepted(None, 3)],
         "no places: 3 of 13 accepted outcomes name no user; at least 80% must"),
    ],
)  # fmt: skip
def test_without_enough_to_go_by_there_are_no_places_and_a_reason(
    tmp_path: Path, events: list[UsageEvent], reason: str
) -> None:
    result = board(tmp_path, events)
    assert set(result.column("place_by_accepted") + result.column("place_by_cost")) == {None}
    assert result.notes[0].startswith(reason)


def test_where_much_names_nobody_there_are_no_places_by_cost(tmp_path: Path) -> None:
    result = board(tmp_path, [*ADA, *BOB, *EVE, *SPENT, call(9, None, 60)])
    assert result.column("place_by_accepted")[:3] == (1, 1, 3)
    assert set(result.column("place_by_cost")) == {None}
    assert result.notes == (
        (
            "no places by cost: spending that names no user is 0.0600 USD for each accepted "
            "outcome, and one costs 0.2500 in the median"
        ),
    )


def test_who_has_much_without_a_price_has_no_place_by_cost(tmp_path: Path) -> None:
    dark = [call(30 + n, "ada", None) for n in range(5)]
    result = board(
        tmp_path, [*ADA, *BOB, *EVE, *SPENT, *dark, *accepted("zoe", 2), call(9, "zoe", 80)]
    )
    found = {row[0]: row[1:] for row in table(result, *COLUMNS)}
    assert found["ada"] == (1, None, None, "too much without a price")
    assert (found["bob"][1], found["eve"][1], found["zoe"][1]) == (1, 2, 3)


def test_a_first_price_lifts_nobody(tmp_path: Path) -> None:
    """Who spent nothing that is known cannot get a place by wasting some of it."""
    quiet = [*accepted("zoe", 2), *accepted("max", 2), call(4, "max", None)]
    waste = call(5, "max", 30)
    before, after = (
        {row[0]: row[1:] for row in table(result, "user", "place_by_cost", "cost_per_accepted")}
        for result in (
            board(tmp_path, [*ADA, *BOB, *SPENT[:2], *quiet]),
            board(tmp_path, [*ADA, *BOB, *SPENT[:2], *quiet, waste]),
        )
    )
    others = {"zoe": (1, 0), "ada": (4, Decimal("0.25"))}
    assert before == {**others, "max": (1, 0), "bob": (3, Decimal("0.1"))}
    assert after == {**others, "bob": (2, Decimal("0.1")), "max": (3, Decimal("0.15"))}


def test_where_nothing_is_priced_nobody_has_a_place_by_cost(tmp_path: Path) -> None:
    result = board(tmp_path, [*ADA, *BOB, *EVE, call(1, "ada", None)])
    assert table(result, *COLUMNS)[0] == ("ada", 1, None, None, "nobody else has a price")


def test_small_teams_have_no_place(tmp_path: Path) -> None:
    def of(team: str, people: int) -> list[UsageEvent]:
        first = 100 * len(team)
        calls = [call(first + n, f"{team}-{n}", 10, team=team) for n in range(people)]
        return calls + [e for n in range(people) for e in accepted(f"{team}-{n}", 1, team=team)]

    events = [*of("red", 5), *of("blue", 6), *of("little", 4), *of("green", 5)]
    helpers = [call(n, f"helper-{n}", 1, team="little") for n in range(3)]  # who finished nothing
    result = board(tmp_path, [*events, *helpers], by="team")
    assert table(result, "team", "place_by_accepted", "without_place") == [
        ("blue", 1, None), ("green", 2, None), ("red", 2, None),
        ("little", None, "fewer than 5 people"),
    ]  # fmt: skip
    assert (result.total is not None, result.column("people")) == (True, (6, 5, 5, 4))


def test_what_is_taken_back_gives_no_place(tmp_path: Path) -> None:
    back = [
        UsageEvent("outcome", f"back{n}", 1, DAY + timedelta(hours=1), task=f"ada-ci-{n}",
                   status="revoked", evidence="ci")
        for n in range(3)
    ]  # fmt: skip
    result = board(tmp_path, [*ADA, *BOB, *EVE, *SPENT, *back], fewest_entries=2)
    assert dict(table(result, "user", "accepted"))["ada"] == 1
