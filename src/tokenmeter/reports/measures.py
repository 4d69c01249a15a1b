"""What reports count of calls, each with the one SQL that says it."""

from __future__ import annotations

import msgspec

from tokenmeter.quoting import text
from tokenmeter.reports.scope import USUAL_CURRENCY, Scope
from tokenmeter.reports.values import Column

COUNTABLE = (
    "(COALESCE(input_provenance, 'reported') <> 'none' "
    "OR COALESCE(output_provenance, 'reported') <> 'none')"
)
"""Whether a provider had something to count: the attempt did not fail before its answer."""

UNATTRIBUTED = (
    '("user" IS NULL AND team IS NULL AND task IS NULL AND agent IS NULL AND conversation IS NULL)'
)
"""Whether nobody claimed a call, by the same rule as ``meter.unattributed()``."""

AMOUNTS = {"cost_amount", "cost_after", "cost_undecided", "cost_without_task"}
"""The columns of amounts that were spent; what stands in none of them is counted as unpriced."""


class Measure(msgspec.Struct, frozen=True):
    """One number of a group of calls.

    Args:
        column: Its column.
        sql: An aggregate over calls.
        is_additive: Whether those of parts add up to that of the whole.
    """

    column: Column
    sql: str
    is_additive: bool = True


def count(condition: str) -> str:
    """Count the calls for which something holds."""
    return f"COUNT(CASE WHEN {condition} THEN 1 END)"


def summed(column: Column, of: str = "") -> str:
    """Add up a column of parts.

    What counts calls or tasks fits into 64 bits, and is zero of no part. DuckDB adds up in 128,
    which Python takes three times as long to read; tokens may need them.
    """
    total = f"SUM({of}{column.name})"
    is_narrow = column.kind == "count" and not column.name.endswith("_tokens")
    return f"CAST(COALESCE({total}, 0) AS BIGINT)" if is_narrow else total


def has(provenance: str) -> str:
    """Say that a side has a provenance."""
    return f"(input_provenance = '{provenance}' OR output_provenance = '{provenance}')"


def amount(scope: Scope) -> str:
    """Give the amount of a call in the currency of the report, of nothing where it has none."""
    return (
        f"CASE WHEN cost_currency = {text(scope.currency or USUAL_CURRENCY)} THEN cost_amount END"
    )


def unpriced(scope: Scope) -> str:
    """Say that a call has something to count and is in no amount."""
    return f"{COUNTABLE} AND {amount(scope)} IS NULL"


def tokens(name: str) -> str:
    """Add up tokens: nothing where nobody knows any, zero where there was nothing to count."""
    side = "output" if name.startswith(("output", "reasoning")) else "input"
    nothing = f"CASE WHEN {side}_provenance = 'none' THEN 0 END"
    return f"SUM(COALESCE({name}, {nothing}))"


def measures(scope: Scope) -> tuple[Measure, ...]:
    """Give what a report counts, in its order."""
    return (
        Measure(Column("calls", "count"), count("COALESCE(attempt, 0) = 0")),
        Measure(Column("attempts", "count", same_as="calls"), "COUNT(*)"),
        Measure(Column("failed", "count", is_quiet=True), count("status = 'failed'")),
        Measure(Column("abandoned", "count", is_detail=True), count("status = 'abandoned'")),
        Measure(Column("refused", "count", is_detail=True), count("status = 'refused'")),
        Measure(Column("input_tokens", "count", "input"), tokens("input_tokens")),
        *(_part(name, heading) for name, heading in _INPUTS),
        Measure(Column("output_tokens", "count", "output"), tokens("output_tokens")),
        *(_part(name, heading) for name, heading in _OUTPUTS),
        Measure(Column("cost_amount", "money", "cost"), f"SUM({amount(scope)})"),
        Measure(Column("unpriced", "count", is_quiet=True), count(unpriced(scope))),
        Measure(Column("estimated", "count", "est.", is_quiet=True),
                count(f"{COUNTABLE} AND {has('estimated')}")),
        Measure(Column("partial", "count", "part.", is_quiet=True),
                count(f"{COUNTABLE} AND {has('partial')}")),
        Measure(Column("unknown", "count", is_quiet=True),
                count(f"{COUNTABLE} AND {has('unknown')}")),
        Measure(Column("unattributed", "count", is_detail=True), count(UNATTRIBUTED)),
        *(Measure(Column(name, "seconds", heading), sql, False) for name, heading, sql in zip(
            ("duration_p50_s", "duration_p95_s"), ("p50 s", "p95 s"),
            quantiles("duration_s", 0.5, 0.95), strict=True)),
        *(Measure(Column("first_chunk_p50_s", "seconds", is_detail=True), sql, False)
          for sql in quantiles("time_to_first_chunk_s", 0.5)),
    )  # fmt: skip


def _part(name: str, heading: str) -> Measure:
    """Add up a part of the tokens; a table for people has those with a heading."""
    column = Column(f"{name}_tokens", "count", heading, is_quiet=True, is_detail=not heading)
    return Measure(column, f"SUM({column.name})")


_INPUTS = (
    ("cache_read", "cached"), ("cache_write", ""), ("cache_write_5m", ""), ("cache_write_1h", ""),
    ("input_text", ""), ("input_audio", ""), ("input_image", ""),
)  # fmt: skip
_OUTPUTS = (
    ("reasoning", "reasoning"), ("output_text", ""), ("output_audio", ""), ("output_image", ""),
)  # fmt: skip


def quantiles(name: str, *at: float) -> list[str]:
    """Give quantiles of completed attempts: exact, on a straight line between two values.

    All of one column are made at once, because DuckDB keeps each value for each aggregate; it sees
    that the aggregates of these texts are the same.
    """
    every = f"QUANTILE_CONT(CASE WHEN status = 'completed' THEN {name} END, {list(at)})"
    return [f"LIST_EXTRACT({every}, {n})" for n in range(1, len(at) + 1)]
