"""DuckDB in this process, over ledgers, compressed ledgers, Parquet, and frames.

Lines are read once, into a temporary table, so that all parts of a report are about the same
events although the ledger may be growing; a file that holds anything that is no event is read
by the reader that knows every damage, so that what counts does not depend on who reads.
Parquet is read where it is; columns of other types are cast, and what cannot be is unknown.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tokenmeter.compaction import columns_of, parquet
from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.frames import native
from tokenmeter.quoting import file, text, whole
from tokenmeter.reports.engines import Watch
from tokenmeter.reports.engines.shape import names_of, selected
from tokenmeter.reports.files import Files, complaints, files_of, is_sound, reread
from tokenmeter.reports.relations import COPY, IS_EVENT
from tokenmeter.wording import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "850MB"
"""What DuckDB may use before it goes to the disk, or asks for more where it cannot go there."""

ROOM = "80%"
"""What it may ask for, of the memory of the machine."""

LONGEST_LINE = 16 << 20
"""Bytes that one line may have; a longer one is no event."""

_FILE = "tokenmeter_file"


class DuckDB:
    """One database in this process with the events of some files or of a frame."""

    dialect = "duckdb"
    is_once = True

    def __init__(self, connection: DuckDBPyConnection, folder: Path, watch: Watch | None) -> None:
        self._connection = connection
        self._folder = folder
        self._watch = watch
        self.source = "ledger"
        self.damage: list[str] = []
        self._names: dict[str, str] = {}
        self.ask("SET TimeZone = 'UTC'")
        self.ask("SET autoinstall_known_extensions = false")  # that would ask the network
        self.ask("SET preserve_insertion_order = false")
        self.ask(f"SET memory_limit = '{MEMORY}'")
        self.ask(f"SET temp_directory = {text(folder / 'spilled')}")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        connection = self._connection

        def work() -> list[tuple[Any, ...]]:
            return self._roomy(sql)

        if self._watch is None:
            return work()
        found: list[tuple[Any, ...]] = self._watch(
            work, connection.query_progress, connection.interrupt
        )
        return found

    def _roomy(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query, with all that the machine has where it does not fit.

        Quantiles of very many groups cannot go to the disk.
        """
        from duckdb import OutOfMemoryException

        try:
            return self._connection.execute(sql).fetchall()
        except OutOfMemoryException:
            self._connection.execute(f"SET memory_limit = '{ROOM}'")
        try:
            return self._connection.execute(sql).fetchall()
        except OutOfMemoryException as exc:
            raise ConfigurationError(
                "this report does not fit into the memory of this machine; group by less, take a "
                "shorter period (--since, --until), or let another --engine run it"
            ) from exc

    def read(self, files: Files) -> None:
        """Make the events of files the source."""
        parts: list[str] = []
        if files.lines:
            self._read_lines(files.lines)
            parts.append("SELECT * FROM lines")
        parts += [self._shaped(parquet(path), path) for path in files.parquet]
        self.ask(f"CREATE VIEW {self.source} AS {' UNION ALL BY NAME '.join(parts)}")
        self._look_at_rows()

    def frame(self, frame: object) -> None:
        """Make the rows of a frame the source."""
        self._connection.register("frame", native(frame))
        self.ask(f"CREATE VIEW {self.source} AS {self._shaped('frame', 'the frame')}")
        self._look_at_rows()

    def _read_lines(self, paths: list[Path]) -> None:
        sound = [path for path in paths if is_sound(path)]
        self._names = {whole(path): str(path) for path in paths}
        self.ask(f"CREATE TABLE lines AS {_lines(sound)}")
        found = self.ask(
            f"SELECT {_FILE} FROM lines WHERE NOT coalesce({IS_EVENT}, false) GROUP BY {_FILE}"
        )
        damaged = {name for (name,) in found}
        for path in paths:
            if path not in sound or whole(path) in damaged:
                self._read_damaged(path)

    def _read_damaged(self, path: Path) -> None:
        self.ask(f"DELETE FROM lines WHERE {_FILE} = {text(whole(path))}")
        staged = self._folder / "reread.jsonl"
        encode = msgspec.json.Encoder().encode
        with reread(path) as ledger, staged.open("wb") as out:
            out.writelines(encode(event) + b"\n" for event in ledger)
        self.ask(f"INSERT INTO lines BY NAME {_lines([staged], whole(path))}")
        self.damage += complaints(ledger, path)

    def _shaped(self, table: str, origin: object) -> str:
        """Give a table the columns of events: those that it lacks are unknown."""
        described = self.ask(f"DESCRIBE SELECT * FROM {table}")
        found: dict[str, str] = {str(row[0]): str(row[1]) for row in described}
        columns = selected(found, str(origin), _column)
        return f"SELECT {columns}, {text(origin)} AS {_FILE} FROM {table}"

    def _look_at_rows(self) -> None:
        """See whether each row is an event that can be, and each event is there once."""
        odd = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in _ODD)
        ((rows, *odds),) = self.ask(f"SELECT count(*), {odd} FROM {self.source}")
        count, distinct = self._counted("hash(event_id)")
        if count < rows:
            self._say(f"NOT coalesce({IS_EVENT}, false)", "row", "no event")
        for (condition, what), many in zip(_ODD.items(), odds, strict=True):
            if many:
                self._say(f"{IS_EVENT} AND {condition}", "event", what)
        # Equal hashes say maybe, equal ids say no.
        if distinct < count and (distinct := self._counted("event_id")[1]) < count:
            self._leave_out_twins()
            places = self.ask(f"SELECT DISTINCT {_FILE} FROM twins")
            names = ", ".join(sorted(self._named(name) for (name,) in places))
            self.damage.append(
                f"{counted(count - distinct, 'event', 'are')} there twice and counted once: {names}"
            )

    def _counted(self, key: str) -> tuple[int, int]:
        """Count events, and how many of them differ."""
        ((count, distinct),) = self.ask(
            f"SELECT count(*), count(DISTINCT {key}) FROM {self.source} WHERE {IS_EVENT}"
        )
        return count, distinct

    def _say(self, condition: str, noun: str, what: str) -> None:
        """Say of how many rows of which file something holds."""
        found = self.ask(
            f"SELECT {_FILE}, count(*) FROM {self.source} WHERE {condition} "
            f"GROUP BY {_FILE} ORDER BY {_FILE}"
        )
        self.damage += [
            f"{self._named(name)}: {counted(count, noun, 'are')} {what}" for name, count in found
        ]

    def _named(self, found: str) -> str:
        """Give the name of a file as whoever asked said it."""
        return self._names.get(found, found)

    def _leave_out_twins(self) -> None:
        """Rank the events that are there twice, rather than have each query rank all events."""
        self.ask(
            f"CREATE TABLE twins AS SELECT *, {COPY} FROM {self.source} WHERE {IS_EVENT} AND "
            f"event_id IN (SELECT event_id FROM {self.source} WHERE {IS_EVENT} "
            "GROUP BY event_id HAVING count(*) > 1)"
        )
        self.ask(
            f"CREATE VIEW once AS SELECT * FROM {self.source} "
            "WHERE event_id NOT IN (SELECT event_id FROM twins) "
            "UNION ALL BY NAME SELECT * EXCLUDE copy FROM twins WHERE copy = 1"
        )
        self.source = "once"


_ODD = {
    "ts < TIMESTAMPTZ '2000-01-01 00:00:00+00'": "before the year 2000: a clock was wrong",
    "duration_s < 0": "shorter than nothing: a clock was put back",
}
"""What no event can be, and what it says of the machine that wrote it; it is counted."""


def _column(name: str, kind: str, found: str | None) -> str:
    if found is None:
        return f'CAST(NULL AS {kind}) AS "{name}"'
    if kind in {found, "VARCHAR"}:
        return f'"{name}"'
    if found == "VARCHAR" and kind.startswith("MAP"):  # frames have JSON there
        return f'TRY_CAST(TRY_CAST("{name}" AS JSON) AS {kind}) AS "{name}"'
    return f'TRY_CAST("{name}" AS {kind}) AS "{name}"'


def _lines(paths: Sequence[Path], name: str | None = None) -> str:
    """Read files of JSON lines; a line that is no event is a row of nothing."""
    columns = ", ".join(f"{text(n)}: {text(kind)}" for n, kind in columns_of().items())
    if not paths:
        nothing = ", ".join(_column(name, kind, None) for name, kind in columns_of().items())
        return f"SELECT {nothing}, '' AS {_FILE} WHERE false"
    files = ", ".join(map(file, paths))
    return (
        f"SELECT * REPLACE ({text(name) if name else _FILE} AS {_FILE}) FROM read_json([{files}], "
        f"format = 'newline_delimited', columns = {{{columns}}}, ignore_errors = true, "
        f"filename = {text(_FILE)}, maximum_object_size = {LONGEST_LINE}, "
        "hive_partitioning = false)"
    )


@contextmanager
def opened(source: object, *, watch: Watch | None = None) -> Generator[DuckDB]:
    """Have DuckDB over ledgers and Parquet, or over one frame.

    Args:
        source: A name of a file, pattern or folder, or a list of them; or a frame of pandas,
            Polars, pyarrow or what else narwhals knows. Columns that it lacks are unknown; a time
            without a zone is in UTC; ``tags`` are a dictionary, a struct, or JSON.
        watch: Runs each query, so that somebody sees how far it is.

    Raises:
        ConfigurationError: There is no such file, or it cannot be read.
        MissingExtraError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as missing:
        raise MissingExtraError("duckdb", "report") from missing
    names = names_of(source)
    files = None if names is None else files_of(names)
    with tempfile.TemporaryDirectory(prefix="tokenmeter-report-") as folder:
        try:
            with duckdb.connect(Path(folder) / "events.duckdb") as connection:
                engine = DuckDB(connection, Path(folder), watch)
                engine.frame(source) if files is None else engine.read(files)
                yield engine
        except duckdb.Error as exc:
            reason = str(exc).partition("\n")[0]  # what follows is a piece of SQL
            raise ConfigurationError(f"DuckDB cannot make a report of this: {reason}") from exc
