"""Events where a company has them: in ledgers, in Parquet, in tables of PostgreSQL and the rest."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tokenmeter import UsageEvent
from tokenmeter.compaction import columns_of, compact


def jsonl(path: Path, made: Iterable[UsageEvent]) -> Path:
    """Write a ledger, packed as its name says."""
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in made)
    if path.suffix == ".gz":
        lines = gzip.compress(lines)
    elif path.suffix == ".zst":
        import zstandard

        lines = zstandard.compress(lines)
    path.write_bytes(lines)
    return path


def compacted(path: Path, made: Iterable[UsageEvent]) -> Path:
    """Write Parquet as ``tokenmeter compact`` does: each event once."""
    compact([jsonl(path.with_name(f"{path.name}.jsonl"), made)], path)
    return path


def parquet(path: Path, made: Iterable[UsageEvent]) -> Path:
    """Write Parquet with whatever is there twice."""
    import duckdb

    ledger = jsonl(path.with_name(f"{path.name}.jsonl"), made)
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in columns_of().items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT * FROM read_json('{ledger}', format = 'newline_delimited', "
            f"columns = {{{columns}}})) TO '{path}' (FORMAT parquet)"
        )
    return path


def table(dsn: str, made: Iterable[UsageEvent], name: str = "tokenmeter_events") -> None:
    """Fill a table of PostgreSQL as the exporter does, which keeps what comes first."""
    from tokenmeter.exporters.postgres import Postgres

    exporter = Postgres(dsn, table=name)
    exporter.batch(sorted(made, key=lambda event: event.ts))
    exporter.close()


def table_of_all(dsn: str, made: Iterable[UsageEvent], name: str = "every_event") -> None:
    """Fill a table that has no key, with whatever is there twice."""
    import psycopg

    from tokenmeter.exporters.array import array
    from tokenmeter.exporters.postgres import ddl

    with psycopg.connect(dsn) as connection:
        connection.execute(ddl("shape_of_events").encode())
        connection.execute(f"CREATE TABLE {name} (LIKE shape_of_events)".encode())
        rows = f"SELECT * FROM json_populate_recordset(NULL::{name}, %s::json)"
        connection.execute(f"INSERT INTO {name} {rows}".encode(), [array(list(made)).decode()])


@contextmanager
def clickhouse(folder: Path, made: Iterable[UsageEvent], name: str = "events") -> Iterator[Any]:
    """Have a session of chdb with a table of events, with whatever is there twice."""
    from chdb import session

    file = parquet(folder / f"{name}.parquet", made)
    with session.Session(str(folder / "clickhouse")) as running:
        running.query("CREATE DATABASE IF NOT EXISTS company")
        running.query(
            f"CREATE TABLE company.{name} ENGINE = MergeTree ORDER BY tuple() "
            f"AS SELECT * FROM file('{file}')"
        )
        yield running


def spark(session: Any, file: Path, name: str = "") -> Any:
    """Give a frame of Spark of Parquet, as a table where it has a name."""
    frame = session.read.parquet(str(file))
    if name:
        frame.createOrReplaceTempView(name)
    return frame
