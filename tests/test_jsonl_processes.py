"""Several processes, several threads, one file: no torn line, no lost line."""

from __future__ import annotations

import gzip
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenmeter import UsageEvent
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.ledger import Ledger

PROCESSES, EVENTS, THREADS = 8, 20_000, 2

WRITER = """
    import itertools, json, mmap, struct, sys, threading
    from datetime import UTC, datetime
    from tokenmeter import Meter, UsageEvent
    from tokenmeter.exporters.jsonl import Jsonl

    path, acknowledged, name, events, threads, options = sys.argv[1:]
    with open(acknowledged, "r+b") as file:
        seen = mmap.mmap(file.fileno(), 0)
    jsonl, ts = Jsonl(path, **json.loads(options)), datetime(2026, 11, 22, tzinfo=UTC)

    def write(thread, count):
        user = f"{name}.{thread}"
        for n in range(count) if count else itertools.count():
            jsonl(UsageEvent(kind="call", event_id=f"{name}.{thread}.{n}", schema=1, ts=ts,
                             user=user, attempt=n, task="x" * (n * 7919 % 900)))
            struct.pack_into("q", seen, 8 * thread, n + 1)

    sys.stdin.readline()  # all begin together
    share = int(events) // int(threads)
    started = [threading.Thread(target=write, args=(t, share)) for t in range(int(threads))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    jsonl.close(60)
"""


def writer(
    path: Path, acknowledged: Path, name: str, events: int, **options: object
) -> subprocess.Popen[str]:
    acknowledged.write_bytes(b"\0" * 8 * THREADS)
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(WRITER)]
    return subprocess.Popen(
        [
            *program,
            str(path),
            str(acknowledged),
            name,
            str(events),
            str(THREADS),
            json.dumps(options),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        text=True,
    )


def finished_writes(acknowledged: Path) -> tuple[int, ...]:
    with acknowledged.open("r+b") as file, mmap.mmap(file.fileno(), 0) as seen:
        return struct.unpack_from(f"{THREADS}q", seen)


def written_by_eight(path: Path, events: int, **options: object) -> list[str]:
    """Let processes write at the same time, kill another one in the middle, and name them."""
    folder = path.parent / "acknowledged"
    folder.mkdir()
    names = [f"w{n}" for n in range(PROCESSES)]
    writers = [writer(path, folder / name, name, events, **options) for name in names]
    killed = writer(path, folder / "killed", "killed", 0, **options)  # writes until it is killed
    for process in [*writers, killed]:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    while min(finished_writes(folder / "killed")) < 500:
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert [process.wait(120) for process in writers] == [0] * PROCESSES
    assert killed.wait(60) == -signal.SIGKILL
    return names


def check(found: Iterable[UsageEvent], folder: Path, names: list[str], events: int) -> None:
    """Check that every event is there once, in the order of its thread, and the killed one's."""
    written: dict[str, list[int]] = {}
    for event in found:
        assert event.task == "x" * ((event.attempt or 0) * 7919 % 900)
        written.setdefault(event.user or "", []).append(event.attempt or 0)
    share = list(range(events // THREADS))
    whole = {f"{name}.{thread}": share for name in names for thread in range(THREADS)}
    for thread, acknowledged in enumerate(finished_writes(folder / "killed")):
        there = written.pop(f"killed.{thread}")
        assert there == list(range(len(there)))
        assert acknowledged <= len(there) <= acknowledged + 1  # the one in flight
    assert written == whole


def test_eight_processes_write_one_file_and_one_is_killed_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    names = written_by_eight(path, EVENTS)
    with Ledger(path) as ledger:
        check(ledger, tmp_path / "acknowledged", names, EVENTS)
        assert len(ledger.torn) <= 1  # the kernel may end a write where its process is killed
    body = path.read_bytes()
    assert body.endswith(b"\n")
    assert max(Counter(line for line in body.splitlines() if line.strip()).values()) == 1


def test_eight_processes_close_and_pack_one_ledger_while_one_is_killed(tmp_path: Path) -> None:
    """Complaint C77: appending and rotation race, and lines are torn or lost."""
    path = tmp_path / "usage.jsonl"
    events, options = EVENTS // 8, {"rotate_bytes": 200_000, "compress": "gzip"}
    names = written_by_eight(path, events, **options)
    Jsonl(path, **options).close(60)  # type: ignore[arg-type] # finishes what the killed one left
    with Ledger(path) as ledger:
        check(ledger, tmp_path / "acknowledged", names, events)
        assert len(ledger.skipped) <= 1  # likewise
        assert not ledger.unfinished
    files = {p.name for p in tmp_path.iterdir()} - {"acknowledged", "usage.jsonl"}
    assert len(files) > 40
    assert all(name.endswith(".jsonl.gz") for name in files)
    assert all(len(gzip.decompress((tmp_path / name).read_bytes())) <= 200_000 for name in files)


def test_of_what_eight_processes_close_the_newest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    options = {"rotate_bytes": 100_000, "compress": "gzip", "keep_files": 3}
    written_by_eight(path, 2_000, **options)
    Jsonl(path, **options).close(60)  # type: ignore[arg-type]
    assert len([p for p in tmp_path.iterdir() if p.suffix == ".gz"]) == 3
    assert len(list(tmp_path.iterdir())) == 5
    with Ledger(path) as ledger:
        assert sum(1 for _ in ledger) > 0
        assert len(ledger.skipped) <= 1
