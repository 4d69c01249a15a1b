"""A table of PostgreSQL as a ledger, against a real server."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pg import Server, server
from tokenmeter import ConfigurationError, Meter, MissingExtraError, UsageEvent
from tokenmeter.errors import BusyError, RejectedError
from tokenmeter.event import Tags
from tokenmeter.exporters import postgres
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.postgres import Postgres, ddl
from tokenmeter.sinks import Account

TS = datetime(2026, 11, 22, 9, 8, 7, 654321, tzinfo=UTC)
DOCS = Path(__file__).parent.parent / "docs" / "postgres.md"

WHOLE: dict[str, Any] = {
    **dict.fromkeys(UsageEvent.__struct_fields__, "x"),
    **{
        field: number
        for number, field in enumerate(UsageEvent.__struct_fields__)
        if re.search("_tokens|attempt|http_status|depth|pid|schema", field)
    },
    "kind": "call",
    "source": "wire",
    "status": "completed",
    "input_provenance": "reported",
    "output_provenance": "partial",
    "ts": TS,
    "stream": True,
    "cached": False,
    "duration_s": 1.25,
    "time_to_first_chunk_s": 0.1,
    "finish_reasons": ("stop", "a \"b\", {c}\\d"),
    "other_counts": {"searches": 2},
    "cost_amount": Decimal("12.345678901"),
    "tags": Tags({"build": 7, "ratio": 0.5, "ok": True, "näme": "grüße 🐘"}),
}  # fmt: skip
"""One event in which every column has a value."""


def event(number: int = 0, **more: Any) -> UsageEvent:
    return UsageEvent(kind="call", event_id=f"{number:032x}", schema=1, ts=TS, **more)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.fixture
def dsn(running: Server) -> str:
    return running.database()


@pytest.fixture
def ledger(dsn: str) -> Iterator[Postgres]:
    made = Postgres(dsn)
    yield made
    made.close()


def ask(dsn: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def backends(dsn: str) -> list[int]:
    """List the server processes of a ledger."""
    where = "application_name = 'tokenmeter' AND datname = current_database()"
    return [pid for (pid,) in ask(dsn, f"SELECT pid FROM pg_stat_activity WHERE {where}")]


def test_every_column_of_an_event_is_a_column_of_the_table(ledger: Postgres, dsn: str) -> None:
    ledger(UsageEvent(**WHOLE))
    names = ", ".join(f'"{name}"' for name in WHOLE)
    (row,) = ask(dsn, f"SELECT {names} FROM tokenmeter_events")
    assert dict(zip(WHOLE, row, strict=True)) == {
        **WHOLE,
        "finish_reasons": list(WHOLE["finish_reasons"]),
        "tags": dict(WHOLE["tags"]),
    }
    types = "column_name, data_type || coalesce('(' || numeric_precision_radix || ')', '')"
    where = "table_name = 'tokenmeter_events' ORDER BY ordinal_position"
    found = dict(ask(dsn, f"SELECT {types} FROM information_schema.columns WHERE {where}"))
    assert {name: found.pop(name) for name in ("ts", "tags", "cost_amount", "pid", "stream")} == {
        "ts": "timestamp with time zone",
        "tags": "jsonb",
        "cost_amount": "numeric(10)",
        "pid": "bigint(2)",
        "stream": "boolean",
    }


def test_what_is_unknown_is_null_and_zero_is_zero(ledger: Postgres, dsn: str) -> None:
    ledger(event(input_tokens=0))
    query = 'SELECT input_tokens, output_tokens, "user", tags FROM tokenmeter_events'
    assert ask(dsn, query) == [(0, None, None, None)]


def test_what_is_sent_twice_arrives_once_also_within_a_batch(ledger: Postgres, dsn: str) -> None:
    ledger.batch([event(1), event(2, user="first"), event(2, user="second")])
    ledger.batch([event(2, user="third"), event(3)])
    query = 'SELECT event_id, "user" FROM tokenmeter_events ORDER BY 1'
    assert ask(dsn, query) == [(f"{1:032x}", None), (f"{2:032x}", "first"), (f"{3:032x}", None)]


def test_nothing_is_connected_before_the_first_event_and_one_connection_serves_all(
    ledger: Postgres, dsn: str
) -> None:
    assert backends(dsn) == []
    ledger(event(1))
    first = backends(dsn)
    assert len(first) == 1
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ledger, [event(n) for n in range(40)]))
    assert backends(dsn) == first
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(40,)]
    ledger.close()
    ledger.close()


def test_a_hundred_thousand_events_that_are_sent_twice_arrive_once(dsn: str) -> None:
    for _ in range(2):
        background = Background(Postgres(dsn), batch=1_000, full="block", wait_s=60.0)
        for number in range(100_000):
            background(event(number, input_tokens=number))
        assert background.flush(120)
        background.close()
        assert background.account() == Account(captured=100_000, exported=100_000)
    query = "SELECT count(*), count(DISTINCT event_id), sum(input_tokens) FROM tokenmeter_events"
    assert ask(dsn, query) == [(100_000, 100_000, sum(range(100_000)))]


# C73: nobody could say how much was lost
def test_a_value_that_does_not_fit_costs_its_event_alone(dsn: str) -> None:
    background = Background(Postgres(dsn))
    for number in range(100):
        background(event(number, pid=2**63 if number == 42 else number))
    background.close()
    assert background.account() == Account(captured=100, exported=99, failed=1)
    assert ask(dsn, "SELECT sum(pid) FROM tokenmeter_events") == [(sum(range(100)) - 42,)]


def test_what_came_while_the_server_was_away_is_there_when_it_is_back() -> None:
    with server() as other:
        background = Background(Postgres(other.dsn()))
        background(event(1))
        assert background.flush(60)
        other.stop()
        background(event(2))
        assert not background.flush(0.1)
        assert background.account() == Account(captured=2, exported=1, pending=1)
        other.start()
        assert background.flush(60)
        background.close()
        assert background.account() == Account(captured=2, exported=2)
        assert ask(other.dsn(), "SELECT count(*) FROM tokenmeter_events") == [(2,)]


# texts


# a NUL is no text for PostgreSQL, half a surrogate pair none for anybody
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=20), max_size=5))
def test_any_text_arrives_as_it_is_but_for_what_is_no_character(
    running: Server, texts: list[str]
) -> None:
    ledger = Postgres(running.dsn(), table="texts")
    texts = ["\0", "\\u0000", "\\\0\0", "\ud800", *texts]
    try:
        events = [event(n, user=text, tags=Tags({"t": text})) for n, text in enumerate(texts)]
        ledger.batch(events)
        query = "DELETE FROM texts RETURNING event_id, \"user\", tags->>'t'"
        found = {int(event_id, 16): texts for event_id, *texts in ask(running.dsn(), query)}
    finally:
        ledger.close()
    readable = [re.sub("[\0\ud800-\udfff]", "\ufffd", text) for text in texts]
    assert found == {n: [text, text] for n, text in enumerate(readable)}


# what will never be taken, and what may be


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"input_tokens": 2**63}, "PostgreSQL: NumericValueOutOfRange (22003)"),
        ({"cost_amount": Decimal("1e10")}, "PostgreSQL: NumericValueOutOfRange (22003)"),
        ({"pid": 1.5}, "PostgreSQL: InvalidTextRepresentation (22P02)"),
        ({"kind": None}, "PostgreSQL: NotNullViolation (23502)"),
        ({"tags": {"t": object()}}, "an event cannot be written as JSON: TypeError"),
    ],
)
def test_a_value_that_fits_into_no_column_is_rejected_without_being_quoted(
    ledger: Postgres, dsn: str, bad: dict[str, Any], said: str
) -> None:
    ledger(event(1))
    first = backends(dsn)
    fields: dict[str, Any] = {"kind": "call", "event_id": "b", "schema": 1, "ts": TS} | bad
    with pytest.raises(RejectedError) as caught:
        ledger.batch([event(2), UsageEvent(**fields)])
    assert str(caught.value) == said
    ledger(event(3))
    assert backends(dsn) == first  # nothing was wrong with the connection
    query = "SELECT event_id FROM tokenmeter_events ORDER BY 1"
    assert ask(dsn, query) == [(f"{1:032x}",), (f"{3:032x}",)]


TRIGGER = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW."user" = 'eve' THEN RAISE 'no %', NEW."user"; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON tokenmeter_events FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE tokenmeter_events ADD CHECK (task <> 'secret')
"""


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"user": "eve"}, "PostgreSQL: RaiseException (P0001)"),
        ({"task": "secret"}, "PostgreSQL: CheckViolation (23514)"),
    ],
)
def test_what_a_trigger_or_a_constraint_refuses_is_rejected_without_being_quoted(
    ledger: Postgres, dsn: str, bad: dict[str, Any], said: str
) -> None:
    ledger(event(1))
    ask(dsn, TRIGGER)
    with pytest.raises(RejectedError) as caught:
        ledger.batch([event(2), event(3, **bad)])
    assert str(caught.value) == said


def test_a_character_that_the_database_does_not_have_is_rejected(running: Server) -> None:
    encoding = "TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'"
    ask(running.dsn(), f"CREATE DATABASE latin {encoding}")
    ledger = Postgres(running.dsn("latin"))
    ledger(event(1, user="Zoë"))
    with pytest.raises(RejectedError, match="UntranslatableCharacter"):
        ledger(event(2, user="🐘"))
    ledger.close()
    assert ask(running.dsn("latin"), 'SELECT "user" FROM tokenmeter_events') == [("Zoë",)]


def test_an_identifier_too_long_for_the_index_is_rejected(ledger: Postgres) -> None:
    with pytest.raises(RejectedError, match="54000"):
        ledger(UsageEvent(kind="call", event_id=os.urandom(9000).hex(), schema=1, ts=TS))


def test_a_batch_on_a_connection_that_was_lost_is_worth_another_attempt(
    ledger: Postgres, dsn: str
) -> None:
    ledger(event(1))
    ask(dsn, f"SELECT pg_terminate_backend({backends(dsn)[0]}, 60000)")
    with pytest.raises(BusyError, match="PostgreSQL: "):
        ledger(event(2))
    ledger(event(2))
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(2,)]


def test_a_server_that_is_away_is_worth_another_attempt() -> None:
    with server() as other:
        ledger = Postgres(other.dsn())
        ledger(event(1))
        other.stop()
        for _ in range(2):
            with pytest.raises(BusyError, match="PostgreSQL: "):
                ledger(event(2))
        other.start()
        ledger(event(2))
        ledger(event(1))
        assert ask(other.dsn(), "SELECT count(*) FROM tokenmeter_events") == [(2,)]
        ledger.close()


def test_a_table_that_was_dropped_is_made_again(ledger: Postgres, dsn: str) -> None:
    ledger(event(1))
    ask(dsn, "DROP TABLE tokenmeter_events")
    with pytest.raises(BusyError, match=r'UndefinedTable: .*"tokenmeter_events" does not exist'):
        ledger(event(2))
    ledger(event(2))
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(1,)]


# nothing waits for ever


def test_the_server_gives_up_on_a_statement_that_takes_too_long(dsn: str) -> None:
    ledger = Postgres(dsn, statement_timeout_s=0.05)
    ledger(event(1))
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE tokenmeter_events")
        with pytest.raises(BusyError, match=r"QueryCanceled: .* statement timeout"):
            ledger(event(2))
    ledger(event(2))
    ledger.close()
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(2,)]


def test_a_server_that_says_nothing_is_not_waited_for(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "GRACE_S", 0.0)
    ledger = Postgres(dsn, statement_timeout_s=0.2)
    ledger(event(1))
    (backend,) = backends(dsn)
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(BusyError, match=r"PostgreSQL: no answer within 0.2 s"):
            ledger(event(2))
        ledger(event(2))
    finally:
        os.kill(backend, signal.SIGCONT)
    ledger.close()
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(2,)]


def test_a_server_that_takes_a_connection_and_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        ledger = Postgres(f"host=127.0.0.1 port={port} user=ada", connect_timeout_s=2)
        with pytest.raises(BusyError, match="PostgreSQL: ConnectionTimeout"):
            ledger(event(1))


# the table


def test_several_that_begin_at_the_same_time_make_one_table(dsn: str) -> None:
    together = threading.Barrier(6)
    ledgers = [Postgres(dsn) for _ in range(6)]

    def begin(number: int) -> None:
        together.wait(60)
        ledgers[number](event(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(begin, range(6)))
    for ledger in ledgers:
        ledger.close()
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(6,)]


TABLE = "ALTER TABLE tokenmeter_events"

OLD = """
CREATE TABLE "Spend".events (event_id TEXT PRIMARY KEY, kind TEXT, schema INT, ts TIMESTAMPTZ,
    "user" VARCHAR(3), mine INT DEFAULT 5);
INSERT INTO "Spend".events (event_id) VALUES ('old')
"""


def test_an_older_table_gets_the_columns_that_it_does_not_have(dsn: str) -> None:
    ask(dsn, 'CREATE SCHEMA "Spend"')
    ask(dsn, OLD)
    ledger = Postgres(dsn, table="Spend.events")
    ledger(event(1, user="ada", task="T-1"))
    with pytest.raises(RejectedError, match="22001"):
        ledger(event(2, user="more than three"))
    ledger.close()
    query = 'SELECT event_id, "user", task, mine FROM "Spend".events ORDER BY 1'
    assert ask(dsn, query) == [(f"{1:032x}", "ada", "T-1", 5), ("old", None, None, 5)]


def test_without_leave_to_create_the_error_names_the_columns(dsn: str) -> None:
    ledger = Postgres(dsn, create=False)
    with pytest.raises(BusyError, match=r"tokenmeter_events has no column kind, event_id, .*ddl"):
        ledger(event(1))
    ask(dsn, ddl())
    ask(dsn, "ALTER TABLE tokenmeter_events DROP COLUMN task, DROP COLUMN agent")
    with pytest.raises(BusyError, match=r"has no column task, agent; see `ddl`"):
        ledger(event(1))
    ask(dsn, ddl())
    ledger(event(1))
    ledger.close()


@pytest.mark.parametrize(
    "instead",
    [
        "DROP COLUMN mine",
        "ADD PRIMARY KEY (event_id, mine)",
        "ADD UNIQUE (mine) INCLUDE (event_id)",
        'ADD UNIQUE (event_id, "user")',
    ],
)
def test_a_table_that_would_take_an_event_twice_is_refused(
    ledger: Postgres, dsn: str, instead: str
) -> None:
    ask(dsn, ddl() + "ALTER TABLE tokenmeter_events DROP CONSTRAINT tokenmeter_events_pkey")
    ask(dsn, f"ALTER TABLE tokenmeter_events ADD COLUMN mine SERIAL; {TABLE} {instead}")
    with pytest.raises(BusyError) as caught:
        ledger(event(1))
    statement = 'ALTER TABLE "tokenmeter_events" ADD PRIMARY KEY (event_id)'
    assert str(caught.value).endswith(statement)
    ask(dsn, f"{TABLE} DROP CONSTRAINT IF EXISTS tokenmeter_events_pkey")
    ask(dsn, statement)
    ledger(event(1))


def test_a_role_needs_no_more_than_insert(dsn: str) -> None:
    ask(dsn, ddl())
    ask(dsn, "DROP ROLE IF EXISTS writer; CREATE ROLE writer LOGIN")
    ask(dsn, "GRANT INSERT ON tokenmeter_events TO writer")
    ledger = Postgres(dsn.replace("ledger", "writer"))
    ledger.batch([event(1), event(1)])
    ledger.batch([event(1), event(2)])
    assert ask(dsn, "SELECT count(*) FROM tokenmeter_events") == [(2,)]
    ask(dsn, "ALTER TABLE tokenmeter_events DROP COLUMN task")
    ledger.close()
    with pytest.raises(BusyError) as caught:
        ledger(event(3))
    assert str(caught.value) == (
        "tokenmeter_events has no column task, and this role may not add it "
        "(must be owner of table tokenmeter_events): have its owner run what `ddl` gives"
    )
    ask(dsn, "DROP OWNED BY writer; DROP ROLE writer")


def test_a_table_in_parts_takes_each_event_once(dsn: str) -> None:
    whole = ddl().partition("ALTER")[0].rpartition(";")[0]
    key = "PRIMARY KEY (event_id, ts)"
    ask(dsn, whole.replace("PRIMARY KEY (event_id)", key) + " PARTITION BY RANGE (ts)")
    ask(dsn, "CREATE TABLE rest PARTITION OF tokenmeter_events DEFAULT")
    ledger = Postgres(dsn)
    ledger.batch([event(1), event(1)])
    ledger.batch([event(1)])
    ledger.close()
    assert ask(dsn, "SELECT count(*) FROM rest") == [(1,)]


def test_the_sql_of_the_page_runs(ledger: Postgres, dsn: str) -> None:
    ledger(UsageEvent(**WHOLE))
    blocks = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        ask(dsn, block)
    ask(dsn, "DROP OWNED BY meter; DROP ROLE meter")


# forks


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads, from 3.12 on
def test_a_forked_child_has_a_connection_of_its_own_and_leaves_the_parents_alone(
    ledger: Postgres, dsn: str
) -> None:
    ledger(event(1, user="parent"))
    before = backends(dsn)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ledger.after_fork()
            ledger(event(2, user="child"))
            code = int(len(backends(dsn)) != 2)
            ledger.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ledger(event(3, user="parent"))
    assert backends(dsn) == before
    query = 'SELECT "user" FROM tokenmeter_events ORDER BY event_id'
    assert ask(dsn, query) == [("parent",), ("child",), ("parent",)]


# C75: a fork killed the exporter's thread, and nothing arrived any more
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads, from 3.12 on
def test_parent_and_child_deliver_what_is_theirs_and_nothing_twice(dsn: str) -> None:
    meter = Meter([Background(Postgres(dsn, table="forked"), batch=7)])
    for number in range(100):
        meter.record(event(number, user="parent"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for number in range(100, 150):
                meter.record(event(number, user="child"))
            meter.shutdown(60)
            code = int(bool(meter.losses()))
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for number in range(150, 200):
        meter.record(event(number, user="parent"))
    assert meter.flush(60)
    account = Account(captured=150, exported=150)._asdict()
    assert meter.stats() == {"Postgres": account, "guard": {}}
    meter.shutdown()
    query = 'SELECT "user", count(*) FROM forked GROUP BY 1 ORDER BY 1'
    assert ask(dsn, query) == [("child", 50), ("parent", 150)]


# holding it wrongly, and secrets


@pytest.mark.parametrize(
    "given", ["postgresql:/x:hunter2@y", "postgresql://u:p@hunter2@host/db", "passwort=hunter2"]
)
def test_a_string_that_cannot_be_read_is_not_repeated(given: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        Postgres(given)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "hunter2" not in "".join(map(str, chain))


def test_a_password_is_in_no_text(running: Server) -> None:
    ledger = Postgres(f"host={running.folder} user=nobody password=hunter2 dbname=postgres")
    with pytest.raises(BusyError) as caught:
        ledger(event(1))
    assert "hunter2" not in f"{ledger!r} {caught.value!r} {caught.value.__cause__}"
    assert repr(ledger) == "<Postgres tokenmeter_events>"


@pytest.mark.parametrize("table", ["", "a.b.c", "a.", "x" * 64, "a\0"])
def test_what_names_no_table_is_refused(table: str) -> None:
    with pytest.raises(ConfigurationError, match="a table is 'table'"):
        Postgres("", table=table)


@pytest.mark.parametrize("name", ["connect_timeout_s", "statement_timeout_s"])
@pytest.mark.parametrize("given", [0, -1, "5", None])
def test_a_time_limit_is_a_positive_number(name: str, given: Any) -> None:
    limits: dict[str, Any] = {name: given}
    with pytest.raises(ConfigurationError, match="positive numbers of seconds"):
        Postgres("", **limits)


def test_without_psycopg_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[postgres\]'"):
        Postgres("")
