"""Events as rows of a PostgreSQL table: a ledger that processes and machines share.

A batch is one INSERT of one JSON array, which the server takes apart (``json_populate_recordset``):
one transaction, for which a role needs nothing but INSERT, and about as fast as psycopg's COPY. The
primary key is ``event_id``, so what is sent twice arrives once. PostgreSQL 11 and later.
"""

from __future__ import annotations

import os
import re
import threading
import time
import typing
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from types import ModuleType
from typing import Any, Literal

import msgspec

from tokenmeter.errors import BusyError, ConfigurationError, MissingExtraError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.array import array

_IDENTITY = {"kind", "event_id", "schema", "ts"}
"""Columns that an event has whenever it is sent; a table in parts has more than one in its key."""

GRACE_S = 5.0
"""How much longer than the server's own limit a statement is waited for."""

_NEVER = ("22", "23", "54", "P0")
"""Classes of SQLSTATE that are about the values: of data, of constraints, of limits, of triggers
(https://www.postgresql.org/docs/current/errcodes-appendix.html, read 2026-11-23)."""

_TYPES: dict[Any, str] = {
    str: "TEXT",
    int: "BIGINT",
    float: "DOUBLE PRECISION",
    bool: "BOOLEAN",
    datetime: "TIMESTAMPTZ",
    Decimal: "NUMERIC(18,9)",
    Literal: "TEXT",
    tuple: "TEXT[]",
    Mapping: "JSONB",
}

# What was never created has no columns.
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""

UNIQUE_KEYS = """
SELECT array_agg(attname::text) FROM pg_index JOIN pg_attribute
    ON attrelid = indrelid AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
WHERE indrelid = to_regclass(%s)
    AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
GROUP BY indexrelid
"""
"""The columns of each unique key of a table, a row for each key."""

# https://www.postgresql.org/docs/current/datatype-character.html: NUL cannot be stored (2026-11-23)
_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


class Postgres:
    """Insert events into a table, a transaction a batch; what is there already is left as it is.

    Nothing is connected before the first event. A lost connection is made again with the next
    batch. A NUL character in a text becomes U+FFFD, because PostgreSQL stores none.

    Args:
        dsn: A connection string or URI of libpq; what it leaves out comes from libpq's environment
            variables and files (``PGPASSWORD``, ``~/.pgpass``).
        table: The table, also as ``schema.table``, written as in the database.
        create: Whether to create the table, and to add columns that it does not have yet.
        connect_timeout_s: How long connecting may take, at least 2; ``connect_timeout`` in the
            string wins.
        statement_timeout_s: How long the server may work on a batch.

    Raises:
        ConfigurationError: The string or the name of the table cannot be used.
        MissingExtraError: psycopg is not installed.
    """

    in_background = True

    def __init__(
        self,
        dsn: str = "",
        *,
        table: str = "tokenmeter_events",
        create: bool = True,
        connect_timeout_s: float = 10.0,
        statement_timeout_s: float = 30.0,
    ) -> None:
        for limit_s in (connect_timeout_s, statement_timeout_s):
            if not isinstance(limit_s, int | float) or limit_s <= 0:  # pyright: ignore
                raise ConfigurationError(
                    f"the timeouts of Postgres are positive numbers of seconds; got {limit_s!r}"
                )
        self.table = table
        self._options = _options(dsn, connect_timeout_s)
        self._create = create
        self._timeout_ms = max(1, round(statement_timeout_s * 1000))  # 0 would be no limit
        self._name, self._insert = quoted(table), _insert(table)
        self._lock = threading.Lock()
        self._connection: Any = None

    def __repr__(self) -> str:
        return f"<Postgres {self.table}>"

    def __call__(self, event: UsageEvent) -> None:
        """Insert one event; see `batch`."""
        self.batch([event])

    def batch(self, events: Sequence[UsageEvent]) -> None:
        """Insert events that are not there yet; all of them, or none when it raises.

        Raises:
            RejectedError: A value does not fit into its column.
            BusyError: Something else is in the way; it may be gone later.
        """
        rows = _storable(array(events)).decode()
        with self._lock, self._explained():
            connection = self._connected()
            with self._limited(connection):
                connection.execute(self._insert, [rows])

    def close(self) -> None:
        """Close the connection; another batch would make a new one."""
        with self._lock:
            self._disconnect()

    def after_fork(self) -> None:
        """Leave the parent's connection alone in a forked child: no word of it to the server."""
        self._lock = threading.Lock()
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            _PARENTS.append(connection)
            os.close(connection.fileno())

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Say what psycopg raises in our words; a text of the server may quote a value."""
        errors: Any = _psycopg().errors
        try:
            yield
        except BusyError:
            self._disconnect()
            raise
        except errors.Error as exc:
            if (exc.sqlstate or "")[:2] in _NEVER:
                raise RejectedError(f"PostgreSQL: {type(exc).__name__} ({exc.sqlstate})") from None
            self._disconnect()
            said = exc.diag.message_primary or str(exc).partition("\n")[0]
            raise BusyError(f"PostgreSQL: {type(exc).__name__}: {said}") from None

    @contextmanager
    def _limited(self, connection: Any) -> Generator[None]:
        # SET LOCAL, because poolers such as PgBouncer take no option for a whole session.
        with connection.transaction():
            connection.execute(f"SET LOCAL statement_timeout = {self._timeout_ms}")
            yield

    def _connected(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._connection = _psycopg().connect(**self._options)
            bound(self._connection, self._timeout_ms / 1000 + GRACE_S)
            self._check_columns(self._connection)
            self._check_key(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _check_columns(self, connection: Any) -> None:
        found = {name for (name,) in connection.execute(_COLUMNS, [self._name]).fetchall()}
        absent = [name for name in UsageEvent.__struct_fields__ if name not in found]
        if absent and self._create:
            self._grow(connection, absent, _additions(self.table) if found else ddl(self.table))
        elif absent:
            raise BusyError(f"{self.table} has no column {', '.join(absent)}; see `ddl`")

    def _check_key(self, connection: Any) -> None:
        keys = [set(key) for (key,) in connection.execute(UNIQUE_KEYS, [self._name]).fetchall()]
        if not any("event_id" in key and key <= _IDENTITY for key in keys):
            raise BusyError(
                f"{self.table} has no primary key on event_id, so what is sent twice would be in "
                f"it twice: ALTER TABLE {self._name} ADD PRIMARY KEY (event_id)"
            )

    def _grow(self, connection: Any, absent: list[str], statements: str) -> None:
        try:
            with self._limited(connection):  # one after the other, where several processes begin
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('tokenmeter'))")
                connection.execute(statements)
        except _psycopg().errors.InsufficientPrivilege as exc:
            raise BusyError(
                f"{self.table} has no column {', '.join(absent)}, and this role may not add it "
                f"({exc.diag.message_primary}): have its owner run what `ddl` gives"
            ) from None


def connect(dsn: str, connect_timeout_s: float = 10.0) -> Any:
    """Connect as the exporter does; the connection commits each statement by itself.

    Raises:
        ConfigurationError: The string cannot be used, or nobody answers.
        MissingExtraError: psycopg is not installed.
    """
    options = _options(dsn, connect_timeout_s)
    try:
        return _psycopg().connect(**options)
    except _psycopg().Error as exc:
        said = str(exc).partition("\n")[0]
        raise ConfigurationError(f"PostgreSQL: {type(exc).__name__}: {said}") from None


def ddl(table: str = "tokenmeter_events") -> str:
    """Give the SQL that creates the table, or adds the columns that an older one does not have.

    Raises:
        ConfigurationError: The name of the table cannot be used.
        MissingExtraError: psycopg is not installed.
    """
    columns = [*_columns(required=True), *_columns(required=False), "PRIMARY KEY (event_id)"]
    body = ",\n    ".join(columns)
    return f"CREATE TABLE IF NOT EXISTS {quoted(table)} (\n    {body}\n);\n{_additions(table)}"


def _additions(table: str) -> str:
    added = ",\n    ".join(f"ADD COLUMN IF NOT EXISTS {c}" for c in _columns(required=False))
    return f"ALTER TABLE {quoted(table)}\n    {added};\n"


def _columns(*, required: bool) -> list[str]:
    types = typing.get_type_hints(UsageEvent)  # without their limits
    return [
        f"{quoted(field.name)} {_type(types[field.name])}{' NOT NULL' if required else ''}"
        for field in msgspec.structs.fields(UsageEvent)
        if field.required == required
    ]


def _insert(table: str) -> bytes:
    columns = ", ".join(map(quoted, UsageEvent.__struct_fields__))
    name = quoted(table).replace("%", "%%")
    return (
        f"INSERT INTO {name} ({columns}) SELECT {columns} "
        f"FROM json_populate_recordset(NULL::{name}, %s::json) ON CONFLICT DO NOTHING"
    ).encode()


def _storable(body: bytes) -> bytes:
    return _NUL.sub(rb"\1\\ufffd", body) if rb"\u0000" in body else body


def _type(annotation: Any) -> str:
    """Give the type of the column for an annotation, which ``None`` may be a part of.

    >>> _type(int | None), _type(tuple[str, ...] | None), _type(Literal["call", "run"])
    ('BIGINT', 'TEXT[]', 'TEXT')
    """
    parts = [part for part in typing.get_args(annotation) if part is not type(None)]
    optional = type(None) in typing.get_args(annotation)
    kind = parts[0] if optional and len(parts) == 1 else annotation
    return _TYPES[typing.get_origin(kind) or kind]


def quoted(table: str) -> str:
    """Quote a name, as PostgreSQL would write it; of 63 bytes it makes less without a word."""
    parts = table.split(".")
    if len(parts) > 2 or not all(
        0 < len(part.encode()) < 64 and "\0" not in part for part in parts
    ):
        raise ConfigurationError(
            f"a table is 'table' or 'schema.table', names of at most 63 bytes; got {table!r}"
        )
    quoted: str = _psycopg().sql.Identifier(*parts).as_string(None)
    return quoted


def _options(dsn: str, connect_timeout_s: float) -> dict[str, Any]:
    psycopg = _psycopg()
    given: dict[str, Any] | None = None
    with suppress(psycopg.ProgrammingError):  # whose text quotes the string, password included
        given = psycopg.conninfo.conninfo_to_dict(dsn)
    # An @ in a password that is not written as %40 would make its end a part of the host.
    if given is None or re.search("[^,]@", given.get("host", "")):
        raise ConfigurationError(
            "the connection string of Postgres cannot be read (it is not repeated here, because it "
            "may hold a password); expected one such as 'postgresql://user@host/database', with "
            "%40 for an @ in a password"
        )
    return {
        "connect_timeout": max(2, round(connect_timeout_s)),
        "tcp_user_timeout": round(connect_timeout_s * 1000),
        "keepalives_idle": 60,
        "fallback_application_name": "tokenmeter",
        "client_encoding": "UTF8",
        **given,
        "autocommit": True,
        "prepare_threshold": None,  # poolers may hand each transaction to another server process
    }


def bound(connection: Any, timeout_s: float) -> None:
    """Have a connection give up on a server that says nothing; libpq would wait for ever."""
    wait: Callable[..., Any] = connection.wait

    def within(waiting: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return wait(_until(time.monotonic() + timeout_s, waiting), *args, **kwargs)
        except TimeoutError:
            connection.close()
            raise BusyError(f"PostgreSQL: no answer within {timeout_s:g} s") from None

    connection.wait = within


def _until(deadline: float, waiting: Any) -> Generator[Any, Any, Any]:
    """Go on with a generator of psycopg, which it resumes several times a second, for so long."""
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if time.monotonic() >= deadline:
                raise TimeoutError
            wanted = waiting.send(ready)
    except StopIteration as end:
        return end.value


_PARENTS: list[Any] = []
"""Connections of the parent, in a forked child; psycopg would warn that they were never closed."""


def _psycopg() -> ModuleType:
    try:
        import psycopg
    except ImportError as exc:
        raise MissingExtraError("psycopg", "postgres") from exc
    return psycopg
