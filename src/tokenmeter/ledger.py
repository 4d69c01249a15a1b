"""Ledgers: the JSONL files that the ``jsonl`` exporter writes, read back event by event.

Only reading; what a set of events adds up to is a tally or a report.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from tokenmeter.event import UsageEvent

POLL_S = 0.2
"""How often a followed file is looked at."""

_decode = msgspec.json.Decoder(UsageEvent).decode


def nap() -> bool:
    """Wait a moment for more; the pause between two looks at a followed file."""
    time.sleep(POLL_S)
    return True


def read(
    path: str | os.PathLike[str], *, follow: bool = False, wait: Callable[[], bool] = nap
) -> Iterator[UsageEvent]:
    """Yield the events of a ledger, leaving out lines that are none.

    Args:
        path: The JSONL file.
        follow: Whether to go on with what is appended later, also after the file was truncated
            or replaced, instead of ending with the file.
        wait: Called whenever everything was read; returns False to stop following.

    Raises:
        OSError: The file cannot be opened; a followed one may appear later.
    """
    with Ledger(path) as ledger:
        if not follow:
            ledger.path.stat()
        yield from ledger
        while follow and wait():
            yield from ledger


class Ledger:
    """Read a ledger from its beginning, and each time again what is new since then.

    Iterating ends where the file ends now; iterating once more goes on from there, from the
    beginning where the file was truncated or another one has taken its name. A line that is still
    being written is left for the next time.

    Args:
        path: The JSONL file; one that does not exist is empty.
        position: Byte to begin at.

    Attributes:
        skipped: Numbers of the lines that are no events, counted from where reading began.
        unfinished: Whether the last line has no end yet.

    >>> with Ledger("no-such-file.jsonl") as ledger:
    ...     list(ledger), ledger.skipped
    ([], [])
    """

    def __init__(self, path: str | os.PathLike[str], position: int = 0) -> None:
        self.path = Path(path)
        self.skipped: list[int] = []
        self.unfinished = False
        self._position = position
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

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __iter__(self) -> Iterator[UsageEvent]:
        # What was written to the old file before it was replaced is read before the new one.
        yield from self._rest()
        if self._replaced():
            self._start_over()
        if self._file is None:
            self._open()
            yield from self._rest()

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
            self._line_number += 1
            event = self._event(line)
            if event is not None:
                yield event

    def _event(self, line: bytes) -> UsageEvent | None:
        try:
            return _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.skipped.append(self._line_number)
            return None

    def _replaced(self) -> bool:
        if self._file is None:
            return False
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False  # it is being replaced right now; the old one is all there is

    def _start_over(self) -> None:
        self.close()
        if self.unfinished:
            self.skipped.append(self._line_number + 1)
        self.unfinished = False
        self._position = self._line_number = 0

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._file = None
