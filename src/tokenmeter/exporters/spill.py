"""What a queue cannot hold, on disk, in order; and what an earlier process left there.

Each process writes a file of its own and holds a lock on it while it lives, so what is not locked
is what nobody cares for any more. A note beside it says how far it was delivered; a process that is
killed between a delivery and its note has one batch delivered twice, which exporters tell by its
``event_id``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.jsonl_closed import wait_to_read

_decode = msgspec.json.Decoder(UsageEvent).decode


class _File:
    """One file, read from where it was left.

    Attributes:
        waiting: Events in it that nobody took yet.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock
        self._note = path.with_suffix(".done")
        self._done = self._position = self._noted()
        self._taken: deque[int] = deque()  # where those end that were taken and have no end yet
        self.waiting = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new one, locked before anybody else sees it."""
        hidden = path.with_suffix(".new")
        lock = os.open(hidden, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        hidden.rename(path)
        return cls(path, lock)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """Take one over, or give ``None`` where its process lives or has just removed it."""
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_nlink:
                    adopted = cls(path, lock)
                    adopted.waiting = sum(1 for _ in adopted._events())
                    return adopted
            except BlockingIOError:
                pass
            os.close(lock)
        return None

    def _noted(self) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(self._note.read_text())
        return 0

    def _events(self) -> Iterator[tuple[UsageEvent, int]]:
        """Give what follows, each with the byte at which it ends; what is torn is left out."""
        at = self._position
        with self.path.open("rb") as file:
            wait_to_read(file)
            file.seek(at)
            for line in file:
                at += len(line)
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    yield _decode(line), at

    def take(self, limit: int) -> list[UsageEvent]:
        """Give the next events, at most ``limit``."""
        events: list[UsageEvent] = []
        for event, at in self._events():
            events.append(event)
            self._taken.append(at)
            if len(events) == limit:
                break
        self._position = self._taken[-1] if events else self._position
        self.waiting -= len(events)
        return events

    def done(self, count: int) -> None:
        """Note that the first so many of those taken have their end; the others wait again."""
        for _ in range(count):
            self._done = self._taken.popleft()
        self.waiting += len(self._taken)
        self._taken.clear()
        self._position = self._done
        self._note.write_text(str(self._done))

    def close(self) -> None:
        """Let go of it: delete it where everything in it has its end."""
        if not self.waiting and not self._taken:
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """Let go of it without a trace; in a forked child, where it is the parent's."""
        os.close(self._lock)


class Spill:
    """Keep events on disk until they are taken.

    Args:
        folder: An existing folder that belongs to one exporter.
        name: Whose events they are; a part of the files' names.

    Raises:
        ConfigurationError: The folder cannot be written to.

    Attributes:
        recovered: Events that were found there.
    """

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        self.folder = Path(folder)
        self._stem = re.sub(r"\W+", "-", name).strip("-").lower() or "events"
        if not os.access(self.folder, os.W_OK | os.X_OK) or not self.folder.is_dir():
            raise ConfigurationError(
                f"cannot spill events to {str(folder)!r}; name an existing folder that you may "
                f"write to"
            )
        found = sorted(self.folder.glob(f"{self._stem}-*.jsonl"))
        self._old = deque(file for file in map(_File.adopt, found) if file is not None)
        self._own: _File | None = None
        self._write: Jsonl | None = None
        self._taken_from: _File | None = None
        self.recovered = self.waiting

    @property
    def waiting(self) -> int:
        """Events that nobody took yet."""
        return sum(file.waiting for file in (*self._old, self._own) if file is not None)

    def write(self, event: UsageEvent) -> None:
        """Keep an event.

        Raises:
            OSError: It could not be written.
        """
        if self._own is None or self._write is None:
            # by name in order of time; the rest tells threads of one process apart
            name = f"{self._stem}-{time.time_ns()}-{os.getpid()}-{secrets.token_hex(2)}.jsonl"
            self._own = _File.create(self.folder / name)
            self._write = Jsonl(self._own.path)
        self._write(event)
        self._own.waiting += 1

    def take(self, limit: int) -> list[UsageEvent]:
        """Give the next events, at most ``limit``; say with `done` what became of them."""
        while self._old and not self._old[0].waiting:
            self._old.popleft().close()
        if self._own is not None and not self._own.waiting:  # the next outage begins another one
            self._let_go()
        self._taken_from = self._old[0] if self._old else self._own
        return [] if self._taken_from is None else self._taken_from.take(limit)

    def done(self, count: int) -> None:
        """Note that the first so many of those taken have their end; the others wait again."""
        if self._taken_from is not None:
            self._taken_from.done(count)

    def _let_go(self) -> None:
        if self._own is not None and self._write is not None:
            self._write.close()
            self._own.close()
        self._own = self._write = None

    def close(self) -> None:
        """Let go of the files; what waits is for the next process."""
        for file in self._files():
            file.close()

    def forget(self) -> None:
        """Let go of the files in a forked child, where they are the parent's."""
        for file in self._files():
            file.forget()

    def _files(self) -> list[_File]:
        files = [file for file in (*self._old, self._own) if file is not None]
        self._old.clear()
        if self._write is not None:
            self._write.close()
        self._own = self._write = self._taken_from = None
        return files
