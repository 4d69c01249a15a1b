"""What became of tasks, in SQL: the same answer as the reader in Python has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tables import EXAMPLES
from test_settlement import ODD, STATEMENTS, said
from tokenmeter import UsageEvent
from tokenmeter.compaction import columns_of
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.settling import SETTLING
from tokenmeter.settlement import settle

_COLUMNS = ("kind", "event_id", "ts", "task", "status", "evidence", "reference", "user", "team")
_SELECT = "SELECT task, status, EPOCH_US(decided), is_self_declared FROM settled"
QUERY = Query(_SELECT, SETTLING).text("ledger", Scope(), is_once=True)


@pytest.fixture(scope="module")
def ledger() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in columns_of().items())
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE ledger ({columns})")
        yield connection


def in_sql(ledger: duckdb.DuckDBPyConnection, statements: list[UsageEvent]) -> dict[str, Any]:
    ledger.execute("DELETE FROM ledger")
    once = {event.event_id: event for event in statements}
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    marks = ", ".join("?" * len(_COLUMNS))
    for event in once.values():
        values = [getattr(event, name) for name in _COLUMNS]
        values[2] = in_utc(event.ts).isoformat()
        ledger.execute(f"INSERT INTO ledger ({names}) VALUES ({marks})", values)
    found = ledger.execute(QUERY).fetchall()
    return {task: (status, decided, bool(own)) for task, status, decided, own in found}


def in_python(statements: list[UsageEvent]) -> dict[str, Any]:
    return {
        task: (account.status, micros(account.decided), account.is_self_declared)
        for task, account in settle(statements).tasks.items()
        if account.decided is not None
    }


def in_utc(ts: datetime) -> datetime:
    return ts if ts.tzinfo else ts.replace(tzinfo=UTC)


def micros(ts: datetime) -> int:
    return round(in_utc(ts).timestamp() * 1_000_000)


EVIDENCE = st.sampled_from([None, "self", "ci"])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STATEMENTS, st.lists(EVIDENCE, min_size=12, max_size=12))
def test_sql_and_python_say_the_same_of_whatever_is_stated(
    ledger: duckdb.DuckDBPyConnection, made: list[tuple[str, str, str | None]], witness: list[Any]
) -> None:
    statements = [said(at, *what, evidence=witness[at]) for at, what in enumerate(made)]
    assert in_sql(ledger, statements) == in_python(statements)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(ODD, max_size=8, unique_by=lambda event: event.event_id))
def test_they_say_the_same_of_what_is_forged_and_odd(
    ledger: duckdb.DuckDBPyConnection, made: list[UsageEvent]
) -> None:
    assert in_sql(ledger, made) == in_python(made)
