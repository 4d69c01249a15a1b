"""Which charts a result has: by the kinds of its columns, and by what it allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from tokenmeter.reports.output import charts
from tokenmeter.reports.output.cells import NOBODY, heading, money, money_places, number, safe
from tokenmeter.reports.output.charts import Figure, Series
from tokenmeter.reports.values import Column, Kind, Result, Row, Value

MOST_BARS, MOST_COLOURS = 20, 5


_TOKENS = ("input_tokens", "output_tokens")
_PARTS = (
    ("input", "input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    ("cache read", "cache_read_tokens", ()),
    ("cache write", "cache_write_tokens", ()),
    ("output", "output_tokens", ("reasoning_tokens",)),
    ("reasoning", "reasoning_tokens", ()),
)
"""Parts of tokens that do not overlap: what is taken off each column is a part of its own."""

Numbers = Callable[[Row], Sequence[float | None]]


def figures(result: Result) -> Iterator[tuple[Figure, str]]:
    """Give what a page draws of a result, and each drawing."""
    at = _charted(result)
    if at is None or not result.rows or not result.names:
        return
    if _is_over_time(result) and not _dates(result):  # each is beyond the calendar
        return
    column = result.columns[at]
    yield _drawn(_days(result, at) if _is_over_time(result) else _bars(result, column, at), result)
    if result.chart == "" and all(_has(result, name) for name in _TOKENS):
        yield _drawn(_tokens(result), result)


def _drawn(figure: Figure, result: Result) -> tuple[Figure, str]:
    if not _is_over_time(result):
        return figure, charts.bars(figure)
    at = _charted(result)
    is_sum = at is None or _adds_up(result.columns[at])
    return figure, (charts.columns if is_sum else charts.lines)(figure)


def _adds_up(column: Column) -> bool:
    return column.kind in ("count", "money")


def _charted(result: Result) -> int | None:
    if result.chart is None:
        return None
    if result.chart:
        return result.index(result.chart)
    columns = range(result.names, len(result.columns))
    kinds: tuple[Kind, ...] = ("money", "count")
    found = (at for kind in kinds for at in columns if result.columns[at].kind == kind)
    return next((at for at in found if any(_number(row[at]) for row in result.rows)), None)


def _is_over_time(result: Result) -> bool:
    return result.columns[0].kind == "day"


def _bars(result: Result, column: Column, at: int) -> Figure:
    before = f"{column.name}_before"
    marked = [result.index(before)] if _has(result, before) else []
    shown = _largest(result, lambda row: [_number(row[index]) for index in (at, *marked)])
    return Figure(
        f"{heading(column, result)} by {_named(result)}",
        [label for label, _ in shown],
        [Series("now" if marked else column.title, [values[0] for _, values in shown])],
        _sayer(result, at),
        _axis(column),
        [values[1] for _, values in shown] if marked else (),
        has_rest=_has_rest(result),
    )


def _has_rest(result: Result) -> bool:
    return len(result.rows) - MOST_BARS >= 2


def _largest(result: Result, numbers: Numbers) -> list[tuple[str, list[float | None]]]:
    """Give the rows with the largest numbers, and all others as one."""
    rows = [(_label(row[: result.names]), list(numbers(row))) for row in result.rows]
    rows.sort(key=lambda pair: -sum(value or 0 for value in pair[1][:1] or [0]))
    if not _has_rest(result):
        return rows
    shown, rest = rows[:MOST_BARS], rows[MOST_BARS:]
    sums = [_sum(values) for values in zip(*(values for _, values in rest), strict=True)]
    return [*shown, (f"({len(rest)} more)", sums)]


def _days(result: Result, at: int) -> Figure:
    """Draw one column over time, in colours by the next name, where there is one."""
    title = f"{heading(result.columns[at], result)} by {_named(result)}"
    labels = _dates(result)
    by = _by_colour(result, at) if result.names > 1 else {"": result.rows}
    series = [Series(name, _over(rows, labels, [at])) for name, rows in by.items()]
    marks = [result.aim] * len(labels) if result.aim is not None else ()
    return Figure(title, labels, series, _sayer(result, at), _axis(result.columns[at]), marks)


def _dates(result: Result) -> list[str]:
    return sorted({str(row[0]) for row in result.rows if row[0] is not None})


def _over(
    rows: Sequence[Row], labels: Sequence[str], at: Sequence[int], minus: Sequence[int] = ()
) -> list[float | None]:
    found: dict[str, float] = {}
    for row in rows:
        value = _part(row, at, minus)
        if value is not None:
            found[str(row[0])] = found.get(str(row[0]), 0) + value
    return [found.get(label) for label in labels]


def _by_colour(result: Result, at: int) -> dict[str, Sequence[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in result.rows:
        groups.setdefault(_label(row[1 : result.names]), []).append(row)
    order = sorted(groups, key=lambda name: -sum(_number(row[at]) or 0 for row in groups[name]))
    shown, rest = order[:MOST_COLOURS], order[MOST_COLOURS:]
    found: dict[str, Sequence[Row]] = {name: groups[name] for name in shown}
    if rest and _adds_up(result.columns[at]):
        found[f"({len(rest)} more)"] = [row for name in rest for row in groups[name]]
    return found


def _tokens(result: Result) -> Figure:
    parts = [_indices(result, *part) for part in _PARTS if _has(result, part[1])]
    names = [part[0] for part in _PARTS if _has(result, part[1])]
    if _is_over_time(result):
        labels = _dates(result)
        values = [_over(result.rows, labels, at, minus) for at, minus in parts]
    else:
        shown = _largest(result, lambda row: _stack(row, parts))
        labels = [label for label, _ in shown]
        values = [[row[index + 1] for _, row in shown] for index in range(len(parts))]
    series = [Series(n, v) for n, v in zip(names, values, strict=True) if any(v)]
    series = series or [Series(names[0], values[0])]
    has_rest = not _is_over_time(result) and _has_rest(result)
    title = f"tokens by {_named(result)}"
    return Figure(title, labels, series, _whole, short, has_rest=has_rest)


def _stack(row: Row, parts: Sequence[tuple[list[int], list[int]]]) -> list[float | None]:
    values = [_part(row, at, minus) for at, minus in parts]
    return [_sum(values), *values]  # the height first, by which rows are sorted


def _indices(
    result: Result, _: str, name: str, minus: Sequence[str]
) -> tuple[list[int], list[int]]:
    return [result.index(name)], [result.index(each) for each in minus if _has(result, each)]


def _part(row: Row, at: Sequence[int], minus: Sequence[int]) -> float | None:
    whole = _sum([_number(row[index]) for index in at])
    if whole is None:
        return None
    # A vendor may say a part that is larger than its whole; then nothing is left of it.
    return max(0.0, whole - sum(_number(row[index]) or 0 for index in minus))


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _has(result: Result, name: str) -> bool:
    return any(column.name == name for column in result.columns)


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) else None


def _label(names: Sequence[Value]) -> str:
    return " · ".join(NOBODY if name is None else safe(str(name)) for name in names)


def _named(result: Result) -> str:
    return ", ".join(safe(column.title) for column in result.columns[: result.names])


def _sayer(result: Result, at: int) -> Callable[[float], str]:
    kind = result.columns[at].kind
    if kind == "money":
        totals = [] if result.total is None else [result.total[at]]
        places = money_places([*totals, *(row[at] for row in result.rows)])
        return lambda value: money(Decimal(repr(value)), places)
    if kind == "share":
        return lambda value: f"{100 * value:.0f} %"
    return _whole if kind == "count" else number


def _axis(column: Column) -> Callable[[float], str]:
    return (lambda value: f"{100 * value:g} %") if column.kind == "share" else short


def _whole(value: float) -> str:
    return f"{value:,.0f}"


_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(value: float) -> str:
    """Write a round value as an axis does.

    >>> short(1_500_000), short(20_000), short(0.5), short(0)
    ('1.5M', '20k', '0.5', '0')
    """
    unit, letter = next(((u, c) for u, c in _UNITS if abs(value) >= u), (1, ""))
    return f"{value / unit:g}{letter}"
