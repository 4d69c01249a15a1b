"""Runs of agents: each becomes one event when it ends, however it ends, and stands in its place."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.attribution import current
from tokenmeter.ledger import read
from tokenmeter.runs import still_open


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture(autouse=True)
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    meter = Meter([events.append])
    yield meter
    assert not list(still_open())
    meter.shutdown()


def ends(events: list[UsageEvent]) -> list[tuple[str | None, str | None, str | None]]:
    return [(event.agent, event.status, event.error_type) for event in events]


def test_a_block_with_an_agent_is_a_run_with_an_event_of_its_own(events: list[UsageEvent]) -> None:
    with attribute(user="ada", team="t", task="T", conversation="c", agent="planner", tier=1):
        inside = current()
        assert events == []
    [event] = events
    assert event.duration_s is not None
    assert event == UsageEvent(
        kind="run",
        event_id=inside.run_id or "",
        schema=1,
        ts=event.ts,
        status="completed",
        duration_s=event.duration_s,
        user="ada",
        user_origin="explicit",
        team="t",
        task="T",
        agent="planner",
        run_id=event.event_id,
        parent_run_id=None,
        depth=0,
        conversation="c",
        tags={"tier": 1},
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def test_a_block_without_an_agent_is_none(events: list[UsageEvent]) -> None:
    with attribute(user="ada", task="T"):
        assert current().run_id is None
    assert events == []


def test_a_run_inside_of_another_one_is_its_child(events: list[UsageEvent]) -> None:
    with attribute(user="ada", agent="planner"):
        outer = current()
        with attribute(task="T"), attribute(agent="researcher"):
            inner = current()
        with attribute(agent="writer"):
            pass
    assert (outer.parent_run_id, outer.depth) == (None, 0)
    assert (inner.parent_run_id, inner.depth) == (outer.run_id, 1)
    assert [(e.agent, e.run_id, e.parent_run_id, e.depth, e.task, e.user) for e in events] == [
        ("planner/researcher", inner.run_id, outer.run_id, 1, "T", "ada"),
        ("planner/writer", events[1].event_id, outer.run_id, 1, None, "ada"),
        ("planner", outer.run_id, None, 0, None, "ada"),
    ]
    assert len({event.event_id for event in events}) == 3


@pytest.mark.parametrize(
    ("exc", "status", "error_type"),
    [
        (LookupError("secret"), "failed", "LookupError"),
        (asyncio.CancelledError(), "abandoned", None),
        (KeyboardInterrupt(), "abandoned", None),
        (SystemExit(), "abandoned", None),
    ],
)
def test_what_leaves_the_block_is_the_status_of_the_run(
    exc: BaseException, status: str, error_type: str | None, events: list[UsageEvent]
) -> None:
    with pytest.raises(type(exc)) as raised, attribute(agent="a"):
        raise exc
    assert raised.value is exc
    assert ends(events) == [("a", status, error_type)]


def test_every_entry_of_one_instance_is_a_run(events: list[UsageEvent]) -> None:
    block = attribute(agent="a")
    with block, block:
        pass
    threads = [threading.Thread(target=lambda: block.__enter__().__exit__()) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (
        ends(events)
        == [("a/a", "completed", None), ("a", "completed", None)] + [("a", "completed", None)] * 20
    )
    assert len({event.run_id for event in events}) == 22


def test_each_call_of_a_decorated_function_is_a_run(events: list[UsageEvent]) -> None:
    @attribute(agent="a")
    def ask(fail: bool) -> str | None:
        if fail:
            raise LookupError
        return current().run_id

    run_id = ask(fail=False)
    with pytest.raises(LookupError):
        ask(fail=True)
    assert ends(events) == [("a", "completed", None), ("a", "failed", "LookupError")]
    assert events[0].run_id == run_id != events[1].run_id


def test_a_coroutine_is_a_run_to_its_end_and_abandoned_when_it_is_cancelled(
    events: list[UsageEvent],
) -> None:
    @attribute(agent="a")
    async def ask(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def main() -> None:
        await ask(0)
        task = asyncio.create_task(ask(60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert ends(events) == [("a", "completed", None), ("a", "abandoned", None)]


def test_tasks_of_a_group_are_children_of_the_run_that_started_them(
    events: list[UsageEvent],
) -> None:
    @attribute(agent="child")
    async def ask() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        with attribute(agent="planner"):
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(ask())

    asyncio.run(main())
    assert [event.agent for event in events] == ["planner/child"] * 3 + ["planner"]
    assert {event.parent_run_id for event in events[:3]} == {events[3].run_id}


# --- generators -----------------------------------------------------------------------------------


@attribute(agent="a")
def steps(fail: bool = False) -> Iterator[str | None]:
    yield current().run_id
    if fail:
        raise LookupError
    with attribute(agent="b"):
        yield current().parent_run_id


def test_a_generator_is_one_run_whatever_its_consumer_does_meanwhile(
    events: list[UsageEvent],
) -> None:
    generator = steps()
    with attribute(agent="consumer"):
        first = next(generator)
        second = next(generator)
        assert current().agent == "consumer"
    assert first == second
    assert list(generator) == []
    assert ends(events) == [
        ("consumer", "completed", None),
        ("a/b", "completed", None),
        ("a", "completed", None),
    ]
    assert events[1].parent_run_id == events[2].run_id == first


def test_a_generator_that_raises_is_a_run_that_failed(events: list[UsageEvent]) -> None:
    with pytest.raises(LookupError):
        list(steps(fail=True))
    assert ends(events) == [("a", "failed", "LookupError")]


def test_a_generator_that_is_closed_is_a_run_that_was_abandoned(
    events: list[UsageEvent], meter: Meter
) -> None:
    generator: Any = steps()
    next(generator)
    next(generator)
    generator.close()
    meter.flush()
    assert ends(events) == [("a/b", "abandoned", None), ("a", "abandoned", None)]


def test_a_generator_that_is_dropped_is_a_run_that_was_abandoned(
    events: list[UsageEvent], meter: Meter
) -> None:
    generator = steps()
    next(generator)
    del generator
    gc.collect()
    meter.flush()
    assert ends(events) == [("a", "abandoned", None)]


def test_a_generator_that_nobody_reads_is_no_run(events: list[UsageEvent], meter: Meter) -> None:
    steps()
    gc.collect()
    meter.flush()
    assert events == []


def test_an_asynchronous_generator_is_one_run(events: list[UsageEvent], meter: Meter) -> None:
    @attribute(agent="a")
    async def ask() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    async def main() -> None:
        assert [n async for n in ask()] == [0, 1, 2]
        half = ask()
        await anext(half)
        await half.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    meter.flush()
    assert ends(events) == [("a", "completed", None), ("a", "abandoned", None)]


def test_an_exporter_that_drops_a_generator_says_the_run_later_and_not_inside_of_itself(
    events: list[UsageEvent], meter: Meter
) -> None:
    generators = [steps()]
    next(generators[0])
    inside: list[bool] = []
    at_work = False

    def exporter(event: UsageEvent) -> None:
        nonlocal at_work
        inside.append(at_work)
        at_work = True
        generators.clear()
        at_work = False

    other = Meter([exporter])
    with attribute(agent="c"):
        pass
    assert other.flush()
    assert meter.flush()
    assert inside == [False, False]
    assert sorted(ends(events)) == [("a", "abandoned", None), ("c", "completed", None)]
    other.shutdown()


# --- where a block is left elsewhere --------------------------------------------------------------


def test_a_block_that_is_left_in_another_context_ends_its_run_all_the_same(
    events: list[UsageEvent],
) -> None:
    def opens() -> Iterator[None]:
        with attribute(agent="a"):
            yield

    generator = opens()
    contextvars.copy_context().run(next, generator)
    with attribute(user="ada"):
        assert list(generator) == []
        assert current().user == "ada"
    assert ends(events) == [("a", "completed", None)]


def test_leaving_a_block_that_was_never_entered_changes_nothing(events: list[UsageEvent]) -> None:
    attribute(agent="a").__exit__()
    assert events == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_runs_of_its_parent_to_it(tmp_path: Path) -> None:
    ledger = tmp_path / "usage.jsonl"
    meter = Meter([f"jsonl:{ledger}"])
    with attribute(agent="parent"):
        parent_run_id = current().run_id
        pid = os.fork()
        with attribute(agent="in both"):
            here = current()
        if pid == 0:
            assert here.parent_run_id == parent_run_id
    if pid == 0:
        meter.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    meter.shutdown()
    runs = list(read(ledger))
    assert sorted((run.agent, run.pid == os.getpid()) for run in runs) == [
        ("parent", True),
        ("parent/in both", False),
        ("parent/in both", True),
    ]
    assert len({run.run_id for run in runs}) == 3
    assert {run.parent_run_id for run in runs} == {None, parent_run_id}


# --- who hears of it ------------------------------------------------------------------------------


def test_every_meter_that_is_switched_on_says_the_run(events: list[UsageEvent]) -> None:
    others: list[UsageEvent] = []
    deaf: list[UsageEvent] = []
    other, disabled = Meter([others.append]), Meter([deaf.append])
    disabled.disable()
    with attribute(agent="a"):
        pass
    assert events == others
    assert len(events) == 1
    assert deaf == []
    other.shutdown()
    disabled.shutdown()


def test_an_exporter_that_raises_harms_neither_the_program_nor_other_exporters(
    events: list[UsageEvent],
) -> None:
    def fails(_event: UsageEvent) -> None:
        raise LookupError

    meter = Meter([fails, events.append])
    with attribute(agent="a"):
        pass
    assert len(events) == 2  # one of each meter
    assert meter.stats()["fails"]["failed"] == 1
    meter.shutdown()


def test_a_run_that_is_open_when_a_meter_ends_is_abandoned_for_that_meter_alone(
    events: list[UsageEvent],
) -> None:
    others: list[UsageEvent] = []
    other = Meter([others.append])
    with attribute(agent="a"):
        other.shutdown()
    assert ends(others) == [("a", "abandoned", None)]
    assert ends(events) == [("a", "completed", None)]


def test_a_run_that_is_open_when_the_process_ends_is_abandoned(tmp_path: Path) -> None:
    program = """
import sys, tokenmeter
tokenmeter.configure(exporters=["jsonl:usage.jsonl"])
block = tokenmeter.attribute(agent="a")
block.__enter__()
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environ, check=True)
    assert ends(list(read(tmp_path / "usage.jsonl"))) == [("a", "abandoned", None)]


def test_a_tally_sees_the_runs_that_began_inside_wherever_they_end(meter: Meter) -> None:
    block = attribute(agent="a")
    with meter.tally() as spent:
        block.__enter__()
    with attribute(agent="other"):
        pass
    block.__exit__(None, None, None)
    assert [node.agent for node in spent.tree().walk()] == ["a"]
    assert spent.calls == 0


def test_where_nothing_is_metered_a_run_says_nothing(
    events: list[UsageEvent], meter: Meter
) -> None:
    with tokenmeter.disabled(), attribute(agent="a"):
        assert current().agent == "a"
    meter.flush()
    assert events == []
