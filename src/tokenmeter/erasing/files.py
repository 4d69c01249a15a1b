"""Erasing a person from JSONL: in place where others append, rewritten beside where nobody does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tokenmeter.erasing.patches import Journal, Patch, journal_of
from tokenmeter.erasing.person import Found, Person
from tokenmeter.exporters.jsonl_closed import (
    ENDINGS,
    ClosedFiles,
    Closing,
    damage,
    is_named,
    ledger_of,
    locked,
    open_packed,
    packer,
    packing_of,
    sync_folder,
)

BATCH_BYTES = 1 << 20
"""How much is overwritten at once."""

_PAUSE_S = 0.05
_LOOKS = 20


class Place(NamedTuple):
    """What was found in a file, a table.

    Attributes:
        name: What it is called.
        events: Events of the person.
        elsewhere: Lines in which a name of the person stands where it is not erased: in a task, in
            a tag that nobody named, in what is no event. Always 0 of a table.
        trouble: Why it is not known that nothing is left, if it is not.
    """

    name: str
    events: int
    elsewhere: int = 0
    trouble: str | None = None


def erase_ledger(path: Path, person: Person, *, dry_run: bool) -> Iterator[Place]:
    """Erase a person from a ledger and all of its closed files, or from the one that is named.

    Yields:
        What was found, a file each; also where nothing was.

    Raises:
        ConfigurationError: Another process is at it.
        OSError: A file cannot be read or written. It is the old one, or can be made whole by
            another run.
    """
    one = ledger_of(path)
    ledger = path.resolve() if one is None else one[0].resolve()
    with contextlib.nullcontext() if dry_run else journal_of(ledger, is_all=not one) as journal:
        files = ClosedFiles(ledger)
        if one is not None:
            yield from _closed(files, one[1], person, journal)
        elif packing_of(ledger):
            yield from _packed(ledger, person, journal)
        else:
            yield from _whole(ledger, files, person, journal)


def _whole(
    ledger: Path, files: ClosedFiles, person: Person, journal: Journal | None
) -> Iterator[Place]:
    """Go through a ledger; what was closed on the way comes last, for it may be half done."""
    before = files.closings()
    for closing in before:
        yield from _closed(files, closing, person, journal)
    with contextlib.suppress(FileNotFoundError):
        yield _in_place(ledger, person, journal)
    for closing in files.closings():
        if closing not in before:
            yield from _closed(files, closing, person, journal)


# -- in place -------------------------------------------------------------------------------------


def _in_place(path: Path, person: Person, journal: Journal | None) -> Place:
    """Overwrite what stands there now; what is appended meanwhile is left."""
    count = _Count()
    with path.open("rb" if journal is None else "r+b") as file:
        if person.whole and _is_spilled(file):
            return Place(str(path), 0, 0, "a process delivers from it: run again when it has ended")
        for patches in _batches(_patches(file, person, journal, count)):
            if journal is not None and journal.apply(file.fileno(), patches) != patches:
                count.trouble = "it changed while it was read: run again"
    return count.place(path)


def _is_spilled(file: BinaryIO) -> bool:
    """Say whether a process holds a file as long as it lives, and knows how many events are in it.

    One that writes a ledger, and closes it when it is full, holds it while it writes a line.
    """
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            return False
        time.sleep(_PAUSE_S)
    return True


def _patches(
    file: BinaryIO, person: Person, journal: Journal | None, count: _Count
) -> Iterator[Patch]:
    for at, was in _lines(file):
        if not was.endswith(b"\n"):
            if person.names_in(was):
                count.trouble = "its last line has no end yet and a name in it: run again later"
            return
        line = was if journal is None else journal.mended(at, was)
        new = _fitting(count.add(person.found(line)), len(was)) or line
        if new != was:
            yield Patch(at, was, new)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    at, end = 0, os.fstat(file.fileno()).st_size
    for line in file:
        yield at, line
        at += len(line)
        if at >= end:
            return


def _fitting(found: Found, size: int) -> bytes | None:
    """Give the best line that takes no more room, filled up with spaces, which JSON allows."""
    lines = [line for line in found.lines if len(line) <= size]
    return lines[0][:-1].ljust(size - 1) + b"\n" if lines else None


def _batches(patches: Iterator[Patch]) -> Iterator[list[Patch]]:
    batch: list[Patch] = []
    size = 0
    for patch in patches:
        batch.append(patch)
        size += len(patch.old)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


# -- beside ---------------------------------------------------------------------------------------


def _closed(
    files: ClosedFiles, closing: Closing, person: Person, journal: Journal | None
) -> Iterator[Place]:
    """Go through a closed file, which may be there packed and not, while nobody packs it."""
    paths = {ending: files.path(closing, ending) for ending in ("", *ENDINGS.values())}
    with _held(paths.values(), dry_run=journal is None) as parts:
        for path in paths.values():
            with contextlib.suppress(FileNotFoundError):
                yield _beside(path, person, journal, parts.get(path))


def _packed(path: Path, person: Person, journal: Journal | None) -> Iterator[Place]:
    with _held([path], dry_run=journal is None) as parts:
        yield _beside(path, person, journal, parts.get(path))


@contextlib.contextmanager
def _held(paths: Iterable[Path], *, dry_run: bool) -> Generator[Mapping[Path, BinaryIO]]:
    """Make the files that are to be renamed to these, while no other process packs one of them."""
    wanted = [] if dry_run else list(paths)
    while True:
        with contextlib.ExitStack() as locks:
            parts = {path: locks.enter_context(locked(_part(path))) for path in wanted}
            held = {path: part for path, part in parts.items() if part is not None}
            try:
                if len(held) == len(parts):
                    yield held
                    return
            finally:
                for path, part in held.items():
                    if is_named(part.fileno(), _part(path)):
                        _part(path).unlink()
        time.sleep(_PAUSE_S)  # somebody packs it


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _beside(path: Path, person: Person, journal: Journal | None, part: BinaryIO | None) -> Place:
    """Write a file anew where something is to change; it is the old one or the new one."""
    count = _Count()
    try:
        changes = sum(new != was for was, new in _rewritten(path, person, journal, count))
    except damage():
        count.trouble = "it is damaged"
        return count.place(path)
    if changes and part is not None:
        with _packing_into(path, part) as out:
            for _, new in _rewritten(path, person, journal, _Count()):
                out.write(new)
        _publish(part, path)
    return count.place(path)


def _rewritten(
    path: Path, person: Person, journal: Journal | None, count: _Count
) -> Iterator[tuple[bytes, bytes]]:
    """Give each line and what it becomes, which is nothing where it goes."""
    at = 0
    with open_packed(path) as file:
        for was in file:
            line = was if journal is None else journal.mended(at, was)
            at += len(was)
            found = count.add(person.found(line))
            yield was, (found.lines[0].lstrip(b"\n") if found.lines else line)


def _packing_into(path: Path, part: BinaryIO) -> contextlib.AbstractContextManager[BinaryIO]:
    packing = packing_of(path)
    return contextlib.nullcontext(part) if packing is None else packer(packing).open(part, "wb")


def _publish(part: BinaryIO, path: Path) -> None:
    """Give a finished file its name, its owner, its mode and the time of the old one."""
    part.flush()
    old = path.stat()
    with contextlib.suppress(PermissionError):
        os.chown(part.fileno(), old.st_uid, old.st_gid)
    shutil.copystat(path, _part(path))
    os.fsync(part.fileno())
    _part(path).rename(path)
    sync_folder(path.parent)


class _Count:
    """What was found so far."""

    def __init__(self) -> None:
        self.events = self.elsewhere = 0
        self.trouble: str | None = None

    def add(self, found: Found) -> Found:
        self.events += found.events
        self.elsewhere += found.elsewhere
        return found

    def place(self, path: Path) -> Place:
        return Place(str(path), self.events, self.elsewhere, self.trouble)
