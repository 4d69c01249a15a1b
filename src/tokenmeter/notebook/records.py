"""The file of experiments: a line when a run begins, and the run again when it has ended.

One run is all lines of its id, of which the last one says most; so a kernel that is killed leaves a
run without an end rather than nothing. Lines are appended whole, by any number of processes, and
nothing is ever rewritten.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters.jsonl_files import PlainFile
from tokenmeter.tallies import COUNTED, Tally

VARIABLE = "TOKENMETER_EXPERIMENTS"
"""The environment variable that names the file, where code does not."""

FILE = "tokenmeter-experiments.jsonl"
"""What it is called in the working folder, where nobody names it."""

SCHEMA = 1

Plain = str | int | float | bool | None
"""What a parameter may be."""

RunStatus = Literal["unfinished", "completed", "failed", "interrupted"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of an experiment, as a line of the file; counts as in a `Tally`, ``None``: unknown.

    Args:
        kind: What the line is.
        run_id: The run; its calls have it as the tag ``experiment_run``.
        name: What the experiment is called; its calls have it as the tag ``experiment``.
        ts: When it began.
        status: How it ended. ``unfinished``: it goes on, or its process was killed.
        schema: Version of the line.
        parent_run_id: The run around it, whose counts contain its own.
        params: What was tried, by name.
        error_type: The class of the exception that ended it.
        duration_s: How long it took.
        costs: Money of what is priced, by currency.
        scores: What came out of it, by name.
        host: The machine.
        pid: The process.
    """

    kind: Literal["experiment"]
    run_id: str
    name: str
    ts: datetime
    status: RunStatus
    schema: int = 0
    parent_run_id: str | None = None
    params: Mapping[str, Plain] = {}
    error_type: str | None = None
    duration_s: float | None = None
    calls: int | None = None
    attempts: int | None = None
    failed: int | None = None
    abandoned: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    unknown: int | None = None
    estimated: int | None = None
    partial: int | None = None
    unpriced: int | None = None
    costs: Mapping[str, Decimal] | None = None
    scores: Mapping[str, float] = {}
    host: str = ""
    pid: int = 0

    @property
    def spent(self) -> Tally | None:
        """What it used; ``None`` where no line says so."""
        if self.costs is None:
            return None
        tally = Tally()
        for name in COUNTED:
            setattr(tally, name, getattr(self, name) or 0)
        tally.costs.update(self.costs)
        return tally

    def counting(self, spent: Tally | None, scores: Mapping[str, float]) -> Self:
        """Give it with what it used, if anybody knows, and what came out of it."""
        if spent is None:
            return msgspec.structs.replace(self, scores=dict(scores))
        counts: dict[str, Any] = {name: getattr(spent, name) for name in COUNTED}
        return msgspec.structs.replace(self, costs=dict(spent.costs), scores=dict(scores), **counts)


class Read(NamedTuple):
    """What is in a file of experiments.

    Attributes:
        records: The runs, in the order of their beginning.
        skipped: How many lines are no line of a run, torn ones among them.
    """

    records: tuple[Record, ...]
    skipped: int


def place(file: str | os.PathLike[str] | None) -> Path:
    """Say where experiments are kept: as code says, or the environment, or the working folder."""
    return Path(file or os.environ.get(VARIABLE) or FILE).absolute()


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(Record).decode


def begun(record: Record, file: Path) -> None:
    """Write that a run begins.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    try:
        append(record, file)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot keep experiments in {str(file)!r}: {exc.strerror}; name a file in an existing "
            f"folder that you may write to: experiment(file=…), or {VARIABLE} in the environment"
        ) from exc


def append(record: Record, file: Path) -> None:
    """Append a line; it is open no longer than that, because nobody says when the last one was.

    Raises:
        OSError: The line is not in the file.
    """
    line = _encoder.encode(record) + b"\n"
    with contextlib.closing(PlainFile(file, fsync=False)) as opened:
        if opened.append(line) != len(line):
            raise OSError(f"only a part of a line fitted into {file}")


def read(file: Path) -> Read:
    """Read the runs of a file; one that does not exist has none.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with file.open("rb") as lines:
            return _joined(lines)
    except FileNotFoundError:
        return Read((), 0)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot read experiments from {str(file)!r}: {exc.strerror}; name the file that "
            f"experiment() says it writes to"
        ) from exc


def _joined(lines: Iterable[bytes]) -> Read:
    runs: dict[str, Record] = {}
    skipped = 0
    for line in lines:
        record = _record(line)
        if record is None:
            skipped += not line.isspace()
        elif record.status != "unfinished" or record.run_id not in runs:
            runs[record.run_id] = record
    return Read(tuple(sorted(runs.values(), key=lambda run: (run.ts, run.run_id))), skipped)


def _record(line: bytes) -> Record | None:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
