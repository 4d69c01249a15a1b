"""What is proved of each framework: the tree that ran, and sums that the server's account confirms.

Each agent of a test asks a model that is called like the agent. So the server's account says, by
itself, which agent used what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenmeter import Meter, UsageEvent
from tokenmeter.runs import still_open
from tokenmeter.tallies import Tally
from tokenmeter.testing import ModelServer, Served
from tokenmeter.trees import Node, tree

Shape = tuple[Any, ...]
"""A run: its name, how it ended, and the runs in it, in the order of their names."""

Sums = tuple[int, int, int]
"""Calls, input tokens, output tokens."""


class Ran:
    """What a meter saw while agents ran, and the server that they asked."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.events: list[UsageEvent] = []
        self.meter = Meter([self.events.append])

    @property
    def calls(self) -> list[UsageEvent]:
        return [event for event in self.events if event.kind == "call"]

    def tree(self) -> list[Shape]:
        """Give the runs as they stood, once it is proved that their sums are the server's."""
        assert self.meter.flush()
        self._one_event_an_answer()
        self._each_call_belongs_to_the_agent_that_made_it()
        self._runs_are_where_they_say()
        self._sums_are_the_servers()
        assert list(still_open()) == []
        return sorted(map(shape, tree(self.events).roots))

    def _one_event_an_answer(self) -> None:
        answers = Counter(map(facts, self.server.account))
        assert Counter(map(facts, self.calls)) == answers

    def _each_call_belongs_to_the_agent_that_made_it(self) -> None:
        for event in self.calls:
            assert (event.agent or "").rpartition("/")[2] == event.request_model

    def _runs_are_where_they_say(self) -> None:
        """Each run has one event, and path, parent and depth of its events agree."""
        runs = {event.run_id: event for event in self.events if event.kind == "run"}
        assert len(runs) == sum(event.kind == "run" for event in self.events)
        for event in self.events:
            parent = runs.get(event.parent_run_id)
            above = [parent.agent] if parent is not None and parent.agent else []
            name = (event.agent or "").rpartition("/")[2]
            assert event.run_id in runs
            assert event.agent == "/".join([*above, name])
            assert event.depth == (0 if parent is None else (parent.depth or 0) + 1)

    def _sums_are_the_servers(self) -> None:
        """Own sums by name, and subtrees whose names are nowhere else, as the server says."""
        found = tree(self.events)
        nodes = list(found.walk())
        assert found.outside.attempts == 0
        for name in {node.name for node in nodes}:
            own = added(node.own for node in nodes if node.name == name)
            assert own == self._served({name})
        for node in nodes:
            names, below = {each.name for each in node.walk()}, len(list(node.walk()))
            if below == sum(each.name in names for each in nodes):
                assert added([node.subtree]) == self._served(names)

    def _served(self, models: set[str]) -> Sums:
        of = [served for served in self.server.account if served.request_model in models]
        tokens = [(s.input_tokens or 0, s.output_tokens or 0) for s in of]
        return len(of), sum(t for t, _ in tokens), sum(t for _, t in tokens)


def facts(answer: UsageEvent | Served) -> tuple[object, ...]:
    return (answer.request_model, answer.response_id, answer.input_tokens, answer.output_tokens)


def added(tallies: Iterable[Tally]) -> Sums:
    sums = [(one.attempts, one.input_tokens, one.output_tokens) for one in tallies]
    return tuple(map(sum, zip(*sums, strict=True)))  # type: ignore[return-value]


def shape(node: Node) -> Shape:
    return node.name, node.status, *sorted(map(shape, node.children))


def done(name: str, *inside: Shape) -> Shape:
    """Give the shape of a run that completed."""
    return name, "completed", *inside


def replaced(owner: object, before: dict[str, object]) -> set[str]:
    """Name what of a class or module is not the very object that it was before."""
    now = vars(owner)
    return {name for name in now.keys() | before.keys() if now.get(name) is not before.get(name)}
