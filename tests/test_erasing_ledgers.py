"""Erasing a person: out of every file, no total changed, nobody else's line touched."""

from __future__ import annotations

import gzip
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.cli import main
from tokenmeter.erasing.files import Place
from tokenmeter.erasing.ledgers import erase
from tokenmeter.erasing.person import Person
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.jsonl_closed import ClosedFiles, locked, open_packed
from tokenmeter.exporters.spill import Spill
from tokenmeter.ledger import Ledger, read
from tokenmeter.pseudonyms import pseudonym
from tokenmeter.reports.files import files_of
from tokenmeter.tallies import COUNTED, Tally

ADA = "ada.lovelace"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = "the first key of the test"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("TOKENMETER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def event(n: int, user: str | None = None, **more: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call", "event_id": f"{n:032x}", "schema": 1, "ts": NOON, "input_tokens": n,
        "output_tokens": 1, "user": user, "user_origin": user and "explicit",
    }  # fmt: skip
    return UsageEvent(**facts | more)


def some(count: int) -> list[UsageEvent]:
    """Give events of which every third is of the person."""
    return [event(n, ADA if n % 3 == 0 else f"user {n % 5}") for n in range(count)]


def without(events: list[UsageEvent]) -> list[UsageEvent]:
    return [
        msgspec.structs.replace(e, user=None, user_origin="erased") if e.user == ADA else e
        for e in events
    ]


def written(path: Path, events: list[UsageEvent]) -> Path:
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(e) + b"\n" for e in events)
    return path


def rotated(path: Path, events: list[UsageEvent], **options: Any) -> Path:
    jsonl = Jsonl(path, rotate_bytes=1000, **options)
    for one in events:
        jsonl(one)
    jsonl.close(60)
    return path


def erased(*named: Path, **options: Any) -> list[Place]:
    whole = options.pop("whole", False)
    tags = options.pop("tags", ())
    return list(erase(named, Person([ADA], None, tags, whole=whole), **options))


def unpacked(path: Path) -> bytes:
    with open_packed(path) as file:
        return file.read()


def found_in(folder: Path) -> list[str]:
    """Name the files in which the person's name is, packed or not."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if ADA.encode() in unpacked(path) + path.read_bytes()]


def totals(path: Path) -> dict[str, Any]:
    spent = Tally()
    for one in read(path):
        spent.add(one)
    return {name: getattr(spent, name) for name in COUNTED}


def files(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    return {
        path.name: ((s := path.stat()).st_ino, s.st_mode, s.st_mtime_ns, path.read_bytes())
        for path in folder.iterdir()
        if path.is_file()
    }


# The file that is being written


@pytest.mark.parametrize("name", ["usage.jsonl", "USAGE.JSONL", "usage.jsonl.GZ"])
def test_a_folder_is_all_ledgers_in_it_as_in_reports(project: Path, name: str) -> None:
    path = written(project / "plain", some(4))
    content = path.read_bytes()
    path.unlink()
    path = project / name
    path.write_bytes(gzip.compress(content) if "gz" in name.lower() else content)
    assert [(place.name, place.events) for place in erased(project)] == [(str(path), 2)]
    assert files_of([project]).lines == [path]


users = st.sampled_from([ADA, "bob", "", None, 'a"b'])
texts = st.sampled_from(["", "x", "T-1", "é" * 30])
lines = st.one_of(
    st.builds(
        lambda n, user, origin, task, by: (
            msgspec.json.encode(
                event(n, user, user_origin=origin, task=task, tags={"by": by, "n": n})
            )
            + b"\n"
        ),
        st.integers(0, 10**9),
        users,
        st.sampled_from([None, "explicit", "baggage"]),
        texts,
        texts,
    ),
    st.sampled_from([b"\n", b"not JSON\n", b'{"kind":"call","user":"bo\n', b'{"a":1}\n']),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(lines, max_size=30), st.sampled_from([b"", b'{"kind":"call","user":"ad']))
def test_for_any_ledger_totals_stay_and_lines_of_others_are_byte_by_byte_the_same(
    tmp_path_factory: pytest.TempPathFactory, there: list[bytes], tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "usage.jsonl"
    before = b"".join(there) + tail
    path.write_bytes(before)
    spent, ino = totals(path), path.stat().st_ino
    (place,) = erased(path)
    after = path.read_bytes()
    assert totals(path) == spent
    assert (len(after), path.stat().st_ino) == (len(before), ino)
    assert ADA.encode() not in after
    pairs = zip(there, after.splitlines(keepends=True), strict=False)
    assert [old for old, new in pairs if ADA.encode() not in old and old != new] == []
    assert after.endswith(tail)
    assert place.events == sum(ADA.encode() in line for line in there)
    assert found_in(path.parent) == []
    assert [p.name for p in path.parent.iterdir()] == ["usage.jsonl"]
    assert [p.events for p in erased(path)] == [0]


def test_the_mark_is_left_out_where_a_line_has_no_room_for_it(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", [event(1, "ada", user_origin=None)])
    list(erase([path], Person(["ada"])))
    assert list(read(path)) == [event(1)]


def test_the_day_on_which_it_was_last_written_to_stays(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", some(9))
    os.utime(path, (1, 2))
    erased(path)
    assert path.stat().st_mtime == 2


def test_many_batches_are_one_erasing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenmeter.erasing.files.BATCH_BYTES", 500)
    path = written(tmp_path / "u.jsonl", some(100))
    assert erased(path) == [Place(str(path), 34)]
    assert list(read(path)) == without(some(100))


def test_a_last_line_without_its_end_is_left_and_said(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", some(1))
    tail = b'{"kind":"call","user":"ada.lovelace","te'
    with path.open("ab") as file:
        file.write(tail)
    said = "its last line has no end yet and a name in it: run again later"
    assert erased(path) == [Place(str(path), 1, 0, said)]
    assert path.read_bytes().endswith(tail)
    written(path, some(2))  # a writer begins a new line; here one goes on right behind it
    assert erased(path) == [Place(str(path), 1)]
    assert found_in(tmp_path) == []
    assert [e.input_tokens for e in read(path)] == [0, 0, 1]


def test_a_whole_event_is_removed_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", some(9))
    size = path.stat().st_size
    assert erased(path, whole=True) == [Place(str(path), 3)]
    assert list(read(path)) == [e for e in some(9) if e.user != ADA]
    assert path.stat().st_size == size


def test_a_dry_run_says_the_same_and_changes_nothing(tmp_path: Path) -> None:
    rotated(tmp_path / "u.jsonl", some(30), compress="gzip")
    rotated(tmp_path / "v.jsonl", some(7))
    before = files(tmp_path)
    said = erased(tmp_path, dry_run=True)
    assert files(tmp_path) == before
    assert said == erased(tmp_path)
    assert sum(place.events for place in said) == 10 + 3


# Closed files


@pytest.mark.parametrize("compress", [None, "gzip", "zstd"])
@pytest.mark.parametrize("whole", [False, True])
def test_closed_files_are_written_anew_with_the_mode_they_had(
    tmp_path: Path, compress: Any, whole: bool
) -> None:
    path = rotated(tmp_path / "u.jsonl", some(40), compress=compress)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) > 3
    first = tmp_path / names[0]
    first.chmod(0o640)
    os.utime(first, (1, 2))
    places = erased(path, whole=whole)
    assert sum(place.events for place in places) == 14
    expected = [e for e in some(40) if e.user != ADA] if whole else without(some(40))
    assert list(read(path)) == expected
    assert found_in(tmp_path) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    kept = first.stat()
    assert (stat.S_IMODE(kept.st_mode), kept.st_mtime) == (0o640, 2)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names[1:]] == (
        [0o600] * (len(names) - 1)
    )


def test_a_file_without_the_person_is_not_written_anew(tmp_path: Path) -> None:
    path = rotated(tmp_path / "u.jsonl", [event(n, "bob") for n in range(30)], compress="gzip")
    before = files(tmp_path)
    erased(path)
    assert files(tmp_path) == before


def test_one_closed_file_alone_and_a_packed_copy_can_be_named(tmp_path: Path) -> None:
    path = rotated(tmp_path / "u.jsonl", some(30), compress="gzip")
    closed = ClosedFiles(path)
    first, *others = (closed.path(c, ".gz") for c in closed.closings())
    before = files(tmp_path)
    erased(first)
    after = files(tmp_path)
    assert [name for name, file in before.items() if after[name] != file] == [first.name]
    copy = tmp_path / "copy.jsonl.gz"
    copy.write_bytes(others[0].read_bytes())
    assert [place.name for place in erased(copy)] == [str(copy)]
    assert ADA.encode() not in unpacked(copy)
    assert ADA.encode() in unpacked(others[0])


def test_a_closed_file_that_is_there_twice_is_erased_twice(tmp_path: Path) -> None:
    path = rotated(tmp_path / "u.jsonl", some(30))
    plain = ClosedFiles(path).path(ClosedFiles(path).closings()[0])
    plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    erased(path)
    assert found_in(tmp_path) == []


def test_a_damaged_file_is_said_and_stays(tmp_path: Path) -> None:
    path = rotated(tmp_path / "u.jsonl", some(30), compress="gzip")
    closed = ClosedFiles(path)
    first = closed.path(closed.closings()[0], ".gz")
    os.truncate(first, first.stat().st_size - 9)
    before = first.read_bytes()
    place = erased(path)[0]
    assert (place.name, place.trouble) == (str(first), "it is damaged")
    assert first.read_bytes() == before


def test_it_waits_for_who_packs_a_file(tmp_path: Path) -> None:
    path = rotated(tmp_path / "u.jsonl", some(30))
    closed = ClosedFiles(path)
    first = closed.path(closed.closings()[0])
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from tokenmeter.erasing.ledgers import erase
        from tokenmeter.erasing.person import Person
        print("begun", flush=True)
        print(sum(place.events for place in erase([Path(sys.argv[1])], Person(["ada.lovelace"]))))
    """)
    with locked(first.with_name(first.name + ".gz.part")) as part:
        assert part is not None
        other = started(program, path)
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        assert ADA.encode() in first.read_bytes()
        part.write(gzip.compress(first.read_bytes()))
        part.flush()
        first.with_name(first.name + ".gz.part").rename(first.with_name(first.name + ".gz"))
        first.unlink()
    out, _ = other.communicate(timeout=60)
    assert out == "10\n"
    assert found_in(tmp_path) == []
    assert list(read(path)) == without(some(30))


# Where others are at work


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


WRITER = """
    import json, sys
    from datetime import UTC, datetime
    from tokenmeter import UsageEvent
    from tokenmeter.exporters.jsonl import Jsonl

    path, name, count, options = sys.argv[1:]
    jsonl, ts = Jsonl(path, **json.loads(options)), datetime(2026, 11, 23, tzinfo=UTC)
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(int(count)):
        mine = n % 3 == 0
        jsonl(UsageEvent(kind="call", event_id=f"{name}.{n}", schema=1, ts=ts, input_tokens=n,
                         user="ada.lovelace" if mine else name,
                         user_origin="explicit" if n % 2 else None, task="x" * (n * 7919 % 900)))
    jsonl.close(60)
"""
WRITERS, COUNT = 4, 3000


@pytest.mark.parametrize(
    "options",
    ["{}", '{"rotate_bytes": 100000}', '{"rotate_bytes": 100000, "compress": "gzip"}'],
    ids=["plain", "rotated", "packed"],
)
def test_whatever_four_processes_append_meanwhile_is_there_once(
    tmp_path: Path, options: str
) -> None:
    path = tmp_path / "usage.jsonl"
    writers = [started(WRITER, path, f"w{n}", COUNT, options) for n in range(WRITERS)]
    for process in writers:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in writers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    on_the_way = 0
    while any(process.poll() is None for process in writers):
        on_the_way += sum(place.events for place in erased(path))
    assert [process.wait(60) for process in writers] == [0] * WRITERS
    for process in writers:
        process.communicate()
    last = sum(place.events for place in erased(path))
    with Ledger(path) as ledger:
        there = {e.event_id: (e.user, e.input_tokens, len(e.task or "")) for e in ledger}
        assert ledger.skipped == []
    assert there == {
        f"w{w}.{n}": (None if n % 3 == 0 else f"w{w}", n, n * 7919 % 900)
        for w in range(WRITERS)
        for n in range(COUNT)
    }
    assert sum(1 for _ in read(path)) == WRITERS * COUNT
    assert on_the_way + last >= WRITERS * COUNT / 3  # what is packed meanwhile may be found twice
    assert found_in(tmp_path) == []
    assert not list(tmp_path.glob("*.part"))


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tokenmeter.erasing.ledgers import erase
    from tokenmeter.erasing.person import Person

    step, count = int(sys.argv[2]), 0

    def counted(call, half=False):
        def counting(*args, **kwargs):
            global count
            count += 1
            if count == step:
                if half:
                    call(args[0], args[1][:-5], args[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counting

    for name in ("fsync", "rename", "unlink", "utime", "ftruncate"):
        setattr(os, name, counted(getattr(os, name)))
    os.pwrite = counted(os.pwrite, half=True)
    list(erase([Path(sys.argv[1])], Person(["ada.lovelace"])))
"""


def test_whenever_it_is_killed_nothing_is_lost_and_the_next_run_finishes_it(
    tmp_path: Path,
) -> None:
    for step in range(1, 60):
        folder = tmp_path / str(step)
        folder.mkdir()
        path = rotated(folder / "usage.jsonl", some(7), compress="gzip")
        names = sorted(p.name for p in folder.iterdir())
        run = started(KILLED, path, step)
        run.communicate(timeout=60)
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
        there = [e.event_id for e in read(path)]
        assert len(there) == len(set(there)) >= 6  # the one that was half way is mended below
        erased(path)
        assert list(read(path)) == without(some(7))
        assert found_in(folder) == []
        assert sorted(p.name for p in folder.iterdir()) == names
    assert run.returncode == 0
    assert step > 12


def test_a_line_half_way_is_mended_even_if_its_file_was_closed_and_packed_since(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "usage.jsonl", some(7))
    run = started(KILLED, path, 5)
    run.communicate(timeout=60)
    assert len(list(read(path))) == 6
    closed = tmp_path / "usage.20261123T120000Z-0001.jsonl.gz"
    closed.write_bytes(gzip.compress(path.read_bytes()))
    path.write_bytes(b"")
    list(erase([path], Person(["somebody else"])))
    expected = some(7)
    expected[0] = without(expected)[0]
    assert sum(e.user is None for e in read(path)) == 1
    assert [e.event_id for e in read(path)] == [e.event_id for e in expected]


# Spilled events


def test_what_a_living_process_has_spilled_is_erased_and_delivered(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "sink")
    for one in some(7):
        spill.write(one)
    assert spill.take(2) == some(7)[:2]
    spill.done(2)
    (place,) = erased(tmp_path)
    assert (place.events, place.trouble) == (3, None)
    assert found_in(tmp_path) == []
    assert spill.take(9) == without(some(7))[2:]
    spill.done(5)
    spill.close()
    assert list(tmp_path.iterdir()) == []


def test_of_what_a_living_process_has_spilled_no_event_is_removed(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "sink")
    for one in some(4):
        spill.write(one)
    (place,) = erased(tmp_path, whole=True)
    assert (place.events, place.trouble) == (
        0,
        "a process delivers from it: run again when it has ended",
    )
    assert spill.take(9) == some(4)
    spill.done(0)
    spill.close()
    assert [place.events for place in erased(tmp_path, whole=True)] == [2]
    again = Spill(tmp_path, "sink")
    assert (again.recovered, again.take(9)) == (2, some(4)[1:3])
    again.done(2)
    again.close()


# The command


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["erase", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run  # type: ignore[return-value]


def test_the_command_says_where_how_much_was_erased_and_not_who(
    tmp_path: Path, printed: Any
) -> None:
    one = written(tmp_path / "one.jsonl", some(4))
    written(tmp_path / "two.jsonl", [event(1, "bob")])
    assert printed("*.jsonl", "--user", ADA, "--dry-run") == (
        0,
        f"{one}: 2 events\nthe user of 2 events would be erased, in 1 of 2 places\n",
        "",
    )
    assert printed("*.jsonl", "--user", ADA) == (
        0,
        f"{one}: 2 events\nthe user of 2 events erased, in 1 of 2 places\n",
        "",
    )
    assert printed("one.jsonl", "--user", "user 1", "--events") == (
        0,
        f"{one}: 1 event\n1 event removed, in 1 of 1 places\n",
        "",
    )


def test_the_command_erases_pseudonyms_under_all_keys_and_tags(
    tmp_path: Path, printed: Any
) -> None:
    (tmp_path / "keys.toml").write_text(f'p1 = "{KEY}"\np2 = "{KEY * 2}"\n')
    users = [ADA, pseudonym(ADA, KEY), pseudonym(ADA, KEY * 2, "p2"), "bob"]
    path = written(tmp_path / "u.jsonl", [event(n, user) for n, user in enumerate(users)])
    written(path, [event(9, "bob", tags={"by": ADA, "for": ADA})])
    code, out, err = printed(path, "--user", ADA, "--tag", "by", "--keys", "keys.toml")
    assert (code, out.splitlines()[1:]) == (0, ["the user of 4 events erased, in 1 of 1 places"])
    assert err == f"{path}: in 1 lines the name stands elsewhere (a tag? see --tag)\n"
    assert [(e.user, e.tags) for e in read(path)] == [
        (None, None), (None, None), (None, None), ("bob", None), ("bob", {"for": ADA}),
    ]  # fmt: skip


def test_the_command_ends_with_one_where_something_may_be_left(
    tmp_path: Path, printed: Any
) -> None:
    path = tmp_path / "u.jsonl"
    path.write_bytes(b'{"kind":"call","user":"ada.lovelace"')
    code, out, err = printed(path, "--user", ADA)
    assert (code, out) == (1, "the user of 0 events erased, in 0 of 1 places\n")
    assert err == f"{path}: its last line has no end yet and a name in it: run again later\n"


def test_the_command_without_a_place_or_with_one_that_is_none_is_refused(printed: Any) -> None:
    assert printed("--user", ADA) == (
        2, "", "tokenmeter: name a ledger, or a database with --postgres\n",
    )  # fmt: skip
    code, _, err = printed("none.jsonl", "--user", ADA)
    assert (code, err) == (
        2, "tokenmeter: there is no ledger 'none.jsonl'; name an existing file\n",
    )  # fmt: skip


def test_another_erasing_of_the_same_ledger_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "u.jsonl", some(4))
    places = erase([path], Person([ADA]))
    next(places)
    with pytest.raises(ConfigurationError, match="another tokenmeter erase is at"):
        erased(path)
    assert list(places) == []
    erased(path)
