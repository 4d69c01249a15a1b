"""What users of other meters complain about: agents counted twice, not at all, or for nobody."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from tokenmeter import Meter, UsageEvent, attribute, metered, propagate, task
from tokenmeter.attribution import current
from tokenmeter.cli.closing import Closing
from tokenmeter.trees import tree

COMPLAINTS = {14, 15, 16, 17, 18, 31, 32, 72, 83, 84, 85}

ELSEWHERE = {
    31: "test_agent_program.py::"
    "test_the_sums_of_each_run_and_of_all_below_it_are_those_of_the_server",
    72: "test_propagation.py::test_a_function_runs_as_if_it_were_called_where_it_was_propagated",
    84: "test_settlement.py::test_spending_is_joined_by_task_before_and_after_the_outcome",
}
"""Where a complaint has its test, or one of them, in another file."""

HERE = Path(__file__).parent


def test_every_complaint_about_attribution_has_a_test() -> None:
    here = {int(label) for label in re.findall(r"\bC(\d\d)\b", Path(__file__).read_text())}
    assert here | set(ELSEWHERE) == COMPLAINTS
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (HERE / file).read_text()


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def ask(events: list[UsageEvent]) -> Iterator[Any]:
    meter = Meter([events.append])
    yield metered(lambda: {"input_tokens": 10, "output_tokens": 5}, meter=meter)
    meter.shutdown()


def delegated(ask: Any) -> None:
    """Have a planner with a call of its own, two researchers with one each, and a helper below."""
    with attribute(user="ada", task="T-1", agent="planner"):
        ask()
        for _ in range(2):
            with attribute(agent="researcher"):
                ask()
                with attribute(agent="helper"):
                    ask()


def test_an_agents_run_carries_no_tokens_so_that_adding_all_events_counts_each_call_once(
    ask: Any, events: list[UsageEvent]
) -> None:
    """C14, C16: the total of an agent and those of its children add up to twice the truth."""
    delegated(ask)
    assert sum(event.input_tokens or 0 for event in events) == 5 * 10
    runs = [event for event in events if event.kind == "run"]
    assert {(run.input_tokens, run.output_tokens, run.cost_amount) for run in runs} == {
        (None, None, None)
    }
    assert Closing(events).total.input_tokens == 5 * 10


def test_what_a_run_used_itself_and_with_all_below_it_are_two_numbers(
    ask: Any, events: list[UsageEvent]
) -> None:
    """C15, C18: a parent repeats the sum of its children under the same name."""
    delegated(ask)
    (planner,) = tree(events).roots
    assert (planner.own.input_tokens, planner.subtree.input_tokens) == (10, 50)
    assert [(n.own.input_tokens, n.subtree.input_tokens) for n in planner.children] == [
        (10, 20)
    ] * 2
    assert sum(node.own.input_tokens for node in planner.walk()) == planner.subtree.input_tokens


def test_wrappers_around_a_call_do_not_add_to_it(ask: Any, events: list[UsageEvent]) -> None:
    """C17: each of several layers around a model call repeats its tokens."""
    with (
        task("T-1"),
        attribute(agent="framework"),
        attribute(agent="chain"),
        attribute(agent="llm"),
    ):
        ask()
    (root,) = tree(events).roots
    assert [node.own.calls for node in root.walk()] == [0, 0, 1]
    assert [node.subtree.total_tokens for node in root.walk()] == [15, 15, 15]


def test_what_sub_agents_use_is_apart_from_what_their_parent_uses(
    ask: Any, events: list[UsageEvent]
) -> None:
    """C32: the usage of sub-agents is one flat sum with that of the parent."""
    delegated(ask)
    by_agent = {event.agent: 0 for event in events if event.kind == "call"}
    for event in events:
        if event.kind == "call":
            by_agent[event.agent] += event.input_tokens or 0
    assert by_agent == {
        "planner": 10,
        "planner/researcher": 20,
        "planner/researcher/helper": 20,
    }


def test_how_many_agents_one_request_became_is_a_number_as_it_happens(ask: Any) -> None:
    """C83: twenty needless agents in parallel, invisible at each step."""
    meter = tokenmeter.meter.default()
    with meter.tally() as spent, attribute(agent="planner"):
        threads = [
            threading.Thread(target=propagate(attribute(agent="reviewer")(ask))) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (planner,) = spent.tree().roots
        assert planner.fan_out == 20


def test_the_person_behind_a_call_and_its_agent_are_on_every_call_however_deep(
    ask: Any, events: list[UsageEvent]
) -> None:
    """C85: no agreed way to name the person behind a call, nor the agent on children's calls."""
    delegated(ask)
    calls = [event for event in events if event.kind == "call"]
    assert {(call.user, call.user_origin, call.task) for call in calls} == {
        ("ada", "explicit", "T-1")
    }
    assert sorted(call.depth or 0 for call in calls) == [0, 1, 1, 2, 2]
    assert all(call.agent is not None and call.run_id is not None for call in calls)
    assert current().user is None
