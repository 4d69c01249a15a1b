"""Every report on the company of `company`, in several variants, and the rows that it must have.

The rows are in ``golden/reports/``, and ``python tests/company_reports.py`` writes them with
DuckDB. What they say is checked by `test_reports_golden` against sums made in plain Python.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

import company
import company_in
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines import Engine
from tokenmeter.reports.leaderboard import Leaderboard
from tokenmeter.reports.running import run, sql
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Facts, Result, Value, rows_of

GOLDEN = Path(__file__).parent / "golden" / "reports"
RATIO = 1e-9
"""How far numbers may be apart that are made of binary fractions, as a share of them."""

FRACTIONS = {
    "cost_per_task_low", "cost_per_task_high", "cost_per_accepted_low", "cost_per_accepted_high",
}  # fmt: skip
"""Amounts that are made of binary fractions, and whose last digit is none."""


class Variant(NamedTuple):
    report: Report
    scope: Scope = Scope()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


DOLLARS = Scope(currency="USD")
OCTOBER = Scope(since=at("2026-10-12"), until=at("2026-11-01"), zone="Europe/Berlin")
WEEKS = Scope(since=at("2026-10-11T22:00"), until=at("2026-11-08T23:00"), zone="Europe/Berlin")
PLANTED = {"O'Brien": "search", "back\\slash\\": None, "nobody's fool": 'Büro "Süd"', "x": "x"}

VARIANTS: Mapping[str, Variant] = {
    "report-user": Variant(Usage(("user",))),
    "report-team-day-berlin": Variant(Usage(("team", "day")), Scope(zone="Europe/Berlin")),
    "report-week-kolkata": Variant(Usage(("week",)), Scope(zone="Asia/Kolkata")),
    "report-month-day-new-york": Variant(Usage(("month", "day")), Scope(zone="America/New_York")),
    # Its midnight is in the hour that comes twice in Berlin, where a session may be.
    "report-day-cape-verde": Variant(Usage(("day",)), Scope(zone="Atlantic/Cape_Verde")),
    "report-tags": Variant(
        Usage(("tag:feature", 'tag:it\'s "odd" %s', "tag:ratio", "tag:build", "tag:is_beta"))
    ),
    "report-model-euros": Variant(
        Usage(("model", "service_tier")),
        Scope(currency="EUR", since=at("2026-10-20"), until=at("2026-11-01")),
    ),
    "report-everything": Variant(Usage(())),
    "report-nothing": Variant(Usage(("user",)), Scope(since=at("2030-01-01"))),
    "report-only": Variant(
        Usage(("task", "agent", "status", "error_type")),
        Scope(only={"user": "back\\slash\\", "tag:feature": "a'b\"c\\d"}),
    ),
    "report-top": Variant(Usage(("user", "task", "model"), top=7)),
    "tasks-task": Variant(Tasks()),
    "tasks-team": Variant(Tasks(("team",)), OCTOBER),
    "tasks-user-month": Variant(Tasks(("user", "month")), Scope(zone="Asia/Kolkata")),
    "tasks-feature": Variant(Tasks(("tag:feature",)), Scope(currency="EUR")),
    "tree-agents": Variant(Tree()),
    "tree-runs": Variant(Tree(runs=True), Scope(only={"task": "T-1"})),
    "tree-agents-user": Variant(Tree(), Scope(only={"user": "O'Brien"}, since=at("2026-10-20"))),
    "coverage": Variant(Coverage()),
    "coverage-team": Variant(Coverage(("team", "user")), OCTOBER),
    "leaderboard-user": Variant(Leaderboard(fewest_outcomes=1), DOLLARS),
    "leaderboard-user-open": Variant(
        Leaderboard(fewest_outcomes=1, named=0.1, unclaimed=99.0, unpriced=99.0), DOLLARS
    ),
    "leaderboard-team": Variant(
        Leaderboard(by="team", fewest_outcomes=2, fewest_entries=2, fewest_people=2, named=0.1),
        replace(OCTOBER, currency="USD"),
    ),
    "adoption-team": Variant(Adoption(), WEEKS),
    "adoption-everything": Variant(Adoption(fewest_people=2), Scope(zone="Asia/Kolkata")),
    "adoption-people": Variant(Adoption(people=PLANTED, fewest_people=1), OCTOBER),
}


def ran(engine: Engine, variant: Variant) -> Result:
    return run(variant.report, engine, variant.scope, now=company.NOW)


def written(value: Value) -> Any:
    """Give a value of a result as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def golden(result: Result) -> dict[str, Any]:
    """Give what of a result is the same whoever made it."""
    facts = {name: written(getattr(result.facts, name)) for name in result.facts.__struct_fields__}
    return {
        "columns": [f"{column.name}: {column.kind}" for column in result.columns],
        "currency": result.currency,
        "facts": facts,
        "rows": [[written(value) for value in row] for row in result.rows],
        "total": result.total and [written(value) for value in result.total],
    }


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


def differences(result: Result, name: str) -> list[str]:
    """Say in what a result differs from what it must be."""
    wanted, found = expected(name), golden(result)
    apart = [
        f"{part}: {found[part]!r}, not {wanted[part]!r}"
        for part in ("columns", "currency", "facts")
        if found[part] != wanted[part]
    ]
    if len(found["rows"]) != len(wanted["rows"]):
        return [*apart, f"{len(found['rows'])} rows, not {len(wanted['rows'])}"]
    names = [column.name for column in result.columns]
    pairs = zip([*found["rows"], found["total"]], [*wanted["rows"], wanted["total"]], strict=True)
    for row, (one, other) in enumerate(pairs):
        if (one is None) != (other is None):
            apart.append(f"total: {one}, not {other}")
        for column, a, b in zip(names, one or (), other or (), strict=one is not None):
            if not _equal(column, a, b):
                apart.append(f"row {row} ({(one or ())[:2]}), {column}: {a!r}, not {b!r}")
    return apart


def _equal(column: str, one: Any, other: Any) -> bool:
    if column in FRACTIONS and one is not None and other is not None:
        one, other = float(one), float(other)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= RATIO * max(abs(one), abs(other))
    return type(one) is type(other) and bool(one == other)


def in_currency(name: str) -> Scope:
    """Give the scope of a variant with the currency that an engine would find."""
    return replace(VARIANTS[name].scope, currency=expected(name)["currency"])


def given(
    name: str, ask: Callable[[str], list[tuple[Any, ...]]], dialect: str, source: str
) -> list[str]:
    """Run the SQL that is given away, and say in what its rows differ."""
    report, scope = VARIANTS[name].report, in_currency(name)
    columns = report.columns(scope)
    rows = rows_of(columns, ask(sql(report, dialect=dialect, source=source, scope=scope)))
    result = Result(
        name=name, title="", columns=columns, rows=rows, total=None, facts=Facts(), rules=1,
        currency=str(scope.currency), zone=scope.zone, since=scope.since, until=scope.until,
    )  # fmt: skip
    apart = differences(report.result(result), name)
    return [each for each in apart if not each.startswith("facts")]


def all_differences(engine: Engine) -> Iterator[str]:
    """Run every variant on an engine, and say what differs."""
    for name, variant in VARIANTS.items():
        yield from (f"{name}: {found}" for found in differences(ran(engine, variant), name))


def _write() -> None:
    from tokenmeter.reports.engines.duckdb import opened

    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        ledger = company_in.jsonl(Path(folder) / "usage.jsonl", company.events())
        with opened(ledger) as engine:
            for name, variant in VARIANTS.items():
                text = _text(golden(ran(engine, variant)))
                (GOLDEN / f"{name}.json").write_text(text, encoding="utf-8")


def _text(body: dict[str, Any]) -> str:
    rows = ",\n".join(f"  {_line(row)}" for row in body.pop("rows"))
    head = ",\n".join(f'"{part}": {_line(value)}' for part, value in body.items())
    return f'{{\n{head},\n"rows": [\n{rows}\n]\n}}\n'


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(_write())
