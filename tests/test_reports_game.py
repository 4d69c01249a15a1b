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

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    return msgspec.structs.replace(event, input_tokens=tokens, cost_amount=cost)


def _extra(number: int, first: UsageEvent, way: dict[str, Any], n: int) -> UsageEvent:
    day = first.ts.replace(hour=way["hour"])
    task = {"own": first.task, "of others": f"{PEOPLE[n % 8]}-0", "invented": f"busy-{n}"}
    more: dict[str, Any] = {"cost_amount": way["cost"], "task": task.get(way["task"])}
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
    Leaderboard("team", fewest_outcomes=1, fewest_entries=2, fewest_people=1),
)
EXAMPLES = max(5, min(40, settings().max_examples // 4))
"""How many companies are tried; each makes reports of two ledgers, or four."""

OPEN = {"named": 0.0, "unclaimed": 1e9, "fewest_entries": 1}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: f"{board.by}-{board.fewest_outcomes}")
@settings(deadline=None, max_examples=EXAMPLES,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.integers(0, 10_000), st.sampled_from(PEOPLE), st.lists(WASTE, min_size=1, max_size=4))
def test_waste_lifts_nobody(
    tmp_path: Path, board: Leaderboard, seed: int, user: str, ways: list[dict[str, Any]]
) -> None:
    events = company(seed)
    entry = user if board.by == "user" else team_of(user)
    unrefused = msgspec.structs.replace(board, **OPEN)
    with over(events, tmp_path) as engine:
        before, would_be = run(board, engine), places(run(unrefused, engine), entry)
    with over(wasted(events, user, ways), tmp_path) as engine:
        after = places(run(board, engine), entry)
    # Where the table was refused before, the place is no better than it would have been without
    # the waste; where it was not, no better than it was.
    shown = places(before, entry)
    was_refused = all(place is None for place in before.column("place_by_accepted"))
    assert is_no_better(after[0], would_be[0] if was_refused else shown[0])
    was_refused = all(place is None for place in before.column("place_by_cost"))
    assert is_no_better(after[1], would_be[1] if was_refused else shown[1])
    assert is_no_better(after[2], would_be[2])


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


def test_nobody_changes_the_currency_by_calling_more(tmp_path: Path) -> None:
    """Who is paid for in another one would have a place by cost, or none."""
    users = [("ada", "USD"), ("bob", "USD"), ("eve", "EUR"), ("max", "EUR")]
    events = [call(n, user, MONDAY, cost_currency=code) for n, (user, code) in enumerate(users)]
    waste = [call(n, "eve", MONDAY, cost_currency="EUR") for n in range(10, 30)]
    nobodys = [msgspec.structs.replace(event, user=None) for event in [*events, *waste]]
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
