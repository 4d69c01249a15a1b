"""The promises of an exporter, by the suite that tokenmeter ships: one test each."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tokenmeter_sqlite import Sqlite

if TYPE_CHECKING:  # importing it is left to pytest, which rewrites its assertions
    from tokenmeter.testing.conformance import Conformance

pytest_plugins = ["tokenmeter.testing.conformance"]

REFUSING = "CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END"


def event_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT event_id FROM events ORDER BY rowid").fetchall()
    return [row[0] for row in rows]


@contextmanager
def outage(path: Path, how: Literal["fails", "hangs"]) -> Iterator[None]:
    """Have the table refuse every row, or have somebody else write to it all the time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(REFUSING if how == "fails" else "BEGIN IMMEDIATE")
        yield
        database.execute("DROP TRIGGER no" if how == "fails" else "ROLLBACK")


def test_it_keeps_the_promises_of_an_exporter(conformance: Conformance, tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    conformance(
        make=functools.partial(Sqlite, str(path), timeout_s=1),
        arrived=lambda: event_ids(path),
        outage=functools.partial(outage, path),
    )
