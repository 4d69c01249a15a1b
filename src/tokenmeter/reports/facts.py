"""What is true of everything a report is about: how much of it is known, priced and attributed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tokenmeter.event import SCHEMA
from tokenmeter.reports.measures import (
    COUNTABLE,
    UNATTRIBUTED,
    amount,
    count,
    has,
    tokens,
    unpriced,
)
from tokenmeter.reports.relations import Query, at
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Facts, rows_of

_COLUMNS = (
    Column("attempts", "count"),
    Column("countable", "count"),
    Column("input_tokens", "count"),
    Column("output_tokens", "count"),
    Column("cost_amount", "money"),
    Column("estimated", "count"),
    Column("partial", "count"),
    Column("unknown", "count"),
    Column("unpriced", "count"),
    Column("unattributed", "count"),
    Column("first", "time"),
    Column("last", "time"),
    Column("outcomes", "count"),
    Column("ahead", "count"),
    Column("newer", "count"),
)


def facts_query(scope: Scope, now: datetime) -> Query:
    """Give the query for the facts; one row, of numbers."""
    countable = [count(f"{COUNTABLE} AND {has(p)}") for p in ("estimated", "partial", "unknown")]
    sums = [
        "COUNT(*)",
        count(COUNTABLE),
        tokens("input_tokens"),
        tokens("output_tokens"),
        f"SUM({amount(scope)})",
        *countable,
        count(unpriced(scope)),
        count(UNATTRIBUTED),
        "EPOCH_US(MIN(ts))",
        "EPOCH_US(MAX(ts))",
    ]
    named = [f"{sql} AS {column.name}" for sql, column in zip(sums, _COLUMNS, strict=False)]
    statements, ahead = count("kind = 'outcome'"), count(f"ts > {at(now)}")
    beside = (
        f"SELECT {statements} AS outcomes, {ahead} AS ahead, "
        f"{count(f'schema > {SCHEMA}')} AS newer FROM events"
    )
    return Query(
        "SELECT inside.*, beside.outcomes, beside.ahead, beside.newer "
        "FROM inside CROSS JOIN beside",
        {"inside": f"SELECT {', '.join(named)} FROM calls", "beside": beside},
    )


def facts_of(rows: list[tuple[Any, ...]]) -> Facts:
    """Give the facts that an engine found."""
    (row,) = rows_of(_COLUMNS, rows)
    found = zip((column.name for column in _COLUMNS), row, strict=True)
    known: dict[str, Any] = {name: value for name, value in found if value is not None}
    return Facts(**known)
