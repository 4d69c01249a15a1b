"""Groups of calls with their measures, and a row for all of them: what most reports are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tokenmeter.reports.columns import Key, keys
from tokenmeter.reports.measures import AMOUNTS, Measure, summed
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Result, Row, Value

OTHERS = "(others)"
"""The row that holds what is below the limit."""

IS_TOTAL = Column("is_total", "flag", is_detail=True)
"""The column of a query that tells the row for all groups, which a result has as its total."""


def grouped_columns(
    by: Iterable[str], measures: Sequence[Measure], scope: Scope
) -> tuple[Column, ...]:
    """Give the columns of `grouped`."""
    names = (key.column for key in keys(by, scope))
    return (*names, *(measure.column for measure in measures), IS_TOTAL)


def grouped(by: Iterable[str], measures: Sequence[Measure], scope: Scope) -> Query:
    """Group calls by columns, and all of them together."""
    wanted = keys(by, scope)
    sums = [f"{measure.sql} AS {measure.column.name}" for measure in measures]
    if not wanted:
        return Query(f"SELECT {', '.join(sums)}, 1 AS is_total FROM calls")
    # Numbered until the end, because `tag:a` and `tag:A` are one name to most engines.
    numbered = [f"key_{n}" for n in range(len(wanted))]
    made = [f"{key.sql} AS {name}" for key, name in zip(wanted, numbered, strict=True)]
    named = [f"{name} AS {key.quoted}" for key, name in zip(wanted, numbered, strict=True)]
    parts = [*named, *(measure.column.name for measure in measures)]
    every = ", ".join(numbered)
    return Query(
        f"SELECT {', '.join(parts)}, 0 AS is_total FROM groups_of_calls "
        f"UNION ALL {_whole(wanted, measures)}",
        {
            "keyed": f"SELECT {', '.join(['*', *made])} FROM calls",
            "groups_of_calls": (
                f"SELECT {', '.join([*numbered, *sums])} FROM keyed GROUP BY {every}"
            ),
            "whole": f"SELECT {', '.join([*_unlike_parts(measures), 'COUNT(*) AS n'])} FROM calls",
        },
    )


def _whole(by: Sequence[Key], measures: Sequence[Measure]) -> str:
    """Add up the groups, which is less work than adding up all calls once more."""
    nothing = [f"{key.nothing} AS {key.quoted}" for key in by]
    sums = [
        summed(m.column, "g.") if m.is_additive else f"MAX(w.{m.column.name})" for m in measures
    ]
    every = [f"{sql} AS {m.column.name}" for sql, m in zip(sums, measures, strict=True)]
    return (
        f"SELECT {', '.join([*nothing, *every])}, 1 AS is_total "
        "FROM groups_of_calls AS g CROSS JOIN whole AS w"
    )


def _unlike_parts(measures: Sequence[Measure]) -> list[str]:
    return [f"{m.sql} AS {m.column.name}" for m in measures if not m.is_additive]


def totalled(result: Result, names: int) -> Result:
    """Tell the total from the groups; without columns it is the only row.

    An amount is nothing, and not unknown, where nothing is unpriced.

    Of no group there is none, because Spark adds up no row to nothing where others have one.
    """
    groups = tuple(row[:-1] for row in result.rows if not row[-1])
    totals = tuple(row[:-1] for row in result.rows if row[-1])
    whole = msgspec.structs.replace(
        result,
        columns=result.columns[:-1],
        rows=groups if names else totals,
        total=totals[0] if names and groups and totals else None,
        names=names,
    )
    for name in AMOUNTS & {column.name for column in whole.columns}:
        whole = _known(whole, name)
    return whole


def _known(result: Result, name: str) -> Result:
    amount, unpriced = result.index(name), result.index("unpriced")

    def known(row: Row) -> Row:
        if row[amount] is not None:
            return row
        return (*row[:amount], spent(None, row[unpriced]), *row[amount + 1 :])

    return msgspec.structs.replace(
        result,
        rows=tuple(map(known, result.rows)),
        total=None if result.total is None else known(result.total),
    )


def ordered(result: Result, *by: str) -> Result:
    """Put days in their order, and otherwise first what is most of the first column, and so on."""
    names = [[_word(row[n]) for row in result.rows] for n in range(result.names)]
    days = [each for each, of in zip(names, result.columns, strict=False) if of.kind == "day"][:1]
    sums = [_descending(result.rows, at) for at in map(result.index, by)]
    order = list(range(len(result.rows)))
    criteria: tuple[Sequence[Any], ...] = (*days, *sums, *names)
    for values in reversed(criteria):  # a sort leaves equals as the one before did
        order.sort(key=values.__getitem__)
    return msgspec.structs.replace(result, rows=tuple(result.rows[n] for n in order))


def _word(name: Value) -> str:
    return str(name or ("" if name is None else "\0"))  # an empty name is after no name


def _descending(rows: Iterable[Sequence[Any]], at: int) -> list[float]:
    return [-float(row[at] or 0) for row in rows]  # unknown is as nothing: the next one decides


def topped(result: Result, top: int | None, additive: Callable[[Column], bool]) -> Result:
    """Add up what is below the first rows in one more row, as far as it can be added up."""
    rows, rest = result.rows[:top], result.rows[top:] if top is not None else ()
    if len(rest) < 2:  # one row is better shown than hidden
        return result
    others = tuple(
        OTHERS
        if at == 0
        else together(column, [row[at] for row in rest])
        if additive(column)
        else None
        for at, column in enumerate(result.columns)
    )
    note = f"{OTHERS} are {len(rest)} more rows"
    return msgspec.structs.replace(result, rows=(*rows, others), notes=(*result.notes, note))


def unpriced_once(result: Result) -> Result:
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


def number(value: Value) -> float:
    """Give a value for sorting; what is unknown is below everything."""
    return float(value) if isinstance(value, _NUMBERS) else -1.0


_NUMBERS = (int, float, Decimal)


def spent(amount: Value, unpriced: Value) -> Value:
    """Give an amount: nothing, and not unknown, where nothing wanted a price, as of failures."""
    return Decimal(0) if amount is None and unpriced == 0 else amount


def together(column: Column, values: Sequence[Value]) -> int | Decimal | None:
    """Add up parts; no money and an amount that nobody knows are unknown together."""
    sum_of_known = added(values)
    is_unknown = column.kind == "money" and not sum_of_known and None in values
    return None if is_unknown else sum_of_known


def added(values: Iterable[Value]) -> int | Decimal | None:
    """Add up what is known; ``None`` where nothing is."""
    known = [value for value in values if isinstance(value, int | Decimal)]
    return sum(known[1:], start=known[0]) if known else None
