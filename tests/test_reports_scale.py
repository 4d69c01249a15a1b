"""What makes reports quick changes nothing of what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tables import over, reported, written
from tokenmeter import UsageEvent
from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.engines import duckdb
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.portable import DIALECTS
from tokenmeter.reports.running import run, sql
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def call(n: int, **more: Any) -> UsageEvent:
    known: dict[str, Any] = {
        "user": f"user-{n % 7}", "task": f"task-{n % 13}", "request_model": f"model-{n % 2}",
        "agent": "planner", "run_id": f"run-{n % 5}", "status": "completed", "input_tokens": n,
        "input_provenance": "reported", "output_provenance": "unknown", "duration_s": n / 8,
        "time_to_first_chunk_s": n / 16, "cost_amount": Decimal(n) / 1000, "cost_currency": "USD",
        **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{n}", 1, DAY + timedelta(minutes=n), **known)


EVENTS = [call(n) for n in range(200)]


@pytest.mark.parametrize("report", [Usage(), Coverage(("user", "task"))], ids=["usage", "coverage"])
def test_the_total_is_that_of_all_calls_whatever_the_groups(
    report: Usage | Coverage, tmp_path: Path
) -> None:
    groups = reported(report, EVENTS, tmp_path)
    alone = reported(type(report)(by=()), EVENTS, tmp_path)
    names = len(report.by)
    assert groups.total is not None
    assert groups.total[names:] == alone.rows[0]
    assert [column.name for column in groups.columns[names:]] == [c.name for c in alone.columns]


def test_quantiles_are_on_a_straight_line_between_two_values(tmp_path: Path) -> None:
    (row,) = reported(Usage(()), EVENTS, tmp_path).records()
    # Of 0/8 … 199/8 the middle lies between 99/8 and 100/8, and 95 % of the way at 189.05/8.
    assert row["duration_p50_s"] == pytest.approx(99.5 / 8)
    assert row["duration_p95_s"] == pytest.approx(189.05 / 8)
    assert row["first_chunk_p50_s"] == pytest.approx(99.5 / 16)


@pytest.mark.parametrize("report", [Usage(), Coverage(), Tasks(), Tree(), Tree(runs=True)])
def test_a_ledger_that_is_read_twice_counts_once(report: Any, tmp_path: Path) -> None:
    ledger = written(EVENTS, tmp_path / "usage.jsonl")
    copy = written(EVENTS[50:], tmp_path / "copy.jsonl")
    with opened(ledger) as engine:
        once = run(report, engine)
    with opened([ledger, copy]) as engine:
        twice = run(report, engine)
    assert (twice.rows, twice.total) == (once.rows, once.total)
    assert twice.damage == (f"150 events are there twice and counted once: {copy}, {ledger}",)


@pytest.mark.parametrize("report", [Usage(), Coverage(), Tree(), Tree(runs=True)])
def test_the_printed_sql_counts_events_once_by_itself(report: Any, tmp_path: Path) -> None:
    with over([*EVENTS, *EVENTS[:40]], tmp_path) as engine:
        found = engine.ask(sql(report, source="ledger"))
    with over(EVENTS, tmp_path) as engine:
        expected = engine.ask(sql(report, source="ledger"))
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_several_quantiles_are_one_by_one_in_other_engines() -> None:
    texts = {dialect: sql(Usage(("user",)), dialect=dialect) for dialect in DIALECTS}
    assert "[0.5, 0.95]" in texts.pop("duckdb")
    assert not [name for name, text in texts.items() if "LIST_EXTRACT" in text.upper()]


LISTS = "SELECT count(DISTINCT x) FROM (SELECT list(range) AS x FROM range(20_000_000))"


def test_what_does_not_fit_gets_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb, "MEMORY", "100MB")
    with over(EVENTS, tmp_path) as engine:
        assert engine.ask(LISTS) == [(1,)]


def test_what_fits_nowhere_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "MEMORY", "100MB")
    monkeypatch.setattr(duckdb, "ROOM", "101MB")
    with (
        over(EVENTS, tmp_path) as engine,
        pytest.raises(ConfigurationError, match=r"does not fit.*--since"),
    ):
        engine.ask(LISTS)
