"""Complaints about reports of other meters (``facts/complaints.md``), as tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables import reported, table, written
from tokenmeter import UsageEvent
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Result

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
SUMS = ("calls", "attempts", "failed", "input_tokens", "output_tokens", "cost_amount", "unpriced")


def call(n: int, ts: datetime, **more: Any) -> UsageEvent:
    known: dict[str, Any] = {
        "user": "ada", "team": "red", "status": "completed", "input_tokens": 100,
        "output_tokens": 10, "input_provenance": "reported", "output_provenance": "reported",
        "cost_amount": Decimal("0.01"), "cost_currency": "USD", **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{n}", 1, ts, **known)


NIGHT = [call(n, MONDAY + timedelta(hours=hour)) for n, hour in enumerate((1, 7, 15, 23, 26))]


def printed(ledger: Path, zone: str, *arguments: str) -> Any:
    """Give what the command prints where the clock of the machine is set to a zone."""
    command = [sys.executable, "-m", "tokenmeter", *arguments, str(ledger), "--format", "json"]
    env = os.environ | {"TZ": zone}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout)


@pytest.mark.parametrize("more", [[], ["--timezone", "Europe/Berlin"]], ids=["UTC", "Berlin"])
@pytest.mark.parametrize("command", [["report", "--by", "day"], ["adoption"]], ids=lambda c: c[0])
def test_days_do_not_depend_on_the_zone_of_who_reads(
    command: list[str], more: list[str], tmp_path: Path
) -> None:
    """C54: a scan in another time zone moves tokens to other days."""
    users = ["ada", "bob", "eve", "kim", "lee"]  # as many as adoption shows
    events = [call(10 * n + m, one.ts, user=u) for n, u in enumerate(users) for m, one in
              enumerate(NIGHT)]  # fmt: skip
    ledger = written(events, tmp_path / "usage.jsonl")
    period = ["--since", "2026-11-02", "--until", "2026-11-03"]
    zones = ("UTC", "Asia/Tokyo", "America/Los_Angeles")
    tokyo, la, utc = (printed(ledger, zone, *command, *period, *more) for zone in zones)
    assert tokyo == la == utc
    assert tokyo["rows"]


def test_days_are_those_of_the_zone_that_was_asked_for(tmp_path: Path) -> None:
    """C54: and every page of one report has the same zone."""
    days = {
        zone: table(reported(Usage(("day",)), NIGHT, tmp_path, zone=zone), "day", "calls")
        for zone in ("UTC", "Asia/Tokyo", "America/Los_Angeles")
    }
    assert days == {
        "UTC": [("2026-11-02", 4), ("2026-11-03", 1)],
        "Asia/Tokyo": [("2026-11-02", 2), ("2026-11-03", 3)],
        "America/Los_Angeles": [("2026-11-01", 2), ("2026-11-02", 3)],
    }


def test_a_day_without_real_use_is_no_active_day(tmp_path: Path) -> None:
    """C54: days with no tokens count as active."""
    idle: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0, "input_provenance": "none",
                            "output_provenance": "none"}  # fmt: skip
    nothing: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0}
    unknown: dict[str, Any] = {
        "input_tokens": None, "output_tokens": None, "input_provenance": "unknown",
        "output_provenance": "unknown",
    }  # fmt: skip
    events = [
        call(1, MONDAY, user="ada"), call(2, MONDAY + timedelta(days=1), user="ada"),
        call(3, MONDAY, user="bob"), call(4, MONDAY + timedelta(days=1), user="bob", **idle),
        call(5, MONDAY, user="eve"),
        call(6, MONDAY + timedelta(days=2), user="eve", status="failed", **idle),
        call(7, MONDAY, user="joe"), call(8, MONDAY + timedelta(days=1), user="joe", **nothing),
        call(9, MONDAY, user="kim"), call(10, MONDAY + timedelta(days=1), user="kim", **unknown),
    ]  # fmt: skip
    result = reported(Adoption(fewest_people=1), events, tmp_path)
    assert table(result, "team", "people", "active", "one_day_only", "no_day") == [
        ("red", 5, 2, 3, 0), ("(everybody)", 5, 2, 3, 0),
    ]  # fmt: skip


def test_ledgers_of_two_machines_add_up(tmp_path: Path) -> None:
    """C55: the ledger of one machine takes the place of the other's."""
    here = written([call(n, MONDAY, host="here") for n in (1, 2)], tmp_path / "here.jsonl")
    there = written([call(n, MONDAY, host="there") for n in (3, 4, 5)], tmp_path / "there.jsonl")
    with opened([here, there]) as engine:
        both = run(Usage(("host",)), engine)
    assert table(both, "host", "calls", "cost_amount") == [
        ("there", 3, Decimal("0.03")), ("here", 2, Decimal("0.02")),
    ]  # fmt: skip
    assert both.total is not None
    assert (both.total[both.index("calls")], both.damage) == (5, ())
    with opened(tmp_path) as engine:  # a folder of what machines sent, as often as one asks
        assert run(Usage(("host",)), engine).rows == both.rows


def _sums(result: Result) -> list[Any]:
    """Give the sums of the rows, of nothing where nothing is known."""
    sums: list[Any] = []
    for name in SUMS:
        known: list[Any] = [value for value in result.column(name) if value is not None]
        sums.append(sum(known) if known else None)
    return sums


def _total(result: Result) -> list[Any]:
    total = result.total or (None,) * len(result.columns)
    return [total[result.index(name)] for name in SUMS]


_calls = st.lists(
    st.tuples(
        st.integers(0, 60 * 24 * 21 - 1), st.sampled_from(["ada", "bob", None]),
        st.sampled_from(["red", None]), st.sampled_from(["completed", "failed"]),
        st.integers(0, 9) | st.none(), st.sampled_from([None, "1", "0.000000001"]),
    ), min_size=1, max_size=25,
)  # fmt: skip


def _events(found: list[Any]) -> list[UsageEvent]:
    return [
        call(n, MONDAY + timedelta(minutes=minute), user=user, team=team, status=status,
             input_tokens=tokens, cost_amount=cost and Decimal(cost),
             cost_currency=cost and "USD", agent=user, task=team)
        for n, (minute, user, team, status, tokens, cost) in enumerate(found)
    ]  # fmt: skip


_laws = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_laws
@given(found=_calls)
def test_all_of_the_time_is_never_less_than_a_week_of_it(found: list[Any], tmp_path: Path) -> None:
    """C56: the total of all time is smaller than that of this week."""
    with opened(written(_events(found), tmp_path / "usage.jsonl")) as engine:
        whole = run(Usage(()), engine)
        weeks = [
            run(Usage(()), engine, Scope(since=monday, until=monday + timedelta(days=7)))
            for monday in (MONDAY + timedelta(days=7 * n) for n in range(3))
        ]
    for name in SUMS:
        of_weeks: list[Any] = [value for week in weeks for value in week.column(name) if value]
        assert (whole.column(name)[0] or 0) == sum(of_weeks)
        assert all((whole.column(name)[0] or 0) >= value for value in of_weeks)


@_laws
@given(found=_calls)
def test_parts_add_up_to_the_whole(found: list[Any], tmp_path: Path) -> None:
    """C56: rows of every grouping add up to its total, which is that of all calls."""
    with opened(written(_events(found), tmp_path / "usage.jsonl")) as engine:
        whole = _sums(run(Usage(()), engine))
        for by in (("user",), ("team", "day"), ("week",), ("model", "task", "status"), ("tag:x",)):
            parts = run(Usage(by), engine)
            assert _sums(parts) == _total(parts) == whole, by
            topped = run(Usage(by, top=1), engine)
            assert _sums(topped) == _total(topped) == whole, by
        cost = whole[SUMS.index("cost_amount")]
        for report in (Tasks(), Tasks(("user",)), Tree()):
            result = run(report, engine)
            name = "subtree_cost_amount" if isinstance(report, Tree) else "cost_amount"
            assert result.total is not None
            assert result.total[result.index(name)] == cost
        coverage = run(Coverage(("user",)), engine)
        assert coverage.total is not None
        for name in ("attempts", "countable", "unpriced", "unattributed"):
            values: list[Any] = list(coverage.column(name))
            assert sum(values) == coverage.total[coverage.index(name)]
