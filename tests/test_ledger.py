"""Ledgers: reading JSONL back, whole and live, with lines that are no events."""

from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl_closed import ENDINGS, ClosedFiles, Closing
from tokenmeter.ledger import Ledger, ledgers, read


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


# A set of files


def numbers(events: Iterable[UsageEvent]) -> list[int]:
    return [int(found.event_id.removeprefix("event-")) for found in events]


def closed(path: Path, number: int, *lines: bytes, packing: Any = None) -> Path:
    """Make a closed file as the exporter does."""
    files = ClosedFiles(path)
    made = files.path(Closing("20261123T120000Z", number))
    made.write_bytes(b"".join(lines))
    if packing is not None:
        files.pack(packing)
        return files.path(Closing("20261123T120000Z", number), ENDINGS[packing])
    return made


def test_closed_files_are_read_before_the_one_that_is_written_in_the_order_of_time(
    tmp_path: Path,
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(6))
    closed(path, 2, line(3), packing="zstd")
    closed(path, 10000, line(5))
    closed(path, 3, line(4))
    closed(path, 1, line(1), line(2), packing="gzip")
    assert numbers(read(path)) == [1, 2, 3, 4, 5, 6]
    path.unlink()
    assert numbers(read(path)) == [1, 2, 3, 4, 5]


def test_a_file_that_is_there_packed_and_not_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    closed(path, 1, line(1), packing="gzip")
    closed(path, 1, line(1))
    assert numbers(read(path)) == [1]


@pytest.mark.parametrize("packing", [None, "gzip", "zstd"])
@pytest.mark.parametrize("rotations", [1, 3])
def test_following_goes_on_through_every_file_that_was_closed_meanwhile(
    tmp_path: Path, packing: Any, rotations: int
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(0))
    n = itertools.count(1)

    def grow() -> None:
        for _ in range(rotations):
            with path.open("ab") as file:
                file.write(line(next(n)))
            path.rename(ClosedFiles(path).next(0))
            if packing:
                ClosedFiles(path).pack(packing)
            path.write_bytes(line(next(n)) + line(next(n)))

    followed = numbers(read(path, follow=True, wait=Steps(grow, grow, grow)))
    assert followed == list(range(next(n)))


def test_following_loses_only_what_was_removed_before_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(1))

    def rotate_and_forget() -> None:
        for n in (2, 3, 4):
            path.rename(ClosedFiles(path).next(0))
            path.write_bytes(line(n))
        ClosedFiles(path).keep(1, None, 0)

    assert numbers(read(path, follow=True, wait=Steps(rotate_and_forget))) == [1, 3, 4]


def test_a_torn_line_is_left_out_and_what_was_appended_behind_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    whole = msgspec.json.encode(event(2, tags={"kind": "call", "event_id": "x"})) + b"\n"
    path.write_bytes(line(1) + line(9)[:50] + whole + b"note\n" + line(8)[:9] + b"\n" + line(3))
    with Ledger(path) as ledger:
        assert numbers(ledger) == [1, 2, 3]
        assert (ledger.skipped, ledger.torn, ledger.unfinished) == ([2, 3, 4], [2, 4], False)


@settings(max_examples=200, deadline=None)
@given(
    cut=st.integers(1, 400),
    tags=st.dictionaries(st.sampled_from(["kind", "event_id", "a"]), st.text(), max_size=3),
)
def test_wherever_a_line_is_torn_the_next_one_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tags: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("torn") / "usage.jsonl"
    torn, whole = (msgspec.json.encode(event(n, tags=tags)) for n in (1, 2))
    path.write_bytes(torn[: min(cut, len(torn) - 1)] + whole + b"\n" + line(3))
    with Ledger(path) as ledger:
        assert list(ledger) == [event(2, tags=tags), event(3)]
        assert (ledger.skipped, ledger.torn) == ([1], [1])


@pytest.mark.parametrize("packing", [None, "gzip", "zstd"])
def test_the_last_line_of_a_closed_file_without_its_end_is_torn(
    tmp_path: Path, packing: Any
) -> None:
    path = tmp_path / "usage.jsonl"
    one = closed(path, 1, line(1), line(2)[:40], packing=packing)
    for name in (path, one):
        with Ledger(name) as ledger:
            assert numbers(ledger) == [1]
            assert numbers(ledger) == []
            assert (ledger.skipped, ledger.torn, ledger.unfinished) == ([2], [2], False)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_packed_file_that_is_cut_off_gives_what_can_be_read(tmp_path: Path, packing: Any) -> None:
    path = tmp_path / "usage.jsonl"
    lines = [msgspec.json.encode(event(n, user=os.urandom(99).hex())) + b"\n" for n in range(60)]
    one = closed(path, 1, *lines, packing=packing)
    one.write_bytes(one.read_bytes()[: one.stat().st_size // 2])
    with Ledger(one) as ledger:
        found = numbers(ledger)
        assert found == list(range(len(found)))
        assert len(found) < 60


def test_a_packed_file_of_any_name_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(line(1) + line(2)))
    with Ledger(path) as ledger:
        assert numbers(ledger) == [1, 2]
        assert numbers(ledger) == []


def test_names_and_patterns_give_each_ledger_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("usage.jsonl")
    path.write_bytes(line(3))
    closed(path, 1, line(1), packing="gzip")
    closed(path, 1, line(1))
    closed(path, 2, line(2))
    Path("usage.20261123T120000Z-0003.jsonl.gz.part").touch()
    Path("other.jsonl").touch()
    one, two = Path("usage.20261123T120000Z-0001.jsonl"), Path("usage.20261123T120000Z-0002.jsonl")
    assert ledgers(["usage.jsonl"]) == [path]
    assert ledgers([tmp_path / "usage.jsonl", path]) == [tmp_path / path]
    assert ledgers(["usage*.jsonl*"]) == [path]
    assert ledgers(["*.jsonl"]) == [Path("other.jsonl"), path]
    assert ledgers([two, "usage.*-0001.jsonl*"]) == [two, one]
    path.unlink()
    assert ledgers([path, two]) == [path]
    with pytest.raises(ConfigurationError, match="there is no ledger 'none"):
        ledgers(["none*.jsonl"])
