"""Running a report: its query and the facts beside it, on any engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines import Engine
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.facts import facts_of, facts_query
from tokenmeter.reports.portable import SOURCE, over
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import RULES, Scope
from tokenmeter.reports.values import Facts, Result, rows_of

USUAL_CURRENCY = "USD"

_CURRENCIES = Query(
    'SELECT cost_currency, COUNT(DISTINCT "user") AS people, COUNT(*) AS priced FROM calls '
    "WHERE cost_amount IS NOT NULL GROUP BY cost_currency"
)


def sql(
    report: Report,
    *,
    dialect: str = "duckdb",
    source: str = "tokenmeter_events",
    scope: Scope | None = None,
) -> str:
    """Give the SQL of a report, for those who run it themselves.

    Args:
        report: Which report.
        dialect: ``duckdb``, ``spark``, ``clickhouse`` or ``postgres``.
        source: What has the columns of `UsageEvent`, in that SQL: the name of a table, or
            a function that reads files.
        scope: What it is about; amounts are in US dollars where it does not say.

    Raises:
        ConfigurationError: There is no such dialect, or no such column.
        MissingExtraError: sqlglot is not installed; ``duckdb`` needs none.
    """
    scope = _in_currency(scope or Scope(), USUAL_CURRENCY)
    return _text(report.query(scope), dialect, source, scope, is_once=False)


def run(
    report: Report, source: object, scope: Scope | None = None, *, now: datetime | None = None
) -> Result:
    """Run a report.

    Args:
        report: Which report.
        source: Over what: a ledger, Parquet, a pattern, a folder, or a list of them; a frame; or
            an engine that is open, of `tokenmeter.reports.engines`.
        scope: What it is about; everything, where it does not say.
        now: The time of the reader's clock, from which events that are ahead of it are told.

    Raises:
        ConfigurationError: There is no such file or column, or it cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    if isinstance(source, Engine):
        return _run(report, source, scope or Scope(), now)
    with opened(source) as engine:
        return _run(report, engine, scope or Scope(), now)


def _run(report: Report, engine: Engine, scope: Scope, now: datetime | None) -> Result:
    if scope.currency is None:
        scope = _in_currency(scope, _currency(engine, scope))
    facts = facts_of(_ask(engine, facts_query(scope, now or datetime.now(UTC)), scope))
    columns = report.columns(scope)
    result = Result(
        name=report.name,
        title=report.title,
        columns=columns,
        rows=rows_of(columns, _ask(engine, report.query(scope), scope)),
        total=None,
        facts=facts,
        currency=scope.currency or USUAL_CURRENCY,
        zone=scope.zone,
        since=scope.since,
        until=scope.until,
        rules=RULES,
        damage=(*engine.damage, *_oddities(facts)),
        only=scope.only,
    )
    return report.result(result)


def _ask(engine: Engine, query: Query, scope: Scope) -> list[tuple[object, ...]]:
    text = _text(query, engine.dialect, engine.source, scope, is_once=engine.is_once)
    return engine.ask(text)


def _text(query: Query, dialect: str, source: str, scope: Scope, *, is_once: bool) -> str:
    return over(source, query.text(SOURCE, scope, is_once=is_once), dialect)


def _in_currency(scope: Scope, currency: str) -> Scope:
    return msgspec.structs.replace(scope, currency=scope.currency or currency)


def _currency(engine: Engine, scope: Scope) -> str:
    """Give the currency of most people, so that nobody can change it by calling more."""
    found: list[tuple[Any, ...]] = [row for row in _ask(engine, _CURRENCIES, scope) if row[0]]
    return str(max(found, key=lambda row: (row[1], row[2], row[0]))[0]) if found else USUAL_CURRENCY


def _oddities(facts: Facts) -> Iterator[str]:
    if facts.ahead:
        events = "1 event is" if facts.ahead == 1 else f"{facts.ahead} events are"
        yield f"{events} ahead of the clock of this machine"
    if facts.newer:
        events = "1 event has" if facts.newer == 1 else f"{facts.newer} events have"
        yield f"{events} a newer schema: what only it has is not in here"
