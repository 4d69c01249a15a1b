"""Trees of runs: rebuilt from events in any order, with own and subtree totals that add up."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import Meter, Tally, UsageEvent, attribute
from tokenmeter.tallies import COUNTED
from tokenmeter.trees import OTHERS, Forest, Node, Tree, tree

BEGAN = datetime(2026, 11, 23, 12, tzinfo=UTC)


def run(run_id: str, parent: str | None = None, at: float = 0, took: float = 1, **more: Any) -> Any:
    names: dict[str, Any] = {"agent": run_id, "depth": 0, "status": "completed", **more}
    return UsageEvent(
        kind="run", event_id=run_id, schema=1, ts=BEGAN + timedelta(seconds=at), run_id=run_id,
        parent_run_id=parent, duration_s=took, **names,
    )  # fmt: skip


def call(run_id: str | None, tokens: int, at: float = 0, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {"event_id": f"{run_id}-{tokens}-{at}", "duration_s": 0.5, **more}
    return UsageEvent(
        kind="call", schema=1, ts=BEGAN + timedelta(seconds=at), run_id=run_id,
        input_tokens=tokens, output_tokens=1, status="completed", input_provenance="reported",
        output_provenance="reported", **names,
    )  # fmt: skip


EVENTS = [
    call(None, 1000),
    call("b", 10, agent="a/b", parent_run_id="a", depth=1),
    call("c", 20, agent="a/c", parent_run_id="a", depth=1),
    run("c", "a", at=1, took=2, agent="a/c", depth=1),
    call("a", 1, agent="a"),
    call("a", 2, agent="a"),
    run("b", "a", at=0.5, took=1, agent="a/b", depth=1, status="failed"),
    run("a", at=0, took=4, user="ada", task="T"),
]


def counts(tally: Tally) -> tuple[int, int]:
    return tally.calls, tally.input_tokens


def shape(node: Node) -> Any:
    numbers = (counts(node.own), counts(node.subtree))
    return node.run_id, node.agent, node.status, *numbers, tuple(map(shape, node.children))


def test_a_tree_says_what_each_run_used_by_itself_and_in_all() -> None:
    found = tree(EVENTS)
    [root] = found.roots
    assert shape(root) == (
        "a", "a", "completed", (2, 3), (4, 33),
        (
            ("b", "a/b", "failed", (1, 10), (1, 10), ()),
            ("c", "a/c", "completed", (1, 20), (1, 20), ()),
        ),
    )  # fmt: skip
    assert counts(found.outside) == (1, 1000)
    assert (root.fan_out, root.name, root.user, root.task) == (2, "a", "ada", "T")
    assert root.children[0].name == "b"
    assert root.duration_s == 4
    assert [node.run_id for node in found.walk()] == ["a", "b", "c"]


@given(st.permutations(EVENTS))
def test_the_order_of_events_does_not_matter(events: list[UsageEvent]) -> None:
    found, expected = tree(events), tree(EVENTS)
    assert [shape(root) for root in found.roots] == [shape(root) for root in expected.roots]
    assert str(found) == str(expected)


def test_a_tally_has_the_tree_of_what_it_saw() -> None:
    meter = Meter()
    with meter.tally() as spent, attribute(agent="planner"):
        for _ in range(10):
            with attribute(agent="child"):
                pass
    [root] = spent.tree().roots
    assert root.fan_out == 10
    assert {(node.agent, node.status) for node in root.children} == {("planner/child", "completed")}
    meter.shutdown()


# --- what is missing or forged --------------------------------------------------------------------


def test_a_run_without_an_event_is_known_by_its_calls_and_children() -> None:
    events = [
        call("b", 10, at=2, agent="a/b", parent_run_id="a", depth=1),
        run("c", "b", at=3, took=4, agent="a/b/c", depth=2),
    ]
    [root] = tree(events).roots
    assert shape(root) == (
        "a", "a", None, (0, 0), (1, 10),
        (("b", "a/b", None, (1, 10), (1, 10), (("c", "a/b/c", "completed", (0, 0), (0, 0), ()),)),),
    )  # fmt: skip
    assert root.duration_s is None
    assert (root.began_s, root.ended_s) == (BEGAN.timestamp() + 2, BEGAN.timestamp() + 7)


def test_an_answer_that_several_processes_fetched_counts_once() -> None:
    event_id = "0123456789ab8def8123456789abcdef"
    fetched = call("a", 7, agent="a", event_id=event_id)
    assert counts(tree([fetched, fetched]).roots[0].own) == (1, 7)


def test_a_circle_of_forged_parents_becomes_a_tree() -> None:
    events = [run("a", "c"), run("b", "a"), run("c", "b"), run("self", "self"), run("d", "c")]
    found = tree(events)
    assert sorted(node.run_id or "" for node in found.walk()) == ["a", "b", "c", "d", "self"]


def test_runs_beyond_the_limit_are_one_row_whatever_they_are_called_and_nothing_is_lost() -> None:
    forest = Forest(limit=2)
    for n in range(5):
        forest.add(call(f"r{n}", 1, agent=f"a-{n}", user="ada"))
        forest.add(run(f"r{n}", agent=f"a-{n}"))
    found = {root.agent: (root.run_id, root.user, counts(root.own)) for root in forest.roots()}
    assert found == {
        "a-0": ("r0", None, (1, 1)),
        "a-1": ("r1", None, (1, 1)),
        OTHERS: (None, None, (3, 3)),
    }


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 99)), max_size=40))
def test_totals_of_the_trees_are_those_of_all_calls(made: list[tuple[int, int, int]]) -> None:
    """Whatever is forged: parents at random, circles included."""
    spent = Tally()
    for number, (run_id, parent, tokens) in enumerate(made):
        spent.add(
            call(str(run_id) if run_id else None, tokens, at=number, parent_run_id=str(parent))
        )
        if tokens % 2:
            spent.add(run(str(run_id), str(parent)))
    found = spent.tree()
    total = Tally()
    total.include(found.outside)
    for root in found.roots:
        total.include(root.subtree)
    own = Tally()
    own.include(found.outside)
    for node in found.walk():
        own.include(node.own)
    for name in COUNTED:
        assert getattr(total, name) == getattr(spent, name) == getattr(own, name)


def test_a_very_deep_tree_is_no_harder_than_another() -> None:
    depth = 5_000
    events = [run(str(n), str(n - 1) if n else None, took=depth - n) for n in range(depth)]
    [root] = tree(random.Random(1).sample(events, depth)).roots
    assert sum(1 for _ in root.walk()) == depth
    assert len(root.critical_path()) == depth
    assert str(root).count("\n") == depth - 1


# --- the critical path ----------------------------------------------------------------------------


def test_the_critical_path_is_what_somebody_waited_for() -> None:
    events = [
        run("a", at=0, took=10),
        run("short", "a", at=1, took=2),
        run("long", "a", at=1, took=5),
        run("inner", "long", at=2, took=3),
        run("late", "a", at=7, took=2),
    ]
    [root] = tree(events).roots
    path = root.critical_path()
    assert {step.node.run_id: step.own_s for step in path} == {
        "a": 3.0, "late": 2.0, "long": 2.0, "inner": 3.0,
    }  # fmt: skip
    assert sum(step.own_s for step in path) == root.duration_s


RUNS = st.lists(st.tuples(st.integers(0, 6), st.floats(0, 9), st.floats(0, 9)), max_size=12)


@given(RUNS)
def test_the_seconds_on_the_critical_path_are_those_of_the_run(
    runs: list[tuple[int, float, float]],
) -> None:
    """Also where children seem to begin before their parent, or to end after it."""
    events = [run("0", took=5)]
    events += [
        run(str(n), str(parent % n), at=at, took=took)
        for n, (parent, at, took) in enumerate(runs, start=1)
    ]
    [root] = tree(events).roots
    steps = root.critical_path()
    assert sum(step.own_s for step in steps) == pytest.approx(5, abs=1e-5)
    assert all(step.own_s >= -1e-9 for step in steps)
    assert len({step.node for step in steps}) == len(steps)


# --- how it looks ---------------------------------------------------------------------------------


def test_it_is_drawn_with_lines() -> None:
    assert str(tree(EVENTS)) == (
        "a  2 calls, 3 input + 2 output tokens; with 2 runs below: "
        "4 calls, 33 input + 4 output tokens; completed; 4.00 s\n"
        "├── b  1 call, 10 input + 1 output tokens; failed; 1.00 s\n"
        "└── c  1 call, 20 input + 1 output tokens; completed; 2.00 s\n"
        "outside of any run: 1 call, 1,000 input + 1 output tokens"
    )
    assert repr(tree([])) == "no runs"
    assert str(tree([run("b", "a")])).splitlines()[0] == (
        "(unknown)  no calls of its own; with 1 run below: "
        "0 calls, 0 input + 0 output tokens; no end known"
    )


def test_rich_draws_it_too_and_takes_no_name_for_markup() -> None:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=200).print(tree([*EVENTS, run("[red]x", at=9)]))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("a  2 calls")
    assert lines[1].startswith("├── b")
    assert any(line.startswith("[red]x") for line in lines)
    out.truncate(0)
    Console(file=out, width=200).print(tree([]))
    assert "no runs" in out.getvalue()


def test_a_notebook_shows_it_as_lists_without_taking_names_for_html() -> None:
    html = tree([*EVENTS, run("<script>")])._repr_html_()
    assert html.startswith("<ul><li><b>")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<ul>") == html.count("</ul>") == 2
    assert "<ul><li><b>b</b>" in html
    assert Tree((), Tally())._repr_html_() == "<p>no runs</p>"
