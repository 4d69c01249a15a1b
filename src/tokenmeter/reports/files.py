"""Which files a report is made of: ledgers with what was closed of them, and Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters.jsonl_closed import ENDINGS, ClosedFiles, damage, open_packed, packing_of
from tokenmeter.ledger import LINES, Ledger, event_of, ledgers
from tokenmeter.reports.scope import readable
from tokenmeter.wording import counted

_PARQUET = ".parquet"

NAMED = (*LINES, _PARQUET)
"""What the names of files in a folder end in of which reports are made, also in capitals."""


class Files(NamedTuple):
    """The files of some names, each once.

    Attributes:
        lines: Files of JSON lines, packed or not.
        parquet: Files of Parquet.
    """

    lines: list[Path]
    parquet: list[Path]


def files_of(names: Iterable[str | os.PathLike[str]]) -> Files:
    """Give the files that names mean: ledgers, patterns, Parquet, folders of any of these.

    Raises:
        ConfigurationError: There is no such file, or nothing in a folder.
    """
    found = ledgers(part for name in names for part in _inside(Path(readable(os.fspath(name)))))
    parquet = [path for path in found if path.suffix.lower() == _PARQUET]
    parts = [part for path in found if path.suffix.lower() != _PARQUET for part in _parts(path)]
    for path in (*parts, *parquet):
        readable(str(path))
    return Files(list(dict.fromkeys(parts)), parquet)


def _inside(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.name.lower().endswith(NAMED))
    if not found:
        raise ConfigurationError(
            f"the folder {str(path)!r} has no ledger; expected files that end in {', '.join(NAMED)}"
        )
    return found


def _parts(ledger: Path) -> list[Path]:
    """Give the files of one ledger that are there, the closed ones first."""
    if packing_of(ledger):
        return [ledger]
    closed = ClosedFiles(ledger.resolve())
    names = [
        next((p for e in ("", *ENDINGS.values()) if (p := closed.path(c, e)).exists()), None)
        for c in closed.closings()
    ]
    live = [ledger] if ledger.exists() else []
    return [ledger.with_name(name.name) for name in names if name is not None] + live


def is_sound(path: Path) -> bool:
    """Say whether each line of a file is an event to the reader that all of tokenmeter has.

    DuckDB cannot say so: it takes ``"7"`` and 7.5 for a number of tokens, and 7 for a name.
    """
    if path.stat().st_size == 0:
        return packing_of(path) is None  # nothing, packed, is something
    with open_packed(path) as file:
        try:
            return all(line.endswith(b"\n") and event_of(line) is not None for line in file)
        except damage():
            return False


def reread(path: Path) -> Ledger:
    """Give the reader that knows every way in which one file can be damaged, for it alone."""
    return Ledger(path, None if packing_of(path) else 0)


def complaints(ledger: Ledger, path: Path) -> list[str]:
    """Say what of a file that was read to its end is no event, by count and line."""
    found: list[str] = []
    if ledger.skipped:
        torn = f", {len(ledger.torn)} of them torn" if ledger.torn else ""
        found.append(f"{path}: {_lines(ledger.skipped)} no event{torn}")
    if packing_of(path) and path.stat().st_size == 0:
        found.append(f"{path}: it is empty, which no packed file is; what it held is lost")
    if ledger.unfinished:
        found.append(f"{path}: the last line has no end; it is being written, or never will be")
    return found


_SHOWN = 5


def _lines(numbers: list[int]) -> str:
    """Name lines, the first of them only where there are many.

    >>> _lines([7]), _lines([1, 2, 3, 4, 5, 6])
    ('1 line (7) is', '6 lines (1, 2, 3, 4, 5, …) are')
    """
    shown = ", ".join(map(str, numbers[:_SHOWN])) + (", …" if len(numbers) > _SHOWN else "")
    what, verb = counted(len(numbers), "line", "are").rsplit(" ", 1)
    return f"{what} ({shown}) {verb}"
