"""``tokenmeter count``: what texts and requests weigh before they are sent, offline."""

from __future__ import annotations

import argparse
import codecs
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

import msgspec

from tokenmeter.errors import CannotCountError, ConfigurationError, MissingExtraError
from tokenmeter.tokens.counting import Count, count

STDIN = "-"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What the texts or the requests of one file weigh for one model; errors are added up."""

    file: str
    model: str
    family: str
    estimator: str
    requests: int
    tokens: int
    error: int
    is_guess: bool
    without: tuple[str, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help=f"what to count; {STDIN} is standard input"
    )
    parser.add_argument("--model", help="what to count for; a request may say it itself")
    parser.add_argument(
        "--as",
        dest="kind",
        choices=["text", "request", "requests"],
        help="what a file holds: text, a request (or its messages) in JSON, or one in each line; "
        "unless said, .json is a request, .jsonl requests, and all else text",
    )
    parser.add_argument("--format", default="table", choices=["table", "json"])
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    rows: list[Row] = []
    complaints: list[str] = []
    for name in options.files:
        if options.model is None and (options.kind or _kind(name)) == "text":
            raise ConfigurationError(f"name a model for the text {name}, such as --model gpt-5")
        rows += _rows(name, options.kind or _kind(name), options.model, complaints)
    if options.format == "json":
        _json(rows, sys.stdout)
    elif rows:
        table(rows, sys.stdout)
    for complaint in complaints:
        print(f"tokenmeter: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _kind(name: str) -> str:
    return {".json": "request", ".jsonl": "requests"}.get(Path(name).suffix.lower(), "text")


def _rows(name: str, kind: str, model: str | None, complaints: list[str]) -> Iterator[Row]:
    counts: dict[str, list[Count]] = {}
    with _opened(name) as file:
        for where, text in _pieces(name, kind, file, complaints):
            try:
                found = count(text if kind == "text" else _request(text), model)
            except CannotCountError as error:
                complaints.append(f"{where}: {error}")
            else:
                counts.setdefault(found.model, []).append(found)
    yield from (_row(name, alike) for alike in counts.values())


def _opened(name: str) -> BinaryIO:
    return sys.stdin.buffer if name == STDIN else Path(name).open("rb")


def _pieces(
    name: str, kind: str, file: BinaryIO, complaints: list[str]
) -> Iterator[tuple[str, str]]:
    """Give what a file holds as text, piece by piece, and where each stands."""
    if kind != "requests":
        yield name, _decoded(file.read(), name, complaints)
        return
    for number, line in enumerate(file, 1):
        where = f"{name}, line {number}"
        if line.strip():
            yield where, _decoded(line, where, complaints)


def _decoded(data: bytes, where: str, complaints: list[str]) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        complaints.append(
            f"{where}: not UTF-8 from byte {error.start} on; what is not is counted as "
            f"replacement characters"
        )
        return data.decode("utf-8-sig", "replace")


def _request(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CannotCountError(f"not JSON ({error}); to count it as text, add --as text") from error


def _row(name: str, counts: list[Count]) -> Row:
    first = counts[0]
    return Row(
        file=name,
        model=first.model,
        family=first.family,
        estimator=first.estimator,
        requests=len(counts),
        tokens=sum(c.tokens for c in counts),
        error=sum(c.error for c in counts),
        is_guess=first.is_guess,
        without=tuple(dict.fromkeys(what for c in counts for what in c.without)),
    )


def _json(rows: list[Row], out: TextIO) -> None:
    whole = {"rows": rows, "total": {name: _total(rows, name) for name in _ADDED}}
    out.write(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n")


_ADDED = ("requests", "tokens", "error")


def _total(rows: list[Row], name: str) -> int:
    return sum(getattr(row, name) for row in rows)


def table(rows: list[Row], out: TextIO) -> None:
    """Write a table with a total, which fits the terminal.

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
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=len(rows) > 1, padding=(0, 1, 0, 0))
    total = ("total", "", *(f"{_total(rows, name):,}" for name in _ADDED), "", "")
    for (heading, side), footer in zip(_COLUMNS, total, strict=True):
        grid.add_column(heading, footer, justify=side, overflow="fold")
    for row in rows:
        numbers = (f"{getattr(row, name):,}" for name in _ADDED)
        counted = f"{row.family}, by {row.estimator}"
        grid.add_row(*map(Text, (row.file, row.model, *numbers, counted, _note(row))))
    Console(file=out, highlight=False).print(grid)


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("file", "left"),
    ("model", "left"),
    ("requests", "right"),
    ("tokens", "right"),
    ("±", "right"),
    ("counted as", "left"),
    ("note", "left"),
)


def _note(row: Row) -> str:
    without = f"without {', '.join(row.without)}" if row.without else ""
    return ", ".join(filter(None, ("a guess" if row.is_guess else "", without)))
