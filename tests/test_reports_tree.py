"""Agents and their sub-agents over a ledger: own and subtree, like the tree of a live tally."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tables import reported, table
from tokenmeter import UsageEvent
from tokenmeter.reports.tree import Tree

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
COLUMNS = ("agent", "depth", "children", "input_tokens", "subtree_input_tokens",
           "subtree_cost_amount")  # fmt: skip


def call(n: int, run: str | None, parent: str | None, agent: str | None, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {
        "task": "T", "status": "completed", "input_tokens": n, "output_tokens": 1,
        "input_provenance": "reported", "output_provenance": "reported",
        "cost_amount": Decimal(n), "cost_currency": "USD", **more,
    }  # fmt: skip
    return UsageEvent(
        "call", f"c{n}", 1, NOON + timedelta(seconds=n), run_id=run, parent_run_id=parent,
        agent=agent, **names,
    )  # fmt: skip


def ended(run: str, parent: str | None, agent: str, second: int, **more: Any) -> UsageEvent:
    return UsageEvent(
        "run", run, 1, NOON + timedelta(seconds=second), run_id=run, parent_run_id=parent,
        agent=agent, task="T", status="completed", duration_s=2.5, **more,
    )  # fmt: skip


EVENTS = [
    call(1, "p", None, "plan"), call(2, "a", "p", "plan/search"), call(4, "b", "p", "plan/search"),
    call(8, "x", "b", "plan/search/read"), call(16, None, None, None),
    call(32, "o", None, "other", task="U"),
    ended("p", None, "plan", 0), ended("idle", "p", "plan/check", 9),
]  # fmt: skip


def test_of_a_task_a_row_is_a_run_below_the_one_in_which_it_began(tmp_path: Path) -> None:
    result = reported(Tree(runs=True), EVENTS, tmp_path, only={"task": "T"})
    assert table(result, *COLUMNS) == [
        ("plan", 0, 3, 1, 15, Decimal(15)),
        ("  search", 1, 0, 2, 2, Decimal(2)),
        ("  search", 1, 1, 4, 12, Decimal(12)),
        ("    read", 2, 0, 8, 8, Decimal(8)),
        ("  check", 1, 0, None, None, None),
        ("(no run)", 0, 0, 16, 16, Decimal(16)),
    ]
    assert table(result, "run_id", "status", "duration_s")[:2] == [
        ("p", "completed", 2.5), ("a", None, None),
    ]  # fmt: skip
    assert result.total is not None
    assert result.total[result.index("subtree_input_tokens")] == 31


def test_of_everything_a_row_is_a_path_of_agents(tmp_path: Path) -> None:
    result = reported(Tree(), EVENTS, tmp_path)
    assert table(result, "agent", "runs", "input_tokens", "subtree_input_tokens") == [
        ("plan", 1, 1, 15),
        ("  search", 2, 6, 14),
        ("    read", 1, 8, 8),
        ("  check", 1, None, None),
        ("other", 1, 32, 32),
        ("(no run)", 0, 16, 16),
    ]


def test_a_run_of_which_only_a_child_is_known_is_there(tmp_path: Path) -> None:
    events = [call(3, "c", "gone", "lost/child")]
    for runs in (True, False):
        result = reported(Tree(runs=runs), events, tmp_path)
        assert table(result, "agent", "depth", "input_tokens", "subtree_input_tokens") == [
            ("lost", 0, None, 3), ("  child", 1, 3, 3),
        ]  # fmt: skip


def test_a_circle_that_somebody_forged_is_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    events = [call(1, "a", "b", "a"), call(2, "b", "a", "b")]
    result = reported(Tree(runs=True), events, tmp_path)
    assert sum(result.column("input_tokens")) == 3  # type: ignore[arg-type]
    assert result.total is not None
    assert result.total[result.index("input_tokens")] == 3


def test_what_is_forged_looks_alike_in_whatever_order_it_comes(tmp_path: Path) -> None:
    names = ["plan/a", "other/b", None]
    claims = [call(n, f"c{n}", "gone", names[n % 3]) for n in range(1, 7)]
    circle = [call(n, f"r{n}", f"r{n % 5 + 1}", f"p{n}") for n in range(1, 6)]
    for events, root in ((claims, "other"), (circle, "p1")):
        for seed in range(3):
            mixed = random.Random(seed).sample(events, len(events))
            result = reported(Tree(runs=True), mixed, tmp_path)
            assert result.rows[0][0] == root


def test_an_empty_name_is_a_name_like_any_other(tmp_path: Path) -> None:
    events = [call(1, "r1", None, ""), call(2, "r2", None, None), call(4, None, None, None)]
    agents = reported(Tree(), events, tmp_path)
    columns = ("run_id", "agent", "runs", "input_tokens")
    assert table(agents, *columns) == [("", "(unknown)", 1, 1), (None, "(no run)", 1, 6)]
    assert agents.total is not None
    assert agents.total[agents.index("input_tokens")] == 7
    runs = reported(Tree(runs=True), [call(1, "", None, "a"), call(2, None, None, "a")], tmp_path)
    assert table(runs, *columns) == [("", "a", 1, 1), (None, "(no run)", 0, 2)]
