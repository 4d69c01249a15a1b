"""Two periods side by side: the same report of both, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.engines import Engine
from tokenmeter.reports.grouping import OTHERS, number, together
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Column, Result, Row, Value

COMPARED = ("cost_amount", "input_tokens", "output_tokens", "calls")
"""What is compared: sums, where a report has them; the first one that there is gives the order."""

_PARTS = 4  # now, before, difference, ratio


def compare(report: Usage, engine: Engine, scope: Scope, before: Scope) -> Result:
    """Run a report of two periods and put them side by side, in one currency.

    Args:
        report: Which report; its ``top`` is of the rows of both.
        engine: What runs it.
        scope: The period that is compared.
        before: The period that it is compared with.

    Raises:
        ConfigurationError: It is a report by day, week or month, which no two periods share.
    """
    whole = msgspec.structs.replace(report, top=None)
    now = run(whole, engine, scope)
    other = msgspec.structs.replace(before, currency=now.currency)
    found = compared(now, run(whole, engine, other))
    return found if report.top is None else _topped(found, report.top)


def compared(now: Result, before: Result) -> Result:
    """Join two results of one report by the names of their rows.

    Of each sum in `COMPARED` there are four columns: ``calls`` (now), ``calls_before``,
    ``calls_difference``, and ``calls_ratio``, which is now divided by before. A row that only one
    of them has is kept: nothing was used there in the other period, so that its sums are zero.
    A difference with what nobody knows is unknown, and so is a ratio to nothing.

    Raises:
        ConfigurationError: Rows are named by days, or the two are of different reports.
    """
    _check(now, before)
    at = [now.index(name) for name in COMPARED if name in {c.name for c in now.columns}]
    names, n = now.columns[: now.names], now.names
    rows, others = ({row[:n]: _sums(row, at) for row in one.rows} for one in (now, before))
    zero: Row = tuple(_zero(now.columns[index]) for index in at)
    keys = dict.fromkeys([*rows, *others])
    joined = [(*key, *_joined(rows.get(key, zero), others.get(key, zero))) for key in keys]
    totals = [_sums(one.total, at) if one.facts.attempts else zero for one in (now, before)]
    nothing: Row = (None,) * n
    return msgspec.structs.replace(
        now,
        title=f"{now.title}, compared",
        columns=(*names, *(c for index in at for c in _columns(now.columns[index]))),
        rows=tuple(sorted(joined, key=lambda row: (-number(row[n]), -number(row[n + 1])))),
        total=None if now.total is None else (*nothing, *_joined(*totals)),
        before=before,
    )


def _check(now: Result, before: Result) -> None:
    names = [result.columns[: result.names] for result in (now, before)]
    if now.name != before.name or names[0] != names[1] or now.currency != before.currency:
        raise ConfigurationError(
            f"two periods are compared by one report in one currency; got {now.title!r} in "
            f"{now.currency} and {before.title!r} in {before.currency}"
        )
    days = [column.name for column in names[0] if column.kind == "day"]
    if days:
        raise ConfigurationError(
            f"no {days[0]} is in two periods, so that there is nothing to compare: leave "
            f"{', '.join(days)} out of what is grouped by"
        )


def _sums(row: Row | None, at: Sequence[int]) -> Row:
    return tuple(None if row is None else row[index] for index in at)


def _zero(column: Column) -> Value:
    return Decimal(0) if column.kind == "money" else 0


def _columns(column: Column) -> tuple[Column, ...]:
    name, title, is_money = column.name, column.title, column.kind == "money"
    is_calls, is_detail = name == "calls", column.is_detail
    return (
        Column(name, column.kind, title, is_detail=is_detail),
        Column(
            f"{name}_before",
            column.kind,
            "before",
            is_detail=is_detail or not (is_money or is_calls),
        ),
        Column(f"{name}_difference", column.kind, "+/-", is_detail=is_detail or not is_money),
        Column(f"{name}_ratio", "number", "×", is_detail=is_detail or is_calls),  # noqa: RUF001
    )


def _joined(now: Row, before: Row) -> Row:
    return tuple(part for pair in zip(now, before, strict=True) for part in _four(*pair))


def _four(now: Value, before: Value) -> Row:
    if not isinstance(now, int | Decimal) or not isinstance(before, int | Decimal):
        return (now, before, None, None)
    ratio = float(Decimal(now) / Decimal(before)) if before else None
    return (now, before, Decimal(now) - before if isinstance(now, Decimal) else now - before, ratio)


def _topped(result: Result, top: int) -> Result:
    """Add up what is below the first rows; ratios are of the sums."""
    rows, rest = result.rows[:top], result.rows[top:]
    if len(rest) < 2:
        return result
    n = result.names
    starts = range(n, len(result.columns), _PARTS)
    sums = [
        [together(result.columns[at], [row[at + part] for row in rest]) for at in starts]
        for part in (0, 1)
    ]
    others = (OTHERS, *(None,) * (n - 1), *_joined(*map(tuple, sums)))
    note = f"{OTHERS} are {len(rest)} more rows"
    return msgspec.structs.replace(result, rows=(*rows, others), notes=(*result.notes, note))
