"""Ledgers: reading JSONL back, whole and live, with lines that are no events."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tokenmeter.event import UsageEvent
from tokenmeter.ledger import Ledger, read


def event(number: int, **columns: object) -> UsageEvent:
    return UsageEvent(
        kind="call",
        event_id=f"event-{number}",
        schema=1,
        ts=datetime(2026, 11, 22, 12, 0, number, tzinfo=UTC),
        **columns,  # type: ignore[arg-type]
    )


def line(number: int) -> bytes:
    return msgspec.json.encode(event(number)) + b"\n"


class Steps:
    """Wait by doing the next thing; when nothing is left, stop."""

    def __init__(self, *steps: object) -> None:
        self.steps = iter(steps)

    def __call__(self) -> bool:
        step = next(self.steps, None)
        if step is None:
            return False
        step()  # type: ignore[operator]
        return True


def test_what_was_written_is_read_back_equal(tmp_path: Path) -> None:
    written = [event(1, user="ada", tags={"a": 1}, finish_reasons=("stop",)), event(2)]
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(e) + b"\n" for e in written))
    assert list(read(path)) == written


@pytest.mark.parametrize(
    "foreign",
    [
        b"not json\n",
        b'{"kind":"call"}\n',
        b'{"kind":"call","event_id":7}\n',
        b"[]\n",
        b"   \n",
        b"\n",
        b'{"kind":"call","event_id":"\xff"}\n',
        b'{"kind":"new kind","event_id":"x","schema":9,"ts":"2026-11-22T12:00:00Z"}\n',
    ],
)
def test_a_line_that_is_no_event_is_left_out_and_its_number_kept(
    tmp_path: Path, foreign: bytes
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1) + foreign + line(3))
    with Ledger(path) as ledger:
        assert list(ledger) == [event(1), event(3)]
        assert (ledger.skipped, ledger.unfinished) == ([2], False)


def test_a_column_of_a_later_version_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1).replace(b'"schema"', b'"mood":"good","schema"'))
    assert list(read(path)) == [event(1)]


def test_a_last_line_without_an_end_is_no_event_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1) + line(2)[:20])
    with Ledger(path) as ledger:
        assert (list(ledger), ledger.unfinished) == ([event(1)], True)
        with path.open("ab") as file:
            file.write(line(2)[20:])
        assert (list(ledger), ledger.unfinished, ledger.skipped) == ([event(2)], False, [])


def test_reading_a_file_that_does_not_exist_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read(tmp_path / "none.jsonl"))


def test_following_yields_what_is_appended_later(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"

    def append(number: int) -> object:
        def step() -> None:
            with path.open("ab") as file:
                file.write(line(number))

        return step

    followed = read(path, follow=True, wait=Steps(append(1), append(2)))
    assert list(followed) == [event(1), event(2)]


def test_following_survives_truncation_and_replacement_and_loses_no_line(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1) + line(2))

    def truncate() -> None:
        path.write_bytes(line(3))

    def rotate() -> None:
        with path.open("ab") as file:
            file.write(line(4))
        path.rename(tmp_path / "usage.jsonl.1")
        path.write_bytes(line(5))

    def remove() -> None:
        path.unlink()

    def appear() -> None:
        path.write_bytes(line(6))

    followed = read(path, follow=True, wait=Steps(truncate, rotate, remove, appear))
    assert [e.event_id for e in followed] == [f"event-{n}" for n in range(1, 7)]


def test_a_line_torn_by_replacement_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1) + line(2)[:9])
    with Ledger(path) as ledger:
        assert list(ledger) == [event(1)]
        path.rename(tmp_path / "old.jsonl")
        path.write_bytes(line(3))
        assert (list(ledger), ledger.skipped) == ([event(3)], [2])


def test_reading_can_begin_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1))
    position = path.stat().st_size
    with path.open("ab") as file:
        file.write(line(2))
    with Ledger(path, position) as ledger:
        assert list(ledger) == [event(2)]


def test_a_reader_that_is_left_early_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1) * 3)
    before = len(list(Path("/proc/self/fd").iterdir()))
    events = read(path)
    assert list(itertools.islice(events, 1)) == [event(1)]
    events.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
