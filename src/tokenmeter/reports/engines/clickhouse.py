"""ClickHouse: in this process through chdb, or a server through clickhouse-connect.

Answers come as JSON lines from both, so that they are read in one way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.engines import Watch
from tokenmeter.reports.engines.shape import imported, look, one_line, selected, watched

FORMAT = "JSONCompactEachRow"
"""How answers are written (https://clickhouse.com/docs/interfaces/formats, read 2026-11-23)."""

CONNECT_TIMEOUT_S = 10
ANSWER_TIMEOUT_S = 600

_Send = Callable[[str], bytes]
"""Sends a query and gives its answer in `FORMAT`."""

_decode = msgspec.json.Decoder(list[Any], float_hook=Decimal).decode  # amounts keep each digit

_TYPES = {
    "BIGINT": "Int64",
    "DOUBLE": "Float64",
    "BOOLEAN": "Bool",
    "TIMESTAMP WITH TIME ZONE": "DateTime64(6, 'UTC')",
    "DECIMAL(18,9)": "Decimal(18, 9)",
    "VARCHAR": "String",
}


class ClickHouse:
    """One table, or whatever else can stand behind FROM."""

    dialect = "clickhouse"

    def __init__(self, send: _Send, source: str, watch: Watch | None) -> None:
        self._send = send
        self.ask = watched(self._ask, watch)
        found = {row[0]: row[1] for row in self._ask(f"DESCRIBE TABLE {source}")}
        columns = selected(found, f"the table {source}", _column)
        self.source = f"(SELECT {columns} FROM {source})"
        self.is_once, self.damage = look(self.ask, self.source, self.dialect, source)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(_decode(line)) for line in self._send(sql).splitlines() if line]


def _column(name: str, kind: str, found: str | None) -> str:
    """Give one column; a text that cannot be NULL is empty where it is unknown."""
    wanted = _TYPES.get(kind)
    if wanted is None:
        return f"{_map(name, found)} AS `{name}`" if kind.startswith("MAP") else f"NULL AS `{name}`"
    if found is None:
        return f"CAST(NULL AS Nullable({wanted})) AS `{name}`"
    if wanted == "String":
        of = name if found.endswith("String)") or found == "String" else f"toString({name})"
        return f"nullIf(`{of}`, '') AS `{name}`"
    if wanted.startswith("DateTime64") and found.endswith("String"):
        return f"parseDateTime64BestEffortOrNull(`{name}`, 6, 'UTC') AS `{name}`"
    return f"CAST(`{name}` AS Nullable({wanted})) AS `{name}`"


def _map(name: str, found: str | None) -> str:
    if found is None:
        return "map()"
    return f"`{name}`" if found.startswith("Map(") else f"CAST(`{name}` AS Map(String, String))"


@contextmanager
def opened(
    source: str, *, dsn: str | None = None, watch: Watch | None = None
) -> Generator[ClickHouse]:
    """Have ClickHouse over a table or a table function.

    Args:
        source: What stands behind FROM: ``database.table``, or ``file('events.parquet')``.
        dsn: Where the server is: ``clickhouses://user:password@host:8443/database``; ``None``:
            ClickHouse in this process.
        watch: Runs each query, so that somebody sees that it takes its time.

    Raises:
        ConfigurationError: The server does not answer, there is no such table, it holds no events,
            or it cannot be read.
        MissingExtraError: chdb, or for a server clickhouse-connect, is not installed.
    """
    if not isinstance(source, str):  # pyright: ignore
        raise ConfigurationError(
            f"ClickHouse is asked about what can stand behind FROM, such as database.table or "
            f"file('events.parquet'); got {source!r}"
        )
    with _in_process() if dsn is None else _server(dsn) as send:
        yield ClickHouse(send, source, watch)


@contextmanager
def _in_process() -> Generator[_Send]:
    chdb = imported("chdb", "chdb", "clickhouse")
    # The packages chdb and chdb-core bring the same files, and the errors of one are not those of
    # the other: which of them is raised is a matter of which was installed last (4.4.0).
    errors = (chdb.ChdbError, RuntimeError)
    with _explained(*errors):
        made = chdb.connect(":memory:")
    with closing(made) as connection:

        def send(sql: str) -> bytes:
            with _explained(*errors):
                found: bytes = connection.query(sql, FORMAT).bytes()
            return found

        yield send


@contextmanager
def _server(dsn: str) -> Generator[_Send]:
    library = imported("clickhouse_connect", "clickhouse-connect", "clickhouse")
    errors = imported("clickhouse_connect.driver.exceptions", "clickhouse-connect", "clickhouse")
    times = {"connect_timeout": CONNECT_TIMEOUT_S, "send_receive_timeout": ANSWER_TIMEOUT_S}
    with (
        _explained(errors.Error, secret=_password(dsn)),
        closing(library.get_client(dsn=dsn, **times)) as made,
    ):
        client: Any = made
        yield lambda sql: client.raw_query(sql, fmt=FORMAT)


@contextmanager
def _explained(*errors: type[Exception], secret: str = "") -> Generator[None]:
    try:
        yield
    except errors as exc:
        said = one_line(exc)
        said = said.replace(secret, "…") if secret else said
        raise ConfigurationError(f"ClickHouse cannot make a report of this: {said}") from None


def _password(dsn: str) -> str:
    with suppress(ValueError):
        return urlsplit(dsn).password or ""
    return ""
