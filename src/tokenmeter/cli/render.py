"""How a report looks: a table that fits the terminal, JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

from tokenmeter.cli.columns import COUNTS, Groups, Row
from tokenmeter.errors import MissingExtraError
from tokenmeter.tallies import Tally

NOBODY = "(none)"
"""What stands where an event has no value."""


_ALWAYS_TOLD = {"calls", "input_tokens", "output_tokens"}


def table(groups: Groups, out: TextIO) -> None:
    """Write a table that fits the terminal; long names are folded.

    A count that says nothing is left out: one that is zero everywhere, and attempts where nothing
    was retried.

    Raises:
        MissingExtraError: rich is not installed.
    """
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError as missing:
        raise MissingExtraError("rich", "cli") from missing
    console = Console(file=out)
    cells = _cells(groups)
    widths = fitted(cells, len(groups.by), console.width)
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=True, padding=0)
    for index, (heading, *_rows, total) in enumerate(cells):
        side: Literal["left", "right"] = "left" if index < len(groups.by) else "right"
        grid.add_column(heading, total, justify=side, overflow="fold", width=widths[index])
    for row in zip(*(column[1:-1] for column in cells), strict=True):
        # As Text, because a user's name may hold what rich would take for markup.
        grid.add_row(*map(Text, row))
    # Narrower than its numbers the table cannot be; then the terminal wraps it and loses nothing.
    console.width = max(console.width, sum(widths) + len(widths) + 1)
    console.print(grid)


def _cells(groups: Groups) -> list[list[str]]:
    """Return the table column by column: heading, rows, total."""
    rows, total = groups.rows, ["total", *[""] * len(groups.by)]
    names = [
        [name, *(row.values[index] or NOBODY for row in rows), total[index]]
        for index, name in enumerate(groups.by)
    ]
    tallies = [*(row.tally for row in rows), groups.total]
    counts = [
        [COUNTS[name], *(_shown(tally, name) for tally in tallies)] for name in _telling(groups)
    ]
    return names + counts


def _shown(tally: Tally, name: str) -> str:
    """Show a count; a side of which nothing is known is a question mark, not a zero."""
    count = getattr(tally, name)
    unknown = name in ("input_tokens", "output_tokens") and not count and tally.unknown
    return "?" if unknown else f"{count:,}"


def fitted(cells: list[list[str]], names: int, width: int) -> list[int]:
    """Return how wide each column is, so that the table fits where it can.

    The widest column gives way first: a name is folded down to six characters, a heading down to
    the largest number under it. A number is never folded.

    Args:
        cells: The columns: heading, rows, total.
        names: How many of them, from the left, hold names.
        width: The width of the terminal.

    >>> fitted([["user", "a.very.long.name", "total"], ["calls", "1,000", "1,000"]], 1, 20)
    [12, 5]
    """
    widths = [max(map(len, column)) for column in cells]
    floors = [min(wide, 6) for wide in widths[:names]]
    floors += [max(map(len, column[1:])) for column in cells[names:]]
    while sum(widths) + len(widths) + 1 > width:
        yielding = [at for at, floor in enumerate(floors) if widths[at] > floor]
        if not yielding:
            break
        widths[max(yielding, key=widths.__getitem__)] -= 1
    return widths


def _telling(groups: Groups) -> list[str]:
    total = groups.total
    silent = {name for name in COUNTS.keys() - _ALWAYS_TOLD if not getattr(total, name)}
    if total.attempts == total.calls:
        silent.add("attempts")
    return [name for name in COUNTS if name not in silent]


def json_object(groups: Groups, out: TextIO) -> None:
    """Write one object: the groups with exact counts, and their total."""
    rows = [dict(zip(groups.by, row.values, strict=True)) | _counts(row) for row in groups.rows]
    whole = {"by": groups.by, "rows": rows, "total": _counts(Row((), groups.total))}
    json.dump(whole, out, indent=2, ensure_ascii=False)
    out.write("\n")


def _counts(row: Row) -> dict[str, Any]:
    return dict(zip(COUNTS, row.counts, strict=True))


def comma_separated(groups: Groups, out: TextIO) -> None:
    """Write CSV, where an empty field is no value; without a total, so that columns add up."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*groups.by, *COUNTS])
    for row in groups.rows:
        writer.writerow([*(value or "" for value in row.values), *row.counts])


def markdown(groups: Groups, out: TextIO) -> None:
    """Write a Markdown table with its total."""
    rules = ["---"] * len(groups.by) + ["---:"] * len(COUNTS)
    total = Row(("total", *[""] * (len(groups.by) - 1)), groups.total)
    lines = [[*groups.by, *COUNTS.values()], rules]
    lines += [[*map(_escaped, row.values), *map(str, row.counts)] for row in groups.rows]
    lines += [[*(value or "" for value in total.values), *map(str, total.counts)]]
    out.writelines(f"| {' | '.join(cells)} |\n" for cells in lines)


def _escaped(value: str | None) -> str:
    return (value or NOBODY).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


FORMATS: Mapping[str, Callable[[Groups, TextIO], None]] = {
    "table": table,
    "json": json_object,
    "csv": comma_separated,
    "markdown": markdown,
}
"""How ``--format`` says it."""
