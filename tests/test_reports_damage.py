"""Damaged ledgers: said by count and place, never counted, never a traceback, harming nothing else.

Whatever a line is, DuckDB and the reader of all other commands agree on whether it is an event.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenmeter import UsageEvent
from tokenmeter.cli import main
from tokenmeter.compaction import compact
from tokenmeter.errors import ConfigurationError
from tokenmeter.ids import derived_id
from tokenmeter.ledger import Ledger, read
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines.duckdb import DuckDB, opened
from tokenmeter.reports.leaderboard import Leaderboard
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Result

DAY = datetime(2026, 11, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=10)
REPORTS: list[Report] = [
    Usage(), Tasks(), Tree(), Tree(runs=True), Coverage(), Leaderboard(), Adoption(fewest_people=1),
]  # fmt: skip


def call(n: int, event_id: str = "", **more: Any) -> UsageEvent:
    known: dict[str, Any] = {
        "user": "ada", "status": "completed", "input_tokens": n, "output_tokens": 1,
        "input_provenance": "reported", "output_provenance": "reported", "duration_s": 1.0, **more,
    }  # fmt: skip
    ts = known.pop("ts", DAY + timedelta(minutes=n))
    return UsageEvent("call", event_id or f"c{n}", known.pop("schema", 1), ts, **known)


def line(event: UsageEvent) -> bytes:
    return msgspec.json.encode(event) + b"\n"


SOUND = [line(call(n)) for n in range(5)]
OTHER = line(call(7, "x", user="eve"))


def changed(old: bytes, new: bytes) -> bytes:
    assert old in OTHER
    return OTHER.replace(old, new)


def report(*sources: Path, of: Report | None = None) -> Result:
    with opened(list(sources)) as engine:
        return run(of or Usage(("user",)), engine, now=NOW)


def counted(result: Result) -> tuple[int, int | None]:
    return result.facts.attempts, result.facts.input_tokens


NO_EVENTS = {
    "an array": b"[1, 2]\n",
    "a text": b'"hello"\n',
    "a number": b"7\n",
    "null": b"null\n",
    "another object": b'{"a": 1}\n',
    "nothing": b"\n",
    "an id that is an object": changed(b'"event_id":"x"', b'"event_id":{"a":1}'),
    "another kind": changed(b'"kind":"call"', b'"kind":"thing"'),
    "tokens as a text": changed(b'"input_tokens":7', b'"input_tokens":"7"'),
    "half a token": changed(b'"input_tokens":7', b'"input_tokens":7.5'),
    "tokens as a truth": changed(b'"input_tokens":7', b'"input_tokens":true'),
    "a name as a number": changed(b'"user":"eve"', b'"user":7'),
    "a name as an object": changed(b'"user":"eve"', b'"user":{"a":1}'),
    "seconds as a text": changed(b'"duration_s":1.0', b'"duration_s":"1"'),
    "no such status": changed(b'"completed"', b'"fine"'),
    "a schema as a text": changed(b'"schema":1', b'"schema":"1"'),
    "a time as a number": changed(b'"2026-11-02T00:07:00Z"', b"1790000000"),
    "a time of nonsense": changed(b'"2026-11-02T00:07:00Z"', b'"soon"'),
    "a day": changed(b'"2026-11-02T00:07:00Z"', b'"2026-11-02"'),
    "the year 0": changed(b'"2026-', b'"0000-'),
    "tags as a list": OTHER[:-2] + b',"tags":["a"]}\n',
    "money of nonsense": OTHER[:-2] + b',"cost_amount":"much"}\n',
    "more money than columns hold": OTHER[:-2] + b',"cost_amount":"1000000000"}\n',
    "money that is no number": OTHER[:-2] + b',"cost_amount":"NaN"}\n',
    "more tokens than columns hold": changed(b'"input_tokens":7', b'"input_tokens":%d' % 2**63),
    "more of another count than columns hold": OTHER[:-2] + b',"other_counts":{"a":%d}}\n' % 2**63,
    "a name that is there twice": changed(b'"schema":1', b'"input_tokens":9,"schema":1'),
    "a tag that is there twice": OTHER[:-2] + b',"tags":{"a":"1","a":"2"}}\n',
    "another encoding": "hällo".encode("utf-16-le") + b"\n",
    "no UTF-8": changed(b"eve", b"e\xff\xfe"),
    "nothing but zeros": b"\0" * 100 + b"\n",
    "brackets without end": b"[" * 5000 + b"\n",
    "depth without end": OTHER[:-2] + b',"zz":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "a long line": b'{"kind":"call","event_id":"' + b"z" * 20_000_000 + b'"}\n',
}  # fmt: skip


@pytest.mark.parametrize("bad", NO_EVENTS.values(), ids=NO_EVENTS)
def test_a_line_that_is_no_event_is_said_and_harms_nothing(bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join([*SOUND[:2], bad, *SOUND[2:]]))
    result = report(path)
    assert counted(result) == (5, 10)
    assert result.damage == (f"{path}: 1 line (3) is no event",)
    assert len(list(read(path))) == 5


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("ts", [datetime.min, datetime.max])
def test_clocks_at_the_ends_of_the_calendar_are_shown(
    ts: datetime, zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(line(call(1, ts=ts.replace(tzinfo=UTC), agent="a", run_id="r")))
    for command in (["report", "--by", "day"], ["tree", "--runs"], ["adoption"]):
        for form in ("table", "html"):
            assert main([*command, str(path), "--timezone", zone, "--format", form]) == 0
    assert capsys.readouterr().out.count(f"{ts.year}".zfill(4)) >= 4


class Elsewhere:
    """An engine whose time zones are of another version: Berlin has the clock of London there.

    It stands for one that disagrees with Python here, which no release does for ever.
    """

    def __init__(self, engine: DuckDB) -> None:
        self.engine = engine
        self.dialect, self.source, self.is_once = engine.dialect, engine.source, engine.is_once
        self.damage = engine.damage

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self.engine.ask(sql.replace("Europe/Berlin", "Europe/London"))


def test_days_that_are_others_to_the_engine_are_said(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(SOUND))
    midnight = datetime(2026, 11, 1, 23, tzinfo=UTC)
    said = []
    with opened(path) as engine:
        for scope in (
            Scope(zone="Europe/Berlin"),
            Scope(zone="Europe/Berlin", since=midnight),
            Scope(zone="Europe/Berlin", until=midnight + timedelta(days=2)),
            Scope(zone="Europe/Berlin", since=midnight + timedelta(hours=9)),
            Scope(since=midnight),
        ):
            assert run(Usage(("day",)), engine, scope).notes[1:] == ()
            said.append(run(Usage(("day",)), Elsewhere(engine), scope).notes[:-1])
    assert [len(notes) for notes in said] == [0, 1, 0, 0, 0]
    assert said[1][0].startswith("what is 2026-11-02 in Europe/Berlin to Python is 2026-11-01 to")


def test_what_no_column_holds_is_never_half_counted(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    dear = {"cost_currency": "USD", "cost_amount": Decimal(10**9)}
    path.write_bytes(line(call(1, cost_currency="USD", cost_amount=Decimal(1))))
    with path.open("ab") as ledger:
        ledger.write(line(call(2, **dear)) + line(call(2, "much", output_tokens=2**63)))
    result = report(path)
    assert (counted(result), result.facts.unpriced, result.facts.cost_amount) == ((1, 1), 0, 1)
    assert result.damage == (f"{path}: 2 lines (2, 3) are no event",)


ODD_BUT_EVENTS = {
    "the end of a line of Windows": OTHER[:-1] + b"\r\n",
    "spaces before it": b"  " + OTHER,
    "no name": changed(b'"eve"', b"null"),
    "a time without a zone, which is UTC": changed(b":00Z", b":00"),
    "much": changed(b'"output_tokens":1', b'"output_tokens":1,"reasoning_tokens":%d' % (2**63 - 1)),
    "money": OTHER[:-2] + b',"cost_currency":"USD","cost_amount":"999999999.999999999"}\n',
    "more digits than Python reads": changed(b'"schema":1', b'"schema":1,"new":' + b"9" * 5000),
    "columns that nobody knows": changed(b'"schema":1', b'"schema":1,"brand_new":[1]'),
}


@pytest.mark.parametrize("odd", ODD_BUT_EVENTS.values(), ids=ODD_BUT_EVENTS)
def test_a_line_that_is_an_event_counts_however_it_looks(odd: bytes, tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join([*SOUND, odd]))
    result = report(path)
    assert (counted(result), result.damage) == ((6, 17), ())


TORN = {
    "in the middle, an event behind it": (OTHER[:60] + line(call(7, "y")), 6, 17, "1 line (3) is"),
    "in the middle": (OTHER[:60] + b"\n", 5, 10, "1 line (3) is"),
    "two events on a line": (OTHER[:-1] + line(call(7, "y")), 6, 17, "1 line (3) is"),
    "a mark of the encoding": (b"\xef\xbb\xbf" + OTHER, 6, 17, "1 line (3) is"),
}


@pytest.mark.parametrize(("bad", "events", "tokens", "what"), TORN.values(), ids=TORN)
def test_of_a_torn_line_the_event_behind_it_counts(
    bad: bytes, events: int, tokens: int, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join([*SOUND[:2], bad, *SOUND[2:]]))
    result = report(path)
    assert counted(result) == (events, tokens)
    assert result.damage == (f"{path}: {what} no event, 1 of them torn",)


def test_a_last_line_without_an_end_is_said_and_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(SOUND)[:-9])
    result = report(path)
    assert counted(result) == (4, 6)
    ending = "the last line has no end; it is being written, or never will be"
    assert result.damage == (f"{path}: {ending}",)


def test_a_packed_file_that_is_cut_off_counts_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl.gz"
    lines = [line(call(n)) for n in range(2000)]
    path.write_bytes(gzip.compress(b"".join(lines), 1)[:-2000])
    result = report(path)
    whole = len(list(read(path)))
    assert 0 < whole < 2000
    assert counted(result) == (whole, sum(range(whole)))
    assert result.damage == (f"{path}: 1 line ({whole + 1}) is no event, 1 of them torn",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("plain.jsonl.gz", b"".join(SOUND), "1 line (1) is no event, 1 of them torn"),
        ("table.jsonl", b"user,tokens\nada,7\n", "2 lines (1, 2) are no event"),
        ("noise.jsonl", b"\x00\xff\n" * 7, "7 lines (1, 2, 3, 4, 5, …) are no event"),
    ],
)
def test_a_file_of_something_else_is_said_beside_a_sound_one(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    sound, other = tmp_path / "usage.jsonl", tmp_path / name
    sound.write_bytes(b"".join(SOUND))
    other.write_bytes(content)
    result = report(sound, other)
    assert (counted(result), result.damage) == ((5, 10), (f"{other}: {said}",))


@pytest.mark.parametrize("of", REPORTS, ids=lambda report: report.title.split(":")[0])
@pytest.mark.parametrize("content", [b"", b"\n", b"user,tokens\nada,7\n", b"\xff\xfe\x00\n"])
def test_nothing_that_is_an_event_is_no_traceback(
    of: Report, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(content)
    assert report(path, of=of).facts.attempts == 0


def parquet(path: Path, sql: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
    return path


def test_rows_of_parquet_that_are_no_events_are_said(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "usage.parquet",
        "SELECT * FROM (VALUES ('call', 'a', '2026-11-02 10:00:00+00', '7', 1.0),"
        "('call', NULL, '2026-11-02 10:00:00+00', '7', 1.0),"
        "('thing', 'b', '2026-11-02', '7', 1.0),"
        "('call', 'c', 'soon', '7', 1.0), ('call', 'd', '2026-11-02 10:00:00+00', 'many', 1.0))"
        "AS t(kind, event_id, ts, input_tokens, output_tokens)",
    )
    result = report(path)
    assert counted(result) == (2, 7)
    assert result.damage == (f"{path}: 3 rows are no event",)


def test_old_and_new_schemas_stand_beside_each_other(tmp_path: Path) -> None:
    old = parquet(
        tmp_path / "old.parquet",
        "SELECT 'call' AS kind, 'a' AS event_id, TIMESTAMPTZ '2026-11-02 10:00:00+00' AS ts, "
        "3 AS input_tokens",
    )
    new = tmp_path / "new.jsonl"
    new.write_bytes(line(call(4, schema=99)).replace(b'"schema"', b'"brand_new":[1],"schema"'))
    result = report(old, new)
    assert counted(result) == (2, 7)
    assert result.damage == ("1 event has a newer schema: what only it has is not in here",)


def test_of_an_answer_that_several_fetched_the_earliest_stands(tmp_path: Path) -> None:
    event_id = derived_id("openai", "resp_1")
    paths = [tmp_path / "late.jsonl", tmp_path / "early.jsonl"]
    paths[0].write_bytes(line(call(9, event_id, user="eve")))
    paths[1].write_bytes(line(call(2, event_id, user="ada")))
    for order in (paths, paths[::-1]):
        result = report(*order)
        assert result.column("user") == ("ada",)
        names = ", ".join(sorted(map(str, paths)))
        assert result.damage == (f"1 event is there twice and counted once: {names}",)


def test_clocks_that_were_wrong_are_said_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    ahead, early = NOW + timedelta(hours=1), datetime(1970, 1, 1, tzinfo=UTC)
    events = [
        call(1),
        call(2, ts=ahead),
        call(3, ts=early),
        call(4, ts=early),
        call(5, duration_s=-3.0),
    ]
    path.write_bytes(b"".join(map(line, events)))
    result = report(path)
    assert counted(result) == (5, 15)
    assert result.damage == (
        f"{path}: 2 events are before the year 2000: a clock was wrong",
        f"{path}: 1 event is shorter than nothing: a clock was put back",
        "1 event is ahead of the clock of this machine",
    )


@pytest.mark.parametrize("of", REPORTS, ids=lambda report: report.title.split(":")[0])
def test_an_outcome_before_the_first_call_of_its_task_is_its_outcome(
    of: Report, tmp_path: Path
) -> None:
    path = tmp_path / "usage.jsonl"
    early = UsageEvent("outcome", "o", 1, DAY - timedelta(days=1), task="T", status="accepted",
                       evidence="ci", user="ada")  # fmt: skip
    path.write_bytes(line(early) + line(call(1, task="T")))
    result = report(path, of=of)
    assert (result.facts.attempts, result.facts.outcomes, result.damage) == (1, 1, ())


ODD_NAMES = {
    "a folder that looks like a column": "team=search/usage",
    "a pattern that is another file": "u[1]",
    "a pattern that is two files": "u*",
    "the home": "~",
    "an option": "-u",
    "a quote": "u'1",
    "a way back": "inner/../u[1]",
}


@pytest.mark.parametrize("more", [[], [b"[]\n", line(call(1))]], ids=["sound", "damaged"])
@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ""])
@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
def test_of_a_file_with_an_odd_name_all_is_read_and_nothing_else(
    name: str, ending: str, more: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, lines = Path(f"{name}{ending}"), [*SOUND, *more]
    for folder in (Path("inner"), path.parent):
        folder.mkdir(exist_ok=True)
    for other in ("u1", "u11"):
        Path(f"{other}{ending}").write_bytes(line(call(70, user="eve")))
    if ending == ".parquet":
        (Path("inner") / "lines").write_bytes(b"".join(lines))
        compact([Path("inner/lines")], path)
        compact([Path("inner/lines")], path)
    else:
        path.write_bytes(b"".join(lines))
    result = report(path, of=Usage(("user", "team")))
    assert counted(result) == (5, 10)
    assert (result.column("user"), result.column("team")) == (("ada",), (None,))
    assert result.damage == (() if ending == ".parquet" or not more else (
        f"{path}: 1 line (6) is no event",
        f"1 event is there twice and counted once: {path}",
    ))  # fmt: skip


@pytest.mark.parametrize("ending", [".jsonl.GZ", ".JSONL.gz", ".PARQUET", ".JSONL"])
def test_the_end_of_a_name_may_be_in_capitals(ending: str, tmp_path: Path) -> None:
    path, lines = tmp_path / f"usage{ending}", tmp_path / "lines"
    lines.write_bytes(b"".join(SOUND))
    if ending == ".PARQUET":
        compact([lines], path)
    else:
        packed = gzip.compress(lines.read_bytes())
        path.write_bytes(packed if "gz" in ending.lower() else lines.read_bytes())
    lines.unlink()
    for source in (path, tmp_path):
        result = report(source)
        assert (counted(result), result.damage) == ((5, 10), ())


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_packed_file_of_no_bytes_is_said(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"usage.jsonl{ending}"
    path.write_bytes(b"")
    said = f"{path}: it is empty, which no packed file is; what it held is lost"
    assert report(path).damage == (said,)


@pytest.mark.parametrize("sources", [[], [object()]])
def test_a_list_of_no_names_is_refused(sources: list[Any]) -> None:
    with pytest.raises(ConfigurationError, match="a list to report on is one of names of files"):
        run(Usage(()), sources)


def other_parquet(folder: Path) -> Path:
    return parquet(folder / "other.parquet", "SELECT 1 AS a")


def not_parquet(folder: Path) -> Path:
    (folder / "usage.parquet").write_bytes(b"".join(SOUND))
    return folder / "usage.parquet"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jsonl")
    return folder / "pipe.jsonl"


def no_utf8(folder: Path) -> Path:
    path = folder / os.fsdecode(b"bad\xff.jsonl")
    path.write_bytes(b"".join(SOUND))
    return path


def no_utf8_inside(folder: Path) -> Path:
    return no_utf8(folder).parent


def no_ledger(folder: Path) -> Path:
    (folder / "readme.txt").write_text("hello")
    return folder


def backslashed(folder: Path) -> Path:
    (folder / "a").mkdir()
    (folder / "a" / "[1].jsonl").write_bytes(b"".join(SOUND))  # which was read instead
    (folder / "a\\[1].jsonl").write_bytes(b"".join(SOUND))
    return folder / "a\\[1].jsonl"


UNREADABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "Parquet of somebody else": (other_parquet, "has no column event_id, kind, ts"),
    "what is no Parquet": (not_parquet, "usage.parquet"),
    "a folder without a ledger": (no_ledger, "has no ledger"),
    "a pipe": (a_pipe, "is a pipe or a device, which cannot be read twice; write what it gives to"),
    "a name without letters": (no_utf8, "bad\\udcff.jsonl' is no text in UTF-8, and reports read"),
    "a folder of such": (no_utf8_inside, "bad\\udcff.jsonl' is no text in UTF-8, and reports"),
    "a name that DuckDB splits": (backslashed, "has a backslash and one of *?[; give"),
    "what is not there": (lambda folder: folder / "gone.jsonl", "there is no ledger"),
}


@pytest.mark.parametrize(("make", "said"), UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize(
    "command", ["report", "tasks", "tree", "coverage", "leaderboard", "adoption"]
)
def test_what_cannot_be_read_at_all_is_one_line_and_the_exit_code_2(
    command: str,
    make: Callable[[Path], Path],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([command, str(make(tmp_path))]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_file_that_may_not_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(SOUND))
    path.chmod(0)
    if _is_readable(path):  # by root, who may read everything
        pytest.skip("whoever runs this may read every file")
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err == f"tokenmeter: [Errno 13] Permission denied: '{path}'\n"


def _is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True


_bytes = st.binary(max_size=12)
_damage = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 4), st.integers(0, 300), _bytes),
    st.tuples(st.just("insert"), st.integers(0, 4), st.integers(0, 300), _bytes),
    st.tuples(st.just("join"), st.integers(0, 4), st.integers(0, 300), _bytes),
)


def damaged(text: bytes, how: str, at: int, more: bytes) -> bytes:
    at = min(at, len(text) - 1)
    if how == "cut":
        return text[:at] + more.replace(b"\n", b"") + b"\n"
    if how == "insert":
        return text[:at] + more + text[at:]
    return text[:-1]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damages=st.lists(_damage, min_size=1, max_size=3))
def test_whatever_is_damaged_the_rest_counts_and_both_readers_agree(
    damages: Iterable[tuple[str, int, int, bytes]], tmp_path: Path
) -> None:
    lines = list(SOUND)
    for how, which, at, more in damages:
        lines[which] = damaged(lines[which], how, at, more)
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join([line(call(100)), *lines, b"\n", line(call(200))]))
    with Ledger(path, 0) as ledger:
        events = {event.event_id: event for event in ledger}
    result = report(path, of=Usage(()))
    assert {"c100", "c200"} <= events.keys()
    assert counted(result) == (
        sum(event.kind == "call" for event in events.values()),
        sum(event.input_tokens or 0 for event in events.values() if event.kind == "call"),
    )
    assert any("no event" in each for each in result.damage) == bool(ledger.skipped)
