"""The file that lines are appended to, shared with other threads and processes.

Either it stays what it is, and then nothing is locked: the kernel appends each ``write`` whole to a
file opened with ``O_APPEND``. Or it is closed from time to time, and then a lock on the file itself
(``flock``) keeps it in its place while somebody writes to it. No file is made for the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokenmeter.exporters.jsonl_closed import ClosedFiles, is_named, sync_folder

LOOK_S = 1.0
"""How often a file that is not rotated is looked for under its name."""

PATIENCE_S = 0.01
"""How long a line may be in the making that is found without an end when a file is opened."""

_TAIL = 1024 * 1024
DAY_S = 86_400
_FLAGS = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class UnsyncedError(OSError):
    """Say that lines are in the file and that it is not certain that the disk has them."""


class Limits(NamedTuple):
    """When a file is closed: before it would be longer than this, or on the next day in UTC."""

    file_bytes: int | None = None
    daily: bool = False

    def is_full(self, size: int, more: int) -> bool:
        """Say whether a file ends before so many bytes more are written to it."""
        return self.file_bytes is not None and size > 0 and size + more > self.file_bytes

    def is_of_another_day(self, file: os.stat_result, files: ClosedFiles, now_s: float) -> bool:
        """Say whether a file was last written to on an earlier day.

        A day closes a file once, however often a clock goes back over midnight: what comes after a
        file that was closed today was begun today.
        """
        if not self.daily or file.st_size == 0 or now_s // DAY_S <= file.st_mtime // DAY_S:
            return False
        return not files.has_closed_on(now_s)


def coarse_s() -> float:
    """Give the time, never later than a file system stamps a write that follows.

    It stamps with the time of the last tick, which is at most a hundredth of a second ago (Linux,
    timer interrupts at 100 Hz or more).
    """
    return time.time() - 0.01


class PlainFile:
    """Append to a file without any lock.

    A file that lost its name to somebody else, or that was removed, is left for a new one within
    a second of the next line.

    Args:
        path: The file; its folder must exist.
        fsync: Whether what was appended is on the disk when `append` returns.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self.path, self.fsync = path, fsync
        self.fd = _opened(path, os.O_WRONLY, fsync=fsync)
        self._looked = time.monotonic()
        _end_line_of(path, self.fd)

    def append(self, lines: bytes) -> int:
        """Append whole lines; give how many bytes of whole lines were.

        Raises:
            UnsyncedError: It is not certain to be on the disk.
            OSError: Nothing was appended.
        """
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
        return write(self.fd, self.path, lines, fsync=self.fsync)

    def _look(self) -> None:
        if not is_named(self.fd, self.path):
            _exchange(self.fd, _opened(self.path, os.O_WRONLY, fsync=self.fsync))
        self._looked = time.monotonic()

    def after_fork(self) -> None:
        """Go on: the kernel appends for parent and child alike."""

    def close(self) -> None:
        """Close the file."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class RotatingFile:
    """Append to a file that is closed when it is full, by whoever comes to write then.

    Every process that writes to it must do it in this way.

    Args:
        path: The file; its folder must exist. A link is followed once.
        limits: When it is closed.
        closed: Called after a file was closed, in the thread that was to append.
        now_s: The clock, seconds since 1970.
        fsync: Whether what was appended is on the disk when `append` returns.

    Raises:
        OSError: It cannot be opened or locked.
    """

    def __init__(
        self,
        path: Path,
        limits: Limits,
        closed: Callable[[], object],
        now_s: Callable[[], float],
        *,
        fsync: bool,
    ) -> None:
        self.path, self.fsync = path.resolve(), fsync
        self._limits, self._closed, self._now_s = limits, closed, now_s
        self._files = ClosedFiles(self.path)
        self.fd, self._end = self._new(), -1
        self.after_fork()

    def after_fork(self) -> None:
        """Open the file anew: a lock is common to all that share an open file."""
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._reopen()

    def append(self, lines: bytes) -> int:
        """Append whole lines; give how many bytes of whole lines were.

        Raises:
            UnsyncedError: It is not certain to be on the disk.
            OSError: Nothing was appended.
        """
        if self._pid != os.getpid():
            self.after_fork()
        with self._lock:  # between threads, which share the open file and so its lock
            try:
                file = self._hold()
                while self._is_over(file, len(lines)):
                    self._rotate()
                    file = self._hold()
                if file.st_size != self._end:  # somebody else wrote the last line
                    _end_line(self.fd, self.fd)
                kept = write(self.fd, self.path, lines, fsync=self.fsync)
                self._end = file.st_size + kept
                return kept
            finally:
                self._let_go()

    def _is_over(self, file: os.stat_result, more: int) -> bool:
        limits = self._limits
        return limits.is_full(file.st_size, more) or limits.is_of_another_day(
            file, self._files, self._now_s()
        )

    def _hold(self) -> os.stat_result:
        """Lock the file that has the name; nobody renames it before it is let go."""
        while True:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
            file = os.fstat(self.fd)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(file, self.path.stat()):
                    return file
            self._let_go()
            self._reopen()

    def _let_go(self) -> None:
        # Not left to close(): a forked child may have the same open file.
        with contextlib.suppress(OSError):
            fcntl.flock(self.fd, fcntl.LOCK_UN)

    def _rotate(self) -> None:
        """Give the file its last name and go on with a new one; killed anywhere, the next does."""
        mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
        if self.fsync:
            os.fsync(self.fd)
        self.path.rename(self._files.next(self._now_s()))
        self._let_go()
        self._reopen()
        with contextlib.suppress(OSError):  # another user's process made it
            os.fchmod(self.fd, mode)
        self._closed()

    def _reopen(self) -> None:
        self._end = -1
        _exchange(self.fd, self._new())

    def _new(self) -> int:
        return _opened(self.path, os.O_RDWR, fsync=self.fsync)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd >= 0:
                os.close(fd)


def _opened(path: Path, access: int, *, fsync: bool) -> int:
    fd = os.open(path, access | _FLAGS, 0o600)
    if fsync:
        sync_folder(path.parent)
    return fd


def _exchange(fd: int, new: int) -> None:
    """Have a number stand for another open file, at once for every thread that uses it."""
    os.dup2(new, fd, inheritable=False)
    os.close(new)


def write(fd: int, path: Path, lines: bytes, *, fsync: bool) -> int:
    """Write lines at once; give how many bytes of whole ones there are now.

    The beginning of a line that did not fit becomes a blank line.

    Raises:
        UnsyncedError: It is not certain to be on the disk.
        OSError: Nothing was written.
    """
    written = os.write(fd, lines)
    if written != len(lines):
        whole = lines.rfind(b"\n", 0, written) + 1
        blank(fd, path, lines[whole:written])
        written = whole
    if fsync:
        _sync(fd)
    return written


def _sync(fd: int) -> None:
    # Once it failed it must not be tried again: the kernel may say yes to what it gave up
    # (fsync(2) of Linux on EIO, read 2026-11).
    try:
        os.fdatasync(fd)
    except OSError as exc:
        raise UnsyncedError(exc.errno, exc.strerror) from exc


def _end_line_of(path: Path, fd: int) -> None:
    """End the last line of a file that is opened for writing only, if it can be read at all."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        with contextlib.suppress(PermissionError), path.open("rb") as reader:
            if not _is_ended(reader.fileno()):
                time.sleep(PATIENCE_S)  # another process may be in the middle of its write
                _end_line(reader.fileno(), fd)


def _is_ended(reader: int) -> bool:
    size = os.fstat(reader).st_size
    return size == 0 or os.pread(reader, 1, size - 1) in (b"\n", b"")


def _end_line(reader: int, fd: int) -> None:
    """End a line that a killed process left without an end, so that the next one is its own."""
    if not _is_ended(reader):
        os.write(fd, b"\n")


def blank(fd: int, path: Path, part: bytes) -> None:
    """Turn the beginning of a line that did not fit into a blank line.

    Its bytes are allocated, so this works on a full disk; and it touches no other bytes, so it
    is safe beside other writers, even one whose line has already been appended behind it.
    """
    there = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if not os.path.samestat(os.fstat(fd), os.fstat(there)):
            return
        start = max(0, os.fstat(there).st_size - _TAIL)
        at = _torn(part, os.pread(there, _TAIL, start))
        if at is not None:
            os.pwrite(there, b" " * (len(part) - 1) + b"\n", start + at)
    finally:
        os.close(there)


def _torn(part: bytes, tail: bytes) -> int | None:
    """Find where the beginning of a line stands that does not go on.

    A short one (``{"kind":``) stands at the beginning of every whole line too. What follows a torn
    one is the end of the file, another writer's line, or another torn one that is blank already.
    """
    found = re.compile(re.escape(part) + rb"(?=[{ \n]|\Z)").finditer(tail) if part else ()
    return max((match.start() for match in found), default=None)
