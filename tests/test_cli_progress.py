"""Long work: how far it is, and that Ctrl-C stops it and leaves nothing behind."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from signals import heed_ctrl_c
from tokenmeter.cli.progress import watched
from tokenmeter.event import UsageEvent


def test_work_runs_in_a_thread_and_is_looked_at_meanwhile() -> None:
    looked, seen = threading.Event(), list[float]()

    def say(percent: float) -> None:
        seen.append(percent)
        looked.set()

    def work() -> str:
        assert looked.wait(30)
        return threading.current_thread().name

    found = watched(work, lambda: 42.0, lambda: None, say)
    assert found != threading.current_thread().name
    assert seen[0] == 42.0


def test_what_work_raises_is_raised() -> None:
    def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        watched(work, lambda: -1.0, lambda: None, lambda _: None)


def test_an_interrupt_stops_the_work_and_waits_until_it_has_ended() -> None:
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert stopped.wait(30)
        ended.set()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(work, lambda: 0.0, stopped.set, interrupted)
    assert ended.is_set()


STARTED = datetime(2026, 11, 22, 12, tzinfo=UTC)
SLOW = """
import sys
from tokenmeter.cli import main
from tokenmeter.reports.engines import duckdb
from tokenmeter.reports import running

def endless(report, engine, scope):
    print("begun", flush=True)
    engine.ask("SELECT count(*) FROM range(9999999999) a, range(999) b WHERE a.range % 7 = b.range")

import tokenmeter.cli.reporting as reporting
reporting.run = endless
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_ctrl_c_ends_a_query_and_leaves_nothing_behind(tmp_path: Path, is_terminal: bool) -> None:
    ledger, spilled = tmp_path / "usage.jsonl", tmp_path / "spilled"
    spilled.mkdir()
    event = UsageEvent(kind="call", event_id="1", schema=1, ts=STARTED)
    ledger.write_bytes(msgspec.json.encode(event) + b"\n")
    here, there = pty.openpty()
    command = [sys.executable, "-c", SLOW, "report", str(ledger), "--output", f"{tmp_path}/o.csv"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=there if is_terminal else subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(spilled), "TERM": "xterm"},
        preexec_fn=heed_ctrl_c,
    ) as process:
        os.close(there)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"begun\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    os.close(here)
    assert list(spilled.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spilled", "usage.jsonl"]
