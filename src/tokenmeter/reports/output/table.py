"""A result as a table that fits the terminal; names fold, numbers never."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, TextIO

from tokenmeter.errors import MissingExtraError
from tokenmeter.reports.output.cells import TEXTS, Cells, cells, safe, told
from tokenmeter.reports.output.words import about, lines
from tokenmeter.reports.values import Result

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_TIERS = ((16, 99), (16, 6), (6, 6), (6, 1))
"""Down to how many characters texts are folded, and words of headings, in their order."""


def write(result: Result, out: TextIO) -> None:
    """Write a title, a table and what is true of all of it, in colour where that is a terminal.

    Raises:
        MissingExtraError: rich is not installed.
    """
    _print(result, _console(out))


def plain(result: Result) -> str:
    """Give the same as text.

    Raises:
        MissingExtraError: rich is not installed.
    """
    out = io.StringIO()
    write(result, out)
    return out.getvalue().rstrip("\n")


def grid(result: Result, out: TextIO) -> None:
    """Write the table alone.

    Raises:
        MissingExtraError: rich is not installed.
    """
    _print_grid(result, _console(out))


def _console(out: TextIO) -> Console:
    try:
        from rich.console import Console
    except ImportError as missing:
        raise MissingExtraError("rich", "cli") from missing
    return Console(file=out, force_jupyter=False, highlight=False, markup=False, emoji=False)


def _print(result: Result, console: Console) -> None:
    from rich.text import Text

    console.print(Text(safe(result.title), style="bold"))
    console.print(Text(about(result), style="dim"))
    _print_grid(result, console)
    facts, *others = lines(result)
    console.print(Text(facts))
    for line in others:  # in one piece, so that a path can be copied
        style = "yellow" if line.startswith("damage:") else ""
        console.print(Text(line, style=style), soft_wrap=True)


def _print_grid(result: Result, console: Console) -> None:
    columns = [cells(result, at) for at in told(result)]
    widths = fitted(columns, console.width)
    # Narrower than its numbers the table cannot be; then the terminal wraps it and loses nothing.
    console.width = max(console.width, sum(widths) + len(widths) + 1)
    console.print(_table(columns, widths, has_total=result.total is not None))


def _table(columns: list[Cells], widths: list[int], *, has_total: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=has_total, padding=0)
    for one, width in zip(columns, widths, strict=True):
        side: Literal["left", "right"] = "left" if one.column.kind in TEXTS else "right"
        heading, total = Text(one.heading), Text(one.total, style="bold")
        table.add_column(heading, total, justify=side, overflow="fold", width=width)
    for row in zip(*(one.rows for one in columns), strict=True):
        # As Text, because a user's name may hold what rich would take for markup.
        table.add_row(*map(Text, row))
    return table


def fitted(columns: list[Cells], width: int) -> list[int]:
    """Return how wide each column is, so that the table fits where it can.

    First long texts are folded, then long words of headings, then texts down to six characters,
    at last headings down to the numbers under them; the widest column first. A number never is.
    """
    widths = [max(map(_width, _texts(one))) for one in columns]
    for text, heading in _TIERS:
        floors = [_floor(one, text, heading) for one in columns]
        while sum(widths) + len(widths) + 1 > width:
            yielding = [at for at, floor in enumerate(floors) if widths[at] > floor]
            if not yielding:
                break
            widths[max(yielding, key=widths.__getitem__)] -= 1
    return widths


def _floor(one: Cells, text: int, heading: int) -> int:
    if one.column.kind in {"name", "flag"}:
        return min(max(map(_width, _texts(one))), text)
    words = max((min(len(word), heading) for word in one.heading.split()), default=1)
    return max(words, *map(_width, [*one.rows, one.total]))


def _texts(one: Cells) -> list[str]:
    return [one.heading, *one.rows, one.total]


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
