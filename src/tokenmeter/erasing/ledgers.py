"""Erasing one person from ledgers, wherever they are: JSONL, Parquet, PostgreSQL.

Who it was goes; what was used stays, so no total changes. What a person is, and what is left of a
line, is in `person`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from tokenmeter.erasing.files import Place, erase_ledger
from tokenmeter.erasing.person import Person
from tokenmeter.ledger import LINES, ledgers

TABLE = "tokenmeter_events"


def erase(
    named: Iterable[str | os.PathLike[str]],
    person: Person,
    *,
    postgres: str | None = None,
    table: str = TABLE,
    dry_run: bool = False,
) -> Iterator[Place]:
    """Erase a person; whatever happens, what was not reached can be reached by another run.

    Args:
        named: Ledgers, closed files, patterns of them, Parquet files, or folders, of which all
            JSONL and Parquet is meant.
        person: Who is erased, and whether whole events go.
        postgres: How to connect to PostgreSQL; see `tokenmeter.exporters.postgres.Postgres`.
        table: The table in it.
        dry_run: Whether to say only what would be erased.

    Yields:
        What was found, a file or a table each, when it is done.

    Raises:
        ConfigurationError: There is no such file or table, or another process is at it.
        MissingExtraError: What reads a file or a table is not installed.
        OSError: A file cannot be read or written.
    """
    paths = [path for name in named for path in _meant(Path(name))]
    tables = sorted({path.resolve() for path in paths if path.suffix.lower() == ".parquet"})
    for path in ledgers(path for path in paths if path.suffix.lower() != ".parquet"):
        yield from erase_ledger(path, person, dry_run=dry_run)
    for _, of_folder in groupby(tables, attrgetter("parent")):
        from tokenmeter.erasing.tables import erase_parquet

        yield from erase_parquet(list(of_folder), person, dry_run=dry_run)
    if postgres is not None:
        from tokenmeter.erasing.tables import erase_postgres

        yield erase_postgres(postgres, table, person, dry_run=dry_run)


def _meant(path: Path) -> list[Path]:
    """Give what a name means: of a folder what is in it, else what fits the pattern."""
    if path.is_dir():
        return [p for p in sorted(path.iterdir()) if p.name.lower().endswith((*LINES, ".parquet"))]
    return ledgers([path])
