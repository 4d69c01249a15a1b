"""The closed files of a ledger: what they are called, how they are packed, read and given up.

`usage.jsonl` is closed as ``usage.20261123T021500Z-0001.jsonl``: when it was closed (UTC) and a
number among those of that second. Names sort by time. A packed one ends in ``.gz`` or ``.zst``,
and while it is being packed in ``.part`` after that.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import importlib
import io
import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast

from tokenmeter.errors import MissingExtraError
from tokenmeter.guard import Guard

Packing = Literal["gzip", "zstd"]
ENDINGS: dict[Packing, str] = {"gzip": ".gz", "zstd": ".zst"}
"""How a file is packed, and what its name ends in then."""

_PART = ".part"
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = r"(?P<stem>{stem})\.(?P<stamp>[0-9]{{8}}T[0-9]{{6}}Z)-(?P<number>[0-9]{{4,}})"
_REST = r"(?P<suffix>{suffix})(?P<packed>\.gz|\.zst)?(?P<part>\.part)?"


class Closing(NamedTuple):
    """When a file was closed; they compare by time.

    Attributes:
        stamp: The second, in UTC: ``20261123T021500Z``.
        number: Which one of that second, from 1.
    """

    stamp: str
    number: int


class ClosedFiles:
    """The closed files beside a ledger.

    Only files that are named exactly so belong to it; nothing else is ever read or removed.

    Args:
        path: The ledger, the file that is being written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = Path(path).parent
        self._stem, self._suffix = Path(path).stem, Path(path).suffix
        stem, suffix = re.escape(self._stem), re.escape(self._suffix)
        self._pattern = re.compile((_NAME + _REST).format(stem=stem, suffix=suffix))

    def closings(self) -> list[Closing]:
        """Give all of them, the oldest first; one that is there twice, packed and not, once."""
        return sorted({closing for closing, ending in self._found() if _PART not in ending})

    def after(self, last: Closing | None) -> list[Closing]:
        """Give those that were closed after one, the oldest first."""
        return [closing for closing in self.closings() if last is None or closing > last]

    def newest(self) -> Closing | None:
        """Give the one that was closed last."""
        return max(self.closings(), default=None)

    def has_closed_on(self, now_s: float) -> bool:
        """Say whether one was closed on that day in UTC, or later."""
        newest = self.newest()
        return newest is not None and newest.stamp >= time.strftime("%Y%m%d", time.gmtime(now_s))

    def path(self, closing: Closing, ending: str = "") -> Path:
        """Give the name of a closed file."""
        name = f"{self._stem}.{closing.stamp}-{closing.number:04}{self._suffix}{ending}"
        return self.folder / name

    def next(self, now_s: float) -> Path:
        """Give the name for a file that is closed now; it sorts last even if clocks go back."""
        stamp, last = time.strftime(_STAMP, time.gmtime(now_s)), self.newest()
        if last is None or stamp > last.stamp:
            return self.path(Closing(stamp, 1))
        return self.path(Closing(last.stamp, last.number + 1))

    def open(self, closing: Closing) -> BinaryIO | None:
        """Open one for reading, unpacked; ``None`` where it was removed."""
        for ending in ("", *ENDINGS.values()):  # a packed one is there before the plain one goes
            with contextlib.suppress(FileNotFoundError):
                return open_packed(self.path(closing, ending))
        return None

    def pack(self, packing: Packing) -> None:
        """Pack those that are not; several processes may do it at the same time.

        Raises:
            OSError: One could not be packed; it stays as it is.
        """
        for closing, ending in sorted(self._found()):
            if not ending:
                self._pack(self.path(closing), packing)
            elif ending.endswith(_PART):  # of a process that was killed
                self._give_up(closing, ending)

    def _pack(self, plain: Path, packing: Packing) -> None:
        part = plain.with_name(plain.name + ENDINGS[packing] + _PART)
        with locked(part) as raw, contextlib.suppress(FileNotFoundError):
            if raw is None:
                return
            try:
                with plain.open("rb") as source, packer(packing).open(raw, "wb") as packed:
                    wait_to_read(source)
                    shutil.copymode(plain, part)
                    shutil.copyfileobj(source, packed, 1 << 20)
            except BaseException:
                part.unlink()
                raise
            raw.flush()
            os.fsync(raw.fileno())
            part.rename(part.with_suffix(""))
            sync_folder(self.folder)  # the packed one must be there before the plain one goes
            plain.unlink()

    def _give_up(self, closing: Closing, ending: str) -> None:
        if self.path(closing).exists():
            return
        part = self.path(closing, ending)
        with locked(part) as raw, contextlib.suppress(FileNotFoundError):
            if raw is not None:
                part.unlink()

    def keep(self, files: int | None, days: float | None, now_s: float) -> None:
        """Remove all but the newest ``files``, and those closed more than ``days`` days ago."""
        closings = self.closings()
        old = set(closings[: max(0, len(closings) - files)] if files is not None else ())
        if days is not None:
            limit = time.strftime(_STAMP, time.gmtime(now_s - days * 86400))
            old |= {closing for closing in closings if closing.stamp < limit}
        for closing in sorted(old):
            self.remove(closing)

    def remove(self, closing: Closing) -> list[Path]:
        """Remove one, packed or not, and give what it was called."""
        paths = [self.path(closing, ending) for ending in ("", *ENDINGS.values())]
        return [path for path in paths if _removed(path)]

    def _found(self) -> Iterator[tuple[Closing, str]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                match = self._pattern.fullmatch(entry.name)
                if match and entry.is_file():
                    yield _closing(match), (match["packed"] or "") + (match["part"] or "")


class Upkeep:
    """Pack closed files and remove old ones, in a thread that lives while there is work.

    Args:
        files: The closed files.
        packing: How they are packed, if at all.
        keep_files: How many are kept; ``None``: all.
        keep_days: For how many days; ``None``: for ever.
        now_s: The clock, seconds since 1970.
    """

    def __init__(
        self,
        files: ClosedFiles,
        packing: Packing | None,
        keep_files: int | None,
        keep_days: float | None,
        now_s: Callable[[], float],
    ) -> None:
        self._files, self._now_s = files, now_s
        self._packing: Packing | None = packing
        self._keep = keep_files, keep_days
        self._guard = Guard()
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a forked child, which has no such thread."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._has_work = False
        self._thread: threading.Thread | None = None

    def wanted(self) -> None:
        """Have the files looked after soon."""
        if self._packing is None and self._keep == (None, None):
            return
        if self._pid != os.getpid():
            self.after_fork()
        with self._lock:
            self._has_work = True
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="tokenmeter-jsonl", daemon=True)
        with contextlib.suppress(RuntimeError):  # at its end an interpreter starts no threads
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        while self._take():
            self._guard.run("the closed files of a ledger", self._look_after)

    def _look_after(self) -> None:
        self._files.keep(*self._keep, self._now_s())  # first: it makes room
        if self._packing is not None:
            self._files.pack(self._packing)

    def _take(self) -> bool:
        with self._lock:
            taken, self._has_work = self._has_work, False
            if not taken:
                self._thread = None
            return taken

    def wait(self, timeout: float) -> None:
        """Wait at most so many seconds until there is no work."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _closing(match: re.Match[str]) -> Closing:
    return Closing(match["stamp"], int(match["number"]))


_ANY = re.compile(
    _NAME.format(stem=".+") + r"(?P<suffix>(\.(?!gz$|zst$)[^.]*)?)(\.gz|\.zst)?", re.DOTALL
)


def ledger_of(path: str | os.PathLike[str]) -> tuple[Path, Closing] | None:
    """Give the ledger that a closed file belongs to, or ``None`` for any other file.

    >>> ledger_of("logs/usage.20261123T021500Z-0001.jsonl.gz")
    (PosixPath('logs/usage.jsonl'), Closing(stamp='20261123T021500Z', number=1))
    """
    match = _ANY.fullmatch(Path(path).name)
    if match is None:
        return None
    return Path(path).with_name(match["stem"] + match["suffix"]), _closing(match)


def packing_of(path: Path) -> Packing | None:
    """Give how a file is packed, as the end of its name says; ``None``: it is not."""
    return _PACKINGS.get(path.suffix.lower())


_PACKINGS: dict[str, Packing] = {ending: packing for packing, ending in ENDINGS.items()}


def open_packed(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked as its name says.

    Raises:
        OSError: It cannot be opened.
        MissingExtraError: It ends in ``.zst`` and nothing that reads that is installed.
    """
    packing = packing_of(path)
    if packing == "gzip":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if packing == "zstd":
        return io.BufferedReader(zstd().open(path, "rb"))
    return path.open("rb")


def damage() -> tuple[type[Exception], ...]:
    """Give what reading a packed file raises where it is cut off or damaged."""
    with contextlib.suppress(MissingExtraError):
        return EOFError, zlib.error, gzip.BadGzipFile, zstd().ZstdError
    return EOFError, zlib.error, gzip.BadGzipFile


def packer(packing: Packing) -> Any:
    """Give the module whose ``open`` packs so."""
    return gzip if packing == "gzip" else zstd()


def zstd() -> Any:
    """Give the library for zstd: Python's own from 3.14, or one of the packages.

    Raises:
        MissingExtraError: There is none.
    """
    for name in ("compression.zstd", "zstandard", "backports.zstd"):
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    raise MissingExtraError("zstandard, which packs and reads .zst files,", "zstd")


@contextlib.contextmanager
def locked(path: Path) -> Generator[BinaryIO | None]:
    """Make a file, or empty one that a killed process left; ``None`` where another is at it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        if is_named(fd, path):
            os.truncate(fd, 0)
            yield file
        else:  # the other has just finished it
            yield None


def wait_to_read(file: BinaryIO) -> None:
    """Wait while lines of an open file are overwritten; nobody overwrites one until it is closed.

    A lock of POSIX, which has nothing to do with that of `flock` by which writers keep it in place.
    """
    fcntl.lockf(file, fcntl.LOCK_SH)


def is_named(fd: int, path: Path) -> bool:
    """Say whether an open file still has that name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Have the names in a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
