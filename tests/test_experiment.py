"""A run of an experiment: what it used, how it ended, and the lines that keep it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
from collections.abc import AsyncGenerator, Iterator
from contextvars import copy_context
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmeter
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.notebook import records
from tokenmeter.notebook.experiment import Run
from trials import ask, ask_unpriced, stepping

FILE = "tokenmeter-experiments.jsonl"


@pytest.fixture(autouse=True)
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[UsageEvent]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOKENMETER_EXPERIMENTS", raising=False)
    events: list[UsageEvent] = []
    monkeypatch.setattr("tokenmeter.meter._default", stepping(events))
    yield events
    tokenmeter.shutdown()


def lines(file: str | Path = FILE) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_whoever_uses_plain_threads_is_told_what_has_their_calls_counted() -> None:
    runs: list[Run] = []
    for within in (lambda function: function, tokenmeter.propagate):
        with tokenmeter.experiment("v1") as run:
            thread = threading.Thread(target=within(ask))
            thread.start()
            thread.join()
        runs.append(run)
    unseen, seen = runs
    assert (unseen.spent.calls, seen.spent.calls) == (0, 1)
    assert "tokenmeter.propagate(function)" in str(unseen)
    assert "propagate" not in str(seen)


def test_a_run_is_a_line_when_it_begins_and_another_one_when_it_has_ended() -> None:
    with tokenmeter.experiment("v1", {"temperature": 0.2, "model": "dear"}) as run:
        ask()
        (begun,) = lines()
    assert begun == {
        "kind": "experiment",
        "run_id": run.run_id,
        "name": "v1",
        "ts": begun["ts"],
        "status": "unfinished",
        "schema": 1,
        "params": {"temperature": 0.2, "model": "dear"},
        "host": begun["host"],
        "pid": begun["pid"],
    }
    ended = lines()[1]
    assert ended == begun | {
        "status": "completed",
        "duration_s": ended["duration_s"],
        "calls": 1,
        "attempts": 1,
        "failed": 0,
        "abandoned": 0,
        "input_tokens": 7,
        "output_tokens": 3,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "unknown": 0,
        "estimated": 0,
        "partial": 0,
        "unpriced": 0,
        "costs": {"USD": ended["costs"]["USD"]},
    }
    assert Decimal(ended["costs"]["USD"]) == Decimal("0.00001")
    assert ended["duration_s"] > 0


def test_calls_say_to_which_run_they_belong(events: list[UsageEvent]) -> None:
    with tokenmeter.experiment("v1") as run, tokenmeter.attribute(tier="gold"):
        ask()
    ask()
    inside, outside = events
    assert inside.tags == {"experiment": "v1", "experiment_run": run.run_id, "tier": "gold"}
    assert outside.tags is None


def test_a_run_inside_another_one_is_in_both_and_says_so(events: list[UsageEvent]) -> None:
    with tokenmeter.experiment("outer") as outer:
        ask()
        with tokenmeter.experiment("inner") as inner:
            ask()
    assert (outer.spent.calls, inner.spent.calls) == (2, 1)
    assert [(event.tags or {})["experiment"] for event in events] == ["outer", "inner"]
    found = {run.name: run for run in tokenmeter.experiments()}
    assert found["inner"].parent_run_id == found["outer"].run_id == outer.run_id


def test_runs_at_the_same_time_count_their_own_calls() -> None:
    async def one(name: str, calls: int) -> int:
        with tokenmeter.experiment(name) as run:
            for _ in range(calls):
                await asyncio.sleep(0)
                ask()
        return run.spent.calls

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*[one(f"v{n}", n) for n in range(5)])

    assert asyncio.run(all_at_once()) == [0, 1, 2, 3, 4]
    assert {run.name: run.calls for run in tokenmeter.experiments()} == {
        f"v{n}": n for n in range(5)
    }


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (ValueError("secret"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (asyncio.CancelledError(), "interrupted"),
    ],
)
def test_an_exception_ends_a_run_and_goes_on(raised: BaseException, status: str) -> None:
    run = tokenmeter.experiment("v1")
    with pytest.raises(type(raised)) as caught, run:  # noqa: PT012
        ask()
        raise raised
    assert caught.value is raised
    assert run.status == status
    kept = lines()[-1]
    assert (kept["status"], kept["error_type"], kept["calls"]) == (status, type(raised).__name__, 1)
    assert "secret" not in Path(FILE).read_text()


def test_what_ends_after_the_block_is_kept_as_well() -> None:
    async def late(gate: asyncio.Event) -> None:
        await gate.wait()
        ask()

    async def block() -> None:
        gate = asyncio.Event()
        with tokenmeter.experiment("v1"):
            task = asyncio.create_task(late(gate))
        assert [run.calls for run in tokenmeter.experiments()] == [0]
        gate.set()
        await task

    asyncio.run(block())
    assert [(run.calls, run.status) for run in tokenmeter.experiments()] == [(1, "completed")]


def test_where_metering_is_switched_off_nothing_is_known_rather_than_zero() -> None:
    tokenmeter.configure().disable()
    with tokenmeter.experiment("v1") as run:
        ask()
    (kept,) = tokenmeter.experiments()
    assert (kept.status, kept.calls, kept.costs, kept.spent) == ("completed", None, None, None)
    assert "metering was switched off" in str(run)
    compared = tokenmeter.experiments().compare()
    assert compared.measures == ("seconds",)
    assert "v1: 1 run of 1 while metering was switched off" in str(compared)


def test_a_forked_child_leaves_the_run_to_its_parent() -> None:
    with tokenmeter.experiment("v1") as run:
        ask()
        child = os.fork()
        if not child:
            run.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(child, 0)
    assert [line["status"] for line in lines()] == ["unfinished", "completed"]
    assert lines()[-1]["calls"] == 1


def test_a_score_is_kept_whether_it_is_said_inside_or_later() -> None:
    with tokenmeter.experiment("v1") as run:
        run.score(accuracy=0.5)
    run.score(accuracy=0.75, cost_of_errors=Decimal(2), share=Fraction(1, 4))
    (kept,) = tokenmeter.experiments()
    assert kept.scores == run.scores == {"accuracy": 0.75, "cost_of_errors": 2, "share": 0.25}
    assert kept.status == "completed"


@pytest.mark.parametrize("score", [math.nan, math.inf, "0.9", None, True, [1]])
def test_a_score_that_is_no_number_is_refused_and_changes_nothing(score: Any) -> None:
    with tokenmeter.experiment("v1") as run, pytest.raises(ConfigurationError, match="accuracy"):
        run.score(fine=1, accuracy=score)
    assert run.scores == {}


@pytest.mark.parametrize(
    "params", [{"a": [1]}, {"a": math.nan}, {"a": 2**64}, {1: 2}, {"a": "\ud800"}, "a=1"]
)
def test_a_parameter_that_is_no_plain_value_is_refused(params: Any) -> None:
    with pytest.raises(ConfigurationError, match="params"):
        tokenmeter.experiment("v1", params)


@pytest.mark.parametrize("name", ["", None, 3, "\ud800"])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="non-empty name"):
        tokenmeter.experiment(name)


def test_a_run_begins_once() -> None:
    with tokenmeter.experiment("v1") as run:
        pass
    with pytest.raises(ConfigurationError, match="has begun already"), run:
        pass


def test_a_file_that_cannot_be_written_is_said_before_anything_is_asked(
    events: list[UsageEvent], tmp_path: Path
) -> None:
    with (
        pytest.raises(ConfigurationError, match="TOKENMETER_EXPERIMENTS"),
        tokenmeter.experiment("v1", file=tmp_path / "nowhere" / "runs.jsonl"),
    ):
        ask()
    ask()
    assert [event.tags for event in events] == [None]


def test_a_file_that_breaks_meanwhile_harms_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    with tokenmeter.experiment("v1", file=folder / "runs.jsonl") as run:
        ask()
        (folder / "runs.jsonl").unlink()
        folder.rmdir()
    assert (run.status, run.spent.calls) == ("completed", 1)
    assert tokenmeter.configure().stats()["guard"] == {"the file of experiments": 1}


def test_the_file_is_named_by_code_or_else_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPERIMENTS", str(tmp_path / "by-environment.jsonl"))
    with tokenmeter.experiment("v1"), tokenmeter.experiment("v2", file="by-code.jsonl"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"by-code.jsonl", "by-environment.jsonl"}
    assert [run.name for run in tokenmeter.experiments()] == ["v1"]
    assert [run.name for run in tokenmeter.experiments("by-code.jsonl")] == ["v2"]


def test_it_shows_itself_with_what_was_tried_and_where_it_is_kept(tmp_path: Path) -> None:
    with tokenmeter.experiment("<b>v1</b>", {"t": 0.2}) as run:
        ask()
        ask_unpriced()
    run.score(accuracy=0.5)
    title, head, row, said, kept = str(run).splitlines()
    assert title == "experiment <b>v1</b>, completed"
    assert head.split() == ["calls", "input", "output", "cost", "seconds", "numbers", "are"]
    assert row.split()[:6] == ["2", "14", "6", "≥", "0.00001", "USD"]
    assert row.endswith("reported, 1 without a price")
    assert said == "t = 0.2, accuracy: 0.5"
    assert kept == f"kept in {tmp_path / FILE}"
    shown = run._repr_html_()
    assert "&lt;b&gt;v1&lt;/b&gt;" in shown
    assert "<b>v1</b>" not in shown


# The file


plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(codec="utf-8")),
)  # fmt: skip


@given(params=st.dictionaries(st.text(st.characters(codec="utf-8")), plain))
def test_whatever_can_be_a_parameter_is_read_as_it_was(
    params: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    with tokenmeter.experiment("v1", params, file=file):
        pass
    (kept,) = tokenmeter.experiments(file)
    assert kept.params == params


@given(data=st.data())
def test_a_torn_line_costs_itself_alone_and_is_counted(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    with tokenmeter.experiment("torn", file=file):
        pass
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    cut = data.draw(st.integers(first + 1, len(whole) - 2))
    file.write_bytes(whole[:cut])
    with tokenmeter.experiment("next", file=file):
        pass
    found = tokenmeter.experiments(file)
    assert [(run.name, run.status) for run in found] == [
        ("torn", "unfinished"),
        ("next", "completed"),
    ]
    assert found.skipped == 1


def test_lines_of_others_are_counted_and_nothing_else() -> None:
    Path(FILE).write_bytes(b'{"kind":"call"}\n\xff\xfe\n\n[]\nnull\n')
    assert (len(tokenmeter.experiments()), tokenmeter.experiments().skipped) == (0, 4)


def test_a_later_line_says_more_and_a_beginning_takes_nothing_back(tmp_path: Path) -> None:
    with tokenmeter.experiment("v1"):
        pass
    begun, ended = Path(FILE).read_bytes().splitlines(keepends=True)
    Path(FILE).write_bytes(ended + begun)
    (kept,) = records.read(tmp_path / FILE).records
    assert kept.status == "completed"


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read experiments"):
        tokenmeter.experiments(tmp_path)


def test_a_run_that_another_thread_has_ended_counts_no_later_calls() -> None:
    def entered() -> Run:
        run = tokenmeter.experiment("v1")
        run.__enter__()
        ask()
        thread = threading.Thread(target=run.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        ask()
        return run

    run = copy_context().run(entered)  # whose block nobody can leave any more
    assert (run.status, run.spent.calls) == ("completed", 1)
    assert [line.get("calls") for line in lines()] == [None, 1]


def test_a_run_in_an_abandoned_generator_counts_no_later_calls() -> None:
    async def rows() -> AsyncGenerator[Run]:
        with tokenmeter.experiment("v1") as run:
            while True:
                ask()
                yield run

    async def main() -> Run:
        given = rows()
        run = await anext(given)
        await asyncio.create_task(given.aclose())
        ask()
        return run

    run = asyncio.run(main())
    assert (run.status, run.spent.calls) == ("interrupted", 1)


def test_what_is_put_into_params_inside_loses_no_run() -> None:
    with tokenmeter.experiment("v1", {"a": 1}) as run:
        run.params["b"] = [object()]  # type: ignore[assignment]  # pyright: ignore
        ask()
    assert [(line["status"], line["params"]) for line in lines()] == [
        ("unfinished", {"a": 1}), ("completed", {"a": 1})
    ]  # fmt: skip


@pytest.mark.parametrize("value", [Fraction(10**400), Decimal("sNaN"), Decimal("NaN")])
def test_a_number_that_json_cannot_hold_is_no_parameter_and_no_score(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="finite number"):
        tokenmeter.experiment("v1", {"a": value})
    with pytest.raises(ConfigurationError, match="finite number"):
        tokenmeter.experiment("v1").score(a=value)


def test_a_boolean_of_numpy_is_one() -> None:
    numpy = pytest.importorskip("numpy")
    params = tokenmeter.experiment("v1", {"a": numpy.True_, "b": numpy.False_}).params
    assert params == {"a": True, "b": False}
    assert type(params["a"]) is bool
