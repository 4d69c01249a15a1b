"""The exporter alone: rows, batches handed over twice, what cannot be opened."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tokenmeter_sqlite import Sqlite

from tokenmeter import ConfigurationError, RejectedError, UsageEvent


def event(event_id: str, user: str = "ada") -> UsageEvent:
    ts = datetime(2026, 11, 22, tzinfo=UTC)
    tags = {"sprint": 12}
    return UsageEvent(
        kind="call", event_id=event_id, schema=1, ts=ts, user=user, input_tokens=3, tags=tags
    )


def rows(path: Path, columns: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT {columns} FROM events ORDER BY event_id").fetchall()


def test_an_event_is_a_row(tmp_path: Path) -> None:
    Sqlite(str(tmp_path / "u.db"))(event("a"))
    assert rows(tmp_path / "u.db", "event_id, ts, user, input_tokens, output_tokens, tags") == [
        ("a", "2026-11-22T00:00:00Z", "ada", 3, None, '{"sprint": 12}')
    ]


def test_a_batch_that_is_handed_over_again_is_there_once(tmp_path: Path) -> None:
    sqlite = Sqlite(str(tmp_path / "u.db"))
    sqlite.batch([event("a"), event("b")])
    sqlite.batch([event("b", user="bob"), event("c")])
    assert rows(tmp_path / "u.db", "event_id, user") == [("a", "ada"), ("b", "ada"), ("c", "ada")]


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    sqlite = Sqlite(str(tmp_path / "u.db"))
    odd = UsageEvent(kind="call", event_id="b", schema=1, ts=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sqlite.batch([event("a"), odd])
    assert rows(tmp_path / "u.db", "event_id") == []


def test_a_table_of_an_older_version_gets_its_columns(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "u.db")) as database:
        database.execute("CREATE TABLE events (event_id TEXT PRIMARY KEY, user)")
    Sqlite(str(tmp_path / "u.db"))(event("a"))
    assert rows(tmp_path / "u.db", "event_id, user, input_tokens") == [("a", "ada", 3)]


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name a file in an existing folder"):
        Sqlite(str(tmp_path / "none" / "u.db"))


def test_text_that_is_no_unicode_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        Sqlite(str(tmp_path / "u.db"))(event("a", user="\ud800"))
