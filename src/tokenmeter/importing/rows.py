"""Rows of an export: of a table (CSV, TSV), or of JSON, whatever it is wrapped in."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import PurePath
from typing import Any, Literal, cast

import msgspec

from tokenmeter.errors import ConfigurationError

Form = Literal["csv", "tsv", "json"]

Columns = tuple[str, ...]
"""Names of a column, of which the first that is there and filled counts."""


class Problem(msgspec.Struct, frozen=True):
    """Why a row cannot be used.

    Attributes:
        file: The file.
        place: Where in it: ``"line 3"``, ``"item 3"``.
        column: In which column; ``None``: in the row as a whole.
        found: What stands there.
        expected: What could stand there.
    """

    file: str
    place: str
    column: str | None
    found: str
    expected: str

    def __str__(self) -> str:
        """Say it in one line.

        >>> print(Problem("prs.csv", "line 3", "at", "'soon'", "a time"))
        prs.csv, line 3, column 'at': found 'soon', expected a time
        """
        column = "" if self.column is None else f", column {self.column!r}"
        return f"{self.file}, {self.place}{column}: found {self.found}, expected {self.expected}"


class Row(msgspec.Struct, frozen=True, eq=False):
    """One row.

    Attributes:
        file: The file that it stands in.
        place: Where in it.
        cells: What it holds: by heading, or by key and nested.
    """

    file: str
    place: str
    cells: Mapping[str, Any]

    def text(self, columns: Columns) -> str:
        """Give what stands in the first of the columns that is filled; nothing is ``""``."""
        return next((text for name in columns if (text := self._text(name))), "")

    def has(self, columns: Columns) -> bool:
        """Say whether there is such a column, be it empty."""
        return any(self._value(column) is not _ABSENT for column in columns)

    def problem(self, columns: Columns, expected: str, found: str | None = None) -> Problem:
        """Say that what was found in a column is not what was expected."""
        column = next((name for name in columns if self._text(name)), columns[0])
        shown = shortened(self.text((column,)) if found is None else found)
        return Problem(self.file, self.place, column, shown, expected)

    def _text(self, column: str) -> str:
        value: Any = self._value(column)
        if value is None or value is _ABSENT:
            return ""
        return (value if isinstance(value, str) else json.dumps(value)).strip()

    def _value(self, column: str) -> Any:
        """Give what stands under a heading (in any case) or, in JSON, at ``head.ref``."""
        for name in (column, column.casefold()):
            if name in self.cells:
                return self.cells[name]
        value: Any = self.cells
        for key in column.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return _ABSENT
            value = cast("Mapping[str, Any]", value)[key]
        return value


class Export(msgspec.Struct, frozen=True, eq=False):
    """A file.

    Attributes:
        name: What it is called.
        headings: The columns of a table; ``None`` of JSON, whose rows may differ.
        rows: What it holds.
        problems: What of it is no row.
    """

    name: str
    headings: tuple[str, ...] | None
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()


_ABSENT = object()
_SHOWN = 60
_FORMS: dict[str, Form] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".json": "json", ".jsonl": "json",
    ".ndjson": "json",
}  # fmt: skip


def shortened(text: str) -> str:
    """Show a text that somebody else wrote: quoted, escaped, and not all of it.

    >>> shortened(""), shortened("x" * 99)[-6:]
    ('nothing', "xxxx…'")
    """
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…") if text else "nothing"


def export(name: str, data: bytes, form: Form | None = None, encoding: str | None = None) -> Export:
    """Read a file.

    Args:
        name: What it is called; its ending says what it is, where ``form`` does not.
        data: What it holds.
        form: A table with commas or semicolons, one with tabs, or JSON: a list, an object that
            holds one, JSON Lines, or several of these one behind the other, as pages come.
        encoding: How it is encoded; UTF-8, unless it begins with a mark that says UTF-16.

    Raises:
        ConfigurationError: It cannot be read as a whole, so that nothing of it can be trusted.

    >>> [row.text(("status",)) for row in export("-", b'[{"key": "A-1", "status": "Done"}]').rows]
    ['Done']
    """
    text = _decoded(name, data, encoding)
    form = form or _FORMS.get(PurePath(name).suffix.lower()) or _guessed(text)
    if form == "json":
        rows, problems = _json_rows(name, text)
        return Export(name, None, tuple(rows), tuple(problems))
    return _table(name, text, "\t" if form == "tsv" else _delimiter(text))


def _decoded(name: str, data: bytes, encoding: str | None) -> str:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    encoding = encoding or ("utf-16" if marked else "utf-8-sig")
    try:
        return data.decode(encoding)
    except LookupError:
        raise ConfigurationError(f"there is no encoding {encoding!r}, such as utf-8") from None
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigurationError(
            f"{name}, line {line}: this is no {encoding}; say what it is with --encoding"
        ) from None


def _guessed(text: str) -> Form:
    return "json" if text.lstrip()[:1] in ("[", "{") else "csv"


def _delimiter(text: str) -> str:
    heading = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=heading.count)


# -- tables ---------------------------------------------------------------------------------------


def _table(name: str, text: str, delimiter: str) -> Export:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    problems: list[Problem] = []
    headings: list[str] | None = None
    try:
        for place, cells in _records(reader):
            if headings is None:
                headings = [heading.strip() for heading in cells]
            elif any(cells[len(headings) :]):
                found = f"{len(cells)} cells"
                expected = f"{len(headings)}, as many as headings"
                problems.append(Problem(name, place, None, found, expected))
            else:
                rows.append(Row(name, place, _cells(headings, cells)))
    except csv.Error as exc:
        raise ConfigurationError(f"{name}, line {reader.line_num}: {exc}") from None
    return Export(name, tuple(headings or ()), tuple(rows), tuple(problems))


def _records(reader: Any) -> Iterator[tuple[str, list[str]]]:
    """Give the records that are not blank, each with the line on which it begins."""
    begins = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield f"line {begins}", cells
        begins = reader.line_num + 1


def _cells(headings: list[str], cells: list[str]) -> dict[str, str]:
    """Give cells by heading; of headings that are repeated the first that is filled counts."""
    found: dict[str, str] = {}
    for heading, cell in zip_longest(headings, cells[: len(headings)], fillvalue=""):
        name = heading.casefold()
        found[name] = found.get(name) or cell
    return found


# -- JSON -----------------------------------------------------------------------------------------

_HOLDERS = (
    "issues", "items", "values", "nodes", "results", "records", "pull_requests", "merge_requests",
    "pullRequests", "mergeRequests", "search", "repository", "project", "data",
)  # fmt: skip
"""Under which keys APIs put their lists."""

_BLANK = re.compile(r"\s*")


def _json_rows(name: str, text: str) -> tuple[list[Row], list[Problem]]:
    rows: list[Row] = []
    problems: list[Problem] = []
    number = 0
    for line, value in _values(name, text):
        listed = _listed(value)
        listed = _only_list(value) if listed is None else listed
        for item in (value,) if listed is None else listed:
            number += 1
            place = f"line {line}" if listed is None else f"item {number}"
            if isinstance(item, dict):
                rows.append(Row(name, place, cast("dict[str, Any]", item)))
            else:
                found = shortened(json.dumps(item))
                problems.append(Problem(name, place, None, found, "an object"))
    return rows, problems


def _values(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """Give the values that stand one behind the other, each with the line on which it begins."""
    decoder, at, line, counted = json.JSONDecoder(), 0, 1, 0
    while (at := _behind(_BLANK, text, at)) < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as exc:
            raise ConfigurationError(
                f"{name}, line {exc.lineno}, column {exc.colno}: this is no JSON: {exc.msg}"
            ) from None
        except (ValueError, RecursionError) as exc:  # a number of many digits, or a deep nest
            said = str(exc).partition(";")[0]
            raise ConfigurationError(f"{name}, line {line}: this is no JSON: {said}") from None
        yield line, value


def _behind(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _listed(value: Any, depth: int = 6) -> list[Any] | None:
    """Give what a list or an object that holds one has in it; ``None``: it is a row itself."""
    if isinstance(value, list) and depth:
        return [row for item in cast("Iterable[Any]", value) for row in _page(item, depth - 1)]
    if not isinstance(value, dict) or not depth:
        return None
    held = cast("dict[str, Any]", value)
    found = (_listed(held[key], depth - 1) for key in _HOLDERS if key in held)
    return next((rows for rows in found if rows is not None), None)


def _page(item: Any, depth: int) -> list[Any]:
    """Give the rows of a page; an item that holds no list is one."""
    rows = _listed(item, depth)
    return [item] if rows is None else rows


def _only_list(value: Any) -> list[Any] | None:
    """Give the list that is all that an object holds, whatever it is called there."""
    if not isinstance(value, dict) or len(cast("dict[str, Any]", value)) != 1:
        return None
    (held,) = cast("dict[str, list[Any] | None]", value).values()
    return held if isinstance(held, list) else None
