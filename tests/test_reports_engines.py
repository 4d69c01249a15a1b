"""What holds of all engines, without one: missing extras, and the SQL that they are given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tokenmeter import ConfigurationError, MissingExtraError
from tokenmeter.reports.engines import clickhouse, spark
from tokenmeter.reports.engines.shape import look, selected
from tokenmeter.reports.portable import DIALECTS, SOURCE, over, translated


@pytest.mark.parametrize(
    ("library", "extra", "enter"),
    [
        ("chdb", "clickhouse", lambda: clickhouse.opened("events")),
        ("clickhouse_connect", "clickhouse", lambda: clickhouse.opened("events", dsn="http://h")),
        ("pyspark.errors", "spark", lambda: spark.opened("events")),
    ],
)
def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    library: str, extra: str, enter: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"tokenmeter\[{extra}\]"), enter():
        pass


_SPARK = (
    "CONVERT_TIMEZONE( 'UTC', 'Europe/Berlin', CAST('1970-01-01 00:00:00' AS TIMESTAMP_NTZ) "
    "+ UNIX_MICROS(ts) * INTERVAL '0.000001' SECOND )"
)


@pytest.mark.parametrize(
    ("dialect", "day"),
    [
        ("duckdb", "ts AT TIME ZONE 'Europe/Berlin'"),
        ("postgres", "ts AT TIME ZONE 'Europe/Berlin'"),
        ("clickhouse", "toTimeZone(ts, 'Europe/Berlin')"),
        # not FROM_UTC_TIMESTAMP, which is right only where the session's zone is UTC
        ("spark", _SPARK),
    ],
)  # fmt: skip
def test_a_day_depends_on_the_zone_of_the_report_alone(dialect: str, day: str) -> None:
    text = translated("SELECT ts AT TIME ZONE 'Europe/Berlin' AS local FROM t", dialect)
    assert day in " ".join(text.split())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_are_only_names_in_every_dialect(dialect: str) -> None:
    import sqlglot

    odd = "O'Brien \\ \" -- ; DROP TABLE x %s {of}"
    text = translated(f"SELECT '{odd.replace(chr(39), chr(39) * 2)}' AS name", dialect)
    found = sqlglot.parse_one(text, read=dialect).find_all(sqlglot.expressions.Literal)
    assert odd in [literal.this for literal in found]


def test_clickhouse_is_given_whole_numbers_of_one_type_and_columns_of_plain_names() -> None:
    text = translated(
        "SELECT a.x, COUNT(*) AS n, 1 AS one FROM t AS a JOIN t AS b ON a.y = b.y", "clickhouse"
    )
    said = " ".join(text.split())
    assert 'a.x AS "x"' in said
    assert "toInt64(COUNT(*)) AS n" in said
    assert "toInt64(1) AS one" in said


def test_a_source_is_text_of_its_engine_and_is_not_translated() -> None:
    source = "file('a.parquet', Parquet)"
    assert source in over(source, f"SELECT x FROM {SOURCE}", "clickhouse")


def test_a_source_that_lacks_what_makes_an_event_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"the view v holds no events: .* event_id, ts;"):
        selected({"kind": "text"}, "the view v", lambda name, *_: name)


@pytest.mark.parametrize(
    ("counts", "is_once", "damage"),
    [
        ((5, 5, 5), True, []),
        ((0, None, 0), True, []),
        ((5, 4, 4), True, ["t: 1 row is no event"]),
        (
            (9, 7, 5),
            False,
            ["t: 2 rows are no event", "2 events are there twice and counted once: t"],
        ),
    ],
)
def test_what_is_no_event_and_what_is_there_twice_is_said(
    counts: tuple[Any, ...], is_once: bool, damage: list[str]
) -> None:
    assert look(lambda _: [counts], "t", "duckdb", "t") == (is_once, damage)
