"""Lines of a file that others append to, overwritten in place by as many bytes.

Nothing moves, so writers with ``O_APPEND`` need not know. A process that is killed, or a machine
that loses power, may leave a line half old and half new: a journal beside the file, on the disk
before the first byte is overwritten, says what each line was and is to be, and the next run goes on
from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters.jsonl_closed import is_named, sync_folder

_SUFFIX = ".erase.part"
_DIGEST = 32


class Patch(msgspec.Struct, frozen=True, array_like=True):
    """A line, the byte at which it begins, and what it becomes: as many bytes."""

    at: int
    old: bytes
    new: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Patch]).decode


class Journal:
    """What is being overwritten in a ledger.

    Args:
        fd: The open file of it, locked.

    Attributes:
        left: What an earlier run may have left half way, by the byte at which its line begins.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.left = {patch.at: patch for patch in _read(fd)}

    def mended(self, at: int, line: bytes) -> bytes:
        """Give what a line was to become that an earlier run left half way, else the line.

        It may have got another name since, so every file of the ledger is looked at.
        """
        patch = self.left.get(at)
        return patch.new if patch is not None and _is_between(line, patch) else line

    def apply(self, fd: int, patches: Sequence[Patch]) -> list[Patch]:
        """Overwrite lines that are still what they were, and give the patches of these.

        Raises:
            OSError: Not all could be written, and the journal stays.
        """
        with reading_kept_out(fd):
            self._write([*self.left.values(), *patches])
            file = os.fstat(fd)
            done = [patch for patch in patches if _overwrite(fd, patch)]
            os.fsync(fd)
            # The day on which a file was last appended to decides when it is closed.
            with contextlib.suppress(PermissionError):  # another user's file
                os.utime(fd, ns=(file.st_atime_ns, file.st_mtime_ns))
            self._write([*self.left.values()])
        return done

    def _write(self, patches: list[Patch]) -> None:
        body = _encode(patches)
        os.ftruncate(self._fd, 0)
        if patches:
            os.pwrite(self._fd, hashlib.sha256(body).digest() + body, 0)
        os.fsync(self._fd)


@contextlib.contextmanager
def journal_of(ledger: Path, *, is_all: bool = True) -> Generator[Journal]:
    """Have the journal of a ledger to oneself; it goes when all that it says is done.

    Args:
        ledger: The file that is being written.
        is_all: Whether all files of the ledger are looked at.

    Raises:
        ConfigurationError: Another process is at it.
    """
    path = ledger.with_name(ledger.name + _SUFFIX)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, path, ledger)
        sync_folder(path.parent)
        journal = Journal(fd)
        yield journal
        if is_all or not journal.left:
            path.unlink()
    finally:
        os.close(fd)


def _lock(fd: int, path: Path, ledger: Path) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_named(fd, path):
            return
    raise ConfigurationError(f"another tokenmeter erase is at {str(ledger)!r}; wait for it")


@contextlib.contextmanager
def reading_kept_out(fd: int) -> Generator[None]:
    """Have those wait meanwhile who must not see a line half way; see `exporters.jsonl_closed`."""
    fcntl.lockf(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(fd, fcntl.LOCK_UN)


def _read(fd: int) -> list[Patch]:
    """Read what an earlier run has left; of a journal that is not whole nothing was begun."""
    size = os.fstat(fd).st_size
    found = os.pread(fd, size, 0)
    digest, body = found[:_DIGEST], found[_DIGEST:]
    return _decode(body) if body and hashlib.sha256(body).digest() == digest else []


def _is_between(line: bytes, patch: Patch) -> bool:
    """Say whether some bytes of a line are old and some are new."""
    if line in (patch.old, patch.new) or len(line) != len(patch.old):
        return False
    return all(byte in (o, n) for byte, o, n in zip(line, patch.old, patch.new, strict=True))


def _overwrite(fd: int, patch: Patch) -> bool:
    """Overwrite a line, unless it is another one by now: the file may have been truncated."""
    if os.pread(fd, len(patch.old), patch.at) != patch.old:
        return False
    done = 0
    while done < len(patch.new):
        done += os.pwrite(fd, patch.new[done:], patch.at + done)
    return True
