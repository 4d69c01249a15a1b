"""Tables as views: plain text in a terminal, HTML with inline SVG bars in a notebook.

The HTML has no script, no style sheet and nothing that is fetched, so it survives export, mail and
reading offline. Each number is text, and bars only repeat it: where SVG is taken out nothing is
missing. Colours are those of the page, or legible on dark and on light.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from html import escape
from typing import NamedTuple, Protocol

import msgspec

from tokenmeter.tallies import EXACT

BAR_PX = 72
_BLUE = "#4a90d9"
_LONGEST = 60
_TABLE = "border-collapse:collapse;margin:.2em 0;table-layout:auto"
_CELL = "padding:.15em .4em"
_LINE = "1px solid rgba(128,128,128,.35)"

Number = int | float | Decimal


class Bar(NamedTuple):
    """A bar beside a number; each a share of the longest of its kind, from 0 to 1.

    Attributes:
        length: How long it is.
        low: Where the range begins that is drawn over it; ``None``: none is drawn.
        high: Where that ends.
    """

    length: float
    low: float | None = None
    high: float | None = None


class Figure(NamedTuple):
    """A cell with a number in it, which stands to the right; any other cell is a string."""

    text: str
    bar: Bar | None = None


Cell = str | Figure


class Table(msgspec.Struct, frozen=True):
    """A table that shows itself.

    >>> print(Table("spent", ("name", "calls"), (("v1", Figure("12")),), ("all reported",)))
    spent
    name  calls
    v1       12
    all reported
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def without_empty(self, *names: str) -> Table:
        """Give it without those of some columns that say of no row that there is anything."""
        kept = [
            n
            for n, name in enumerate(self.columns)
            if name not in names or {_text(row[n]) for row in self.rows} - {"", "0", "?"}
        ]
        rows = tuple(tuple(row[n] for n in kept) for row in self.rows)
        return msgspec.structs.replace(
            self, columns=tuple(self.columns[n] for n in kept), rows=rows
        )

    def __str__(self) -> str:
        """Give it as plain text; what is not printable is shown as a replacement character."""
        texts = [[printable(_text(cell)) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        right = [self._is_right(n) for n in range(len(self.columns))]
        lines = ["  ".join(_justified(row, widths, right)).rstrip() for row in texts]
        return "\n".join([printable(self.title), *lines, *map(printable, self.notes)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.html()

    def html(self) -> str:
        """Give it as HTML; what users wrote is escaped."""
        drawn = [self._has_bars(n) for n in range(len(self.columns))]
        head = "".join(
            _th(name, right=self._is_right(n), columns=1 + drawn[n])
            for n, name in enumerate(self.columns)
        )
        body = "".join(f"<tr>{''.join(map(_td, row, drawn))}</tr>" for row in self.rows)
        notes = "".join(f"<div style='opacity:.75'>{_escaped(note)}</div>" for note in self.notes)
        return (
            "<div style='font-size:85%;overflow-x:auto;margin:.3em 0'>"
            f"<div><b>{_escaped(self.title)}</b></div>"
            f"<table style='{_TABLE}'>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
        )

    def _has_bars(self, n: int) -> bool:
        cells = [row[n] for row in self.rows]
        return any(isinstance(cell, Figure) and cell.bar is not None for cell in cells)

    def _is_right(self, n: int) -> bool:
        return any(isinstance(row[n], Figure) for row in self.rows)


class View(Protocol):
    """What shows itself by a table; `as_text` and `as_html` are its methods then."""

    def table(self) -> Table:
        """Give what it shows."""
        ...


def as_text(self: View) -> str:
    """Give what it shows for a terminal."""
    return str(self.table())


def as_html(self: View) -> str:
    """Give what it shows for a notebook."""
    return self.table().html()


def printable(text: str) -> str:
    r"""Give a text that is one line and moves no cursor.

    >>> printable("a\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str) -> str:
    """Give a name that somebody chose, at most so long that a table stays one.

    >>> shortened("x" * 100)[-3:], len(shortened("x" * 100))
    ('xx…', 60)
    """
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def rounded(number: Number) -> str:
    """Write a number with four significant digits at most, and never with an exponent.

    >>> rounded(1234567), rounded(0.000123456), rounded(Decimal("12.50")), rounded(0)
    ('1,234,567', '0.0001235', '12.5', '0')
    """
    exact = Decimal(str(number))
    with localcontext(EXACT):
        if exact == exact.to_integral_value():
            return f"{int(exact):,}"
        digits = max(0, 3 - exact.adjusted())
        return f"{round(exact, digits).normalize():,f}"


def bars(lengths: Iterable[Number | None]) -> list[Bar | None]:
    """Give a bar for each of several numbers, none where there is no number or all are zero."""
    numbers = list(lengths)
    longest = max((float(n) for n in numbers if n is not None), default=0.0)
    return [None if n is None or longest <= 0 else Bar(float(n) / longest) for n in numbers]


def bar_svg(bar: Bar) -> str:
    """Draw a bar, and the range over it."""
    shapes = f"<rect width='{bar.length * BAR_PX:.1f}' height='8' y='2' fill='{_BLUE}'/>"
    if bar.low is not None and bar.high is not None and bar.low < bar.high:
        low, high = bar.low * BAR_PX, bar.high * BAR_PX
        path = f"M{low:.1f} 3v6M{high:.1f} 3v6M{low:.1f} 6H{high:.1f}"
        shapes += f"<path d='{path}' fill='none' stroke='currentColor' stroke-width='1.5'/>"
    return (
        f"<svg width='{BAR_PX}' height='12' viewBox='0 0 {BAR_PX} 12' aria-hidden='true' "
        f"style='vertical-align:middle;min-width:{BAR_PX}px'>"
        f"<rect width='{BAR_PX}' height='8' y='2' fill='#888' opacity='.2'/>{shapes}</svg>"
    )


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text


def _justified(row: list[str], widths: list[int], right: list[bool]) -> Iterable[str]:
    for text, width, is_right in zip(row, widths, right, strict=True):
        yield text.rjust(width) if is_right else text.ljust(width)


def _escaped(text: str) -> str:
    return escape(printable(text))


def _th(name: str, *, right: bool, columns: int) -> str:
    side, span = "right" if right else "left", f" colspan='{columns}'" if columns > 1 else ""
    return (
        f"<th{span} style='text-align:{side};{_CELL};border-bottom:{_LINE}'>{_escaped(name)}</th>"
    )


def _td(cell: Cell, drawn: bool) -> str:
    """Give a cell, and one for its bar before it where the column has bars."""
    if isinstance(cell, str):
        return f"<td style='text-align:left;{_CELL}'>{_escaped(cell)}</td>"
    bar = "" if cell.bar is None else bar_svg(cell.bar)
    before = f"<td style='padding:.15em 0 .15em .4em'>{bar}</td>" if drawn else ""
    style = f"text-align:right;white-space:nowrap;{_CELL}"
    return f"{before}<td style='{style}'>{_escaped(cell.text)}</td>"
