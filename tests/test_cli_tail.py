"""``tokenmeter tail``: the last events, then those that come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from signals import heed_ctrl_c
from tokenmeter.cli import main
from tokenmeter.cli.tail import tail
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.stdout import line


def event(number: int) -> UsageEvent:
    return UsageEvent(
        kind="call",
        event_id=f"event-{number}",
        schema=1,
        ts=datetime(2026, 11, 22, 12, 0, number, tzinfo=UTC),
        provider="openai",
        request_model="m",
        status="completed",
    )


def append(path: Path, number: int) -> None:
    with path.open("ab") as file:
        file.write(msgspec.json.encode(event(number)) + b"\n")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "usage.jsonl"
    for number in range(1, 6):
        append(path, number)
    return path


def lines(*numbers: int) -> str:
    return "".join(line(event(number)) + "\n" for number in numbers)


def test_it_prints_the_last_events_as_the_stdout_exporter_does(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", str(ledger), "-n", "2", "--no-follow"]) == 0
    assert capsys.readouterr().out == lines(4, 5)


def test_it_goes_on_with_the_events_that_come(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = iter([6, 7])

    def wait() -> bool:
        number = next(coming, None)
        if number is not None:
            append(ledger, number)
        return number is not None

    tail(ledger, 1, wait)
    assert capsys.readouterr().out == lines(5, 6, 7)


def test_a_missing_ledger_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", str(tmp_path / "none.jsonl")]) == 2
    assert capsys.readouterr().err.startswith("tokenmeter: there is no ledger ")


def start(ledger: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tokenmeter", "tail", str(ledger), "-n", "100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )


def test_ctrl_c_ends_it_without_a_traceback(ledger: Path) -> None:
    with start(ledger) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == lines(1)
        os.kill(command.pid, signal.SIGINT)
        _out, err = command.communicate(timeout=30)
    assert (command.returncode, err) == (130, "")


def test_a_reader_that_goes_away_ends_it_without_a_traceback(ledger: Path) -> None:
    with start(ledger) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == lines(1)
        command.stdout.close()
        append(ledger, 6)
        err = command.stderr.read()
        command.wait()
    assert (command.returncode, err) == (141, "")
