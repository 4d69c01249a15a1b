"""How values look to people, whatever the format: short numbers, days, names that do no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple
from unicodedata import category

from tokenmeter.reports.scope import local
from tokenmeter.reports.values import Column, Kind, Result, Value

NOBODY = "(none)"
"""What stands where calls have no value of what they are grouped by."""

UNKNOWN, NOTHING = "?", "–"  # noqa: RUF001
"""What stands where nobody knows a sum, and where there is no number, as a median of nothing."""

TOTAL = "total"

TEXTS: frozenset[Kind] = frozenset(["name", "day", "time", "flag"])
"""The kinds that stand on the left of their column; numbers stand on the right."""

_ADDED: frozenset[Kind] = frozenset(["count", "money"])


class Cells(NamedTuple):
    """One column as people see it.

    Attributes:
        column: Which one.
        heading: What stands above it, with the currency of money.
        rows: What stands in each row.
        total: What stands below.
    """

    column: Column
    heading: str
    rows: list[str]
    total: str


def told(result: Result) -> list[int]:
    """Say which columns people are shown.

    Left out are details, what is quiet and zero or unknown everywhere, and what repeats another
    column.
    """
    return [at for at, column in enumerate(result.columns) if _is_told(result, at, column)]


def _is_told(result: Result, at: int, column: Column) -> bool:
    if at < result.names:
        return True
    rows = _all_rows(result)
    if column.same_as and rows:
        other = result.index(column.same_as)
        return any(row[at] != row[other] for row in rows)
    return not (column.is_detail or (column.is_quiet and not any(row[at] for row in rows)))


def _all_rows(result: Result) -> Sequence[tuple[Value, ...]]:
    return result.rows if result.total is None else (*result.rows, result.total)


def cells(result: Result, at: int) -> Cells:
    """Give one column of a result as people see it."""
    column = result.columns[at]
    values = [row[at] for row in result.rows]
    total = None if result.total is None else result.total[at]
    say = _sayer(column.kind, [*values, total], result.zone)
    nothing = _nothing(column, at < result.names)
    shown = [nothing if value is None else say(value) for value in values]
    return Cells(column, heading(column, result), shown, _total(result, at, say))


def heading(column: Column, result: Result) -> str:
    """Give what stands above a column; above money its currency, too."""
    title = f"{column.title} {result.currency}" if column.kind == "money" else column.title
    return safe(title)


def _nothing(column: Column, is_name: bool) -> str:
    if is_name:
        return NOBODY
    if column.kind in TEXTS:
        return ""
    return UNKNOWN if column.kind in _ADDED and not column.is_optional else NOTHING


def _total(result: Result, at: int, say: Callable[[Value], str]) -> str:
    if result.total is None:
        return ""
    if at < result.names:
        return "" if at else TOTAL
    value = result.total[at]
    if value is not None:
        return say(value)
    # A sum that nobody knows is said; what has no total at all has none.
    column = result.columns[at]
    is_sum = column.kind in _ADDED and not column.is_optional
    is_unknown = bool(result.rows) and all(row[at] is None for row in result.rows)
    return UNKNOWN if is_sum and is_unknown else ""


def _sayer(kind: Kind, values: Iterable[Value], zone: str) -> Callable[[Value], str]:
    if kind == "money":
        places = money_places(values)
        return lambda value: money(value, places)
    if kind == "time":
        return lambda value: time(value, zone)
    return _SAID[kind]


def safe(text: str) -> str:
    r"""Give a text of anybody on one line, as it is read: what is invisible is written out.

    Line ends, other control characters, marks that turn the direction of what follows, and marks
    of no width, by which two names look like one.

    >>> print(safe("a\nb"), safe("ada\u202egro.evil"), safe("山田　太郎"))
    a\nb ada\u202egro.evil 山田　太郎
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable() or category(char) == "Zs":
        return char
    return char.encode("unicode_escape").decode()


_PLACES = ((Decimal(100), 2), (Decimal(1), 4), (Decimal("0.01"), 6))


def money_places(values: Iterable[Value]) -> int:
    """Say how many decimal places a column of amounts has: fewer where the largest is large."""
    largest = max((abs(value) for value in values if isinstance(value, Decimal)), default=0)
    return next((places for least, places in _PLACES if largest >= least), 9 if largest else 2)


def money(value: Value, places: int) -> str:
    """Show an amount; one that is not zero is never shown as zero.

    >>> money(Decimal("1234.5678"), 2), money(Decimal("0.001"), 2), money(Decimal("-0.001"), 2)
    ('1,234.57', '<0.01', '>-0.01')
    """
    amount, smallest = Decimal(str(value)), Decimal(1).scaleb(-places)
    shown = amount.quantize(smallest, ROUND_HALF_EVEN)
    if amount and not shown:
        return f"<{smallest:f}" if amount > 0 else f">-{smallest:f}"
    return f"{shown:,f}"


def share(value: Value) -> str:
    """Show a share; not all is never shown as all, and some never as nothing.

    >>> share(0.5), share(0.98765), share(0.99999), share(0.0001), share(0.0)
    ('50 %', '98.8 %', '>99.9 %', '<0.1 %', '0 %')
    """
    percent = 100 * _float(value)
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def number(value: Value) -> str:
    """Show any number with about three digits.

    >>> number(0.01234), number(1.5), number(12.345), number(12345.6)
    ('0.0123', '1.5', '12.3', '12,346')
    """
    found = _float(value)
    return f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.3g}"


def seconds(value: Value) -> str:
    """Show seconds.

    >>> seconds(0.00421), seconds(0.842), seconds(12.345), seconds(1234.5)
    ('0.0042', '0.84', '12.3', '1,234')
    """
    found = _float(value)
    if found and abs(found) < 0.1:
        return f"{found:.2g}"
    return f"{found:,.0f}" if found >= 100 else f"{found:.1f}" if found >= 10 else f"{found:.2f}"


def time(value: Value, zone: str) -> str:
    """Show a time by the clock of a zone."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return local(at, zone).strftime("%Y-%m-%d %H:%M:%S")


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float | Decimal) else float(str(value))


_SAID: Mapping[Kind, Callable[[Value], str]] = {
    "name": lambda value: safe(str(value)),
    "count": lambda value: f"{value:,}",
    "seconds": seconds,
    "share": share,
    "number": number,
    "day": lambda value: safe(str(value)),
    "flag": lambda value: "yes" if value else "no",
}
