"""PostgreSQL: the table that the exporter `tokenmeter.exporters.postgres` fills, or one like it.

A report is one transaction that reads only, so that all of its parts are about the same events.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from tokenmeter.errors import BusyError, ConfigurationError
from tokenmeter.exporters.postgres import GRACE_S, UNIQUE_KEYS, bound, connect, quoted
from tokenmeter.reports.engines import Watch
from tokenmeter.reports.engines.shape import Seen, look, one_line, selected, watched

STATEMENT_TIMEOUT_S = 600.0
"""How long the server may work on one query."""

_SETTINGS = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
    # SET LOCAL, because poolers such as PgBouncer take no option for a whole session.
    f"SET LOCAL statement_timeout = {round(STATEMENT_TIMEOUT_S * 1000)}",
    "SET LOCAL TimeZone = 'UTC'",
)

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""

_TYPES: Mapping[str, str] = {
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "DECIMAL(18,9)": "numeric(18,9)",
    "VARCHAR": "text",
    "VARCHAR[]": "text[]",
    "MAP(VARCHAR, VARCHAR)": "jsonb",
    "MAP(VARCHAR, BIGINT)": "jsonb",
}


class PostgreSQL:
    """One transaction over one table."""

    dialect = "postgres"

    def __init__(self, connection: Any, table: str, watch: Watch | None) -> None:
        self._connection = connection
        self.ask = watched(self._ask, watch, connection.cancel)
        found = dict(self._ask(_COLUMNS, [quoted(table)]))
        if not found:
            raise ConfigurationError(
                f"PostgreSQL has no table {table!r}, or this role does not see it; expected the "
                f"table of the exporter, tokenmeter_events, or its name as 'schema.table'"
            )
        shaped = f"(SELECT {selected(found, f'the table {table!r}', _column)} FROM {quoted(table)})"
        self.source = f"{shaped} AS ledger"
        self.is_once, self.damage = self._seen(table)

    def _seen(self, table: str) -> Seen:
        keys = self._ask(UNIQUE_KEYS, [quoted(table)])
        if any(set(key) == {"event_id"} for (key,) in keys):
            return Seen(is_once=True, damage=[])
        return look(self.ask, self.source, self.dialect, f"the table {table}")

    def _ask(self, sql: str, values: list[str] | None = None) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(sql.encode(), values).fetchall()
        return rows


def _column(name: str, kind: str, found: str | None) -> str:
    wanted = _TYPES[kind]
    made = "NULL" if found is None else f'"{name}"'
    if found != wanted:
        made = f"CAST({made} AS {wanted})"
    # In the order of their bytes, as elsewhere, whatever the language of the database is.
    return f'{made} COLLATE "C" AS "{name}"' if wanted == "text" else f'{made} AS "{name}"'


@contextmanager
def opened(
    source: str = "tokenmeter_events", *, dsn: str = "", watch: Watch | None = None
) -> Generator[PostgreSQL]:
    """Have PostgreSQL over a table or a view.

    Args:
        source: Its name, also as ``schema.table``, written as in the database.
        dsn: A connection string or URI of libpq; what it leaves out comes from libpq's environment
            variables and files (``PGPASSWORD``, ``~/.pgpass``).
        watch: Runs each query, so that somebody sees that it takes its time.

    Raises:
        ConfigurationError: The string cannot be used, nobody answers, there is no such table, it
            holds no events, or the server refuses to read it.
        MissingExtraError: psycopg is not installed.
    """
    if not isinstance(source, str):  # pyright: ignore
        raise ConfigurationError(f"PostgreSQL is asked about a table by its name; got {source!r}")
    with closing(connect(dsn)) as connection:
        import psycopg

        bound(connection, STATEMENT_TIMEOUT_S + GRACE_S)
        try:
            with connection.transaction():
                for setting in _SETTINGS:
                    connection.execute(setting)
                yield PostgreSQL(connection, source, watch)
        except psycopg.Error as exc:
            said = exc.diag.message_primary or one_line(exc)
            raise ConfigurationError(f"PostgreSQL cannot make a report of this: {said}") from None
        except BusyError as exc:
            raise ConfigurationError(f"{exc}; a report may take that long at most") from None
