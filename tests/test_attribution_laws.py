"""The laws of attribution, for any program: whose each call is, which runs there are, no leak.

The programs and what they should say are made in `programs`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings

from programs import PROGRAMS, Called, Node, Walk, Where
from tokenmeter import Meter, UsageEvent, runs
from tokenmeter.attribution import OUTERMOST, block
from tokenmeter.trees import tree
from tokenmeter.watching import in_force

laws = settings(deadline=None, max_examples=max(10, settings().max_examples // 4))
"""Four laws share the examples of one, because a program that is run takes its time."""


class Ran(NamedTuple):
    """A program that ran: what it should say, and what was said of it."""

    walk: Walk
    calls: list[UsageEvent]
    runs: list[UsageEvent]

    def where(self, event: UsageEvent) -> Where:
        """Say an event's attribution in the words of the program."""
        path = () if event.agent is None else tuple(event.agent.split("/"))
        run = self.names.get(event.run_id, event.run_id)
        return Where(event.user, event.team, event.task, path, run)

    @property
    def names(self) -> dict[str | None, str]:
        return {run.run_id: (run.agent or "").rpartition("/")[2] for run in self.runs}


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.shutdown()


def ran(meter: Meter, program: Node) -> Ran:
    events: list[UsageEvent] = []
    with meter.attach(events.append):
        walk = Walk(meter)
        walk.whole(program)
        gc.collect()
        assert meter.flush()
    kinds = {kind: [e for e in events if e.kind == kind] for kind in ("call", "run")}
    return Ran(walk, kinds["call"], kinds["run"])


@laws
@given(PROGRAMS)
def test_no_call_is_ever_for_a_block_that_did_not_make_it(meter: Meter, program: Node) -> None:
    it = ran(meter, program)
    assert {call.response_model: it.where(call) for call in it.calls} == it.walk.calls
    assert len(it.calls) == len(it.walk.calls)


@laws
@given(PROGRAMS)
def test_every_run_has_one_event_and_stands_where_it_began(meter: Meter, program: Node) -> None:
    it = ran(meter, program)
    assert len({run.event_id for run in it.runs}) == len(it.runs) == len(it.walk.runs)
    said = {
        it.names[run.run_id]: Called(
            Where(
                path=tuple((run.agent or "").split("/")[:-1]),
                run=it.names.get(run.parent_run_id, run.parent_run_id),
            ),
            run.status or "",
        )
        for run in it.runs
    }
    assert said == {
        name: Called(Where(path=began.where.path, run=began.where.run), began.status)
        for name, began in it.walk.runs.items()
    }
    assert all(run.event_id == run.run_id for run in it.runs)


@laws
@given(PROGRAMS)
def test_the_tree_has_every_call_once_and_every_run_below_its_own(
    meter: Meter, program: Node
) -> None:
    it = ran(meter, program)
    found = tree([*it.calls, *it.runs])
    own = {it.names.get(node.run_id, node.run_id): node.own.calls for node in found.walk()}
    wheres = list(it.walk.calls.values())
    assert {name: calls for name, calls in own.items() if calls} == {
        where.run: sum(other.run == where.run for other in wheres)
        for where in wheres
        if where.run is not None
    }
    assert found.outside.calls == sum(where.run is None for where in wheres)
    assert sum(root.subtree.calls for root in found.roots) + found.outside.calls == len(it.calls)


@laws
@given(PROGRAMS)
def test_nothing_is_left_after_any_exit(meter: Meter, program: Node) -> None:
    ran(meter, program)
    assert block.get() is OUTERMOST
    assert in_force.get() == ()
    assert not list(runs.still_open())
    assert runs._open == {}
    assert meter.open_calls == set()
    assert meter.guard.failures == {}
