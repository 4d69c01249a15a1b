"""The runs of experiments that a file holds, as a value that shows itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from tokenmeter.frames import Backend, alike, by_column, frame
from tokenmeter.notebook import records
from tokenmeter.notebook.comparing import Comparison, compared
from tokenmeter.notebook.records import Record
from tokenmeter.notebook.spending import COLUMNS, RARE, spent
from tokenmeter.notebook.tables import (
    Cell,
    Figure,
    Table,
    as_html,
    as_text,
    bars,
    rounded,
    shortened,
)
from tokenmeter.tallies import COUNTED

SHOWN = 50
"""How many runs a view shows, the latest ones; a frame has all of them."""


class Experiments(msgspec.Struct, frozen=True):
    """The runs that were kept in a file; iterate over it for each.

    Args:
        runs: Them, in the order of their beginning.
        file: Where they are kept.
        skipped: How many lines of it could not be read, torn ones among them.
    """

    runs: tuple[Record, ...]
    file: Path
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.runs)

    def compare(self, *names: str, by: str = "name") -> Comparison:
        """Compare the completed runs of experiments, the first one being the baseline.

        Args:
            names: Which experiments, or which values of the parameter; all, unless given.
            by: ``"name"``, or the name of a parameter.

        Raises:
            ConfigurationError: There is no run of such a name, or no run has the parameter.
        """
        return compared(self.runs, names, by)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Give a frame with a row for each run: pandas, polars or pyarrow, as installed.

        Parameters are columns ``param.NAME``, scores ``score.NAME``, and money is ``cost.USD``, as
        `Decimal`. A parameter of whole and other numbers is floats, and any other mixture is text.

        Raises:
            ConfigurationError: There is no such backend.
            MissingExtraError: narwhals is not installed, or no library for frames is.
        """
        columns = by_column([_row(run) for run in self.runs] or [_EMPTY])
        return frame({name: alike(column) for name, column in columns.items()}, backend)

    def table(self) -> Table:
        """Give what it shows."""
        latest = self.runs[-SHOWN:]
        drawn = bars(_money(run) for run in latest)
        rows = tuple(
            (*_said(run), *spent(run.spent, run.duration_s, bar))
            for run, bar in zip(latest, drawn, strict=True)
        )
        columns = ("began (UTC)", "experiment", "params", "scores", "status", *COLUMNS)
        table = Table("experiments", columns, rows, self._notes(len(self.runs) - len(latest)))
        return table.without_empty("params", "scores", *RARE)

    def _notes(self, earlier: int) -> tuple[str, ...]:
        notes = [f"{earlier} earlier runs are not shown"] if earlier else []
        if any(run.status == "unfinished" for run in self.runs):
            notes.append("unfinished: the run goes on, or its process was killed")
        if self.skipped:
            notes.append(f"{self.skipped} lines of the file could not be read")
        return (*notes, f"kept in {self.file}" if self.runs else f"no runs in {self.file}")

    __str__ = as_text
    __repr__ = as_text
    _repr_html_ = as_html


def experiments(file: str | os.PathLike[str] | None = None) -> Experiments:
    """Read the runs of experiments that were kept; see `experiment` for where.

    Raises:
        ConfigurationError: The file cannot be read. One that does not exist has no runs.

    >>> len(experiments("no-such-file.jsonl"))
    0
    """
    path = records.place(file)
    found = records.read(path)
    return Experiments(found.records, path, found.skipped)


def _said(run: Record) -> tuple[Cell, ...]:
    params = ", ".join(f"{key}={value}" for key, value in run.params.items())
    status = run.status if run.error_type is None else f"{run.status}: {run.error_type}"
    began = f"{run.ts:%Y-%m-%d %H:%M}"
    return Figure(began), shortened(run.name), shortened(params), _scores(run), shortened(status)


def _scores(run: Record) -> str:
    return ", ".join(f"{key}={rounded(score)}" for key, score in run.scores.items())


def _money(run: Record) -> float | None:
    """Give what can be drawn: money of one currency."""
    if not run.costs or len(run.costs) > 1:
        return None
    return float(next(iter(run.costs.values())))


_COLUMNS = ("run_id", "parent_run_id", "name", "ts", "status", "error_type", "duration_s", *COUNTED)
_EMPTY: dict[str, object] = {}


def _row(run: Record) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(run, name) for name in _COLUMNS}
    row |= {f"cost.{currency}": amount for currency, amount in (run.costs or {}).items()}
    row |= {f"param.{key}": value for key, value in run.params.items()}
    return row | {f"score.{key}": score for key, score in run.scores.items()}
