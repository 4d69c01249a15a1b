"""Events as JSON lines in a file that several threads and processes may share.

One event is one flat object, one line and one ``write`` on a file opened with ``O_APPEND``: the
kernel appends each whole (POSIX, write(2)), so lines of several writers never mix on a local file
system. Nothing is buffered here: a killed process loses at most the event in flight of each thread.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent

_TAIL = 1024 * 1024
_encode = msgspec.json.Encoder().encode


class Jsonl:
    """Append events to a file, readable by its owner alone when it is created.

    Unknown fields are left out of a line. A disk that fills up loses what does not fit; a
    line of which only a part fitted becomes a blank line and never a part of the next one.

    Args:
        path: The file; its folder must exist.

    Raises:
        ConfigurationError: The path cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise ConfigurationError(
                f"cannot write events to {str(path)!r}: {exc.strerror}; "
                f"name a file in an existing folder that you may write to"
            ) from exc

    def __call__(self, event: UsageEvent) -> None:
        """Append one event.

        Raises:
            OSError: The line did not get into the file.
        """
        line = _encode(event) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):
            self._blank(line[:written])
            raise OSError(errno.ENOSPC, "only a part of a line fitted into the file")

    def _blank(self, part: bytes) -> None:
        """Turn the beginning of a line that did not fit into a blank line.

        Its bytes are allocated, so this works on a full disk; and it touches no other bytes, so it
        is safe beside other writers, even one whose line has already been appended behind it.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            start = max(0, os.fstat(fd).st_size - _TAIL)
            at = _torn(part, os.pread(fd, _TAIL, start))
            if at is not None:
                os.pwrite(fd, b" " * (len(part) - 1) + b"\n", start + at)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _torn(part: bytes, tail: bytes) -> int | None:
    """Find where the beginning of a line stands that does not go on.

    A short one (``{"kind":``) stands at the beginning of every whole line too. What follows a torn
    one is the end of the file, another writer's line, or another torn one that is blank already.
    """
    found = re.compile(re.escape(part) + rb"(?=[{ \n]|\Z)").finditer(tail) if part else ()
    return max((match.start() for match in found), default=None)
