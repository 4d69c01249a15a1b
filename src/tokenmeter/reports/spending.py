"""Spending and what came out of it, as SQL: per group, in units of tasks.

A group has the calls whose columns say so, and the outcomes whose statement says so: whom an
outcome counts for is what was said with it, never who called most.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenmeter.reports.columns import Key
from tokenmeter.reports.measures import amount, count, summed, tokens, unpriced
from tokenmeter.reports.relations import Query, at
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.settling import settling
from tokenmeter.reports.values import Column

SUMS: tuple[Column, ...] = (
    Column("tasks", "count"),
    Column("accepted", "count"),
    Column("self_declared", "count", "self-declared", is_quiet=True),
    Column("not_accepted", "count", "not accepted"),
    Column("undecided", "count"),
    Column("calls", "count", is_detail=True),
    Column("input_tokens", "count", "input"),
    Column("output_tokens", "count", "output"),
    Column("cost_amount", "money", "cost"),
    Column("cost_after", "money", "after the outcome", is_quiet=True),
    Column("cost_undecided", "money", "without any outcome", is_quiet=True),
    Column("cost_without_task", "money", "without a task", is_quiet=True),
    Column("unpriced", "count", is_quiet=True),
)
"""What a group has, as columns of a result."""

SAMPLE: tuple[Column, ...] = (
    Column("units", "count", is_detail=True),
    Column("sum_x", "number", is_detail=True),
    Column("sum_xx", "number", is_detail=True),
    Column("sum_y", "number", is_detail=True),
    Column("sum_xy", "number", is_detail=True),
)
"""What intervals are made of: over tasks, x is the cost of one and y whether it is accepted."""


def spending(by: Sequence[Key], scope: Scope) -> Query:
    """Give the groups, and all of them together, with `SUMS`, `SAMPLE` and ``is_total``."""
    made = "".join(f", {key.sql} AS key_{n}" for n, key in enumerate(by))
    keys = [f"key_{n}" for n in range(len(by))]
    spent, came_out = zip(*_pieces(scope).values(), strict=True)
    names = [*keys, "unit", *_pieces(scope)]
    relations = settling(scope) | {
        "decisions": f"SELECT task AS decided_task, decided, {_status(scope)} AS said FROM settled",
        "keyed_calls": f"SELECT *{made} FROM calls",
        "keyed_outcomes": f"SELECT *{made} FROM said_last",
        "spent": (
            f"SELECT {_named([*keys, 'task', *spent], names)} FROM keyed_calls AS c "
            f"LEFT JOIN decisions AS d ON d.decided_task = c.task "
            f"GROUP BY {', '.join([*keys, 'task'])}"
        ),
        "came_out": f"SELECT {_named([*keys, 'task', *came_out], names)} FROM keyed_outcomes",
        "pieces": "SELECT * FROM spent UNION ALL SELECT * FROM came_out",
        "units": _units([*keys, "unit"], scope),
        "all_units": _units(["unit"], scope),
    }
    status = ["MAX(verdict) AS status"] if is_by_task(by) else []
    nothing = [f"{key.nothing} AS {key.quoted}" for key in by]
    nothing += ["CAST(NULL AS VARCHAR) AS status"] if status else []
    whole = ", ".join([*nothing, _sums(1)])
    select = f"SELECT {whole} FROM all_units"
    if by:
        parts = [f"{k} AS {key.quoted}" for k, key in zip(keys, by, strict=True)]
        groups = (
            f"SELECT {', '.join([*parts, *status, _sums(0)])} FROM units GROUP BY {', '.join(keys)}"
        )
        select = f"{groups} UNION ALL {select}"
    return Query(select, relations)


def is_by_task(by: Sequence[Key]) -> bool:
    """Say whether each group is a task, of which it can be said what became of it: ``status``."""
    return [key.name for key in by] == ["task"]


def _pieces(scope: Scope) -> dict[str, tuple[str, str]]:
    """Give what spending has, and what an outcome has, under one name."""
    cost = amount(scope)
    accepted = "verdict = 'accepted' AND is_self_declared = 0"
    return {
        "verdict": ("MAX(said)", "verdict"),
        "tasks": ("MAX(CASE WHEN task IS NOT NULL THEN 1 ELSE 0 END)", "0"),
        "accepted": ("0", _flag(accepted)),
        "self_declared": ("0", "is_self_declared"),
        "not_accepted": ("0", _flag("verdict <> 'accepted'")),
        "undecided": (f"MAX({_flag('task IS NOT NULL AND decided IS NULL')})", "0"),
        "calls": (count("COALESCE(attempt, 0) = 0"), "0"),
        "input_tokens": (tokens("input_tokens"), "CAST(NULL AS BIGINT)"),
        "output_tokens": (tokens("output_tokens"), "CAST(NULL AS BIGINT)"),
        "cost_amount": (f"SUM({cost})", _NO_MONEY),
        "cost_after": (_cost(cost, "ts > decided"), _NO_MONEY),
        "cost_undecided": (_cost(cost, "task IS NOT NULL AND decided IS NULL"), _NO_MONEY),
        "cost_without_task": (_cost(cost, "task IS NULL"), _NO_MONEY),
        "unpriced": (count(f"({unpriced(scope)})"), "0"),
    }


def _status(scope: Scope) -> str:
    """Give what became of a task in the period, whomever its outcome counts for."""
    since = scope.since
    return "status" if since is None else f"CASE WHEN decided >= {at(since)} THEN status END"


_NO_MONEY = "CAST(NULL AS DECIMAL(38, 9))"
_ONE_FOR_A_TASK = ("verdict", "tasks", "undecided")


def _cost(cost: str, condition: str) -> str:
    return f"SUM(CASE WHEN {condition} THEN {cost} WHEN {cost} IS NOT NULL THEN 0 END)"


def _flag(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def _named(parts: Sequence[str], names: Sequence[str]) -> str:
    pairs = zip(parts, names, strict=True)
    return ", ".join(part if part == name else f"{part} AS {name}" for part, name in pairs)


def _units(keys: Sequence[str], scope: Scope) -> str:
    """Bring together what was spent on a task and what came out of it."""
    sums = [
        f"{'MAX' if name in _ONE_FOR_A_TASK else 'SUM'}({name}) AS {name}"
        for name in _pieces(scope)
    ]
    cost = "CAST(COALESCE(SUM(CASE WHEN unit IS NOT NULL THEN cost_amount END), 0) AS DOUBLE)"
    every = [*keys, *sums, f"{cost} AS x", "CAST(SUM(accepted) AS DOUBLE) AS y"]
    return f"SELECT {', '.join(every)} FROM pieces GROUP BY {', '.join(keys)}"


def _sums(is_total: int) -> str:
    sums = [f"{summed(column)} AS {column.name}" for column in SUMS]
    sample = ("COUNT(unit)", "SUM(x)", "SUM(x * x)", "SUM(y)", "SUM(x * y)")
    named = [f"{sql} AS {column.name}" for sql, column in zip(sample, SAMPLE, strict=True)]
    return ", ".join([*sums, *named, f"{is_total} AS is_total"])
