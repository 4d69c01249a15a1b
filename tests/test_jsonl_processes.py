"""Several processes, several threads, one file: no torn line, no lost line."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import msgspec

from tokenmeter import UsageEvent

PROCESSES, EVENTS, THREADS = 8, 20_000, 2

WRITER = """
    import itertools, mmap, struct, sys, threading
    from datetime import UTC, datetime
    from tokenmeter import Meter, UsageEvent
    from tokenmeter.exporters.jsonl import Jsonl

    path, acknowledged, name, events, threads = sys.argv[1:]
    with open(acknowledged, "r+b") as file:
        seen = mmap.mmap(file.fileno(), 0)
    jsonl, ts = Jsonl(path), datetime(2026, 11, 22, tzinfo=UTC)

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
"""


def writer(path: Path, acknowledged: Path, name: str, events: int) -> subprocess.Popen[str]:
    acknowledged.write_bytes(b"\0" * 8 * THREADS)
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(WRITER)]
    return subprocess.Popen(
        [*program, str(path), str(acknowledged), name, str(events), str(THREADS)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        text=True,
    )


def finished_writes(acknowledged: Path) -> tuple[int, ...]:
    with acknowledged.open("r+b") as file, mmap.mmap(file.fileno(), 0) as seen:
        return struct.unpack_from(f"{THREADS}q", seen)


def test_eight_processes_write_one_file_and_one_is_killed_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    names = [f"w{n}" for n in range(PROCESSES)]
    writers = [writer(path, tmp_path / name, name, EVENTS) for name in names]
    killed = writer(path, tmp_path / "killed", "killed", 0)  # writes until it is killed
    for process in [*writers, killed]:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    while min(finished_writes(tmp_path / "killed")) < 500:
        assert killed.poll() is None
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert [process.wait(60) for process in writers] == [0] * PROCESSES
    assert killed.wait(60) == -signal.SIGKILL

    body = path.read_bytes()
    assert body.endswith(b"\n")
    decode = msgspec.json.Decoder(UsageEvent).decode
    written: dict[str, list[int]] = {}
    for event in map(decode, body.splitlines()):  # a torn line would raise
        assert event.task == "x" * ((event.attempt or 0) * 7919 % 900)
        written.setdefault(event.user or "", []).append(event.attempt or 0)
    share = list(range(EVENTS // THREADS))
    whole = {f"{name}.{thread}": share for name in names for thread in range(THREADS)}
    for thread, acknowledged in enumerate(finished_writes(tmp_path / "killed")):
        there = written.pop(f"killed.{thread}")
        assert there == list(range(len(there)))
        assert acknowledged <= len(there) <= acknowledged + 1  # the one in flight
    assert written == whole
    assert max(Counter(body.splitlines()).values()) == 1
