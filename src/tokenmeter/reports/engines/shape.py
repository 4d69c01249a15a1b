"""What an engine sees to before it is asked: the columns of a source, and what is there twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

from tokenmeter.compaction import columns_of
from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.reports.engines import Watch
from tokenmeter.reports.portable import SOURCE, over
from tokenmeter.reports.relations import IS_EVENT
from tokenmeter.wording import counted

Ask = Callable[[str], list[tuple[Any, ...]]]
"""Runs a query and gives its rows."""

_LOOK = f"""
SELECT COUNT(*) AS every, SUM(CASE WHEN {IS_EVENT} THEN 1 ELSE 0 END) AS events,
    COUNT(DISTINCT CASE WHEN {IS_EVENT} THEN event_id END) AS ids
FROM {SOURCE}
"""


class Seen(NamedTuple):
    """What is there of a source.

    Attributes:
        is_once: Whether it holds each event once.
        damage: What of it is no event or is there twice.
    """

    is_once: bool
    damage: list[str]


def selected(
    found: Mapping[str, str], origin: str, column: Callable[[str, str, str | None], str]
) -> str:
    """Give the columns of events, as a source has them.

    Args:
        found: The columns that it has, and their types.
        origin: Its name, for errors.
        column: Writes one, given its name, its type in DuckDB and the type that it has there;
            ``None``: it is not there, and so unknown.

    Raises:
        ConfigurationError: It has not what makes an event.
    """
    absent = {"event_id", "ts", "kind"} - found.keys()
    if absent:
        raise ConfigurationError(
            f"{origin} holds no events: it has no column {', '.join(sorted(absent))}; expected the "
            f"columns of docs/event.md, as tokenmeter compact writes them"
        )
    return ", ".join(column(name, kind, found.get(name)) for name, kind in columns_of().items())


def names_of(source: object) -> list[str] | None:
    """Give the names of files, or of one table, that a source is; ``None``: it is a frame.

    Raises:
        ConfigurationError: It is a list, and empty, or of something else.
    """
    if isinstance(source, str | os.PathLike):
        return [os.fspath(source)]
    if isinstance(source, list | tuple):
        names = cast("Sequence[object]", source)
        if names and all(isinstance(name, str | os.PathLike) for name in names):
            return [os.fspath(cast("str | os.PathLike[str]", name)) for name in names]
        kinds = ", ".join(sorted({type(name).__name__ for name in names})) or "nothing"
        raise ConfigurationError(
            f"a list to report on is one of names of files; got one of {kinds}; name a ledger, "
            "such as usage.jsonl, or give one frame, which is not in a list"
        )
    return None


def look(ask: Ask, source: str, dialect: str, origin: str) -> Seen:
    """Count what is no event, and what is there twice."""
    ((every, events, ids),) = ask(over(source, _LOOK, dialect))
    rows, twice = int(every) - int(events or 0), int(events or 0) - int(ids)
    damage: list[str] = []
    if rows:
        damage.append(f"{origin}: {counted(rows, 'row', 'are')} no event")
    if twice:
        damage.append(f"{counted(twice, 'event', 'are')} there twice and counted once: {origin}")
    return Seen(not twice, damage)


def watched(ask: Ask, watch: Watch | None, stop: Callable[[], None] = lambda: None) -> Ask:
    """Have somebody see that a query takes its time; how far it is, these engines do not say."""
    if watch is None:
        return ask

    def seen(sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = watch(lambda: ask(sql), lambda: -1.0, stop)
        return found

    return seen


def imported(module: str, what: str, extra: str) -> Any:
    """Import a library at its first use; those of engines have no types.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as missing:
        raise MissingExtraError(what, extra) from missing


def one_line(said: object) -> str:
    """Give what an engine says on one line, without the places in its own code.

    >>> one_line("Code: 60.  Unknown table  JVM stacktrace: at org.apache")
    'Code: 60. Unknown table'
    """
    text = str(said).partition("JVM stacktrace")[0].partition("Stack trace:")[0]
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


_LONGEST = 500
