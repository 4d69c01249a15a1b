"""Events of tokenmeter in a table of SQLite: a row an event, a transaction a batch."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import msgspec

from tokenmeter import ConfigurationError, RejectedError, UsageEvent

COLUMNS = UsageEvent.__struct_fields__
_INSERT = (
    f"INSERT OR IGNORE INTO events ({', '.join(map(json.dumps, COLUMNS))}) "
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)

# Nobody forks in the middle of SQLite: what it knows of its locks would be wrong in the child.
_lock = threading.Lock()
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


class Sqlite:
    """Write events into the table ``events`` of a file, which is made where it is missing.

    An event that is there already stays as it is, so a batch may be handed over twice. Nothing is
    kept open in between, so that threads, processes and forks share the file.

    Args:
        path: The file; its folder must exist.
        timeout_s: How long to wait while others write.
    """

    in_background = True

    def __init__(self, path: str, *, timeout_s: float = 30.0) -> None:
        self._path, self._timeout_s = path, timeout_s
        try:
            with self._transaction() as database:
                database.execute("CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY)")
                there = {row[1] for row in database.execute("PRAGMA table_info(events)")}
                for name in COLUMNS:
                    if name not in there:
                        database.execute(f'ALTER TABLE events ADD COLUMN "{name}"')
        except sqlite3.Error as exc:
            raise ConfigurationError(
                f"the path {path!r} is no database that can be written: {exc}; "
                f"name a file in an existing folder"
            ) from exc

    def __call__(self, event: UsageEvent) -> None:
        """Write one event."""
        self.batch([event])

    def batch(self, events: Sequence[UsageEvent]) -> None:
        """Write several; all of them are there when it returns, none when it raises.

        Raises:
            RejectedError: One of them holds text that cannot be encoded.
        """
        try:
            with self._transaction() as database:
                database.executemany(_INSERT, map(_row, events))
        except UnicodeEncodeError as exc:
            raise RejectedError("an event holds text that is no Unicode") from exc

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connect = sqlite3.connect
        with _lock, closing(connect(self._path, timeout=self._timeout_s)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            yield database


def _row(event: UsageEvent) -> list[object]:
    values = msgspec.to_builtins(event)
    return [_cell(values.get(name)) for name in COLUMNS]


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value
