"""Ledgers: the JSONL files that the ``jsonl`` exporter writes, read back event by event.

A ledger is the file that is being written and those that were closed before it. Only reading; what
a set of events adds up to is a tally or a report.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl_closed import (
    ENDINGS,
    ClosedFiles,
    Closing,
    damage,
    is_named,
    ledger_of,
    open_packed,
    packing_of,
)

POLL_S = 0.2
"""How often a followed file is looked at."""

_TOO_MUCH = Decimal(10**9)

LINES = (".jsonl", *(f".jsonl{packed}" for packed in ENDINGS.values()))
"""What the names of ledgers in a folder end in, also in capitals."""

_decode = msgspec.json.Decoder(UsageEvent).decode
_encode = msgspec.json.Encoder().encode
_HEAD = 64 * 1024
_BEGINNING = b'{"kind":'


def nap() -> bool:
    """Wait a moment for more; the pause between two looks at a followed file."""
    time.sleep(POLL_S)
    return True


def read(
    path: str | os.PathLike[str], *, follow: bool = False, wait: Callable[[], bool] = nap
) -> Iterator[UsageEvent]:
    """Yield the events of a ledger, leaving out lines that are none.

    Args:
        path: The JSONL file; its closed files are read before it. Or one closed file, ``.gz`` and
            ``.zst`` too.
        follow: Whether to go on with what is appended later, also after the file was closed,
            truncated or replaced, instead of ending with the file.
        wait: Called whenever everything was read; returns False to stop following.

    Raises:
        OSError: The file cannot be opened; a followed one may appear later.
    """
    with Ledger(path) as ledger:
        if not (follow or ledger.has_closed):
            ledger.path.stat()
        yield from ledger
        while follow and wait():
            yield from ledger


def ledgers(names: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Give the ledgers that names and patterns (``logs/*.jsonl``) mean, each once.

    A closed file is left out where its ledger is among them, which is read with all of its closed
    files, and where it is named twice, packed and not.

    Raises:
        ConfigurationError: There is no such file.
    """
    paths = [path for name in names for path in _named(Path(name))]
    whole = {path.resolve() for path in paths}
    chosen: dict[object, Path] = {}
    for path in paths:
        closed = ledger_of(path.resolve())
        if closed is None or closed[0] not in whole:
            chosen.setdefault(closed or path.resolve(), path)
    return list(chosen.values())


def _named(path: Path) -> list[Path]:
    if path.is_file() or (not path.exists() and ClosedFiles(path.resolve()).closings()):
        return [path]
    found = [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207 (absolute too)
    files = [file for file in found if file.is_file() and file.suffix != ".part"]
    if not files and path.exists() and not path.is_dir():
        raise ConfigurationError(
            f"{str(path)!r} is a pipe or a device, which cannot be read twice; write what it gives "
            "to a file, and name that"
        )
    if not files:
        raise ConfigurationError(f"there is no ledger {str(path)!r}; name an existing file")
    return files


class Ledger:
    """Read a ledger from its beginning, and each time again what is new since then.

    Iterating ends where the file ends now; iterating once more goes on from there, through all
    files that were closed since then, and from the beginning where the file was truncated or
    another one has taken its name. A line that is still being written is left for the next time.

    A process that is killed, or a machine that loses power, may leave a line without its end. It
    is left out and counted; an event that was appended right behind it is read.

    Args:
        path: The JSONL file; one that does not exist is empty. One that ends in ``.gz`` or
            ``.zst`` is unpacked.
        position: Byte to begin at; ``None`` is the very beginning, with the closed files of this
            ledger, which are read before it.

    Attributes:
        line: The bytes of the event that was given last, also of what only a later version knows.
        skipped: Numbers of the lines, in their file, that are no events or not only an event.
        torn: Those of them that begin as an event and do not end as one.
        unfinished: Whether the last line has no end yet.

    >>> with Ledger("no-such-file.jsonl") as ledger:
    ...     list(ledger), ledger.skipped
    ([], [])
    """

    def __init__(self, path: str | os.PathLike[str], position: int | None = None) -> None:
        self.path = Path(path)
        self.line = b""
        self.skipped: list[int] = []
        self.torn: list[int] = []
        self.unfinished = False
        one = ledger_of(self.path)
        self._only = one and one[1]
        self._closed = ClosedFiles((one[0] if one else self.path).resolve())
        self._last = self._closed.newest() if position is not None and not one else None
        self._read: list[Closing] = []
        self._foreign = 0
        self._position = position or 0
        self._line_number = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def has_closed(self) -> bool:
        """Whether there are closed files beside it."""
        return self._closed.newest() is not None

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __iter__(self) -> Iterator[UsageEvent]:
        if self._only is not None:
            yield from self.closed()
            return
        if packing_of(self.path):
            yield from self._unpacked()
            return
        yield from self._rest()
        if self._file is None or self._replaced():
            # What was written to the old file before it was replaced comes before the new one.
            yield from self._rest()
            yield from self._later_files()
            yield from self._rest()

    def _unpacked(self) -> Iterator[UsageEvent]:
        if self._file is None:
            self._file = open_packed(self.path)
            yield from self._whole(self._file)

    def _rest(self) -> Iterator[UsageEvent]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._position:
            self._position = self._line_number = 0
        self._file.seek(self._position)
        for line in self._file:
            self.unfinished = not line.endswith(b"\n")
            if self.unfinished:
                return
            self._position += len(line)
            yield from self._events(line)

    def _replaced(self) -> bool:
        # While it is being replaced nothing has the name, and the old file is all there is.
        return (
            self._file is not None
            and not is_named(self._file.fileno(), self.path)
            and self.path.exists()
        )

    def _later_files(self) -> Iterator[UsageEvent]:
        """Go through those that were closed since the last look, and open the one after them."""
        old = self._left()
        try:
            while self._file is None:
                yield from self.closed(old)
                self._open()
                if self._file is None:
                    return
                if self._closed.after(self._last):  # it may be one of these by now
                    self.close()
        finally:
            if old is not None:
                old.close()

    def _left(self) -> BinaryIO | None:
        """Leave the file, whose last line will never end if it has not."""
        old, self._file = self._file, None
        if old is not None:
            if self.unfinished:
                self._line_number += 1
                self._note_torn()
            self.unfinished = False
            self._position = 0
        return old

    def _open(self) -> None:
        self._line_number = 0
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._file = None

    def closed(self, old: BinaryIO | None = None) -> Iterator[UsageEvent]:
        """Yield the events of the files that were closed since the last look.

        Args:
            old: A file that was read already, perhaps one of them.
        """
        for closing in self._closed.after(self._last):
            if self._only in (None, closing):
                yield from self._closed_events(closing, old)
            self._last = closing

    def remove_read(self) -> list[Path]:
        """Remove the closed files of which every line was read, and give what they were called.

        One that is damaged, or that holds what only a later version may know, stays.
        """
        read, self._read = self._read, []
        return [path for closing in read for path in self._closed.remove(closing)]

    def _closed_events(self, closing: Closing, old: BinaryIO | None) -> Iterator[UsageEvent]:
        if old is not None:
            old.seek(0)
            if self._head(closing) == _head(old):
                return  # it was read before it was closed
        file = self._closed.open(closing)
        if file is not None:
            before = self._foreign
            with file:
                yield from self._whole(file)
            if self._foreign == before:
                self._read.append(closing)

    def _head(self, closing: Closing) -> bytes | None:
        file = self._closed.open(closing)
        if file is None:
            return None
        with file:
            return _head(file)

    def _whole(self, file: BinaryIO) -> Iterator[UsageEvent]:
        """Read a file that nobody writes to any more: a line without an end is a torn one."""
        self._line_number = 0
        try:
            for line in file:
                yield from self._events(line)
        except damage():
            self._line_number += 1
            self._foreign += 1
            self._note_torn()

    def _events(self, line: bytes) -> Iterator[UsageEvent]:
        """Give the event of a line, or the one that stands behind a torn one."""
        self._line_number += 1
        event, self.line = event_of(line), line
        if event is None:
            event, self.line = _behind(line)
            if event is not None or _is_torn(line):
                self._note_torn()
            else:
                self.skipped.append(self._line_number)
                self._foreign += not line.isspace()
        if event is not None:
            yield event

    def _note_torn(self) -> None:
        self.skipped.append(self._line_number)
        self.torn.append(self._line_number)


def event_of(line: bytes | memoryview) -> UsageEvent | None:
    """Give the event that a line is; ``None``: it is none.

    What two readers may see differently is none either: a name that is there twice, and what no
    table holds, which is an amount from a thousand million on.
    """
    try:
        event = _decode(line)
        if line != _encode(event) + b"\n":  # not as we write it
            json.loads(bytes(line), object_pairs_hook=_each_once, parse_int=str)
    except (ValueError, RecursionError):
        return None
    amount = event.cost_amount
    is_amount = amount is None or (amount.is_finite() and -_TOO_MUCH < amount < _TOO_MUCH)
    return event if is_amount else None


def _each_once(members: list[tuple[str, object]]) -> None:
    if len(dict(members)) < len(members):
        raise ValueError([name for name, _ in members])


def _behind(line: bytes) -> tuple[UsageEvent | None, bytes]:
    """Give the event that was appended to a line without an end; text in JSON cannot look so."""
    at = line.find(_BEGINNING, 1)
    while at > 0:
        event = event_of(memoryview(line)[at:])
        if event is not None:
            return event, line[at:]
        at = line.find(_BEGINNING, at + 1)
    return None, line


def _is_torn(line: bytes) -> bool:
    return line.startswith(_BEGINNING) and not line.endswith(b"}\n")


def _head(file: BinaryIO) -> bytes | None:
    """Give the beginning of a file, which has ids in it, so that no other one begins so."""
    try:
        return file.read(_HEAD)
    except damage():
        return None
