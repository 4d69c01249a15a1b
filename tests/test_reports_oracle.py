"""Trees and tasks of random ledgers, against another reading of the same rules."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import oracle
from tables import over
from tokenmeter import UsageEvent
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECONDS = [NOON + timedelta(seconds=n) for n in range(12)]
"""When anything happens: few, so that calls are made in the moment in which a task is decided."""

SAID: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "call": {"status": ["completed", "failed", "abandoned", None], "attempt": [None, 0, 1, 2]},
    "run": {"status": ["completed", "failed", "abandoned"], "duration_s": [None, 0.5, 2.0]},
    "outcome": {"status": [*["accepted"] * 3, "rejected", "revoked", "abandoned", "completed"],
                "evidence": [None, "self", "ci"], "reference": [None, None, "7", "8"]},
}  # fmt: skip
USED: Sequence[Mapping[str, Any]] = (
    {"input_provenance": "none", "output_provenance": "none"},  # it failed before an answer
    {"input_tokens": 5, "output_tokens": 3, "cost_amount": Decimal("0.25"), "cost_currency": "USD"},
    {"output_tokens": 40, "cost_amount": Decimal("1.0001"), "cost_currency": "USD"},
    {"input_tokens": 600, "output_provenance": "none"},
    {"input_tokens": 7000, "cost_amount": Decimal(4), "cost_currency": "EUR"},
    {"input_provenance": "unknown", "output_provenance": "unknown"},
)
SCOPES: tuple[Mapping[str, Any], ...] = (
    {}, {"until": SECONDS[9]}, {"since": SECONDS[3], "only": {"team": "a"}},
    {"since": SECONDS[2], "until": SECONDS[9]},
)  # fmt: skip


def ledger(chance: random.Random) -> list[UsageEvent]:
    """Make runs in runs, of which only every other one says anything, and calls and outcomes.

    Some of it is said once more by somebody else, later.
    """
    runs: list[dict[str, Any]] = [{}]
    for run_id in ("p", "", *"qrstuvwxyz"):
        outer = chance.choice(runs)
        name = chance.choice(["plan", "read"] if outer else ["plan", "look", "", None])
        agent = f"{outer['agent']}/{name}" if outer.get("agent") else name
        runs.append({"run_id": run_id, "parent_run_id": outer.get("run_id"), "agent": agent})
    used, many = USED[: chance.choice([1, 3, 6])], chance.choice([9, 50, 120])
    made = [event(chance, n, chance.choice(runs[::2]), used) for n in range(many)]
    again = [replace(each, ts=each.ts + timedelta(seconds=9), user="b") for each in made[::9]]
    return chance.sample(made + again, len(made + again))


def event(
    chance: random.Random, n: int, place: Mapping[str, Any], used: Sequence[Mapping[str, Any]]
) -> UsageEvent:
    """Make an event of any kind; a name that is empty is another one than none."""
    kind: Any = chance.choice(["call", "call", "call", "run", "outcome", "outcome"])
    said = {name: chance.choice([None, "", "a", "b"]) for name in ("user", "team", "task")}
    said |= {name: chance.choice(values) for name, values in SAID[kind].items()}
    said |= {} if kind == "outcome" else place
    said |= chance.choice(used) if kind == "call" else {}
    return UsageEvent(kind, f"e{n}", 1, chance.choice(SECONDS), **said)


@pytest.mark.parametrize("seed", range(16))
def test_trees_and_tasks_are_what_the_rules_say_of_any_ledger(seed: int, tmp_path: Path) -> None:
    events, scope = ledger(random.Random(seed)), Scope(currency="USD", **SCOPES[seed % 4])
    chosen = oracle.Chosen(events, scope)
    with over(events, tmp_path) as engine:
        for runs in (True, False):
            result = run(Tree(runs), engine, scope)
            assert (list(result.rows), result.total) == oracle.tree(chosen, runs=runs)
        for by in (("task",), ("user",), ("team",), ()):
            result = run(Tasks(by), engine, scope)
            names = [c.name for c in result.columns]
            shown = [at for at, name in enumerate(names) if not name.endswith(("_low", "_high"))]
            total = result.total and tuple(result.total[at] for at in shown)
            rows = [tuple(row[at] for at in shown) for row in result.rows]
            assert (rows, total) == oracle.tasks(chosen, by)
