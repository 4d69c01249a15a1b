"""What users of other meters complain about: reports that depend on who reads, or do not add up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import company
from tables import reported, table, written
from tokenmeter import UsageEvent
from tokenmeter.reports import Adoption, Result, Scope, Usage, run
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.measures import measures

ADDITIVE = [measure.column.name for measure in measures(Scope()) if measure.is_additive]
BERLIN = ("--timezone", "Europe/Berlin")
PERIOD = ("--since", "2026-10-12", "--until", "2026-11-08")


@pytest.fixture(scope="module")
def events() -> list[UsageEvent]:
    return company.events()


@pytest.fixture(scope="module")
def ledger(events: list[UsageEvent], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(events, tmp_path_factory.mktemp("company") / "usage.jsonl")


def usage(ledgers: Sequence[Path], *by: str, **scope: Any) -> Result:
    with opened([str(path) for path in ledgers]) as engine:
        return run(Usage(by), engine, Scope(currency="USD", **scope), now=company.NOW)


def whole(result: Result) -> dict[str, int | Decimal]:
    """Give the only row of a report of everything; nothing known adds nothing."""
    (record,) = result.records()
    return {name: record[name] or 0 for name in ADDITIVE}


def added(parts: Sequence[dict[str, int | Decimal]]) -> dict[str, int | Decimal]:
    return {name: sum((part[name] for part in parts), Decimal()) for name in ADDITIVE}


def rows(result: Result) -> list[dict[str, int | Decimal]]:
    return [{name: record[name] or 0 for name in ADDITIVE} for record in result.records()]


def read_in(zone: str, ledger: Path, *arguments: str) -> bytes:
    """Give what a command prints for a reader whose machine is in this zone."""
    command = [sys.executable, "-m", "tokenmeter", *arguments, ledger.name, "--format", "json"]
    environment = {**os.environ, "TZ": zone}
    done = subprocess.run(
        command, cwd=ledger.parent, env=environment, capture_output=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--by", "day"),
        ("report", "--by", "week,user", *PERIOD, *BERLIN),
        ("adoption", *PERIOD),
    ],
    ids=" ".join,
)
def test_days_do_not_depend_on_the_zone_of_the_reader(
    arguments: tuple[str, ...], ledger: Path
) -> None:
    """C54: read again in another zone, the days are others and the totals grow."""
    tokyo = read_in("Asia/Tokyo", ledger, *arguments)
    assert b'"rows"' in tokyo
    assert tokyo == read_in("America/Los_Angeles", ledger, *arguments)


def test_a_day_on_which_nothing_was_counted_is_no_day_of_use(tmp_path: Path) -> None:
    """C54: days with zero tokens count as active."""
    monday = datetime(2026, 11, 2, 12, tzinfo=UTC)
    used = {"status": "completed", "input_tokens": 5, "input_provenance": "reported"}
    nothing = {"input_provenance": "none", "output_provenance": "none"}
    days: list[dict[str, Any]] = [
        used,
        {"status": "failed", "input_tokens": 0, "output_tokens": 0, **nothing},
        {"status": "completed", "cached": True, **nothing},
    ]
    made = [
        UsageEvent("call", str(n), 1, monday + timedelta(days=n), user="ada", team="red", **said)
        for n, said in enumerate(days)
    ]
    adoption = reported(Adoption(fewest_people=1), made, tmp_path)
    assert table(adoption, "team", "active", "one_day_only", "median_days") == [
        ("red", 0, 1, 1),
        ("(everybody)", 0, 1, 1),
    ]


def test_ledgers_of_two_machines_add_up(
    events: list[UsageEvent], ledger: Path, tmp_path: Path
) -> None:
    """C55: files of one name, of two machines, overwrite each other instead of adding up."""
    machines = []
    for n in range(2):
        (tmp_path / f"machine{n}").mkdir()
        own = [event for event in events if int(event.event_id[-1], 16) % 2 == n]
        machines.append(written(own, tmp_path / f"machine{n}" / "usage.jsonl"))
    parts = [whole(usage([machine])) for machine in machines]
    assert all(part["calls"] for part in parts)
    assert whole(usage(machines)) == added(parts) == whole(usage([ledger]))
    one, both, back = (usage(each, "user", "day") for each in ([ledger], machines, machines[::-1]))
    assert (both.rows, both.total, both.facts) == (one.rows, one.total, one.facts)
    assert (back.rows, back.total, back.facts) == (one.rows, one.total, one.facts)


@pytest.mark.parametrize("by", ["day", "week", "month", "user", "team", "model", "host", "status"])
def test_the_parts_of_all_time_are_all_of_it(by: str, ledger: Path) -> None:
    """C56: a total is not what its parts add up to."""
    parts = usage([ledger], by)
    assert parts.total is not None
    total = {name: parts.total[parts.index(name)] or 0 for name in ADDITIVE}
    assert added(rows(parts)) == total == whole(usage([ledger]))


def test_a_week_is_never_more_than_all_time_and_is_the_same_asked_for_by_itself(
    ledger: Path,
) -> None:
    """C56: the total of all time is smaller than that of this week."""
    ever = whole(usage([ledger]))
    weeks = {record["week"]: record for record in usage([ledger], "week").records()}
    for n in range(company.WEEKS):
        monday = company.FIRST + timedelta(weeks=n)
        week = whole(usage([ledger], since=monday, until=monday + timedelta(weeks=1)))
        listed = weeks[monday.date().isoformat()]
        assert week == {name: listed[name] or 0 for name in ADDITIVE}
        assert all(0 < week[name] <= ever[name] for name in ("calls", "input_tokens"))
        assert all(week[name] <= ever[name] for name in ADDITIVE)
