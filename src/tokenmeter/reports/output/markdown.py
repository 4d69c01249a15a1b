"""A result as a Markdown table with its total, and what is true of it below."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TextIO

from tokenmeter.reports.output.cells import TEXTS, cells, safe, told
from tokenmeter.reports.output.words import about, lines
from tokenmeter.reports.values import Result


def write(result: Result, out: TextIO) -> None:
    """Write a heading, a table and a list; nothing that somebody wrote is taken for Markdown."""
    columns = [cells(result, at) for at in told(result)]
    out.write(f"## {escaped(safe(result.title))}\n\n{escaped(about(result))}\n\n")
    out.write(_line([escaped(one.heading) for one in columns]))
    out.write(_line(["---" if one.column.kind in TEXTS else "---:" for one in columns]))
    for row in zip(*(one.rows for one in columns), strict=True):
        out.write(_line(map(escaped, row)))
    if result.total is not None:
        out.write(_line(f"**{one.total}**" if one.total else "" for one in columns))
    out.write("\n")
    out.writelines(f"- {escaped(line)}\n" for line in lines(result))


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |\n"


_SPECIAL = re.compile(r"[\\`*\[\]|~#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


def escaped(text: str) -> str:
    r"""Give a text that Markdown shows as it is.

    >>> print(escaped("a|b *c* my_task _x_ <b>"))
    a\|b \*c\* my_task \_x\_ &lt;b&gt;
    """
    return _SPECIAL.sub(r"\\\g<0>", text).translate(_ENTITIES)
