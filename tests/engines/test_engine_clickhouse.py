"""Reports on ClickHouse, in this process through chdb: the same rows as everywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

import company
import company_in
import company_reports as reported
from tokenmeter import ConfigurationError
from tokenmeter.reports.engines.clickhouse import FORMAT, opened
from tokenmeter.reports.running import run
from tokenmeter.reports.usage import Usage

chdb = pytest.importorskip("chdb", reason="ClickHouse is not installed: pip install chdb")
pytest.importorskip("sqlglot")
EVENTS = company.events()
TWICE = len(EVENTS) - len(company.once(EVENTS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="module")
def every(folder: Path) -> str:
    return f"file('{company_in.parquet(folder / 'every.parquet', EVENTS)}')"


@pytest.fixture(scope="module")
def connection(every: str) -> Iterator[Any]:
    """Have tables: of the types of Parquet, and of those that ClickHouse is usually given."""
    opened_here = chdb.connect(":memory:")
    opened_here.query("CREATE DATABASE company")
    opened_here.query(
        f"CREATE TABLE company.nullable ENGINE = MergeTree ORDER BY tuple() "
        f"AS SELECT * FROM {every}"
    )
    opened_here.query(_usual(every))
    yield opened_here
    opened_here.close()


def _usual(every: str) -> str:
    """Make a table in which a text is empty and not NULL, and which is sorted by time."""
    columns = []
    for line in chdb.query(f"DESCRIBE TABLE {every}", FORMAT).bytes().splitlines():
        name, kind, *_ = msgspec.json.decode(line)
        if kind == "Nullable(String)":
            columns.append(f"CAST(ifNull(`{name}`, '') AS LowCardinality(String)) AS `{name}`")
        elif kind.startswith("Map(String, Nullable(String))"):
            columns.append(f"CAST(`{name}` AS Map(String, String)) AS `{name}`")
        elif name == "ts":
            columns.append("CAST(assumeNotNull(ts) AS DateTime64(6, 'Asia/Tokyo')) AS ts")
        elif kind == "Nullable(Decimal(18, 9))":
            columns.append(f"CAST(`{name}` AS Nullable(Decimal(38, 9))) AS `{name}`")
        else:
            columns.append(f"`{name}`")
    return (
        f"CREATE TABLE company.usual ENGINE = MergeTree ORDER BY ts "
        f"AS SELECT {', '.join(columns)} FROM {every}"
    )


def test_a_file_in_this_process_gives_the_same_rows(every: str) -> None:
    with opened(every) as engine:
        assert not engine.is_once
        assert engine.damage == [f"{TWICE} events are there twice and counted once: {every}"]
        assert list(reported.all_differences(engine)) == []


def test_texts_that_are_empty_where_others_are_null_give_the_same_rows(connection: Any) -> None:
    with opened("company.usual") as engine:
        names = [name for name in reported.VARIANTS if name.startswith(("report-", "coverage"))]
        for name in names:
            assert reported.differences(reported.ran(engine, reported.VARIANTS[name]), name) == []


@pytest.mark.parametrize("name", reported.VARIANTS)
def test_the_sql_that_is_given_away_gives_the_same_rows(name: str, connection: Any) -> None:
    def ask(text: str) -> list[Any]:
        return [msgspec.json.decode(line) for line in _lines(connection, text)]

    assert reported.given(name, ask, "clickhouse", "company.nullable") == []


def _lines(connection: Any, text: str) -> list[bytes]:
    quoted = f"{text}, output_format_json_quote_decimals = 1"
    return list(connection.query(quoted, FORMAT).bytes().splitlines())


def test_files_that_compact_wrote_hold_each_event_once(folder: Path) -> None:
    with opened(f"file('{company_in.compacted(folder / 'once.parquet', EVENTS)}')") as engine:
        assert (engine.is_once, engine.damage) == (True, [])
        assert reported.differences(
            reported.ran(engine, reported.VARIANTS["report-user"]), "report-user"
        ) == []  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "ClickHouse cannot make a report of this: .*nowhere"),
        ("numbers(3)", r"the table numbers\(3\) holds no events: it has no column event_id"),
        (["a.parquet"], "ClickHouse is asked about what can stand behind FROM"),
    ],
)
def test_what_is_no_table_of_events_is_named_in_one_line(source: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as wrong, opened(source):
        pass
    assert "\n" not in str(wrong.value)


# -- a server -------------------------------------------------------------------------------------


class _Asked(BaseHTTPRequestHandler):
    """Answer as a server of ClickHouse does, by handing what is asked to chdb.

    A stand-in for a server that these tests cannot have: the HTTP interface as
    https://clickhouse.com/docs/interfaces/http (read 2026-11-23) describes it, as far as the client
    uses it, and no users, roles or networks of servers.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        values = parse_qs(urlsplit(self.path).query)
        sql = "\n".join([*values.get("query", ()), body]).strip()
        self.server.asked.append((sql, self.headers.get("Authorization")))  # type: ignore[attr-defined]
        try:
            found = self.server.connection.query(sql, "TabSeparated").bytes()  # type: ignore[attr-defined]
            self._answer(200, found)
        except (chdb.ChdbError, RuntimeError) as exc:
            self._answer(404, str(exc).encode())

    do_GET = do_POST  # noqa: N815

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(connection: Any) -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as running:
        running.connection, running.asked = connection, []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def dsn(server: Any) -> str:
    return f"clickhouse://reader:s3cret@127.0.0.1:{server.server_address[1]}/company"


@pytest.fixture
def client() -> Any:
    return pytest.importorskip("clickhouse_connect", reason="clickhouse-connect is not installed")


def test_a_server_gives_the_same_rows(client: Any, server: Any) -> None:
    with opened("company.nullable", dsn=dsn(server)) as engine:
        for name in ("report-user", "report-tags", "tree-agents", "adoption-team"):
            assert reported.differences(reported.ran(engine, reported.VARIANTS[name]), name) == []
    assert any(sql.endswith(f"FORMAT {FORMAT}") for sql, _ in server.asked)


def test_what_a_server_says_is_one_line_without_the_password(client: Any, server: Any) -> None:
    with (
        pytest.raises(ConfigurationError) as wrong,
        opened("company.nowhere", dsn=dsn(server)) as engine,
    ):
        run(Usage(("user",)), engine)
    assert "nowhere" in str(wrong.value)
    assert "s3cret" not in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_server_that_is_not_there_is_named_without_the_password(client: Any) -> None:
    nobody = "clickhouse://reader:s3cret@127.0.0.1:1/company"
    with pytest.raises(ConfigurationError) as wrong, opened("events", dsn=nobody):
        pass
    assert "s3cret" not in str(wrong.value)
