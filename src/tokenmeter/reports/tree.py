"""The tree: agents and their sub-agents, with what each used by itself and in all.

Of one task, or of anything else that calls are chosen by, a row is a run; of everything, a row is
a path of agents, which all runs of that name share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from tokenmeter.reports import running
from tokenmeter.reports.columns import only
from tokenmeter.reports.grouping import added, spent
from tokenmeter.reports.measures import amount, count, tokens, unpriced
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Kind, Result, Row, Value
from tokenmeter.trees import cut_circles, downwards

_Measured = Callable[[Scope], str]

_SUMS: tuple[Column, ...] = (
    Column("calls", "count"),
    Column("attempts", "count", same_as="calls"),
    Column("failed", "count", is_quiet=True),
    Column("input_tokens", "count", "input"),
    Column("output_tokens", "count", "output"),
    Column("cost_amount", "money", "cost"),
    Column("unpriced", "count", is_quiet=True),
)

_MEASURED: Mapping[str, _Measured] = {
    "calls": lambda _: count("COALESCE(attempt, 0) = 0"),
    "attempts": lambda _: "COUNT(*)",
    "failed": lambda _: count("status = 'failed'"),
    "input_tokens": lambda _: tokens("input_tokens"),
    "output_tokens": lambda _: tokens("output_tokens"),
    "cost_amount": lambda scope: f"SUM({amount(scope)})",
    "unpriced": lambda scope: count(f"({unpriced(scope)})"),
}
_TYPES: Mapping[Kind, str] = {"count": "BIGINT", "money": "DECIMAL(38, 9)"}

OUTSIDE = "(no run)"
"""The row of calls that were made in no run."""


class Tree(msgspec.Struct, frozen=True):
    """Runs of agents, each with those that began in it.

    Args:
        runs: Whether a row is a run; else it is a path of agents.

    """

    runs: bool = False

    name: ClassVar[str] = "tree"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return "Runs of agents" if self.runs else "Agents"

    def columns(self, _scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        return (
            Column("id", "name"),
            Column("parent", "name"),
            Column("agent", "name"),
            Column("status", "name"),
            Column("began", "time"),
            Column("duration_s", "seconds"),
            Column("runs", "count"),
            *_SUMS,
        )

    def query(self, scope: Scope) -> Query:
        """Give its definition: what each run, or each path, used by itself."""
        node, parent = ("run_id", "parent_run_id") if self.runs else ("agent", "agent")
        status = "status" if self.runs else "CAST(NULL AS VARCHAR)"
        sums = ", ".join(f"{_MEASURED[c.name](scope)} AS {c.name}" for c in _SUMS)
        own = ", ".join(f"SUM({c.name}) AS {c.name}" for c in _SUMS)
        nothing = ", ".join(f"CAST(NULL AS {_TYPES[c.kind]}) AS {c.name}" for c in _SUMS)
        every = ", ".join(f"SUM(p.{c.name}) AS {c.name}" for c in _SUMS)
        return Query(
            f"""
            SELECT p.node AS id, MAX(p.parent) AS parent, MAX(p.agent) AS agent,
                MAX(p.status) AS status, EPOCH_US(COALESCE(MIN(p.run_ts), MIN(p.call_ts))) AS began,
                SUM(p.duration_s) AS duration_s, COALESCE(MAX(k.runs), 0) AS runs, {every}
            FROM parts AS p
            LEFT JOIN counted AS k ON COALESCE(k.node, '') = COALESCE(p.node, '')
                AND k.is_nothing = CASE WHEN p.node IS NULL THEN 1 ELSE 0 END
            GROUP BY p.node
            """,
            {
                "per_run": f"""
                    SELECT agent, run_id, MAX(parent_run_id) AS parent_run_id, MIN(ts) AS call_ts,
                        {sums}
                    FROM calls GROUP BY agent, run_id
                """,
                "own": f"""
                    SELECT {node} AS node, MAX({parent}) AS parent, MAX(agent) AS agent,
                        CAST(NULL AS VARCHAR) AS status, MIN(call_ts) AS call_ts,
                        CAST(NULL AS TIMESTAMPTZ) AS run_ts, CAST(NULL AS DOUBLE) AS duration_s,
                        {own}
                    FROM per_run GROUP BY {node}
                """,
                "chosen": f"""
                    SELECT * FROM runs WHERE run_id IS NOT NULL AND (
                        run_id IN (SELECT run_id FROM per_run) OR (1 = 1{only(scope)}))
                """,
                "ended": f"""
                    SELECT {node} AS node, MAX({parent}) AS parent, MAX(agent) AS agent,
                        MAX({status}) AS status, CAST(NULL AS TIMESTAMPTZ) AS call_ts,
                        MIN(ts) AS run_ts, SUM(duration_s) AS duration_s, {nothing}
                    FROM chosen GROUP BY {node}
                """,
                "parts": "SELECT * FROM own UNION ALL SELECT * FROM ended",
                "known": f"""
                    SELECT {node} AS node, run_id FROM per_run WHERE run_id IS NOT NULL
                    UNION ALL SELECT {node} AS node, run_id FROM chosen
                """,
                # An empty name is a name like any other, and no engine joins NULL with NULL by `=`.
                "counted": """
                    SELECT node, COUNT(DISTINCT run_id) AS runs,
                        CASE WHEN node IS NULL THEN 1 ELSE 0 END AS is_nothing
                    FROM known GROUP BY node
                """,
            },
        )

    def result(self, result: Result) -> Result:
        """Put each below that in which it began, and add up what is below."""
        names = [column.name for column in result.columns]
        rows = {row[0]: dict(zip(names, row, strict=True)) for row in result.rows}
        outside = rows.pop(None, None)
        # Engines give rows in any order, and what is forged must look alike whatever it is.
        nodes = _grown({str(node): rows[node] for node in sorted(rows, key=str)}, runs=self.runs)
        shown = [_shown(node) for node in nodes]
        if outside is not None:
            shown.append(_shown(_Node(outside | {"agent": OUTSIDE, "id": None}, 0, [], outside)))
        sums = [added(node.row[column.name] for node in nodes) for column in _SUMS]
        return msgspec.structs.replace(
            result,
            columns=_SHOWN,
            chart="subtree_cost_amount",
            rows=tuple(shown),
            total=_total(sums, outside),
            names=1,
        )


class _Node(NamedTuple):
    row: Mapping[str, Value]
    depth: int
    children: Sequence[str]
    subtree: Mapping[str, Value]


def _grown(rows: dict[str, dict[str, Value]], *, runs: bool) -> list[_Node]:
    """Give the nodes, each before those below it."""
    for node in list(rows):
        _add_parents(rows, node, runs=runs)
    parents: dict[object, str | None] = {node: _parent(rows[node]) for node in rows}
    cut_circles(parents)
    below: dict[object, list[object]] = {}
    for node in sorted(rows, key=lambda node: (str(rows[node]["began"] or ""), node)):
        below.setdefault(parents[node], []).append(node)
    subtrees = {node: {c.name: rows[node][c.name] for c in _SUMS} for node in rows}
    for child in reversed(downwards(below)):
        parent = parents[child]
        if parent is not None:
            for name, value in subtrees[str(child)].items():
                subtrees[parent][name] = added([subtrees[parent][name], value])
    nodes: list[_Node] = []
    waiting = [(str(node), 0) for node in reversed(below.get(None, []))]
    while waiting:
        here, depth = waiting.pop()
        children = [str(child) for child in below.get(here, [])]
        nodes.append(_Node(rows[here], depth, children, subtrees[here]))
        waiting.extend((child, depth + 1) for child in reversed(children))
    return nodes


def _parent(row: Mapping[str, Value]) -> str | None:
    parent = row["parent"]
    return None if parent is None else str(parent)


def _add_parents(rows: dict[str, dict[str, Value]], node: str, *, runs: bool) -> None:
    """Add those of which nothing is known but what began in them."""
    while True:
        row = rows[node]
        path = str(row["agent"] or "").rpartition("/")[0] or None
        if not runs:
            row["parent"] = path
        parent = _parent(row)
        if parent is None or parent in rows:
            return
        rows[parent] = dict.fromkeys(row, None) | {"id": parent, "agent": path}
        node = parent


def _shown(node: _Node) -> Row:
    row = node.row
    name = str(row["agent"] or "(unknown)")
    name = name if node.depth == 0 else "  " * node.depth + name.rpartition("/")[2]
    return (
        name, row["id"], node.depth, row["status"], row["began"], row["duration_s"], row["runs"],
        len(node.children),
        *_known(row),
        *_known(node.subtree),
    )  # fmt: skip


def _known(sums: Mapping[str, Value]) -> list[Value]:
    unpriced = sums["unpriced"]
    return [
        spent(sums[column.name], unpriced) if column.kind == "money" else sums[column.name]
        for column in _SUMS
    ]


def _total(sums: Sequence[Value], outside: Mapping[str, Value] | None) -> Row:
    """Give what all used; what is own of all is what is below the roots, and outside of runs."""
    beside = [None if outside is None else outside[column.name] for column in _SUMS]
    names = [column.name for column in _SUMS]
    whole = map(added, zip(sums, beside, strict=True))
    known = _known(dict(zip(names, whole, strict=True)))
    return (*[None] * 8, *known, *known)


_SHOWN: tuple[Column, ...] = (
    Column("agent", "name"),
    Column("run_id", "name", is_detail=True),
    Column("depth", "count", is_detail=True),
    Column("status", "name", is_quiet=True),
    Column("began", "time", is_detail=True),
    Column("duration_s", "seconds", "seconds", is_quiet=True),
    Column("runs", "count", is_quiet=True, is_optional=True),
    Column("children", "count", is_quiet=True),
    *(msgspec.structs.replace(column, heading=f"own {column.title}") for column in _SUMS),
    *(
        msgspec.structs.replace(
            column,
            name=f"subtree_{column.name}",
            heading=column.title,
            same_as=f"subtree_{column.same_as}" if column.same_as else "",
        )
        for column in _SUMS
    ),
)
