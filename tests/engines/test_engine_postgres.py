"""Reports on a real PostgreSQL server: the same rows as everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import company
import company_in
import company_reports as reported
from pg import Server, server
from tokenmeter import ConfigurationError
from tokenmeter.reports.engines.postgres import opened
from tokenmeter.reports.running import run
from tokenmeter.reports.usage import Usage

pytest.importorskip("sqlglot")
EVENTS = company.events()


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.fixture(scope="module")
def dsn(running: Server) -> str:
    """Make a database whose texts are not in the order of their bytes."""
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE company TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"
        )
    made = running.dsn("company")
    company_in.table(made, EVENTS)
    company_in.table_of_all(made, EVENTS)
    return made


def changed(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_the_table_of_the_exporter_gives_the_same_rows(dsn: str) -> None:
    with opened(dsn=dsn) as engine:
        assert (engine.is_once, engine.damage) == (True, [])
        assert list(reported.all_differences(engine)) == []


def test_a_table_without_a_key_gives_the_same_rows_and_says_what_is_there_twice(dsn: str) -> None:
    twice = len(EVENTS) - len(company.once(EVENTS))
    with opened("every_event", dsn=dsn) as engine:
        said = f"{twice} events are there twice and counted once: the table every_event"
        assert (engine.is_once, engine.damage) == (False, [said])
        assert list(reported.all_differences(engine)) == []


@pytest.mark.parametrize("name", reported.VARIANTS)
def test_the_sql_that_is_given_away_runs_in_whatever_zone(name: str, dsn: str) -> None:
    with psycopg.connect(dsn, options="-c TimeZone=America/Sao_Paulo") as connection:

        def ask(text: str) -> list[tuple[Any, ...]]:
            return connection.execute(text.encode()).fetchall()

        assert reported.given(name, ask, "postgres", "every_event") == []


def test_a_table_that_is_older_and_of_other_types_is_read_as_far_as_it_goes(dsn: str) -> None:
    changed(
        dsn,
        "CREATE TABLE old AS SELECT * FROM tokenmeter_events",
        "ALTER TABLE old DROP COLUMN reasoning_tokens, DROP COLUMN evidence",
        "ALTER TABLE old ALTER cost_amount TYPE text, ALTER tags TYPE json",
        "INSERT INTO old (kind, event_id, schema, ts) VALUES ('other', 'x', 1, now())",
    )
    with opened("old", dsn=dsn) as engine:
        result = run(Usage(("tag:feature",)), engine, now=company.NOW)
    assert result.damage[0] == "the table old: 1 row is no event"
    assert result.total is not None
    assert result.total[result.index("reasoning_tokens")] is None
    golden = reported.expected("report-everything")
    names = [column.partition(": ")[0] for column in golden["columns"]]
    cost = result.total[result.index("cost_amount")]
    assert str(cost) == golden["rows"][0][names.index("cost_amount")]


def test_a_report_reads_only_and_is_about_one_moment(dsn: str) -> None:
    changed(dsn, "CREATE TABLE growing AS SELECT * FROM tokenmeter_events LIMIT 5")
    with opened("growing", dsn=dsn) as engine:
        changed(dsn, "DELETE FROM growing")
        assert engine.ask(f"SELECT COUNT(*) FROM {engine.source}") == [(5,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            engine.ask("DELETE FROM growing RETURNING 1")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "PostgreSQL has no table 'nowhere', or this role does not see it"),
        ("other_rows", "the table 'other_rows' holds no events: it has no column event_id, kind"),
    ],
)
def test_what_is_no_table_of_events_is_named(dsn: str, source: str, message: str) -> None:
    changed(dsn, "CREATE TABLE IF NOT EXISTS other_rows (ts timestamptz)")
    with pytest.raises(ConfigurationError, match=message), opened(source, dsn=dsn):
        pass


def test_what_the_server_says_is_one_line_without_a_password(dsn: str) -> None:
    changed(
        dsn,
        "CREATE TABLE secret AS SELECT * FROM tokenmeter_events",
        "CREATE ROLE reader LOGIN PASSWORD 's3cret'",
    )
    as_reader = dsn.replace("ledger@", "reader:s3cret@")
    with pytest.raises(ConfigurationError) as denied, opened("secret", dsn=as_reader):
        pass
    assert str(denied.value) == (
        "PostgreSQL cannot make a report of this: permission denied for table secret"
    )
    with pytest.raises(ConfigurationError) as unknown, opened(dsn=f"{dsn}&password=s3cret&x=1"):
        pass
    assert "s3cret" not in str(unknown.value)


def test_a_query_is_watched(dsn: str) -> None:
    seen: list[float] = []

    def watch(work: Callable[[], Any], done: Callable[[], float], stop: object) -> Any:
        seen.append(done())
        return work()

    with opened(dsn=dsn, watch=watch) as engine:
        run(Usage(("user",)), engine)
    assert set(seen) == {-1.0}
