"""The report of what calls used, by anything: tokens by kind, money, attempts, failures, time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from tokenmeter.reports import measures
from tokenmeter.reports.columns import keys
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Result, Row, Value

OTHERS = "(others)"
"""The row that holds what is below the limit."""

_IS_TOTAL = Column("is_total", "flag", is_detail=True)


class Usage(msgspec.Struct, frozen=True):
    """What calls used, a row for each combination of values; calls without a value are one, too.

    Args:
        by: What to group by: names of `tokenmeter.reports.columns.NAMES`, or ``tag:NAME``.
        top: The most rows, the others being added up in one; ``None``: all. It does not change the
            query, only what is shown of it.

    >>> Usage(("user",)).name
    'report'
    """

    by: tuple[str, ...] = ("user", "task", "model")
    top: int | None = None

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return "report"

    @property
    def title(self) -> str:
        """Say what it is about."""
        return f"Usage by {', '.join(self.by)}" if self.by else "Usage"

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        names = [key.column for key in keys(self.by, scope)]
        return (*names, *(m.column for m in measures.measures(scope)), _IS_TOTAL)

    def query(self, scope: Scope) -> Query:
        """Give its definition: the groups, and a row for all of them."""
        by, parts = keys(self.by, scope), measures.measures(scope)
        made = [f"{key.sql} AS {key.quoted}" for key in by if key.sql != key.quoted]
        names = [key.quoted for key in by]
        sums = [f"{measure.sql} AS {measure.column.name}" for measure in parts]
        if not by:
            return Query(f"SELECT {', '.join(sums)}, 1 AS is_total FROM calls")
        grouped = ", ".join([*names, *sums, f"GROUPING({names[0]}) AS is_total"])
        return Query(
            f"SELECT {grouped} FROM keyed GROUP BY GROUPING SETS (({', '.join(names)}), ())",
            {"keyed": f"SELECT {', '.join(['*', *made])} FROM calls"},
        )

    def result(self, result: Result) -> Result:
        """Put the most expensive first, and tell the total from its parts."""
        parts = [row[:-1] for row in result.rows if not row[-1]]
        totals = [row[:-1] for row in result.rows if row[-1]]
        columns = result.columns[:-1]
        rows = tuple(sorted(parts, key=_order(columns, len(self.by))))
        whole = msgspec.structs.replace(
            result,
            columns=columns,
            rows=rows if self.by else tuple(totals),
            total=totals[0] if self.by and totals else None,
            names=len(self.by),
        )
        whole = _unpriced(whole)
        return whole if self.top is None else topped(whole, self.top)


def _unpriced(result: Result) -> Result:
    """Say once that nothing is priced, rather than in each row."""
    if not result.facts.countable or result.facts.unpriced < result.facts.countable:
        return result
    silent = ("cost_amount", "unpriced")
    columns = tuple(
        msgspec.structs.replace(column, is_detail=column.is_detail or column.name in silent)
        for column in result.columns
    )
    note = f"nothing is priced in {result.currency}; tokenmeter reprice --help says what to do"
    return msgspec.structs.replace(result, columns=columns, notes=(*result.notes, note))


Order = Callable[[Row], tuple[str, list[float], list[str]]]


def _order(columns: tuple[Column, ...], names: int) -> Order:
    """Put days in their order, and otherwise the most expensive first."""
    at = {column.name: index for index, column in enumerate(columns)}
    sums = [at[name] for name in ("cost_amount", "input_tokens", "output_tokens", "attempts")]
    days = [index for index in range(names) if columns[index].kind == "day"]

    def order(row: Row) -> tuple[str, list[float], list[str]]:
        day = str(row[days[0]] or "") if days else ""
        return day, [-number(row[index]) for index in sums], [str(v or "") for v in row[:names]]

    return order


def number(value: Value) -> float:
    """Give a value for sorting; what is unknown is below everything."""
    return float(value) if isinstance(value, int | float | Decimal) else -1.0


def topped(result: Result, top: int) -> Result:
    """Add up what is below the first rows in one more row, as far as it can be added up."""
    rows, rest = result.rows[:top], result.rows[top:]
    if len(rest) < 2:  # one row is better shown than hidden
        return result
    sums = {m.column.name for m in measures.measures(Scope()) if m.is_additive}
    others = tuple(
        OTHERS if at == 0 else added(row[at] for row in rest) if column.name in sums else None
        for at, column in enumerate(result.columns)
    )
    note = f"{OTHERS} are {len(rest)} more rows"
    return msgspec.structs.replace(result, rows=(*rows, others), notes=(*result.notes, note))


def added(values: Iterable[Value]) -> int | Decimal | None:
    """Add up what is known; ``None`` where nothing is."""
    known = [value for value in values if isinstance(value, int | Decimal)]
    return sum(known[1:], start=known[0]) if known else None
