"""Rolling ledgers up into Parquet: each event once, in files that are either the old or the new.

DuckDB does the work. Events are staged as JSON lines beside the target, read with the columns of
`UsageEvent`, joined with what the target holds already, written under another name, read back, and
only then given the target's name.
"""

from __future__ import annotations

import contextlib
import fcntl
import operator
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import inspect

from tokenmeter.errors import ConfigurationError, InvariantError, MissingExtraError
from tokenmeter.event import Usage, UsageEvent
from tokenmeter.exporters.jsonl_closed import sync_folder
from tokenmeter.ids import is_derived
from tokenmeter.ledger import Ledger
from tokenmeter.quoting import file, text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "512MB"
"""What DuckDB may use before it goes to the disk."""

ADDED_UP = (*Usage.__struct_fields__[:-1], "cost_amount")
"""The columns whose sums must be equal before and after."""

_STAGE = ".tokenmeter-compact-"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.parquet")
_SMALLEST = Decimal("1e-9")
_TYPES: Mapping[type[inspect.Type], str] = {
    inspect.IntType: "BIGINT",
    inspect.FloatType: "DOUBLE",
    inspect.BoolType: "BOOLEAN",
    inspect.DateTimeType: "TIMESTAMP WITH TIME ZONE",
    inspect.DecimalType: "DECIMAL(18,9)",
}


class Compacted(NamedTuple):
    """What a roll-up did.

    Attributes:
        files: The Parquet files that were written.
        read: Events that the ledgers held.
        duplicates: Those of them that were there twice, or in the target already.
        skipped: Lines of the ledgers that are no events.
        removed: Closed files that were removed.
    """

    files: list[Path]
    read: int
    duplicates: int
    skipped: int
    removed: list[Path]


def compact(
    ledgers: Iterable[Path], to: Path, *, closed_only: bool = False, remove: bool = False
) -> Compacted:
    """Add the events of ledgers to Parquet, each once.

    Args:
        ledgers: Ledgers or closed files.
        to: One file, when it ends in ``.parquet``, or a folder with a file for each day in UTC.
            What they hold already stays; of an event that is in both the one in Parquet stands.
        closed_only: Whether to leave out the file that is still being written.
        remove: Whether closed files are removed after all was read back.

    Raises:
        ConfigurationError: The target cannot be written, or somebody else is at it.
        InvariantError: What was read back is not what was written; nothing was removed.
        MissingExtraError: DuckDB is not installed.
    """
    one = to.suffix.lower() == ".parquet"
    with folder_alone(to.parent if one else to) as folder, database_in(folder) as database:
        targets = [to] if one else sorted(p for p in folder.iterdir() if _DAY.fullmatch(p.name))
        stage = _Stage(database.folder, to.name if one else None, database.derived(targets))
        readings = [Ledger(path) for path in ledgers]
        for ledger in readings:
            with ledger:
                stage.add_all(ledger.closed() if closed_only else ledger)
        files = [
            database.roll_up(staged, folder / staged.stem, total)
            for staged, total in stage.finished()
        ]
        kept = sum(f.added for f in files)
        removed = [path for ledger in readings for path in ledger.remove_read()] if remove else []
    return Compacted(
        files=[f.path for f in files],
        read=stage.read,
        duplicates=stage.read - kept,
        skipped=sum(len(ledger.skipped) for ledger in readings),
        removed=removed,
    )


class _File(NamedTuple):
    path: Path
    added: int


class Total(NamedTuple):
    """How many events there are, and the sums of `ADDED_UP`."""

    events: int
    sums: tuple[int | Decimal, ...]


class _Stage:
    """Write events as JSON lines, a file for each that is to be made of them."""

    def __init__(self, folder: Path, name: str | None, known: set[str]) -> None:
        self.read = 0
        self._folder, self._name, self._known = folder, name, known
        self._seen: set[str] = set()
        self._fetched: dict[str, UsageEvent] = {}
        self._totals: dict[Path, list[Any]] = {}
        self._open: tuple[Path, Any] | None = None
        self._encode = msgspec.json.Encoder().encode

    def add_all(self, events: Iterable[UsageEvent]) -> None:
        """Take events; of one that several processes fetched the earliest, as in reports."""
        for event in events:
            self.read += 1
            if not is_derived(event.event_id):
                if event.event_id not in self._seen:
                    self._seen.add(event.event_id)
                    self._write(event)
            elif event.event_id not in self._known:
                other = self._fetched.get(event.event_id, event)
                self._fetched[event.event_id] = min(other, event, key=operator.attrgetter("ts"))

    def finished(self) -> Iterator[tuple[Path, Total]]:
        """Give what is staged, with what it adds up to."""
        for event in self._fetched.values():
            self._write(event)
        if self._open is not None:
            self._open[1].close()
        for path in sorted(self._totals):
            count, *sums = self._totals[path]
            yield path, Total(count, tuple(sums))

    def _write(self, event: UsageEvent) -> None:
        path = self._folder / f"{self._name or _day(event)}.jsonl"
        if self._open is None or self._open[0] != path:
            if self._open is not None:
                self._open[1].close()
            self._open = path, path.open("ab")
        self._open[1].write(self._encode(event) + b"\n")
        total = self._totals.setdefault(path, [0] * (1 + len(ADDED_UP)))
        total[0] += 1
        for n, value in enumerate(_columns(event), 1):
            if value is not None:
                total[n] += value


_counts = operator.attrgetter(*ADDED_UP[:-1])


def _columns(event: UsageEvent) -> tuple[int | Decimal | None, ...]:
    cost = event.cost_amount
    return (*_counts(event), cost and cost.quantize(_SMALLEST, ROUND_HALF_UP))


def _day(event: UsageEvent) -> str:
    ts = event.ts if event.ts.tzinfo is not None else event.ts.replace(tzinfo=UTC)
    return f"{ts.astimezone(UTC):%Y-%m-%d}.parquet"


class Database:
    """DuckDB, with a folder for what is in the making."""

    def __init__(self, connection: DuckDBPyConnection, folder: Path) -> None:
        self.folder = folder
        self._connection = connection
        self.ask("SET TimeZone = 'UTC'")
        self.ask("SET autoinstall_known_extensions = false")  # that would ask the network
        self.ask(f"SET memory_limit = '{MEMORY}'")
        self.ask(f"SET temp_directory = {text(folder / 'spilled')}")

    def derived(self, targets: list[Path]) -> set[str]:
        """Give the ids that the target holds of answers that several processes may fetch."""
        found: set[str] = set()
        for path in targets:
            if path.exists():
                rows = self.ask(f"SELECT event_id FROM {parquet(path)}")
                found.update(event_id for (event_id,) in rows if is_derived(event_id))
        return found

    def roll_up(self, staged: Path, target: Path, total: Total) -> _File:
        """Make a Parquet file of what is staged and what is there, and check it."""
        every = f"SELECT * FROM {_json(staged)}"
        check("what was staged", self.total(every), total)
        before = 0
        if target.exists():
            there = parquet(target)
            before = self.total(f"SELECT event_id FROM {there}", ()).events
            every = (
                f"SELECT * FROM {there} UNION ALL BY NAME "
                f"SELECT * FROM ({every}) ANTI JOIN {there} USING (event_id)"
            )
        made = self.folder / target.name
        self.ask(f"COPY ({every}) TO {text(made)} (FORMAT parquet, COMPRESSION zstd)")
        written = self.total(f"SELECT * FROM {parquet(made)}")
        check("what was written", written, self.total(every))
        publish(made, target)
        return _File(target, written.events - before)

    def total(self, query: str, columns: Iterable[str] = ADDED_UP) -> Total:
        """Give what a query adds up to."""
        sums = "".join(f", coalesce(sum({name}), 0)" for name in columns)
        ((count, *found),) = self.ask(f"SELECT count(event_id){sums} FROM ({query})")
        return Total(count, tuple(found))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        return self._connection.execute(query).fetchall()


def check(what: str, found: Total, expected: Total) -> None:
    """Check what something adds up to.

    Raises:
        InvariantError: It is not what was expected.
    """
    if found != expected:
        raise InvariantError(f"{what} is what was read", f"{found}, not {expected}")


def publish(made: Path, target: Path) -> None:
    """Give a finished file its name; whatever happens, the name stands for a whole file."""
    fd = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    made.chmod(target.stat().st_mode if target.exists() else 0o600)
    made.rename(target)
    sync_folder(target.parent)


def _json(path: Path) -> str:
    columns = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns_of().items())
    return (
        f"read_json({file(path)}, format = 'newline_delimited', columns = {{{columns}}}, "
        "hive_partitioning = false)"
    )


def parquet(path: Path) -> str:
    """Give the table that a file is in SQL; the names of folders are no columns of it."""
    return f"read_parquet({file(path)}, hive_partitioning = false)"


def columns_of() -> dict[str, str]:
    """Give the columns of an event and their types in SQL.

    >>> list(columns_of().items())[3]
    ('ts', 'TIMESTAMP WITH TIME ZONE')
    """
    fields = inspect.type_info(UsageEvent)
    assert isinstance(fields, inspect.StructType)
    return {field.name: _sql(field.type) for field in fields.fields}


def _sql(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        kinds = [_sql(each) for each in kind.types if not isinstance(each, inspect.NoneType)]
        return kinds[0] if len(kinds) == 1 else "VARCHAR"
    if isinstance(kind, inspect.DictType):
        return f"MAP({_sql(kind.key_type)}, {_sql(kind.value_type)})"
    if isinstance(kind, inspect.VarTupleType):
        return f"{_sql(kind.item_type)}[]"
    return _TYPES.get(type(kind), "VARCHAR")


@contextlib.contextmanager
def folder_alone(folder: Path) -> Generator[Path]:
    """Have a folder to oneself, without what a killed process left in it."""
    try:
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot write to {str(folder)!r}: {exc.strerror}; name a folder, or a file that ends "
            f"in .parquet, where you may write"
        ) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(f"{_STAGE}*"):
            shutil.rmtree(left)
        yield folder
    except BlockingIOError as exc:
        raise ConfigurationError(
            f"another tokenmeter compact or erase writes to {str(folder)!r}; wait for it"
        ) from exc
    finally:
        os.close(fd)


@contextlib.contextmanager
def database_in(folder: Path) -> Generator[Database]:
    """Have DuckDB, with a folder of its own in another one.

    Raises:
        ConfigurationError: What it was asked for cannot be done.
        MissingExtraError: It is not installed.
    """
    try:
        import duckdb
    except ImportError as missing:
        raise MissingExtraError("duckdb", "parquet") from missing
    with tempfile.TemporaryDirectory(prefix=_STAGE, dir=folder) as stage:
        try:
            with duckdb.connect() as connection:
                yield Database(connection, Path(stage))
        except duckdb.Error as exc:
            raise ConfigurationError(f"DuckDB cannot make Parquet of this: {exc}") from exc
