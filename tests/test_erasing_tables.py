"""Erasing a person from tables: in DuckDB's Parquet and in a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pg
from test_compaction import ask, written
from test_erasing_ledgers import ADA, KEY, erased, event, some, without
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.cli import main
from tokenmeter.compaction import ADDED_UP, columns_of, compact
from tokenmeter.erasing.files import Place
from tokenmeter.erasing.ledgers import erase
from tokenmeter.erasing.person import Person
from tokenmeter.exporters.postgres import Postgres, ddl
from tokenmeter.pseudonyms import pseudonym

# Parquet


def rolled_up(folder: Path, events: list[UsageEvent], to: str = "p.parquet") -> Path:
    folder.mkdir(exist_ok=True)
    ledger = folder / "u.jsonl"
    compact([written(ledger, *events)], folder / to)
    ledger.unlink()
    return folder / to


def rows(path: Path) -> list[tuple[Any, ...]]:
    return ask(f"SELECT * REPLACE (ts::VARCHAR AS ts) FROM '{path}'")


def totals(path: Path) -> list[tuple[Any, ...]]:
    sums = ", ".join(f"sum({name})" for name in ADDED_UP)
    return ask(f"SELECT count(*), {sums} FROM '{path}'")


names = st.sampled_from([ADA, "bob", "it's", 'a"b', "[x]", "é"])


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.none() | names,
            st.none() | st.dictionaries(st.sampled_from(["by", "n"]), names | st.just(7)),
        ),
        min_size=1,
        max_size=12,
    ),
    names,
)
def test_for_any_parquet_totals_stay_and_rows_of_others_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, who: list[tuple[Any, Any]], name: str
) -> None:
    events = [
        event(n, user, tags=tags, cost_amount=Decimal(n) / 7) for n, (user, tags) in enumerate(who)
    ]
    path = rolled_up(tmp_path_factory.mktemp("parquet"), events)
    before, spent = rows(path), totals(path)
    (place,) = erase([path], Person([name], tags=["by"]))
    assert totals(path) == spent
    columns = list(columns_of())
    at_user, at_origin, at_tags = map(columns.index, ("user", "user_origin", "tags"))
    expected = []
    for row in before:
        left: list[Any] = list(row)
        if row[at_user] == name:
            left[at_user], left[at_origin] = None, "erased"
        if (row[at_tags] or {}).get("by") == name:
            left[at_tags] = {k: v for k, v in row[at_tags].items() if k != "by"} or None
        expected.append(tuple(left))
    assert rows(path) == expected
    assert place.events == sum(old != new for old, new in zip(before, expected, strict=True))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_of_days_is_erased_with_the_ledgers_in_it(tmp_path: Path) -> None:
    rolled_up(tmp_path, some(9), ".")
    (day,) = tmp_path.glob("*.parquet")
    day.chmod(0o640)
    ledger = written(tmp_path / "usage.jsonl", *some(4))
    assert erased(tmp_path) == [Place(str(ledger), 2), Place(str(day), 3)]
    users = ask(f'SELECT "user", user_origin FROM \'{day}\' WHERE "user" IS NULL')
    assert users == [(None, "erased")] * 3
    assert stat.S_IMODE(day.stat().st_mode) == 0o640
    assert ADA.encode() not in day.read_bytes()
    assert erased(tmp_path) == [Place(str(ledger), 0), Place(str(day), 0)]


def test_what_has_not_the_person_in_it_is_not_written_anew_nor_is_anything_in_a_dry_run(
    tmp_path: Path,
) -> None:
    path = rolled_up(tmp_path, some(9))
    before = path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()
    assert erased(path, dry_run=True) == [Place(str(path), 3)]
    assert list(erase([path], Person(["somebody else"]))) == [Place(str(path), 0)]
    assert (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) == before


def test_whole_events_are_removed_from_parquet(tmp_path: Path) -> None:
    path = rolled_up(tmp_path, some(9))
    assert erased(path, whole=True) == [Place(str(path), 3)]
    left = [e.input_tokens for e in some(9) if e.user != ADA]
    assert ask(f"SELECT input_tokens FROM '{path}'") == [(n,) for n in left]


def test_what_is_no_parquet_of_ours_is_refused_and_stays(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.parquet"
    wrong.write_text("no parquet at all")
    with pytest.raises(ConfigurationError, match="DuckDB cannot"):
        erased(wrong)
    ask(f"COPY (SELECT 1 AS a) TO '{wrong}'")
    before = wrong.read_bytes()
    with pytest.raises(ConfigurationError, match="has not the columns of events"):
        erased(wrong)
    assert wrong.read_bytes() == before


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tokenmeter.erasing.ledgers import erase
    from tokenmeter.erasing.person import Person

    step, count = int(sys.argv[2]), 0

    def counted(call):
        def counting(*args, **kwargs):
            global count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return counting

    import duckdb
    for name in ("fsync", "rename", "mkdir", "chmod"):
        setattr(os, name, counted(getattr(os, name)))
    list(erase([Path(sys.argv[1])], Person(["ada.lovelace"])))
"""


def test_parquet_is_the_old_or_the_new_one_whenever_it_is_killed(tmp_path: Path) -> None:
    for step in range(1, 20):
        path = rolled_up(tmp_path / str(step), some(9))
        spent = totals(path)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(step)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
            timeout=60,
        )
        assert totals(path) == spent
        if run.returncode == 0:
            break
        assert run.returncode == -signal.SIGKILL
        erased(path)
        assert ADA.encode() not in path.read_bytes()
        assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert run.returncode == 0
    assert step > 3


# PostgreSQL


@pytest.fixture(scope="module")
def server() -> Iterator[pg.Server]:
    with pg.server() as running:
        yield running


@pytest.fixture
def dsn(server: pg.Server) -> str:
    return server.database()


def sent(dsn: str, events: list[UsageEvent], **options: Any) -> None:
    exporter = Postgres(dsn, **options)
    exporter.batch(events)
    exporter.close()


def table(
    dsn: str, columns: str = '"user", user_origin, tags', name: str = "tokenmeter_events"
) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            f"SELECT {columns} FROM {name} ORDER BY event_id".encode()
        ).fetchall()


def from_table(dsn: str, person: Person, **options: Any) -> list[Place]:
    return list(erase([], person, postgres=dsn, **options))


def test_a_person_goes_from_a_table_and_nothing_else(dsn: str) -> None:
    known = pseudonym(ADA, KEY)
    from tokenmeter.pseudonyms import checked

    sent(
        dsn,
        [
            event(0, ADA, tags={"by": ADA, "n": 1}),
            event(1, known, tags={"by": ADA}),
            event(2, "bob", tags={"by": ADA, "for": ADA}),
            event(3, "bob", tags={"by": "bob"}),
            event(4),
        ],
    )
    others = '"event_id", input_tokens, output_tokens, ts, xmin::text'
    before = table(dsn, others)
    person = Person([ADA], checked(KEY), ["by", "none"])
    assert from_table(dsn, person, dry_run=True) == [Place("PostgreSQL tokenmeter_events", 3)]
    assert table(dsn, others) == before
    assert from_table(dsn, person) == [Place("PostgreSQL tokenmeter_events", 3)]
    assert table(dsn) == [
        (None, "erased", {"n": 1}),
        (None, "erased", None),
        ("bob", "explicit", {"for": ADA}),
        ("bob", "explicit", {"by": "bob"}),
        (None, None, None),
    ]
    after = table(dsn, others)
    assert [row[:4] for row in after] == [row[:4] for row in before]
    assert after[3:] == before[3:]
    assert from_table(dsn, person) == [Place("PostgreSQL tokenmeter_events", 0)]


def test_whole_events_are_removed_from_a_table_of_another_name(dsn: str) -> None:
    odd = 'public.what % a "name"'
    sent(dsn, some(9), table=odd)
    assert from_table(dsn, Person([ADA], whole=True), table=odd) == [Place(f"PostgreSQL {odd}", 3)]
    left = table(dsn, "input_tokens", 'public."what % a ""name"""')
    assert left == [(e.input_tokens,) for e in some(9) if e.user != ADA]


def test_names_that_sql_could_take_for_itself_are_names(dsn: str) -> None:
    names = ["'; DROP TABLE tokenmeter_events; --", "%(names)s", "{}", "a\0b", 'x"y\\']
    sent(dsn, [event(n, name) for n, name in enumerate(names)])
    for name in names:
        assert from_table(dsn, Person([name]))[0].events == 1
    assert table(dsn) == [(None, "erased", None)] * len(names)


def test_what_is_inserted_meanwhile_is_there(dsn: str) -> None:
    sent(dsn, some(30))

    def insert(first: int) -> None:
        exporter = Postgres(dsn)
        for n in range(first, first + 60):
            exporter(event(n, "bob"))
        exporter.close()

    threads = [threading.Thread(target=insert, args=(1000 * n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    assert from_table(dsn, Person([ADA]))[0].events == 10
    for thread in threads:
        thread.join()
    found = table(dsn, '"user", input_tokens')
    assert found[:30] == [(e.user, e.input_tokens) for e in without(some(30))]
    assert len(found) == 150


def test_the_transaction_is_all_or_nothing(dsn: str) -> None:
    sent(dsn, some(9))
    with psycopg.connect(dsn) as connection:
        check = "event_id < '0' OR input_tokens <> 6 OR \"user\" IS NOT NULL"
        connection.execute(f"ALTER TABLE tokenmeter_events ADD CHECK ({check})".encode())
    before = table(dsn)
    with pytest.raises(ConfigurationError, match=r"PostgreSQL: .* violates check constraint"):
        from_table(dsn, Person([ADA]))
    assert table(dsn) == before


def test_a_database_or_a_table_that_is_not_there_is_said(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        ConfigurationError, match='PostgreSQL: relation "tokenmeter_events" does not'
    ):
        from_table(dsn, Person([ADA]))
    assert main(["erase", "--postgres", f"{dsn}&dbname=none", "--user", ADA]) == 2
    assert "PostgreSQL: OperationalError" in capsys.readouterr().err


def test_the_command_erases_from_a_table(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(ddl("mine").encode())
    sent(dsn, some(4), table="mine")
    assert main(["erase", "--postgres", dsn, "--table", "mine", "--user", ADA]) == 0
    assert capsys.readouterr().out == (
        "PostgreSQL mine: 2 events\nthe user of 2 events erased, in 1 of 1 places\n"
    )
