"""A result as CSV: every column, exact, without a total, so that columns add up."""

from __future__ import annotations

import csv
from typing import NamedTuple, TextIO

from tokenmeter.reports.output.json import exact
from tokenmeter.reports.values import Result, Value

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠", "'")  # noqa: RUF001
"""What makes a spreadsheet take a text for a formula (OWASP ASVS 5.0, 1.2.10, read 2026-11-23: a
single quote goes before it), in full width, too, and that quote itself."""


def write(result: Result, out: TextIO) -> None:
    """Write a heading and the rows; an empty field is unknown, or no value.

    A text that a spreadsheet would run as a formula has a ``'`` before it, and so has one that
    begins with that mark: take one away, and it is exact again. Numbers are as they are.
    """
    writer = csv.writer(_Lines(out))
    writer.writerow(_field(column.name) for column in result.columns)
    writer.writerows(map(_field, row) for row in result.rows)


class _Lines(NamedTuple):
    r"""Ends rows with ``\n`` alone; told to do so, `csv` leaves a ``\r`` in a name unquoted."""

    out: TextIO

    def write(self, row: str) -> int:
        return self.out.write(row.removesuffix("\r\n") + "\n")


def _field(value: Value) -> Value:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return ("true" if value else "false") if isinstance(value, bool) else exact(value)
