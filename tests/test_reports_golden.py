"""The rows of every report on a whole company: always the same, and those that plain Python gets.

What other engines make of the same reports is in ``engines/``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

import company
import company_in
import company_reports as reported
from tokenmeter import UsageEvent
from tokenmeter.reports.adoption import EVERYBODY
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.usage import Usage
from tokenmeter.settlement import settle

EVENTS = company.events()
CALLS = [event for event in company.once(EVENTS) if event.kind == "call"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("company")


def packed(ending: str) -> Callable[[Path], object]:
    return lambda folder: company_in.jsonl(folder / f"usage{ending}", EVENTS)


def in_several(folder: Path) -> list[Path]:
    """Lay the ledger out as it grows: closed and packed, live, and rolled up, with an overlap."""
    third = len(EVENTS) // 3
    return [
        company_in.jsonl(folder / "old.jsonl.gz", EVENTS[: third + 50]),
        company_in.compacted(folder / "rolled.parquet", EVENTS[third : 2 * third]),
        company_in.jsonl(folder / "live.jsonl", EVENTS[2 * third :]),
    ]


def a_frame(library: str) -> Callable[[Path], object]:
    def made(folder: Path) -> object:
        path = str(company_in.parquet(folder / f"{library}.parquet", EVENTS))
        if library == "pandas":
            # What Arrow has as numbers and texts stays that: floats would lose digits of money.
            return pytest.importorskip("pandas").read_parquet(path, dtype_backend="pyarrow")
        if library == "polars":
            return pytest.importorskip("polars").read_parquet(path)
        return pytest.importorskip("pyarrow.parquet").read_table(path)

    return made


PLACES: dict[str, Callable[[Path], object]] = {
    "jsonl": packed(".jsonl"),
    "gzip": packed(".jsonl.gz"),
    "zstandard": packed(".jsonl.zst"),
    "parquet": lambda folder: company_in.parquet(folder / "every.parquet", EVENTS),
    "compacted": lambda folder: company_in.compacted(folder / "once.parquet", EVENTS),
    "several": in_several,
    "polars": a_frame("polars"),
    "pyarrow": a_frame("pyarrow"),
    "pandas": a_frame("pandas"),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_rows_are_the_same_wherever_the_events_are(place: str, folder: Path) -> None:
    with opened(PLACES[place](folder)) as engine:
        assert list(reported.all_differences(engine)) == []
        assert bool(engine.damage) == (place != "compacted")


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterable[Callable[[str], list[tuple[Any, ...]]]]:
    """Have a database of somebody who runs the SQL that we give."""
    every = company_in.parquet(folder / "sql-every.parquet", EVENTS)
    once = company_in.compacted(folder / "sql-once.parquet", EVENTS)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'America/Sao_Paulo'")
        connection.execute(f"CREATE VIEW tokenmeter_events AS FROM '{every}'")
        connection.execute(f"CREATE VIEW each_once AS FROM '{once}'")
        yield lambda text: connection.execute(text).fetchall()


@pytest.mark.parametrize("name", reported.VARIANTS)
def test_the_sql_that_is_given_away_gives_the_same_rows_in_whatever_zone_it_is_run(
    name: str, database: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    assert reported.given(name, database, "duckdb", "tokenmeter_events") == []
    report, scope = reported.VARIANTS[name].report, reported.in_currency(name)
    knowing = report.query(scope).text("each_once", scope, is_once=True)
    assert reported.given(name, lambda _: database(knowing), "duckdb", "each_once") == []


# -- what plain Python gets -----------------------------------------------------------------------


def is_countable(call: UsageEvent) -> bool:
    return call.input_provenance != "none" or call.output_provenance != "none"


def known(counts: Iterable[int | None]) -> int | None:
    found = [count for count in counts if count is not None]
    return sum(found) if found else None


def tokens(calls: Sequence[UsageEvent], side: str) -> int | None:
    def count(call: UsageEvent) -> int | None:
        nothing = getattr(call, f"{side}_provenance") == "none"
        found: int | None = getattr(call, f"{side}_tokens")
        return 0 if found is None and nothing else found

    return known(map(count, calls))


def quantile(values: Iterable[float | None], at: float) -> float | None:
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    place = at * (len(ordered) - 1)
    low = ordered[int(place)]
    high = ordered[min(int(place) + 1, len(ordered) - 1)]
    return low + (high - low) * (place - int(place))


def in_python(calls: Sequence[UsageEvent], currency: str) -> dict[str, Any]:
    """Give the main figures of some calls, by reading them one after the other."""
    priced = [c for c in calls if c.cost_amount is not None and c.cost_currency == currency]
    done = [c for c in calls if c.status == "completed"]

    unpriced = sum(map(is_countable, calls)) - sum(map(is_countable, priced))

    def sides(provenance: str) -> int:
        has = [c for c in calls if provenance in (c.input_provenance, c.output_provenance)]
        return sum(map(is_countable, has))

    return {
        "calls": sum(not c.attempt for c in calls),
        "attempts": len(calls),
        "failed": sum(c.status == "failed" for c in calls),
        "input_tokens": tokens(calls, "input"),
        "output_tokens": tokens(calls, "output"),
        "cache_read_tokens": known(c.cache_read_tokens for c in calls),
        "reasoning_tokens": known(c.reasoning_tokens for c in calls),
        "cost_amount": sum((c.cost_amount for c in priced if c.cost_amount), Decimal(0))
        if priced or not unpriced
        else None,
        "unpriced": unpriced,
        "estimated": sides("estimated"),
        "partial": sides("partial"),
        "unknown": sides("unknown"),
        "unattributed": sum(
            not (c.user or c.team or c.task or c.agent or c.conversation) for c in calls
        ),
        "duration_p50_s": quantile((c.duration_s for c in done), 0.5),
        "duration_p95_s": quantile((c.duration_s for c in done), 0.95),
        "first_chunk_p50_s": quantile((c.time_to_first_chunk_s for c in done), 0.5),
    }


def day(zone: str, unit: str = "day") -> Callable[[UsageEvent], str]:
    def of(call: UsageEvent) -> str:
        local = call.ts.astimezone(ZoneInfo(zone)).date()
        back = {"day": 0, "week": local.weekday(), "month": local.day - 1}[unit]
        return (local - timedelta(days=back)).isoformat()

    return of


def tag(name: str) -> Callable[[UsageEvent], str | None]:
    def of(call: UsageEvent) -> str | None:
        value = (call.tags or {}).get(name)
        return value if value is None or isinstance(value, str) else str(value)

    return of


Keys = Sequence[Callable[[UsageEvent], str | None]]
GROUPED: dict[str, Keys] = {
    "report-user": [lambda c: c.user],
    "report-team-day-berlin": [lambda c: c.team, day("Europe/Berlin")],
    "report-week-kolkata": [day("Asia/Kolkata", "week")],
    "report-month-day-new-york": [day("America/New_York", "month"), day("America/New_York")],
    "report-day-cape-verde": [day("Atlantic/Cape_Verde")],
    "report-model-euros": [lambda c: c.request_model, lambda c: c.service_tier],
    "report-everything": [],
    "report-nothing": [lambda c: c.user],
    "report-only": [
        lambda c: c.task, lambda c: c.agent, lambda c: c.status, lambda c: c.error_type
    ],
}  # fmt: skip


def chosen(scope: Scope) -> list[UsageEvent]:
    by = {"user": lambda c: c.user, "tag:feature": tag("feature")}
    return [
        call
        for call in CALLS
        if (scope.since is None or call.ts >= scope.since)
        and (scope.until is None or call.ts < scope.until)
        and all(by[name](call) == value for name, value in scope.only.items())
    ]


@pytest.mark.parametrize("name", GROUPED)
def test_reports_say_what_plain_python_finds(name: str, folder: Path) -> None:
    variant, keys = reported.VARIANTS[name], GROUPED[name]
    groups: dict[tuple[str | None, ...], list[UsageEvent]] = defaultdict(list)
    calls = chosen(variant.scope)
    for call in calls:
        groups[tuple(key(call) for key in keys)].append(call)
    golden = reported.expected(name)
    names = [column.partition(": ")[0] for column in golden["columns"]]
    found = {tuple(row[: len(keys)]): dict(zip(names, row, strict=True)) for row in golden["rows"]}
    assert found.keys() == (groups.keys() or (set() if keys else {()}))
    for group, row in found.items():
        _same(row, in_python(groups[group], golden["currency"]))
    if golden["total"] is not None:
        _same(dict(zip(names, golden["total"], strict=True)), in_python(calls, golden["currency"]))


def _same(row: dict[str, Any], figures: dict[str, Any]) -> None:
    for name, figure in figures.items():
        found = row[name]
        if isinstance(figure, Decimal):
            assert Decimal(found) == figure, name
        elif isinstance(figure, float):
            assert found == pytest.approx(figure, rel=reported.RATIO), name
        else:
            assert found == figure, name


@pytest.mark.parametrize("name", reported.VARIANTS)
def test_the_facts_are_what_plain_python_finds(name: str) -> None:
    scope, golden = reported.VARIANTS[name].scope, reported.expected(name)
    calls, facts = chosen_of(scope), golden["facts"]
    figures = in_python(calls, golden["currency"])
    shared = figures.keys() & facts.keys()
    _same(facts, {figure: figures[figure] for figure in shared})
    before = [e for e in company.once(EVENTS) if scope.until is None or e.ts < scope.until]
    assert facts["countable"] == sum(map(is_countable, calls))
    elsewhere = Counter(
        call.cost_currency
        for call in calls
        if is_countable(call) and call.cost_amount is not None
        if call.cost_currency != golden["currency"]
    )
    assert facts["other_currencies"] == elsewhere
    assert facts["outcomes"] == sum(e.kind == "outcome" for e in before)
    assert facts["ahead"] == sum(e.ts > company.NOW for e in before)
    assert facts["newer"] == sum(e.schema > 1 for e in before)


def chosen_of(scope: Scope) -> list[UsageEvent]:
    only = dict(scope.only)
    task = only.pop("task", None)
    rest = Scope(since=scope.since, until=scope.until, only=only)
    return [call for call in chosen(rest) if task is None or call.task == task]


def test_tasks_are_settled_as_python_settles_them() -> None:
    settlement, golden = settle(company.once(EVENTS)), reported.expected("tasks-task")
    names = [column.partition(": ")[0] for column in golden["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in golden["rows"]]
    named = {row["task"]: row for row in rows if row["task"] is not None}
    spent = {name: account for name, account in settlement.tasks.items() if name in named}
    assert {n for n, a in settlement.tasks.items() if a.status or a.spent.attempts} == named.keys()
    for name, account in spent.items():
        row = named[name]
        assert row["status"] == account.status, name
        assert row["self_declared"] == account.is_self_declared, name
        assert row["accepted"] == (account.is_accepted and not account.is_self_declared), name
        assert Decimal(row["cost_amount"] or 0) == account.spent.costs.get("USD", 0), name
        assert Decimal(row["cost_after"] or 0) == account.spent_after.costs.get("USD", 0), name


@pytest.mark.parametrize(
    ("name", "by"),
    {"coverage": ("service", "provider", "operation"), "coverage-team": ("team", "user")}.items(),
)
def test_coverage_is_what_plain_python_counts(name: str, by: tuple[str, ...]) -> None:
    golden = reported.expected(name)
    groups: dict[tuple[object, ...], list[UsageEvent]] = defaultdict(list)
    for call in chosen(reported.VARIANTS[name].scope):
        groups[tuple(getattr(call, column) for column in by)].append(call)
    names = [column.partition(": ")[0] for column in golden["columns"]]
    assert tuple(names[: len(by)]) == by
    rows = {tuple(row[: len(by)]): dict(zip(names, row, strict=True)) for row in golden["rows"]}
    assert rows.keys() == groups.keys()
    for group, calls in groups.items():
        figures = in_python(calls, golden["currency"])
        countable = [call for call in calls if is_countable(call)]
        exact = {"reported", "none", None}
        expected = {
            **{key: figures[key] for key in figures.keys() & rows[group].keys()},
            "countable": len(countable),
            "reported": sum({c.input_provenance, c.output_provenance} <= exact for c in countable),
            "without_user": sum(call.user is None for call in calls),
            "without_team": sum(call.team is None for call in calls),
            "without_task": sum(call.task is None for call in calls),
        }
        _same(rows[group], expected)
        assert expected.keys() | set(by) == rows[group].keys()


def test_people_are_active_who_have_days_of_use() -> None:
    used: dict[str, set[date]] = defaultdict(set)
    teams: dict[str | None, set[str]] = defaultdict(set)
    for call in chosen(reported.WEEKS):
        is_real = is_countable(call) and (call.input_tokens, call.output_tokens) != (0, 0)
        if call.user is not None and call.status == "completed" and is_real:
            used[call.user].add(call.ts.astimezone(ZoneInfo("Europe/Berlin")).date())
            teams[call.team].add(call.user)
    large = [people for people in teams.values() if len(people) >= 5]
    small = set().union(*(people for people in teams.values() if len(people) < 5))
    assert 0 < len(small) < 5  # so that nobody is shown who is only in a small group
    shown = set().union(*large)
    monday = date(2026, 10, 12)
    weeks = [monday + timedelta(days=7 * n) for n in range(5)]
    golden = reported.expected("adoption-team")
    everybody = {row[0]: row[2:8] for row in golden["rows"] if row[1] == EVERYBODY}
    assert list(everybody) == [week.isoformat() for week in weeks[:-1]]
    for week, after in pairwise(weeks):
        days = [sum(week <= each < after for each in used[person]) for person in shown]
        active = sum(n >= 2 for n in days)
        people, found, share, once, none, middle = everybody[week.isoformat()]
        assert (people, found, once, none) == (len(days), active, days.count(1), days.count(0))
        assert (share, middle) == (pytest.approx(active / len(days)), median(days))


def test_days_begin_at_the_midnight_of_the_zone_of_the_report() -> None:
    golden = {row[0]: row for row in reported.expected("report-day-cape-verde")["rows"]}
    local = [at.astimezone(ZoneInfo("Atlantic/Cape_Verde")).date() for at in company.EDGES]
    assert {each.isoformat() for each in local} <= golden.keys()


def test_tasks_and_reports_agree_on_what_was_spent(folder: Path) -> None:
    with opened(company_in.jsonl(folder / "agree.jsonl", EVENTS)) as engine:
        spent = run(Tasks(("team",)), engine, now=company.NOW)
        used = run(Usage(("team",)), engine, now=company.NOW)
    money = {row[0]: row[spent.index("cost_amount")] for row in spent.rows}
    assert money == {row[0]: row[used.index("cost_amount")] for row in used.rows}
