"""A program of agents in threads, tasks, processes and a service: its tree, from its ledgers alone.

The program (`ten_agents`) runs with the real SDKs against a server that keeps an account, and
writes a diary of its own. The three have nothing in common but ids which the program chose: what
tokenmeter says must be what the diary and the account say, to the last event.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tokenmeter import UsageEvent
from tokenmeter.ledger import ledgers, read
from tokenmeter.testing import Answer, Gate, ModelServer, Served
from tokenmeter.trees import Node, Tree, tree

HERE = Path(__file__).parent
LEDGERS = {"p8.jsonl", "service.jsonl", "usage.jsonl"}


class Used(NamedTuple):
    """What one agent used: calls, attempts, tokens of both kinds."""

    calls: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: Used) -> Used:
        return Used(*(a + b for a, b in zip(self, other, strict=True)))


class Ran(NamedTuple):
    """What tokenmeter says, what the program says, and what the server says."""

    events: list[UsageEvent]
    agents: dict[str, dict[str, Any]]
    heard: dict[str, bool]
    account: list[Served]

    def below(self, own_id: str) -> list[str]:
        return [other for other in self.agents if other.rpartition(".")[0] == own_id]

    def own(self, own_id: str) -> Used:
        """Give what the server says that an agent used, as far as its answers arrived."""
        used = Used()
        for served in self.account:
            model = served.request_model or ""
            if model.rpartition("-")[0] == own_id:
                heard = self.heard[model] and served.status == 200
                counts = (served.input_tokens or 0, served.output_tokens or 0) if heard else (0, 0)
                used = used.plus(Used(served.status == 200, 1, *counts))
        return used

    def subtree(self, own_id: str) -> Used:
        used = self.own(own_id)
        for child in self.below(own_id):
            used = used.plus(self.subtree(child))
        return used


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("agents")
    path = os.pathsep.join([str(HERE), *sys.path])
    options: Any = {"env": {**os.environ, "PYTHONPATH": path}, "cwd": folder, "text": True}
    with ModelServer() as server:
        server.script(
            Answer(),  # the plan
            Answer(status=429, headers={"retry-after-ms": "1"}),
            Answer(),  # the same question once more
            Answer(gate=Gate(after=2)),  # which opens when all is over
        )
        with subprocess.Popen(
            [sys.executable, "-m", "ten_agents.service", server.url, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options,
        ) as service:  # fmt: skip
            assert service.stdout is not None
            address = f"http://127.0.0.1:{service.stdout.readline().strip()}/"
            command = [sys.executable, "-m", "ten_agents.planner", server.url, address, str(folder)]
            subprocess.run(command, check=True, timeout=120, **options)
        assert service.returncode == 0
        account = list(server.account)
    said = [json.loads(line) for line in (folder / "diary").read_text().splitlines()]
    names = ledgers([folder / "*.jsonl"])
    assert {name.name for name in names} == LEDGERS
    return Ran(
        [event for name in names for event in read(name)],
        {line["agent"]: line for line in said if "agent" in line},
        {line["model"]: line["heard"] for line in said if "model" in line},
        account,
    )


def used(tally: Any) -> Used:
    return Used(tally.calls, tally.attempts, tally.input_tokens, tally.output_tokens)


Shape = tuple[Any, ...]


def shape_said(node: Node) -> Shape:
    """Give a run as the ledgers tell it: names, ends, sums, and those below in any order."""
    below = sorted(map(shape_said, node.children))
    return node.name, node.status, used(node.own), used(node.subtree), below


def shape_ran(ran: Ran, own_id: str) -> Shape:
    """Give an agent as the diary and the account tell it."""
    agent = ran.agents[own_id]
    below = sorted(shape_ran(ran, child) for child in ran.below(own_id))
    return agent["name"], agent["ended"], ran.own(own_id), ran.subtree(own_id), below


def test_the_tree_in_the_ledgers_is_exactly_the_one_that_ran(ran: Ran) -> None:
    [planner] = tree(ran.events).roots
    assert shape_said(planner) == shape_ran(ran, "p")
    assert tree(ran.events).outside.attempts == 0


def test_the_sums_of_each_run_and_of_all_below_it_are_those_of_the_server(ran: Ran) -> None:
    by_model = {event.request_model: event.run_id for event in ran.events if event.kind == "call"}
    whose = {run_id: model.rpartition("-")[0] for model, run_id in by_model.items() if model}
    nodes = {whose[node.run_id]: node for node in tree(ran.events).walk() if node.run_id in whose}
    assert set(nodes) == set(ran.agents) - {"p.7.4"}  # who asked nobody anything
    assert {own_id: used(node.own) for own_id, node in nodes.items()} == {
        own_id: ran.own(own_id) for own_id in nodes
    }
    assert {own_id: used(node.subtree) for own_id, node in nodes.items()} == {
        own_id: ran.subtree(own_id) for own_id in nodes
    }
    assert ran.subtree("p").output_tokens > ran.own("p").output_tokens > 0


def test_every_answer_and_every_end_is_one_event_in_the_run_that_it_belongs_to(ran: Ran) -> None:
    calls = [event for event in ran.events if event.kind == "call"]
    runs = [event for event in ran.events if event.kind == "run"]
    assert len(calls) + len(runs) == len(ran.events)
    assert len({event.event_id for event in ran.events}) == len(ran.events)
    assert Counter((e.request_model, e.response_id, e.http_status) for e in calls) == Counter(
        (s.request_model, s.response_id, s.status) for s in ran.account
    )
    assert len(runs) == len(ran.agents)
    assert Counter((run.agent or "").rpartition("/")[2] for run in runs) == Counter(
        agent["name"] for agent in ran.agents.values()
    )
    assert len({call.run_id for call in calls}) == len({m.rpartition("-")[0] for m in ran.heard})


def test_one_person_on_one_task_with_ten_children(ran: Ran) -> None:
    assert {event.user for event in ran.events} == {"ada"}
    assert {event.task for event in ran.events} == {"T-1"}
    found = tree(ran.events)
    [planner] = found.roots
    assert (planner.fan_out, len(list(found.walk()))) == (10, 18)
    assert {node.name: node.fan_out for node in found.walk() if node.children} == {
        "planner": 10,
        "delegate": 4,
        "clerk": 1,
        "child": 1,
    }
    assert {agent["pid"] for agent in ran.agents.values()} == {e.pid for e in ran.events}
    assert len({event.pid for event in ran.events}) == 4


def test_what_was_refused_retried_left_or_failed_says_so(ran: Ran) -> None:
    ends = {own_id: agent["ended"] for own_id, agent in ran.agents.items()}
    assert Counter(ends.values()) == {"completed": 16, "failed": 1, "abandoned": 1}
    calls = [event for event in ran.events if event.kind == "call"]
    assert [(c.request_model, c.attempt, c.http_status) for c in calls if c.status == "failed"] == [
        ("p.1-1", 0, 429)
    ]
    assert [(c.request_model, c.status) for c in calls if c.attempt] == [("p.1-1", "completed")]
    left = [c for c in calls if c.status == "abandoned"]
    assert [(c.request_model, c.input_provenance, c.output_provenance) for c in left] == [
        ("p.2-1", "unknown", "unknown")
    ]
    failed = [event for event in ran.events if event.kind == "run" and event.status == "failed"]
    assert [(run.agent, run.error_type) for run in failed] == [("planner/child", "LookupError")]


def test_the_critical_path_explains_the_whole_duration(ran: Ran) -> None:
    [planner] = tree(ran.events).roots
    steps = planner.critical_path()
    assert steps[0].node is planner
    assert all(step.own_s >= 0 for step in steps)
    assert sum(step.own_s for step in steps) == pytest.approx(planner.duration_s)
    by_id = {node.run_id: node for node in planner.walk()}
    assert all(step.node.parent_run_id in by_id for step in steps[1:])


def test_in_whatever_order_the_ledgers_are_read_the_tree_is_the_same(ran: Ran) -> None:
    def drawn(found: Tree) -> str:
        return str(found)

    shuffled = list(ran.events)
    random.Random(7).shuffle(shuffled)
    assert drawn(tree(shuffled)) == drawn(tree(ran.events)) == drawn(tree(reversed(ran.events)))
