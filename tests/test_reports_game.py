"""The game: whoever burns tokens rises in no table and moves no target.

A company is made by chance; one person of it then wastes, in any of the ways in which people do:
longer prompts, sub-agents, retries, calls split in many, calls on one's own or on other people's
tasks, on invented ones or on none, named and unnamed, priced and not. Waste happens on days on
which the person works with a model anyway: a call on a day without any is a day of use, as nobody
can know that it was pointless; adoption shows such weeks apart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tables import over, reported, table
from tokenmeter import UsageEvent
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.leaderboard import Leaderboard
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Result

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
PEOPLE = tuple(f"person-{n}" for n in range(8))
TEAMS = ("red", "blue")


def team_of(user: str) -> str:
    return TEAMS[PEOPLE.index(user) % 2]


def call(number: int, user: str | None, ts: datetime, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {
        "team": team_of(user) if user in PEOPLE else None, "status": "completed", "attempt": 0,
        "input_tokens": 1000, "output_tokens": 100, "input_provenance": "reported",
        "output_provenance": "reported", "cost_amount": Decimal("0.01"), "cost_currency": "USD",
        **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{number}", 1, ts, user=user, **names)


def company(seed: int) -> list[UsageEvent]:
    """Make light and heavy users, with tasks and outcomes, and a batch job that names nobody."""
    chance = random.Random(seed)
    return list(_working(chance)) + list(_batch(chance))


def _working(chance: random.Random) -> Iterator[UsageEvent]:
    number = 0
    for user in PEOPLE:
        calls, days = chance.choice([1, 3, 9]), chance.sample(range(14), chance.randint(1, 10))
        dark = chance.choice([0, 0, 0.1, 0.3, 1])  # the share of calls that nobody has a price for
        for task in (f"{user}-{n}" for n in range(chance.randint(1, 8))):
            for _ in range(calls):
                number += 1
                ts = MONDAY + timedelta(days=chance.choice(days), hours=chance.randint(0, 23))
                cost = None if chance.random() < dark else Decimal(chance.randint(1, 4)) / 100
                yield call(number, user, ts, task=task, cost_amount=cost)
            if chance.random() < 0.8:
                yield _said(f"o{number}", user, task, chance)


def _said(event_id: str, user: str, task: str, chance: random.Random) -> UsageEvent:
    return UsageEvent(
        "outcome", event_id, 1, MONDAY + timedelta(days=chance.randint(0, 13)), task=task,
        user=user if chance.random() < 0.95 else None, team=team_of(user), reference=f"pull/{task}",
        status=chance.choice(["accepted", "accepted", "accepted", "rejected"]),
        evidence=chance.choice(["review", "ci", "self"]),
    )  # fmt: skip


def _batch(chance: random.Random) -> Iterator[UsageEvent]:
    for number in range(chance.randint(0, 20)):
        ts = MONDAY + timedelta(hours=chance.randint(0, 300))
        yield call(100_000 + number, None, ts, service="nightly")


WASTE = st.fixed_dictionaries(
    {
        "how": st.sampled_from(["more", "longer", "agents", "retries", "split"]),
        "task": st.sampled_from(["own", "of others", "invented", "none"]),
        "cost": st.sampled_from([Decimal("0.01"), Decimal(5), Decimal(0), None]),
        "named": st.sampled_from([True, True, True, False]),
        "currency": st.sampled_from(["USD"] * 9 + ["EUR"]),
        "times": st.integers(1, 12),
        "hour": st.integers(0, 23),
    }
)


def wasted(
    events: Sequence[UsageEvent], user: str, ways: Sequence[dict[str, Any]]
) -> list[UsageEvent]:
    """Give what there is after a person has wasted in some ways."""
    own = [event for event in events if event.kind == "call" and event.user == user]
    more, number = list(events), 200_000
    for way in ways:
        first = own[way["hour"] % len(own)]
        if way["how"] == "longer":
            more = [_longer(event, way) if event is first else event for event in more]
            own = [event for event in more if event.kind == "call" and event.user == user]
            continue
        for n in range(way["times"]):
            number += 1
            more.append(_extra(number, first, way, n))
    return more


def _longer(event: UsageEvent, way: dict[str, Any]) -> UsageEvent:
    cost = event.cost_amount  # what nobody has a price for stays without one
    if cost is not None:
        cost += way["cost"] or Decimal(0)
    tokens = (event.input_tokens or 0) + 10_000 * way["times"]
    return replace(event, input_tokens=tokens, cost_amount=cost)


def _extra(number: int, first: UsageEvent, way: dict[str, Any], n: int) -> UsageEvent:
    day = first.ts.replace(hour=way["hour"])
    task = {"own": first.task, "of others": f"{PEOPLE[n % 8]}-0", "invented": f"busy-{n}"}
    more: dict[str, Any] = {
        "cost_amount": way["cost"], "cost_currency": way["currency"], "task": task.get(way["task"]),
    }  # fmt: skip
    if way["how"] == "agents":
        more |= {"agent": f"chief/helper-{n}", "run_id": f"run-{number}", "depth": 1}
    if way["how"] == "retries":
        more |= {"attempt": n + 1, "status": "failed" if n % 2 else "completed"}
    if way["how"] == "split":
        more |= {"input_tokens": 1, "output_tokens": 1}
    if way["cost"] is None:
        more |= {"cost_currency": None, "cost_reason": "unknown_model"}
    if not way["named"]:
        more |= {"team": None}
    return call(number, first.user if way["named"] else None, day, **more)


def places(board: Result, entry: str) -> tuple[Any, ...]:
    found = {record[board.columns[0].name]: record for record in board.records()}
    record = found[entry]
    return record["place_by_accepted"], record["place_by_cost"], record["cost_per_accepted"]


def is_no_better(after: Any, before: Any) -> bool:
    """Say whether a place, or a cost, after the waste is not better than before it."""
    return after is None or (before is not None and after >= before)


BOARDS = (
    Leaderboard("user", fewest_outcomes=1),
    Leaderboard("user", fewest_outcomes=2, unclaimed=0.05),
    Leaderboard("team", fewest_outcomes=1, fewest_entries=2, fewest_people=2),
)
EXAMPLES = max(5, min(40, settings().max_examples // 4))
"""How many companies are tried; each makes reports of two ledgers."""


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: f"{board.by}-{board.fewest_outcomes}")
@settings(deadline=None, max_examples=EXAMPLES,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.integers(0, 10_000), st.sampled_from(PEOPLE), st.lists(WASTE, min_size=1, max_size=4))
def test_waste_lifts_nobody(
    tmp_path: Path, board: Leaderboard, seed: int, user: str, ways: list[dict[str, Any]]
) -> None:
    events = company(seed)
    entry = user if board.by == "user" else team_of(user)
    with over(events, tmp_path) as engine:
        before = places(run(board, engine), entry)
    with over(wasted(events, user, ways), tmp_path) as engine:
        after = places(run(board, engine), entry)
    assert all(map(is_no_better, after, before)), (before, after)


@settings(deadline=None, max_examples=EXAMPLES,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.integers(0, 10_000), st.sampled_from(PEOPLE), st.lists(WASTE, min_size=1, max_size=4))
def test_waste_changes_nothing_in_adoption(
    tmp_path: Path, seed: int, user: str, ways: list[dict[str, Any]]
) -> None:
    events, report = company(seed), Adoption(fewest_people=2)
    with over(events, tmp_path) as engine:
        before = run(report, engine, Scope())
    with over(wasted(events, user, ways), tmp_path) as engine:
        after = run(report, engine, Scope())
    assert after.rows == before.rows


def spent(*costs: tuple[str | None, str | None], **more: Any) -> list[UsageEvent]:
    """Make calls of people; one without an amount has no price."""
    amounts = [None if cost is None else Decimal(cost) for _, cost in costs]
    return [call(n, user, MONDAY, cost_amount=amount, **more)
            for n, ((user, _), amount) in enumerate(zip(costs, amounts, strict=True))]  # fmt: skip


def done(*users: str, times: int = 5) -> list[UsageEvent]:
    return [
        UsageEvent("outcome", f"{user}-{n}", 1, MONDAY, task=f"{user}-{n}", user=user,
                   status="accepted", evidence="review")
        for user in users for n in range(times)
    ]  # fmt: skip


def extra(user: str | None, cost: str, **more: Any) -> UsageEvent:
    return call(500, user, MONDAY, cost_amount=Decimal(cost), **more)


FOUR = done("ada", "bob", "eve", "max")
EUROS = [*spent(("eve", "5"), ("max", "5"), cost_currency="EUR")]
DARK = spent(*[("ada", None)] * 3, *[("bob", None)] * 9, *[("eve", None)] * 9)
GAMES = {
    "another currency": (
        [*FOUR, *EUROS, *(replace(e, event_id=f"d{e.event_id}")
                          for e in spent(("ada", "50"), ("bob", "10")))],
        extra("ada", "0.01", cost_currency="EUR"),
    ),
    "the first price": ([*FOUR, *DARK], extra("ada", "100")),
    "a price of nothing": ([*FOUR, *DARK], extra("ada", "0")),
    "a price of nothing for nobody": ([*FOUR, *DARK], extra(None, "0")),
    "the second price": (
        [*FOUR, *spent(("bob", "10"), *[("max", None)] * 9)], extra("ada", "0.01")
    ),
    "a median of one's own": (
        [*FOUR, *spent(("ada", "1"), ("bob", "1"), ("eve", "3"), ("max", "3"), (None, "2.3"))],
        extra("ada", "1.9"),
    ),
    "a median of one": (
        [*FOUR, *spent(("ada", "1"), ("bob", "1"), ("eve", "1"), *[("bob", None)] * 6,
                       *[("eve", None)] * 6, (None, "1"))],
        extra("ada", "5"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("game", GAMES)
def test_a_trick_lifts_nobody(tmp_path: Path, game: str) -> None:
    events, waste = GAMES[game]
    before, after = (
        places(reported(Leaderboard(), each, tmp_path), "ada")
        for each in (events, [*events, waste])
    )
    assert all(map(is_no_better, after, before)), (before, after)


def test_one_call_brings_no_team_above_the_smallest_size(tmp_path: Path) -> None:
    events: list[UsageEvent] = []
    for team, callers in {"blue": 5, "green": 5, "grey": 5, "red": 4}.items():
        users = [f"{team}-{n}" for n in range(5)]
        events += [replace(e, team=team) for e in done(*users, times=1)]
        events += [call(len(events), user, MONDAY, team=team) for user in users[:callers]]
    board = Leaderboard("team")
    before, after = (
        places(reported(board, each, tmp_path), "red")
        for each in (events, [*events, extra("red-4", "0.01", team="red")])
    )
    assert (before[0], after[0]) == (1, 1)
    assert all(map(is_no_better, after, before)), (before, after)


def test_a_call_without_a_team_changes_nothing_in_adoption(tmp_path: Path) -> None:
    days = [MONDAY, MONDAY + timedelta(days=1)]
    events = [call(10 * n + d, f"red-{n}", day, team="red")
              for n in range(5) for d, day in enumerate(days)]  # fmt: skip
    events += [call(100 + n, f"x-{n}", MONDAY, team=None) for n in range(4)]
    for team in (None, ""):
        waste = call(500, "red-0", MONDAY, team=team)
        before, after = (
            reported(Adoption(), each, tmp_path).rows for each in (events, [*events, waste])
        )
        assert after == before
        assert [row[:3] for row in after] == [
            ("2026-11-02", "red", 5), ("2026-11-02", "(everybody)", 5),
        ]  # fmt: skip


def test_without_a_word_of_its_currency_a_table_of_several_has_no_places_by_cost(
    tmp_path: Path,
) -> None:
    events = GAMES["another currency"][0]
    result = reported(Leaderboard(), events, tmp_path)
    assert (result.column("place_by_cost"), result.column("cost_per_accepted")) == (
        (None,) * 4,
    ) * 2
    assert result.notes == (
        "no places by cost: calls are priced in EUR and USD; --currency says what is compared",
    )


def test_nobody_changes_the_currency_by_calling_more(tmp_path: Path) -> None:
    """Who is paid for in another one would have a place by cost, or none."""
    users = [("ada", "USD"), ("bob", "USD"), ("eve", "EUR"), ("max", "EUR")]
    events = [call(n, user, MONDAY, cost_currency=code) for n, (user, code) in enumerate(users)]
    waste = [call(n, "eve", MONDAY, cost_currency="EUR") for n in range(10, 30)]
    nobodys = [replace(event, user=None) for event in [*events, *waste]]
    found = [reported(Usage(()), each, tmp_path).currency
             for each in (events, [*events, *waste], nobodys)]  # fmt: skip
    assert found == ["USD", "USD", "EUR"]


def test_the_company_is_one_that_has_places(tmp_path: Path) -> None:
    """Without this the laws above could hold because nobody ever has a place."""
    found: set[str] = set()
    for seed in range(12):
        with over(company(seed), tmp_path) as engine:
            result = run(BOARDS[0], engine)
        kinds = {name for name in ("place_by_accepted", "place_by_cost")
                 if any(place is not None for place in result.column(name))}  # fmt: skip
        found |= kinds or {"refused"}
        found |= {"by cost refused"} if kinds == {"place_by_accepted"} else set()
    assert found >= {"place_by_accepted", "place_by_cost"}


def test_a_ping_a_week_is_seen_for_what_it_is(tmp_path: Path) -> None:
    use = [("ada", 0), ("ada", 1), ("ada", 4), ("bob", 0), ("bob", 7), ("eve", 8)]
    events = [
        call(n, user, MONDAY + timedelta(days=day), team="red") for n, (user, day) in enumerate(use)
    ]
    with over(events, tmp_path) as engine:
        result = run(Adoption(fewest_people=3), engine)
    assert table(result, "week", "team", "people", "active", "one_day_only", "no_day") == [
        ("2026-11-02", "red", 3, 1, 1, 1),
        ("2026-11-02", "(everybody)", 3, 1, 1, 1),
        ("2026-11-09", "red", 3, 0, 2, 1),
        ("2026-11-09", "(everybody)", 3, 0, 2, 1),
    ]
    assert result.column("median_days") == (1.0, 1.0, 1.0, 1.0)
