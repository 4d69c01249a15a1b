"""Reports on Spark, for real: the same rows as everywhere, in whatever zone the session is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import company
import company_in
import company_reports as reported
from tokenmeter import ConfigurationError
from tokenmeter.reports.engines.spark import opened
from tokenmeter.reports.running import run
from tokenmeter.reports.usage import Usage

pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: pip install pyspark")
pytest.importorskip("sqlglot")
# What Spark says of the pandas that is there, and what its gateway leaves open, is its own.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
EVENTS = company.events()
TWICE = len(EVENTS) - len(company.once(EVENTS))
FEW = ("report-user", "report-tags", "report-day-cape-verde", "tasks-team", "tree-agents")
ZONES = ("Europe/Berlin", "America/Sao_Paulo")


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """Have a session as somebody else has it, in a zone in which half past two comes twice."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder: Any = pyspark.sql.SparkSession.builder.master("local[1]")
    made = (
        builder.config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.session.timeZone", ZONES[0])
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="module")
def every(folder: Path) -> str:
    return str(company_in.parquet(folder / "every.parquet", EVENTS))


def settings(session: Any) -> dict[str, str]:
    return dict(session.conf.getAll)


def same(engine: Any, *names: str) -> None:
    for name in names:
        assert reported.differences(reported.ran(engine, reported.VARIANTS[name]), name) == []


@pytest.mark.parametrize("name", reported.VARIANTS)
def test_a_file_of_parquet_gives_the_same_rows(name: str, session: Any, every: str) -> None:
    with opened(every) as engine:
        assert engine.damage == [f"{TWICE} events are there twice and counted once: {every}"]
        same(engine, name)


def test_lines_give_the_same_rows_and_damage_is_counted(session: Any, folder: Path) -> None:
    ledger = company_in.jsonl(folder / "usage.jsonl", EVENTS)
    torn = b'{"kind":"call","event_id":"torn","schema":1,"ts":"2026-10-20T10:00:00.1Z","us'
    other = b'{"message":"a line of somebody else"}\n[1, 2]\nno JSON\n'
    ledger.write_bytes(ledger.read_bytes() + other + torn)
    with opened(ledger) as engine:
        assert engine.damage == [
            f"{ledger}: 4 rows are no event",
            f"{TWICE} events are there twice and counted once: {ledger}",
        ]
        same(engine, *FEW)


def test_a_table_and_a_frame_give_the_same_rows_and_leave_the_session_as_it_was(
    session: Any, every: str
) -> None:
    frame = company_in.spark(session, Path(every), "company_events")
    before = settings(session), session.catalog.listTables()
    for source in ("company_events", frame):
        with opened(source) as engine:
            same(engine, "report-user", "adoption-team")
    assert (settings(session), session.catalog.listTables()) == before


@pytest.mark.parametrize("zone", ZONES)
def test_the_sql_that_is_given_away_gives_the_same_rows_in_whatever_zone(
    zone: str, session: Any, every: str
) -> None:
    company_in.spark(session, Path(every), "tokenmeter_events")
    session.conf.set("spark.sql.session.timeZone", zone)
    try:
        for name in FEW:
            found = reported.given(
                name, lambda sql: _rows(session, sql), "spark", "tokenmeter_events"
            )
            assert found == [], name
    finally:
        session.conf.set("spark.sql.session.timeZone", ZONES[0])


def _rows(session: Any, sql: str) -> list[Any]:
    return [tuple(row) for row in session.sql(sql).collect()]


def test_an_older_frame_and_tags_that_are_no_map_are_read_as_far_as_they_go(
    session: Any, every: str
) -> None:
    from pyspark.sql import functions as f

    frame = session.read.parquet(every).drop("reasoning_tokens", "evidence")
    old = frame.withColumn("tags", f.to_json("tags")).withColumn(
        "cost_amount", f.col("cost_amount").cast("string")
    )
    with opened(old) as engine:
        result = run(Usage(("tag:feature",)), engine, now=company.NOW)
    golden = reported.expected("report-everything")
    names = [column.partition(": ")[0] for column in golden["columns"]]
    assert result.total is not None
    assert result.total[result.index("reasoning_tokens")] is None
    cost = result.total[result.index("cost_amount")]
    assert str(cost) == golden["rows"][0][names.index("cost_amount")]
    assert None in result.column("tag:feature")
    assert "rag" in result.column("tag:feature")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "Spark cannot make a report of this: .*nowhere"),
        ("/nowhere/usage.parquet", "Spark cannot make a report of this: .*PATH_NOT_FOUND"),
        ("other_rows", "other_rows holds no events: it has no column event_id, kind, ts"),
    ],
)
def test_what_is_no_table_of_events_is_named_in_one_line(
    session: Any, source: str, message: str
) -> None:
    session.range(3).createOrReplaceTempView("other_rows")
    with pytest.raises(ConfigurationError, match=message) as wrong, opened(source):
        pass
    assert "\n" not in str(wrong.value)
