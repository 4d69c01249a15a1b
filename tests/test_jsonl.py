"""Events in a file: one whole line each, or none and an error."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError, Meter, UsageEvent
from tokenmeter.errors import RejectedError
from tokenmeter.exporters import exporter
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.jsonl_files import blank
from tokenmeter.sinks import Account


def event(n: int = 0, **more: Any) -> UsageEvent:
    ts = datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC)
    return UsageEvent(kind="call", event_id=f"{n:032x}", schema=1, ts=ts, **more)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_one_event_is_one_flat_line_without_what_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    jsonl = Jsonl(path)
    tags: dict[str, Any] = {"tier": "gold", "n": 1, "on": True}
    columns: dict[str, Any] = {"finish_reasons": ("stop",), "cost_amount": Decimal("0.000123")}
    jsonl(event(1, user="ada\nlovelace", input_tokens=0, tags=tags, **columns))
    jsonl.close()
    jsonl.close()
    assert [json.loads(line) for line in lines(path)] == [
        {
            "kind": "call",
            "event_id": "00000000000000000000000000000001",
            "schema": 1,
            "ts": "2026-11-22T01:02:03.000004Z",
            "user": "ada\nlovelace",
            "input_tokens": 0,
            "finish_reasons": ["stop"],
            "cost_amount": "0.000123",
            "tags": {"tier": "gold", "n": 1, "on": True},
        }
    ]


@settings(max_examples=60, deadline=None)
@given(user=st.text(st.characters(exclude_categories=["Cs"])), tokens=st.integers(0, 2**53))
def test_what_is_written_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, user: str, tokens: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "u.jsonl"
    jsonl, written = Jsonl(path), event(3, user=user, output_tokens=tokens)
    jsonl(written)
    jsonl.close()
    [line] = path.read_bytes().split(b"\n")[:-1]
    assert msgspec.json.decode(line, type=UsageEvent) == written


def test_a_new_file_can_be_read_by_its_owner_alone_and_an_old_one_is_added_to(
    tmp_path: Path,
) -> None:
    path = tmp_path / "usage.jsonl"
    first = Jsonl(path)
    first(event(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Jsonl(str(path))(event(2))
    first(event(3))
    assert [json.loads(line)["event_id"][-1] for line in lines(path)] == ["1", "2", "3"]


@pytest.mark.parametrize("where", ["missing/u.jsonl", "", "file/u.jsonl"])
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="name a file in an existing folder") as caught:
        exporter(f"jsonl:{tmp_path / where}")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("given", "said"),
    [("jsonl", "'jsonl' needs 'path'"), ("jsonl:", "name a file in an existing folder")],
)
def test_a_path_is_needed(given: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        exporter(given)


def test_text_that_is_no_text_costs_its_event_alone(tmp_path: Path) -> None:
    meter = Meter([f"jsonl:{tmp_path / 'u.jsonl'}"])
    for user in ("ada", "\ud800", "bob"):
        meter.record(event(user=user))
    meter.shutdown()
    assert [json.loads(line)["user"] for line in lines(tmp_path / "u.jsonl")] == ["ada", "bob"]
    assert meter.guard.failures == {"the exporter Jsonl": 1}


def test_a_full_disk_is_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter(["jsonl:/dev/full"])
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        for n in range(3):
            meter.record(event(n))
    assert meter.stats()["Jsonl"] == Account(captured=3, failed=3)._asdict()
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("the exporter Jsonl failed with OSError (ENOSPC) at ")
    meter.shutdown()


# A line that did not fit

WHOLE = event(7, user="ada lovelace", tags={"a": 1}, input_tokens=5)
LINE = msgspec.json.encode(WHOLE)


@pytest.mark.parametrize("length", [*range(1, 30), 60, len(LINE) - 1, len(LINE)])
@pytest.mark.parametrize("behind", ["nothing", "a line", "two lines", "a torn line"])
def test_a_torn_line_becomes_a_blank_one_whatever_was_written_behind_it(
    tmp_path: Path, length: int, behind: str
) -> None:
    path = tmp_path / "u.jsonl"
    mine, other = Jsonl(path), Jsonl(path)
    part = LINE[:length]
    other(event(1))
    os.write(mine._file.fd, part)
    expected = [1]
    if "line" in behind and behind != "a torn line":
        other(event(2))
        expected.append(2)
    if behind == "two lines":
        other(event(3, user="x"))
        expected.append(3)
    if behind == "a torn line":
        os.write(other._file.fd, LINE[:9])
        blank(other._file.fd, path, LINE[:9])
    blank(mine._file.fd, path, part)
    other(event(4))
    found = [int(json.loads(line)["event_id"], 16) for line in lines(path) if line.strip()]
    assert found == [*expected, 4]


def test_nothing_is_blanked_where_nothing_was_written(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    jsonl = Jsonl(path)
    jsonl(event(1))
    before = path.read_bytes()
    blank(jsonl._file.fd, path, b"")
    blank(jsonl._file.fd, path, LINE)
    assert path.read_bytes() == before


def test_a_disk_that_fills_up_loses_only_what_does_not_fit_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "u.jsonl"
    program = """
        import os, resource, sys
        from tokenmeter.exporters.jsonl import Jsonl
        from test_jsonl import event
        mine, other, fate = Jsonl(sys.argv[1]), Jsonl(sys.argv[1]), []
        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for room in range(40):
            limit(os.path.getsize(sys.argv[1]) + 250 + room * 7)   # a line and a part of the next
            for writer in (mine, other, mine):
                n = len(fate)
                try:
                    writer(event(n, user="x" * 50))
                except OSError as exc:
                    fate.append(exc.errno)
                else:
                    fate.append(0)
        print(fate)
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    fate = json.loads(run.stdout)
    assert {0, errno.ENOSPC} <= set(fate) <= {0, errno.ENOSPC, errno.EFBIG}
    found = [json.loads(line) for line in lines(path) if line.strip()]
    fitted = [n for n, error in enumerate(fate) if not error]
    assert [int(e["event_id"], 16) for e in found] == fitted
    blank = [line for line in lines(path) if not line.strip()]
    assert len(blank) == fate.count(errno.ENOSPC) > 0
    assert path.read_bytes().endswith(b"\n")


# Batches


def test_a_batch_that_fits_only_in_part_is_in_the_file_once_after_it_was_handed_over_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "u.jsonl"
    program = """
        import json, os, resource, sys
        from tokenmeter.exporters.jsonl import Jsonl
        from test_jsonl import event
        path, options = sys.argv[1], json.loads(sys.argv[2])
        mine, other = Jsonl(path, **options), Jsonl(path, **options)
        def limit(size):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        for room in range(0, 1200, 7):
            batch = [event(room * 10 + n) for n in range(6)]
            limit(os.path.getsize(path) + room)
            try:
                mine.batch(batch)
            except OSError:
                refused = True
            else:
                refused = False
            limit(resource.RLIM_INFINITY)
            other(event(room * 10 + 6))
            if refused:
                mine.batch(batch)
            assert not mine._there
    """
    for options in ({}, {"rotate_bytes": 10**9}):
        path.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(path),
             json.dumps(options)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            timeout=120,
        )  # fmt: skip
        found = [int(json.loads(line)["event_id"], 16) for line in lines(path) if line.strip()]
        assert sorted(found) == [room * 10 + n for room in range(0, 1200, 7) for n in range(7)]
        assert path.read_bytes().endswith(b"\n")


def test_what_cannot_be_encoded_costs_itself_alone_in_a_batch(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    bad = event(2, user="\ud800")
    with pytest.raises(RejectedError) as caught:
        Jsonl(path).batch([event(1), bad, event(3)])
    assert caught.value.events == [bad]
    assert [json.loads(line)["event_id"][-1] for line in lines(path)] == ["1", "3"]


def test_what_the_disk_did_not_confirm_is_not_written_again_and_does_not_count_as_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "u.jsonl"
    jsonl, batch = Jsonl(path, fsync=True), [event(1), event(2)]
    monkeypatch.setattr("os.fdatasync", broken)
    with pytest.raises(RejectedError) as caught:
        jsonl.batch(batch)
    assert caught.value.events == batch
    with pytest.raises(OSError, match="Input/output error"):
        jsonl(event(3))


def test_batches_that_were_given_up_are_not_remembered_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenmeter.exporters.jsonl.REMEMBERED", 2)
    jsonl = Jsonl(tmp_path / "u.jsonl")
    for n in range(5):
        jsonl._remember(msgspec.json.encode(event(n)) + b"\n")
    assert list(jsonl._there) == [f"{3:032x}", f"{4:032x}"]
