"""Frames in and out: of pandas, Polars, pyarrow, and of what else narwhals knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from reported import result
from tokenmeter import ConfigurationError
from tokenmeter.frames import BACKENDS
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.running import run
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Result

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")
narwhals = pytest.importorskip("narwhals")

EVENTS: dict[str, list[Any]] = {
    "event_id": ["1", "2"],
    "ts": [datetime(2026, 11, 22, 23, 30, tzinfo=UTC), datetime(2026, 11, 23, 1, tzinfo=UTC)],
    "kind": ["call", "call"],
    "user": ["ada", None],
    "input_tokens": [5, 7],
    "output_tokens": [1, None],
    "cost_amount": [Decimal("0.1"), Decimal("0.2")],
    "cost_currency": ["USD", "USD"],
}
MAKERS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pandas.DataFrame,
    "polars": polars.DataFrame,
    "polars, lazy": lambda columns: polars.DataFrame(columns).lazy(),
    "pyarrow": pyarrow.table,
    "a stream of Arrow": lambda columns: pyarrow.table(columns).to_reader(),
    "narwhals": lambda columns: narwhals.from_native(polars.DataFrame(columns)),
}


def reported(frame: Any, *by: str) -> Result:
    with opened(frame) as engine:
        return run(Usage(by), engine)


def rows(found: Result, *names: str) -> set[tuple[Any, ...]]:
    return {tuple(row[found.index(name)] for name in names) for row in found.rows}


@pytest.mark.parametrize("library", MAKERS)
def test_a_frame_of_events_is_a_source_whatever_made_it(library: str) -> None:
    found = reported(MAKERS[library](EVENTS), "user", "team")
    names = ("user", "team", "calls", "input_tokens", "output_tokens", "cost_amount")
    assert rows(found, *names) == {
        ("ada", None, 1, 5, 1, Decimal("0.1")),
        (None, None, 1, 7, None, Decimal("0.2")),
    }
    assert found.damage == ()


@pytest.mark.parametrize("library", MAKERS)
@pytest.mark.parametrize(
    "times",
    [
        [datetime(2026, 11, 22, 23, 30), datetime(2026, 11, 23, 1)],
        ["2026-11-23T00:30:00+01:00", "2026-11-23 01:00:00"],
    ],
    ids=["without a zone", "text"],
)
def test_a_time_without_a_zone_is_in_utc(library: str, times: list[Any]) -> None:
    found = reported(MAKERS[library](EVENTS | {"ts": times}), "day")
    assert rows(found, "day", "calls") == {("2026-11-22", 1), ("2026-11-23", 1)}


@pytest.mark.parametrize("library", MAKERS)
@pytest.mark.parametrize(
    "tags",
    [[{"sprint": "12"}, None], ['{"sprint": "12"}', None], ['{"sprint": 12}', '{"spri']],
    ids=["dictionary", "JSON", "JSON, of which one is none"],
)
def test_tags_are_a_dictionary_or_json(library: str, tags: list[Any]) -> None:
    found = reported(MAKERS[library](EVENTS | {"tags": tags}), "tag:sprint")
    assert rows(found, "tag:sprint", "calls") == {("12", 1), (None, 1)}


def test_a_map_of_arrow_is_tags() -> None:
    tags = pyarrow.array(
        [[("a", "x")], None], type=pyarrow.map_(pyarrow.string(), pyarrow.string())
    )
    found = reported(pyarrow.table(EVENTS | {"tags": tags}), "tag:a")
    assert rows(found, "tag:a", "calls") == {("x", 1), (None, 1)}


def test_a_row_that_is_no_event_and_one_that_is_there_twice_are_said() -> None:
    broken = EVENTS | {"event_id": ["1", "1"]}
    assert reported(pandas.DataFrame(broken)).damage == (
        "1 event is there twice and counted once: the frame",
    )
    broken = EVENTS | {"ts": ["never", "2026-11-23T01:00:00Z"]}
    assert reported(pandas.DataFrame(broken)).damage == ("the frame: 1 row is no event",)


def test_an_empty_frame_is_a_report_of_nothing() -> None:
    found = reported(pandas.DataFrame(EVENTS).iloc[:0], "user")
    assert (found.rows, found.facts.attempts) == ((), 0)


@pytest.mark.parametrize("wrong", [5, {"a": [1]}, object()])
def test_what_is_no_frame_is_said(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{type(wrong).__name__} is no frame; expected"):
        reported(wrong)


def test_a_frame_without_the_columns_of_events_is_said() -> None:
    with pytest.raises(ConfigurationError, match="it has no column event_id, kind, ts"):
        reported(pandas.DataFrame({"a": [1]}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_is_a_frame_and_money_is_exact_in_it(backend: Any) -> None:
    made = narwhals.from_native(result().to_frame(backend))
    assert made.columns == [column.name for column in result().columns]
    assert list(made["cost_amount"].to_list()) == [Decimal("12.3"), Decimal("0.0456789")]
    assert made["calls"].to_list() == [30, 10]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_of_nothing_is_a_frame_with_its_columns(backend: Any) -> None:
    made = narwhals.from_native(result(rows=()).to_frame(backend))
    assert (len(made), made.columns) == (0, [column.name for column in result().columns])


def test_frames_of_a_library_that_nobody_knows_are_said() -> None:
    wrong: Any = "panda"
    with pytest.raises(ConfigurationError, match="'panda' has no frames: did you mean 'pandas'"):
        result().to_frame(wrong)
