"""Spark: a table, files of Parquet or JSON lines, or a DataFrame, in the session that is there.

Nothing of a session that is there is changed, not even its time zone: the queries do not depend on
any setting of it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tokenmeter.compaction import columns_of
from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.engines import Watch
from tokenmeter.reports.engines.shape import imported, look, names_of, one_line, selected, watched

_TYPES: Mapping[str, str] = {
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "TIMESTAMP WITH TIME ZONE": "timestamp_ltz",
    "DECIMAL(18,9)": "decimal(18,9)",
    "VARCHAR": "string",
    "VARCHAR[]": "array<string>",
    "MAP(VARCHAR, VARCHAR)": "map<string,string>",
    "MAP(VARCHAR, BIGINT)": "map<string,bigint>",
}

_DAMAGED = "tokenmeter_damaged_line"
_LINES = re.compile(r"\.jsonl?(\.(gz|zst|bz2))?$")
_FILES = re.compile(r"[/\\*]|\.parquet$|" + _LINES.pattern)

_OWN = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "16",
}


class Spark:
    """One view, for as long as a report is made of it."""

    dialect = "spark"

    def __init__(
        self, session: Any, schema: Any, view: str, origin: str, watch: Watch | None
    ) -> None:
        self._session = session
        self.ask = watched(self._ask, watch)
        found = {field.name: field.dataType.simpleString() for field in schema.fields}
        self.source = f"(SELECT {selected(found, origin, _column)} FROM {view})"
        self.is_once, self.damage = look(self.ask, self.source, self.dialect, origin)

    def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._session.sql(sql).collect()]


def _column(name: str, kind: str, found: str | None) -> str:
    wanted = _TYPES[kind]
    made = "NULL" if found is None else f"`{name}`"
    if wanted.startswith("map") and found is not None and not found.startswith("map"):
        text = made if found == "string" else f"TO_JSON({made})"
        return f"FROM_JSON({text}, '{wanted}') AS `{name}`"
    return f"{made} AS `{name}`" if found == wanted else f"CAST({made} AS {wanted}) AS `{name}`"


@contextmanager
def opened(
    source: object, *, dsn: str = "", session: Any = None, watch: Watch | None = None
) -> Generator[Spark]:
    """Have Spark over a table, files, or a DataFrame.

    Args:
        source: The name of a table; or a path, pattern or list of Parquet or JSON lines, of any
            file system that the session reads; or a DataFrame.
        dsn: The master of a session that is made here: ``local[4]``, ``spark://host:7077``; what
            Spark's own configuration says, unless given.
        session: The session; ``None``: the active one, else one is made and stopped again.
        watch: Runs each query, so that somebody sees that it takes its time.

    Raises:
        ConfigurationError: There is no such table or file, it holds no events, or it cannot be
            read.
        MissingExtraError: PySpark is not installed.
    """
    errors = _pyspark("errors")
    there = session or getattr(source, "sparkSession", None) or _active()
    try:
        with ExitStack() as stack:
            running = there or stack.enter_context(_made(dsn))
            frame = stack.enter_context(_frame(running, source))
            view = stack.enter_context(_view(running, frame))
            yield Spark(running, frame.schema, view, _origin(source), watch)
    except errors.PySparkException as exc:
        raise ConfigurationError(f"Spark cannot make a report of this: {one_line(exc)}") from None


@contextmanager
def _made(master: str) -> Generator[Any]:
    """Have a session, where there is none whose settings would be changed by this."""
    builder = _pyspark("sql").SparkSession.builder.appName("tokenmeter")
    for name, value in (_OWN | ({"spark.master": master} if master else {})).items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    try:
        yield made
    finally:
        made.stop()


def _active() -> Any:
    try:
        return _pyspark("sql").SparkSession.active()
    except _pyspark("errors").PySparkRuntimeError:
        return None


def _pyspark(part: str) -> Any:
    return imported(f"pyspark.{part}", "pyspark", "spark")


@contextmanager
def _frame(session: Any, source: object) -> Generator[Any]:
    names = names_of(source)
    if names is None:
        yield source
    elif len(names) == 1 and not _FILES.search(names[0]):
        yield session.table(names[0])
    elif all(_LINES.search(name) for name in names):
        with _lines(session, names) as frame:
            yield frame
    else:
        yield session.read.option("mergeSchema", "true").parquet(*names)


@contextmanager
def _lines(session: Any, names: list[str]) -> Generator[Any]:
    """Read JSON lines, once: the ledger may be growing; a line that is none is one of no id."""
    functions = _pyspark("sql.functions")
    columns = [f"`{name}` {_TYPES[kind]}" for name, kind in columns_of().items()]
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _DAMAGED, "timeZone": "UTC"}
    reader = session.read.schema(", ".join([*columns, f"`{_DAMAGED}` string"]))
    frame = reader.options(**options).json(names).cache()
    is_sound = functions.col(_DAMAGED).isNull()
    try:
        yield frame.withColumn("event_id", functions.when(is_sound, functions.col("event_id")))
    finally:
        frame.unpersist()


@contextmanager
def _view(session: Any, frame: Any) -> Generator[str]:
    name = f"tokenmeter_{uuid.uuid4().hex}"
    frame.createOrReplaceTempView(name)
    try:
        yield name
    finally:
        session.catalog.dropTempView(name)


def _origin(source: object) -> str:
    names = names_of(source)
    return "the frame" if names is None else ", ".join(names)
