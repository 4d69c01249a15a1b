"""Rolling up: each event once, exact money, old or new and nothing between, originals last."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_jsonl_rotation import Clock, names, rotated
from tokenmeter import ConfigurationError, InvariantError, UsageEvent
from tokenmeter.cli import main
from tokenmeter.compaction import ADDED_UP, Total, check, columns_of, compact
from tokenmeter.errors import MissingExtraError
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.ids import derived_id
from tokenmeter.ledger import read

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(n: int, **more: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call",
        "event_id": f"01a2045481ae7862801b{n:012d}",
        "schema": 1,
        "ts": NOON + timedelta(seconds=n),
        "input_tokens": n,
    }
    return UsageEvent(**facts | more)


def written(path: Path, *events: UsageEvent) -> Path:
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(e) + b"\n" for e in events)
    return path


def ask(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


def inputs(path: Path) -> list[int]:
    return [n for (n,) in ask(f"SELECT input_tokens FROM '{path}' ORDER BY ts, event_id")]


def test_every_column_has_the_type_that_it_has_in_python(tmp_path: Path) -> None:
    full = event(
        1,
        stream=True,
        finish_reasons=("stop", "length"),
        duration_s=0.5,
        other_counts={"searches": 3},
        cost_amount=Decimal("0.000123"),
        tags={"tier": "gold", "n": 1, "on": True, "x": 0.5},
        user="ada\n'lovelace'",
    )
    to = tmp_path / "usage.parquet"
    compact([written(tmp_path / "u.jsonl", full, event(2))], to)
    described = {name: kind for name, kind, *_ in ask(f"DESCRIBE SELECT * FROM '{to}'")}
    assert described == columns_of()
    assert list(described) == list(UsageEvent.__struct_fields__)
    assert {name: described[name] for name in (
        "event_id", "ts", "stream", "attempt", "duration_s", "finish_reasons", "other_counts",
        "cost_amount", "tags",
    )} == {
        "event_id": "VARCHAR",
        "ts": "TIMESTAMP WITH TIME ZONE",
        "stream": "BOOLEAN",
        "attempt": "BIGINT",
        "duration_s": "DOUBLE",
        "finish_reasons": "VARCHAR[]",
        "other_counts": "MAP(VARCHAR, BIGINT)",
        "cost_amount": "DECIMAL(18,9)",
        "tags": "MAP(VARCHAR, VARCHAR)",
    }  # fmt: skip
    chosen = "epoch_us(ts), stream, finish_reasons, duration_s, other_counts, cost_amount, tags"
    assert ask(f"SELECT {chosen}, user FROM '{to}' ORDER BY event_id")[0] == (
        int((NOON.timestamp() + 1) * 1_000_000),
        True,
        ["stop", "length"],
        0.5,
        {"searches": 3},
        Decimal("0.000123"),
        {"tier": "gold", "n": "1", "on": "true", "x": "0.5"},
        "ada\n'lovelace'",
    )
    assert ask(f"SELECT user, tags, cost_amount FROM '{to}' ORDER BY event_id")[1] == (None,) * 3


def test_an_event_that_is_there_twice_is_counted_and_kept_once(tmp_path: Path) -> None:
    ledger = written(tmp_path / "u.jsonl", event(1), event(2), event(1))
    to = tmp_path / "usage.parquet"
    assert compact([ledger, written(tmp_path / "v.jsonl", event(2), event(3))], to)[:4] == (
        [to], 5, 2, 0,
    )  # fmt: skip
    assert inputs(to) == [1, 2, 3]


@pytest.mark.parametrize("target", ["usage.parquet", "parquet"])
def test_rolling_up_again_adds_what_is_new_and_keeps_what_is_there(
    tmp_path: Path, target: str
) -> None:
    ledger, to = written(tmp_path / "u.jsonl", event(1), event(2)), tmp_path / target
    compact([ledger], to)
    written(ledger, event(3))
    done = compact([ledger], to)
    assert (done.read, done.duplicates) == (3, 2)
    ledger.unlink()
    done = compact([written(ledger, event(4))], to)
    assert (done.read, done.duplicates) == (1, 0)
    [file] = done.files
    assert inputs(file) == [1, 2, 3, 4]


def test_a_folder_has_a_file_for_each_day_in_utc(tmp_path: Path) -> None:
    days = [event(n, ts=NOON + timedelta(hours=12 * n)) for n in range(5)]
    random.Random(1).shuffle(days)
    to = tmp_path / "parquet"
    done = compact([written(tmp_path / "u.jsonl", *days)], to)
    assert names(to) == ["2026-11-23.parquet", "2026-11-24.parquet", "2026-11-25.parquet"]
    assert done.files == [to / name for name in names(to)]
    assert [inputs(file) for file in done.files] == [[0], [1, 2], [3, 4]]
    assert {file.stat().st_mode & 0o777 for file in done.files} == {0o600}


@pytest.mark.parametrize("target", ["usage.parquet", "parquet"])
def test_an_answer_that_several_processes_fetched_is_there_once_even_on_different_days(
    tmp_path: Path, target: str
) -> None:
    fetched = event(1, event_id=derived_id("openai", "resp_1"))
    later = msgspec.structs.replace(fetched, ts=NOON + timedelta(days=2), input_tokens=9)
    ledger, to = written(tmp_path / "u.jsonl", later, event(2), fetched), tmp_path / target
    assert compact([ledger], to)[1:3] == (3, 1)
    assert compact([written(tmp_path / "v.jsonl", later, event(3))], to)[1:3] == (2, 1)
    found = str(to / "*.parquet") if target == "parquet" else str(to)
    assert inputs(Path(found)) == [1, 2, 3]


def test_torn_lines_are_left_out_and_what_stands_behind_them_is_not(tmp_path: Path) -> None:
    ledger = written(tmp_path / "u.jsonl", event(1))
    with ledger.open("ab") as file:
        file.write(msgspec.json.encode(event(2))[:50])
    written(ledger, event(3))
    to = tmp_path / "usage.parquet"
    assert compact([ledger], to)[1:4] == (2, 0, 1)
    assert inputs(to) == [1, 3]


def test_closed_files_are_removed_after_they_were_read_back_and_the_current_one_never(
    tmp_path: Path,
) -> None:
    ledger, to = tmp_path / "usage.jsonl", tmp_path / "parquet"
    rotated(ledger, 5, compress="gzip")
    done = compact([ledger], to, closed_only=True, remove=True)
    assert (done.read, [path.name for path in done.removed]) == (
        4,
        ["usage.20261123T120000Z-0001.jsonl.gz", "usage.20261123T120000Z-0002.jsonl.gz"],
    )
    assert names(tmp_path) == ["parquet", "usage.jsonl"]
    jsonl = Jsonl(ledger, rotate_bytes=1, now_s=Clock())
    jsonl(event(9))
    assert compact([ledger], to, remove=True)[1:3] == (2, 0)
    assert compact([ledger], to, remove=True)[1:3] == (1, 1)
    [(count,)] = ask(f"SELECT count(*) FROM '{to}/*.parquet'")
    assert count == 6
    assert len(list(read(ledger))) == 1


def test_one_closed_file_can_be_named_alone(tmp_path: Path) -> None:
    rotated(tmp_path / "usage.jsonl", 5)
    one = tmp_path / "usage.20261123T120000Z-0001.jsonl"
    done = compact([one], tmp_path / "p.parquet", remove=True)
    assert (done.read, done.removed) == (2, [one])
    assert names(tmp_path) == [
        "p.parquet",
        "usage.20261123T120000Z-0002.jsonl",
        "usage.jsonl",
    ]


@pytest.mark.parametrize(
    "foreign", [b'{"kind":"new kind","event_id":"x","schema":9}\n', b"a note of somebody\n"]
)
def test_a_closed_file_with_a_line_that_is_not_understood_is_not_removed(
    tmp_path: Path, foreign: bytes
) -> None:
    rotated(tmp_path / "usage.jsonl", 5)
    one, two = sorted(tmp_path.glob("usage.2*"))
    two.write_bytes(b"   \n" + two.read_bytes())  # of a full disk
    one.write_bytes(foreign + one.read_bytes())
    assert compact([tmp_path / "usage.jsonl"], tmp_path / "p", remove=True).removed == [two]


def test_what_does_not_add_up_is_said_and_nothing_is_removed() -> None:
    with pytest.raises(InvariantError, match="what was written is what was read"):
        check("what was written", Total(2, (1,)), Total(2, (2,)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.decimals(0, 10**8, places=None, allow_nan=False), min_size=1, max_size=20))
def test_money_adds_up_to_a_billionth(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[Decimal]
) -> None:
    folder = tmp_path_factory.mktemp("money")
    events = [event(n, cost_amount=amount) for n, amount in enumerate(amounts)]
    to = folder / "m.parquet"
    compact([written(folder / "u.jsonl", *events)], to)  # it checks the sums itself
    [(there,)] = ask(f"SELECT sum(cost_amount) FROM '{to}'")
    assert abs(there - sum(amounts)) <= len(amounts) * Decimal("5e-10")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tokenmeter.compaction import compact

    step, count = int(sys.argv[3]), 0

    def counted(call):
        def counting(*args, **kwargs):
            global count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counting

    import duckdb
    for name in ("fsync", "rename", "unlink", "mkdir", "chmod", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    compact([Path(sys.argv[1])], Path(sys.argv[2]), remove=True)
"""


def test_whenever_it_is_killed_the_next_run_finishes_it_and_every_event_is_there_once(
    tmp_path: Path,
) -> None:
    for step in range(1, 60, 2):
        folder = tmp_path / str(step)
        folder.mkdir()
        ledger, to = folder / "usage.jsonl", folder / "parquet"
        rotated(ledger, 6)
        compact([written(folder / "old.jsonl", event(77, ts=NOON - timedelta(days=9)))], to)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(ledger), str(to), str(step)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
            timeout=60,
        )
        in_parquet = {i for (i,) in ask(f"SELECT event_id FROM '{to}/*.parquet'")}
        in_ledger = {e.event_id for e in read(ledger)}
        assert len(in_parquet | in_ledger) == 7
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
        compact([ledger], to, remove=True)
        assert ask(f"SELECT count(*), count(DISTINCT event_id) FROM '{to}/*.parquet'") == [(7, 7)]
        assert all(name.endswith(".parquet") for name in names(to))
    assert run.returncode == 0
    assert step > 10


def test_two_at_the_same_time_do_not_undo_each_other(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(ConfigurationError, match="another tokenmeter compact or erase writes to"):
        compact([], tmp_path / "p.parquet")
    os.close(fd)


def test_what_cannot_be_a_target_is_said_and_stays(tmp_path: Path) -> None:
    ledger = written(tmp_path / "u.jsonl", event(1))
    wrong = tmp_path / "wrong.parquet"
    wrong.write_text("no parquet at all")
    with pytest.raises(ConfigurationError, match="DuckDB cannot make Parquet of this"):
        compact([ledger], wrong)
    assert wrong.read_text() == "no parquet at all"
    with pytest.raises(ConfigurationError, match="name a folder, or a file that ends in"):
        compact([ledger], ledger)
    assert names(tmp_path) == ["u.jsonl", "wrong.parquet"]


def test_without_duckdb_the_command_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[parquet\]'"):
        compact([], tmp_path / "p.parquet")


def test_the_command_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rotated(Path("usage.jsonl"), 5, compress="zstd")
    with Path("usage.jsonl").open("a") as file:
        file.write("no event\n")
    assert main(["compact", "usage*.jsonl*", "--to", "u.parquet", "--remove"]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "5 events read, 0 of them there already, 5 added: u.parquet; 2 closed files removed\n"
    )
    assert said.err == "tokenmeter: 1 lines are no events\n"
    assert main(["compact", "none.jsonl", "--to", "u.parquet"]) == 2


def test_the_sums_that_are_compared_are_those_of_all_counts() -> None:
    assert set(ADDED_UP) == {
        name
        for name in UsageEvent.__struct_fields__
        if (name.endswith("_tokens") or name == "cost_amount")
    }
