"""Running a report: its query and the facts beside it, on any engine."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from tokenmeter.reports import zones
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines import Engine
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.facts import CALLS, PEOPLE, Calls, oddities
from tokenmeter.reports.portable import SOURCE, over
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import RULES, USUAL_CURRENCY, Scope
from tokenmeter.reports.values import Facts, Result, rows_of
from tokenmeter.wording import counted


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
    calls = Calls(_ask(engine, CALLS, scope))
    currencies = () if scope.currency or len(calls.currencies) < 2 else calls.currencies
    currency = scope.currency or calls.currency(lambda: _ask(engine, PEOPLE, scope))
    scope = _in_currency(scope, currency)
    facts = calls.facts(currency, _ask(engine, oddities(now or datetime.now(UTC)), scope))
    edges = zones.edges(facts, scope)
    days = _ask(engine, zones.days(edges, scope), scope) if edges else []
    columns = report.columns(scope)
    found = _ask(engine, report.query(scope), scope)
    with _no_collection():
        rows = rows_of(columns, found)
        del found
        return report.result(
            Result(
                name=report.name,
                title=report.title,
                columns=columns,
                rows=rows,
                total=None,
                facts=facts,
                currency=currency,
                zone=scope.zone,
                since=scope.since,
                until=scope.until,
                rules=RULES,
                damage=(*engine.damage, *_oddities(facts)),
                only=scope.only,
                notes=tuple(zones.disagreement(edges, days, scope, engine.dialect)),
                currencies=currencies,
            )
        )


@contextmanager
def _no_collection() -> Generator[None]:
    """Let nobody look for garbage while very many rows are made, of which none is garbage.

    It takes as long as making them; also at once afterwards, and so they count as old objects.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # what somebody has frozen stays so
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()


def _ask(engine: Engine, query: Query, scope: Scope) -> list[tuple[object, ...]]:
    text = _text(query, engine.dialect, engine.source, scope, is_once=engine.is_once)
    return engine.ask(text)


def _text(query: Query, dialect: str, source: str, scope: Scope, *, is_once: bool) -> str:
    return over(source, query.text(SOURCE, scope, is_once=is_once), dialect)


def _in_currency(scope: Scope, currency: str) -> Scope:
    return msgspec.structs.replace(scope, currency=scope.currency or currency)


def _oddities(facts: Facts) -> Iterator[str]:
    if facts.ahead:
        yield f"{counted(facts.ahead, 'event', 'are')} ahead of the clock of this machine"
    if facts.newer:
        many = counted(facts.newer, "event", "have")
        yield f"{many} a newer schema: what only it has is not in here"
