"""Erasing a person from tables: Parquet that ``tokenmeter compact`` wrote, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenmeter.compaction import Database, check, database_in, folder_alone, parquet
from tokenmeter.compaction import publish as published
from tokenmeter.erasing.files import Place
from tokenmeter.erasing.person import ERASED, Person
from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters.postgres import connect, quoted
from tokenmeter.quoting import text

# -- Parquet --------------------------------------------------------------------------------------


def erase_parquet(paths: list[Path], person: Person, *, dry_run: bool) -> Iterator[Place]:
    """Erase a person from Parquet files of one folder; each is the old one or the new one.

    Raises:
        ConfigurationError: A file has not the columns of events, or somebody else is at the folder.
        InvariantError: What was written does not add up to what was there; the file is the old one.
        MissingExtraError: DuckDB is not installed.
    """
    folder = paths[0].parent
    with folder_alone(folder), database_in(folder) as database:
        for path in paths:
            yield _in_file(database, path, person, dry_run=dry_run)


def _in_file(database: Database, path: Path, person: Person, *, dry_run: bool) -> Place:
    _check_columns(database, path)
    sql = _Sql(person)
    found = f"SELECT count(*) FROM {parquet(path)} WHERE {sql.is_of_person}"
    ((events,),) = database.ask(found)
    if events and not dry_run:
        made = database.folder / path.name
        query = f"SELECT * FROM {parquet(path)} WHERE NOT coalesce({sql.is_of_person}, false)"
        if not person.whole:
            query = f"SELECT * REPLACE ({sql.replaced}) FROM {parquet(path)}"
        database.ask(f"COPY ({query}) TO {text(made)} (FORMAT parquet, COMPRESSION zstd)")
        written, expected = database.total(f"SELECT * FROM {parquet(made)}"), database.total(query)
        check("what was written", written, expected)
        if not person.whole:
            check("what was written", written, database.total(f"SELECT * FROM {parquet(path)}"))
        published(made, path)
    return Place(str(path), events)


def _check_columns(database: Database, path: Path) -> None:
    columns = {name for name, *_ in database.ask(f"DESCRIBE SELECT * FROM {parquet(path)}")}
    if not {"event_id", "user", "user_origin", "tags"} <= columns:
        raise ConfigurationError(f"{str(path)!r} has not the columns of events")


class _Sql:
    """What is asked of DuckDB about a person."""

    def __init__(self, person: Person) -> None:
        self._names = f"[{', '.join(map(text, sorted(person.names)))}]"
        self._tags = f"[{', '.join(map(text, person.tags))}]::VARCHAR[]"
        is_user = self._is('"user"')
        named = f"len({self._entries('')}) > 0"
        self.is_of_person = f"({is_user} OR {named})" if person.tags else is_user
        tags = f"map_from_entries({self._entries('NOT')})"
        self.replaced = (
            f'CASE WHEN {is_user} THEN NULL ELSE "user" END AS "user", '
            f"CASE WHEN {is_user} THEN {text(ERASED)} ELSE user_origin END AS user_origin"
        )
        if person.tags:
            self.replaced += (
                f", CASE WHEN NOT coalesce({named}, false) THEN tags "
                f"WHEN len({self._entries('NOT')}) > 0 THEN {tags} END AS tags"
            )

    def _is(self, value: str) -> str:
        return f"coalesce(list_contains({self._names}, nfc_normalize({value})), false)"

    def _entries(self, negated: str) -> str:
        """Give the tags that are, or are not, the person's."""
        mine = f"list_contains({self._tags}, e.key) AND {self._is('e.value')}"
        return f"[e FOR e IN map_entries(tags) IF {negated} ({mine})]"


# -- PostgreSQL -----------------------------------------------------------------------------------

_IS_USER = '"user" = ANY(%(names)s)'
_TAGS = "ARRAY(SELECT t FROM unnest(%(tags)s::text[]) AS t WHERE tags ->> t = ANY(%(names)s))"
_IS_OF_PERSON = f"({_IS_USER} OR cardinality({_TAGS}) > 0)"

_ERASE = f"""
UPDATE {{table}} SET
    "user" = CASE WHEN {_IS_USER} THEN NULL ELSE "user" END,
    user_origin = CASE WHEN {_IS_USER} THEN '{ERASED}' ELSE user_origin END,
    tags = nullif(tags - {_TAGS}, '{{{{}}}}'::jsonb)
WHERE {_IS_OF_PERSON}
"""
_REMOVE = f"DELETE FROM {{table}} WHERE {_IS_OF_PERSON}"
_COUNT = f"SELECT count(*) FROM {{table}} WHERE {_IS_OF_PERSON}"


def erase_postgres(dsn: str, table: str, person: Person, *, dry_run: bool) -> Place:
    """Erase a person from a table of PostgreSQL, in one transaction.

    Raises:
        ConfigurationError: The database or the table cannot be used.
        MissingExtraError: psycopg is not installed.
    """
    import psycopg

    statement = _COUNT if dry_run else _REMOVE if person.whole else _ERASE
    with connect(dsn) as connection:
        try:
            with connection.transaction():
                name = quoted(table).replace("%", "%%")
                done: Any = connection.execute(statement.format(table=name), _given(person))
                events: int = done.fetchone()[0] if dry_run else done.rowcount
        except psycopg.Error as exc:
            said = exc.diag.message_primary or type(exc).__name__
            raise ConfigurationError(f"PostgreSQL: {said}") from None
    return Place(f"PostgreSQL {table}", events)


def _given(person: Person) -> dict[str, list[str]]:
    """Give the names as they are in the table, where a NUL became another character."""
    names = sorted({name.replace("\0", "\ufffd") for name in person.spellings})
    return {"names": names, "tags": list(person.tags)}
