"""Lines overwritten in place: by whomever interrupted, the next run finishes them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError
from tokenmeter.erasing.patches import Journal, Patch, journal_of

OLD, NEW = b'{"user":"ada","n":1}\n', b'{"n":1}             \n'


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"first\n" + OLD + b"last\n")
    return path


def applied(ledger: Path, journal: Journal, *patches: Patch) -> list[Patch]:
    with ledger.open("r+b") as file:
        return journal.apply(file.fileno(), patches)


def test_a_line_is_overwritten_and_no_journal_is_left(ledger: Path) -> None:
    os.utime(ledger, (1, 2))
    patch = Patch(6, OLD, NEW)
    with journal_of(ledger) as journal:
        assert applied(ledger, journal, patch) == [patch]
    assert ledger.read_bytes() == b"first\n" + NEW + b"last\n"
    assert ledger.stat().st_mtime == 2  # the day decides when it is closed
    assert [path.name for path in ledger.parent.iterdir()] == ["usage.jsonl"]


def test_a_line_that_is_not_any_more_what_it_was_stays(ledger: Path) -> None:
    with journal_of(ledger) as journal:
        os.truncate(ledger, 10)
        assert applied(ledger, journal, Patch(6, OLD, NEW), Patch(99, OLD, NEW)) == []
    assert ledger.read_bytes() == b"first\n" + OLD[:4]


def test_two_at_once_are_refused_and_the_first_goes_on(ledger: Path) -> None:
    with (
        journal_of(ledger) as journal,
        pytest.raises(ConfigurationError, match=r"another tokenmeter erase is at .*usage\.jsonl"),
        journal_of(ledger),
    ):
        raise AssertionError(journal)
    with journal_of(ledger):
        pass


@settings(deadline=None)
@given(st.sets(st.integers(0, len(OLD) - 1)))
def test_whatever_bytes_are_new_already_a_line_is_mended(
    tmp_path_factory: pytest.TempPathFactory, new: set[int]
) -> None:
    path = tmp_path_factory.mktemp("mended") / "journal"
    with path.open("w+b") as file:
        Journal(file.fileno())._write([Patch(6, OLD, NEW)])
        journal = Journal(file.fileno())
    line = bytes(NEW[n] if n in new else byte for n, byte in enumerate(OLD))
    assert journal.mended(6, line) == (OLD if line == OLD else NEW)
    assert journal.mended(7, line) == line
    assert journal.mended(6, line + b"x") == line + b"x"
    other = line.replace(b"{", b"[")
    assert journal.mended(6, other) == other


@pytest.mark.parametrize("size", [0, 1, 31, 32, 40])
def test_of_a_journal_that_is_not_whole_nothing_was_begun(ledger: Path, size: int) -> None:
    kept = ledger.with_name("usage.jsonl.erase.part")
    with kept.open("w+b") as file:
        Journal(file.fileno())._write([Patch(6, OLD, NEW)])
        os.truncate(file.fileno(), size)
        assert Journal(file.fileno()).left == {}


def test_a_journal_that_says_something_stays_until_all_files_were_looked_at(ledger: Path) -> None:
    kept = ledger.with_name("usage.jsonl.erase.part")
    with kept.open("w+b") as file:
        Journal(file.fileno())._write([Patch(6, OLD, NEW)])
    with journal_of(ledger, is_all=False):
        pass
    assert kept.exists()
    with journal_of(ledger):
        pass
    assert not kept.exists()


def test_what_must_not_see_a_line_half_way_waits(ledger: Path) -> None:
    """The lock is one between processes: a child cannot have it while lines are overwritten."""
    from tokenmeter.erasing.patches import reading_kept_out

    program = textwrap.dedent("""
        import fcntl, sys
        with open(sys.argv[1], "rb") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.exit(7)
    """)
    command = [sys.executable, "-c", program, str(ledger)]
    with ledger.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # which writers have, and which has nothing to do with it
        with reading_kept_out(file.fileno()):
            assert subprocess.run(command, check=False, timeout=60).returncode == 7
        assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_a_process_that_is_killed_in_the_middle_of_a_line_leaves_what_the_next_finishes(
    ledger: Path,
) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from tokenmeter.erasing.patches import Patch, journal_of

        path, old, new = Path(sys.argv[1]), *map(str.encode, sys.argv[2:])
        write = os.pwrite

        def half(fd, data, at):
            if at != 6:
                return write(fd, data, at)
            write(fd, data[: len(data) // 2], at)
            os.kill(os.getpid(), signal.SIGKILL)

        os.pwrite = half
        with journal_of(path) as journal, path.open("r+b") as file:
            journal.apply(file.fileno(), [Patch(6, old, new)])
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(ledger), OLD.decode(), NEW.decode()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    half = ledger.read_bytes()[6 : 6 + len(OLD)]
    assert half not in (OLD, NEW)
    with journal_of(ledger) as journal:
        assert journal.mended(6, half) == NEW
