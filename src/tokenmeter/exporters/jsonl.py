"""Events as JSON lines in a file that several threads and processes may share.

One event is one flat object, one line and one ``write`` on a file opened with ``O_APPEND``: the
kernel appends each whole (POSIX, write(2)), so lines of several writers never mix on a local file
system. Nothing is buffered here: a killed process loses at most the event in flight of each thread,
or the batch. What the file is and when it is closed is in `jsonl_files`, what becomes of closed
ones in `jsonl_closed`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tokenmeter.errors import ConfigurationError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl_closed import ENDINGS, ClosedFiles, Packing, Upkeep, zstd
from tokenmeter.exporters.jsonl_files import (
    Limits,
    PlainFile,
    RotatingFile,
    UnsyncedError,
    coarse_s,
)

REMEMBERED = 100_000
"""Events of batches that fitted only in part, which are known to be in the file already."""

_encoder = msgspec.json.Encoder()


class Jsonl:
    """Append events to a file, readable by its owner alone when it is created.

    Unknown fields are left out of a line. A disk that fills up loses what does not fit; a
    line of which only a part fitted becomes a blank line and never a part of the next one.

    Args:
        path: The file; its folder must exist.
        fsync: Whether an event survives a loss of power once it was taken, rather than only the
            end of the process.
        rotate_bytes: How long the file may be; before it would be longer it is closed: renamed to
            ``usage.20261123T021500Z-0001.jsonl``, and another one is begun.
        rotate_daily: Whether it is closed before the first event of another day in UTC.
        compress: ``"gzip"`` or ``"zstd"``: pack closed files, in the background.
        keep_files: How many closed files are kept; the oldest are removed.
        keep_days: For how many days closed files are kept.
        now_s: The clock, seconds since 1970.

    Raises:
        ConfigurationError: The path cannot be opened for writing, or an option cannot be used.
        MissingExtraError: ``compress="zstd"``, and nothing that packs so is installed.
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own, by name
        self,
        path: str | os.PathLike[str],
        *,
        fsync: bool = False,
        rotate_bytes: int | None = None,
        rotate_daily: bool = False,
        compress: Packing | None = None,
        keep_files: int | None = None,
        keep_days: float | None = None,
        now_s: Callable[[], float] = coarse_s,
    ) -> None:
        self.path = Path(path)
        limits = Limits(rotate_bytes, rotate_daily)
        _check(limits, compress, keep_files, keep_days)
        self._upkeep = Upkeep(
            ClosedFiles(self.path.resolve()), compress, keep_files, keep_days, now_s
        )
        try:
            self._file = self._opened(limits, now_s, fsync=fsync)
        except OSError as exc:
            raise ConfigurationError(
                f"cannot write events to {str(path)!r}: {exc.strerror}; "
                f"name a file in an existing folder that you may write to"
            ) from exc
        self._there: dict[str, None] = {}  # written already, of a batch that comes once more
        if limits != Limits():
            self._upkeep.wanted()  # what a process that was killed has left

    def _opened(
        self, limits: Limits, now_s: Callable[[], float], *, fsync: bool
    ) -> PlainFile | RotatingFile:
        if limits == Limits():
            return PlainFile(self.path, fsync=fsync)
        return RotatingFile(self.path, limits, self._upkeep.wanted, now_s, fsync=fsync)

    def __call__(self, event: UsageEvent) -> None:
        """Append one event.

        Raises:
            OSError: The line did not get into the file.
        """
        line = _encoder.encode(event) + b"\n"
        if self._file.append(line) != len(line):
            raise OSError(errno.ENOSPC, "only a part of a line fitted into the file")

    def batch(self, events: Sequence[UsageEvent]) -> None:
        """Append several events with one write; one that is handed over again is there once.

        Raises:
            OSError: Not all fitted. Those that did are left out when they come again.
            RejectedError: Some cannot be written as JSON, and the others were; or all were, and
                the disk did not confirm it.
        """
        new = [e for e in events if e.event_id not in self._there] if self._there else events
        lines, wrong = _lines(new)
        try:
            kept = self._file.append(lines)
        except UnsyncedError as exc:
            raise RejectedError("it is not certain that the disk has them", events) from exc
        if kept != len(lines):
            self._remember(lines[:kept])
            raise OSError(errno.ENOSPC, "only a part of a batch fitted into the file")
        for event in events if self._there else ():
            self._there.pop(event.event_id, None)
        if wrong:
            raise RejectedError("what they hold cannot be written as JSON", wrong)

    def _remember(self, lines: bytes) -> None:
        self._there |= dict.fromkeys(_event_id(line) for line in lines.splitlines())
        for event_id in list(self._there)[:-REMEMBERED]:  # of batches that were given up
            del self._there[event_id]

    def after_fork(self) -> None:
        """Go on in a forked child, with an open file of its own where files are locked."""
        self._file.after_fork()
        self._upkeep.after_fork()

    def close(self, timeout: float = 5.0) -> None:
        """Close the file, and wait at most so many seconds for closed ones to be packed.

        What is not packed by then the next process packs.
        """
        self._file.close()
        self._upkeep.wait(timeout)


class _Identity(msgspec.Struct):
    event_id: str


_identity = msgspec.json.Decoder(_Identity)


def _event_id(line: bytes) -> str:
    return _identity.decode(line).event_id


def _lines(events: Sequence[UsageEvent]) -> tuple[bytes, list[UsageEvent]]:
    """Encode events; give the lines, and those events that cannot be."""
    try:
        return _encoder.encode_lines(events), []
    except _NO_JSON:
        good: list[UsageEvent] = []
        wrong: list[UsageEvent] = []
        for event in events:
            (good if _can_be_encoded(event) else wrong).append(event)
        return _encoder.encode_lines(good), wrong


_NO_JSON = (ValueError, TypeError, OverflowError, msgspec.MsgspecError)


def _can_be_encoded(event: UsageEvent) -> bool:
    try:
        _encoder.encode(event)
    except _NO_JSON:
        return False
    return True


def _check(
    limits: Limits, compress: object, keep_files: float | None, keep_days: float | None
) -> None:
    size = limits.file_bytes
    if size is not None and (type(size) is not int or size < 1):
        raise ConfigurationError(f"rotate_bytes is a number of bytes, 1 or more; got {size!r}")
    if compress not in (None, *ENDINGS):
        raise ConfigurationError(f"compress is 'gzip' or 'zstd'; got {compress!r}")
    for name, kept in (("keep_files", keep_files), ("keep_days", keep_days)):
        if kept is not None and (isinstance(kept, str | bool) or kept < 0):
            raise ConfigurationError(f"{name} is a number, 0 or more; got {kept!r}")
    if limits == Limits() and (compress, keep_files, keep_days) != (None, None, None):
        raise ConfigurationError(
            "compress, keep_files and keep_days are for closed files, and this file is never "
            "closed; add rotate_bytes=… or rotate_daily=True"
        )
    if compress == "zstd":
        zstd()
