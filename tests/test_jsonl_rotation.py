"""Files that are closed, packed and given up: nothing lost, nothing twice, whoever is killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from test_jsonl import event
from tokenmeter import ConfigurationError
from tokenmeter.errors import MissingExtraError
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.jsonl_closed import ClosedFiles, Closing, ledger_of
from tokenmeter.ledger import Ledger, read

DAY_S = 86_400.0
NOON_S = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
LINE = len(msgspec.json.encode(event())) + 1


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now_s: float = NOON_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbers(path: Path) -> list[int]:
    return [int(found.event_id, 16) for found in read(path)]


def numbers_in(path: Path) -> list[int]:
    with Ledger(path, 0) as ledger:
        return [int(found.event_id, 16) for found in ledger]


def rotated(path: Path, count: int, **options: Any) -> None:
    """Write events of which two fill a file."""
    jsonl = Jsonl(path, rotate_bytes=2 * LINE, now_s=Clock(), **options)
    for n in range(count):
        jsonl(event(n))
    jsonl.close(60)


def test_a_file_is_closed_before_it_would_be_longer_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    rotated(path, 5)
    assert names(tmp_path) == [
        "usage.20261123T120000Z-0001.jsonl",
        "usage.20261123T120000Z-0002.jsonl",
        "usage.jsonl",
    ]
    assert [len(p.read_bytes()) // LINE for p in sorted(tmp_path.iterdir())] == [2, 2, 1]
    assert numbers(path) == [0, 1, 2, 3, 4]


def test_an_event_or_a_batch_that_is_longer_than_a_file_may_be_has_a_file_of_its_own(
    tmp_path: Path,
) -> None:
    jsonl = Jsonl(tmp_path / "u.jsonl", rotate_bytes=10, now_s=Clock())
    jsonl(event(1))
    jsonl.batch([event(2), event(3)])
    jsonl(event(4))
    assert [len(p.read_bytes()) // LINE for p in sorted(tmp_path.iterdir())] == [1, 2, 1]


def test_a_file_is_closed_before_the_first_event_of_another_day_and_never_when_a_clock_goes_back(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "u.jsonl", Clock()

    def write(n: int, now_s: float) -> None:
        clock.now_s = now_s
        jsonl(event(n))
        os.utime(path, (now_s, now_s))  # as the file system stamps it

    jsonl = Jsonl(path, rotate_daily=True, now_s=clock)
    write(1, NOON_S)
    write(2, NOON_S + DAY_S / 2 - 1)  # the last second of the day
    write(3, NOON_S + DAY_S / 2)
    write(4, NOON_S)  # the clock goes back
    write(5, NOON_S + DAY_S / 2 + 1)
    write(6, NOON_S + 3 * DAY_S)
    assert names(tmp_path) == [
        "u.20261124T000000Z-0001.jsonl",
        "u.20261126T120000Z-0001.jsonl",
        "u.jsonl",
    ]
    assert [numbers_in(p) for p in sorted(tmp_path.iterdir())] == [[1, 2], [3, 4, 5], [6]]


def test_names_sort_by_time_when_the_clock_goes_back(tmp_path: Path) -> None:
    clock = Clock()
    jsonl = Jsonl(tmp_path / "u.jsonl", rotate_bytes=1, now_s=clock)
    for n, now_s in enumerate([NOON_S, NOON_S, NOON_S - 3600, NOON_S + 1, NOON_S]):
        clock.now_s = now_s
        jsonl(event(n))
    assert names(tmp_path) == [
        "u.20261123T120000Z-0001.jsonl",
        "u.20261123T120000Z-0002.jsonl",
        "u.20261123T120001Z-0001.jsonl",
        "u.20261123T120001Z-0002.jsonl",
        "u.jsonl",
    ]
    assert numbers(tmp_path / "u.jsonl") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("packing", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_closed_files_are_packed(tmp_path: Path, packing: Any, ending: str) -> None:
    path = tmp_path / "usage.jsonl"
    rotated(path, 5, compress=packing)
    assert names(tmp_path) == [
        f"usage.20261123T120000Z-0001.jsonl{ending}",
        f"usage.20261123T120000Z-0002.jsonl{ending}",
        "usage.jsonl",
    ]
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert numbers(tmp_path / names(tmp_path)[1]) == [2, 3]


def test_only_the_newest_closed_files_are_kept_and_only_ours_are_touched(tmp_path: Path) -> None:
    others = [
        "usage.20200101T000000Z-0001.jsonl.bak", "usage.20200101T000000Z-1.jsonl",
        "usage.20200101-0001.jsonl", "other.20200101T000000Z-0001.jsonl",
        "usage.20200101T000000Z-0001.jsonl.gz.old", "xusage.20200101T000000Z-0001.jsonl",
    ]  # fmt: skip
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / "usage.20200101T000000Z-0001.jsonl.gz").mkdir()  # what is no file is not ours
    (tmp_path / "usage.20200102T000000Z-0001.jsonl.gz").touch()
    rotated(tmp_path / "usage.jsonl", 7, keep_files=2)
    assert set(names(tmp_path)) - set(others) == {
        "usage.20200101T000000Z-0001.jsonl.gz",
        "usage.20261123T120000Z-0002.jsonl",
        "usage.20261123T120000Z-0003.jsonl",
        "usage.jsonl",
    }
    assert set(others) <= set(names(tmp_path))


def test_closed_files_are_kept_for_days_and_the_current_one_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path, rotate_bytes=1, keep_days=2, now_s=clock)
    for n, days in enumerate([0, 1, 2, 3]):
        clock.now_s = NOON_S + days * DAY_S
        jsonl(event(n))
    jsonl.close(60)
    assert numbers(path) == [0, 1, 2, 3]
    clock.now_s += DAY_S
    Jsonl(path, rotate_bytes=100 * LINE, keep_days=2, now_s=clock).close(60)
    assert numbers(path) == [1, 2, 3]
    clock.now_s += 99 * DAY_S
    Jsonl(path, rotate_bytes=100 * LINE, keep_days=2, now_s=clock).close(60)
    assert names(tmp_path) == ["u.jsonl"]


def test_the_next_file_and_packed_ones_have_the_mode_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    Jsonl(path, rotate_bytes=1)(event(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    jsonl = Jsonl(path, rotate_bytes=1, compress="gzip")
    jsonl(event(2))
    jsonl.close(60)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o640}


def test_a_link_is_followed_and_the_file_is_closed_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "u.jsonl"
    link.symlink_to(tmp_path / "real" / "usage.jsonl")
    rotated(link, 3)
    assert names(tmp_path / "real") == ["usage.20261123T120000Z-0001.jsonl", "usage.jsonl"]
    assert link.is_symlink()
    assert numbers(link) == [0, 1, 2]


def test_no_lock_file_is_made_and_a_link_in_place_of_a_packed_file_is_not_followed(
    tmp_path: Path,
) -> None:
    """Complaint C77: lock files with permissions of their own, and links."""
    (tmp_path / "precious").write_text("keep me")
    part = tmp_path / "usage.20261123T120000Z-0001.jsonl.gz.part"
    part.symlink_to(tmp_path / "precious")
    rotated(tmp_path / "usage.jsonl", 3, compress="gzip")
    assert (tmp_path / "precious").read_text() == "keep me"
    assert set(names(tmp_path)) - {"precious", part.name} == {
        "usage.20261123T120000Z-0001.jsonl",
        "usage.jsonl",
    }


def test_lines_of_a_process_that_was_killed_while_it_wrote_end_before_the_next(
    tmp_path: Path,
) -> None:
    path = tmp_path / "u.jsonl"
    torn = msgspec.json.encode(event(1, user="ada"))[:60]
    for n, options in enumerate([{}, {"rotate_daily": True}], 2):
        path.write_bytes(torn)
        Jsonl(path, **options)(event(n))  # type: ignore[arg-type]
        assert path.read_bytes() == torn + b"\n" + msgspec.json.encode(event(n)) + b"\n"


def test_somebody_elses_move_or_removal_is_noticed_by_the_next_event(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path, rotate_bytes=100 * LINE)
    jsonl(event(1))
    path.rename(tmp_path / "moved")
    jsonl(event(2))
    path.unlink()
    jsonl(event(3))
    assert (numbers(tmp_path / "moved"), numbers(path)) == ([1], [3])


def test_a_file_that_is_not_rotated_is_looked_for_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path)
    jsonl(event(1))
    path.rename(tmp_path / "moved")
    monkeypatch.setattr("tokenmeter.exporters.jsonl_files.LOOK_S", -1)  # it is time to look
    jsonl(event(2))
    assert (numbers(tmp_path / "moved"), numbers(path)) == ([1], [2])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not os.get_inheritable(jsonl._file.fd)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rotate_bytes": 0}, "rotate_bytes is a number of bytes, 1 or more; got 0"),
        ({"rotate_bytes": "1 MB"}, "rotate_bytes is a number of bytes, 1 or more; got '1 MB'"),
        ({"rotate_bytes": True}, "rotate_bytes is a number of bytes, 1 or more; got True"),
        ({"rotate_bytes": 9, "compress": "zip"}, "compress is 'gzip' or 'zstd'; got 'zip'"),
        ({"rotate_bytes": 9, "keep_files": -1}, "keep_files is a number, 0 or more; got -1"),
        ({"rotate_bytes": 9, "keep_days": "7"}, "keep_days is a number, 0 or more; got '7'"),
        ({"compress": "gzip"}, "add rotate_bytes=… or rotate_daily=True"),
        ({"keep_files": 3}, "add rotate_bytes=… or rotate_daily=True"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Jsonl(tmp_path / "u.jsonl", **options)
    assert said in str(caught.value)
    assert names(tmp_path) == []


def test_zstd_without_its_package_is_answered_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("compression.zstd", "zstandard", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[zstd\]'"):
        Jsonl(tmp_path / "u.jsonl", rotate_bytes=1, compress="zstd")


def test_a_closed_file_says_whose_it_is() -> None:
    closing = Closing("20261123T120000Z", 12)
    for name in ("usage.jsonl", "usage", "a.b.jsonl", "usage.log"):
        for ending in ("", ".gz", ".zst"):
            closed = ClosedFiles(Path("logs", name)).path(closing, ending)
            assert ledger_of(closed) == (Path("logs", name), closing)
    for name in ("usage.jsonl", "usage.2026-0001.jsonl", "usage.20261123T120000Z-1.jsonl"):
        assert ledger_of(name) is None


def test_what_cannot_be_packed_stays_readable_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "usage.jsonl"

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        rotated(path, 5, compress="gzip")
    assert [name.endswith(".jsonl") for name in names(tmp_path)] == [True] * 3
    assert "the closed files of a ledger failed with OSError (ENOSPC)" in caplog.text
    Jsonl(path, rotate_bytes=99 * LINE, compress="gzip").close(60)
    assert [name.endswith(".gz") for name in names(tmp_path)] == [True, True, False]
    assert numbers(path) == [0, 1, 2, 3, 4]


# Durability


class Watched:
    """Note which calls of `os` are made, in their order, and make them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.calls: list[str] = []
        for name in names:
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name)))

    def _noting(self, name: str, call: Any) -> Any:
        def noting(*args: Any, **kwargs: Any) -> Any:
            try:
                return call(*args, **kwargs)
            finally:
                self.calls.append(name)

        return noting


def test_with_fsync_the_disk_has_a_line_before_its_event_counts_as_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch, "write", "fdatasync", "fsync", "rename")
    plain = Jsonl(tmp_path / "u.jsonl", fsync=True)
    plain(event(1))
    plain.batch([event(2), event(3)])
    assert watched.calls == ["fsync", *["write", "fdatasync"] * 2]  # the folder, at first
    Jsonl(tmp_path / "v.jsonl")(event(1))
    assert watched.calls == ["fsync", *["write", "fdatasync"] * 2, "write"]


def test_with_fsync_a_rotation_is_on_the_disk_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jsonl = Jsonl(tmp_path / "u.jsonl", fsync=True, rotate_bytes=1)
    jsonl(event(1))
    watched = Watched(monkeypatch, "write", "fdatasync", "fsync", "rename")
    jsonl(event(2))
    assert watched.calls == ["fsync", "rename", "fsync", "write", "fdatasync"]


# Several processes and a fork

KILLED = """
    import json, os, signal, sys
    from pathlib import Path
    from test_jsonl import event
    from test_jsonl_rotation import Clock, LINE
    from tokenmeter.exporters.jsonl import Jsonl

    folder, packing, count = Path(sys.argv[1]), sys.argv[2] or None, 0

    def counted(call):
        def counting(*args, **kwargs):
            global count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counting

    def work():
        say = os.write
        for name in ("open", "write", "rename", "dup2", "close", "fchmod", "fsync", "truncate",
                     "unlink", "fdatasync", "chmod"):
            setattr(os, name, counted(getattr(os, name)))
        jsonl = Jsonl(path, rotate_bytes=2 * LINE, compress=packing, fsync=True, now_s=Clock())
        for n in range(3):
            jsonl(event(n))
            say(told, b".")
        jsonl.close(60)
        os._exit(0)

    for step in range(1, 200):
        path = folder / str(step) / "usage.jsonl"
        path.parent.mkdir()
        heard, told = os.pipe()
        child = os.fork()
        if not child:
            work()
        os.close(told)
        status = os.waitpid(child, 0)[1]
        print(json.dumps([os.waitstatus_to_exitcode(status), len(os.read(heard, 99))]))
        os.close(heard)
        if status == 0:
            break
"""


@pytest.mark.parametrize("packing", ["", "gzip"])
def test_a_process_that_is_killed_at_any_step_leaves_what_the_next_one_goes_on_from(
    tmp_path: Path, packing: Any
) -> None:
    said = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(KILLED), str(tmp_path), packing],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    ).stdout
    fates = [json.loads(line) for line in said.splitlines()]
    assert [fate for fate, _ in fates] == [-signal.SIGKILL] * (len(fates) - 1) + [0]
    assert len(fates) > 20
    for step, (_, taken) in enumerate(fates, 1):
        path = tmp_path / str(step) / "usage.jsonl"
        there = numbers(path) if names(path.parent) else []
        assert there in (list(range(taken)), list(range(taken + 1)))  # the one in flight
        jsonl = Jsonl(path, rotate_bytes=2 * LINE, compress=packing or None, now_s=Clock())
        jsonl.batch([event(10), event(11)])
        jsonl(event(12))
        jsonl.close(60)
        assert numbers(path) == [*there, 10, 11, 12]
        closed = set(names(path.parent)) - {"usage.jsonl"}
        assert all(name.endswith(".gz" if packing else ".jsonl") for name in closed)


def test_a_forked_child_and_its_parent_close_files_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    program = """
        import os, sys, threading
        from test_jsonl import event
        from test_jsonl_rotation import LINE
        from tokenmeter.exporters.jsonl import Jsonl

        jsonl = Jsonl(sys.argv[1], rotate_bytes=5 * LINE)
        jsonl(event(0))
        jsonl._file._lock.acquire()  # as a thread that was writing while the process forked
        child = os.fork()
        if child:
            jsonl._file._lock.release()
        for n in range(500):
            jsonl(event(1 + n * 2 + (child == 0)))
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
    )
    found = numbers(path)
    assert sorted(found) == list(range(1001))
    assert found[0] == 0
    for parity in (0, 1):
        assert [n for n in found[1:] if n % 2 == parity] == [
            n for n in range(1, 1001) if n % 2 == parity
        ]
    assert max(p.stat().st_size for p in tmp_path.iterdir()) <= 5 * LINE


def test_threads_share_a_file_that_is_closed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path, rotate_bytes=7 * LINE, compress="gzip")

    def write(thread: int) -> None:
        for n in range(200):
            jsonl(event(thread * 1000 + n))

    threads = [threading.Thread(target=write, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jsonl.close(60)
    assert sorted(numbers(path)) == sorted(t * 1000 + n for t in range(8) for n in range(200))
    packed = [p for p in tmp_path.iterdir() if p != path]
    assert len(packed) > 100
    assert all(len(gzip.decompress(p.read_bytes())) <= 7 * LINE for p in packed)


# Batches


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path)
    watched = Watched(monkeypatch, "write")
    jsonl.batch([event(n) for n in range(100)])
    assert watched.calls == ["write"]
    assert numbers(path) == list(range(100))


def test_the_reader_that_begins_in_the_middle_leaves_closed_files_out(tmp_path: Path) -> None:
    rotated(tmp_path / "u.jsonl", 3)
    assert numbers_in(tmp_path / "u.jsonl") == [2]
