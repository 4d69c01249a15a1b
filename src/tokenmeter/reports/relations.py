"""What every report begins with: each event once, its calls in the period, in portable SQL.

A source is whatever has the columns of `UsageEvent`: a table, a view, a function that reads files.
What stands in it twice counts once; of an answer that several processes fetched the earliest
event stands, because it is the creator's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from tokenmeter.reports.columns import only
from tokenmeter.reports.scope import Scope

IS_EVENT = "event_id IS NOT NULL AND ts IS NOT NULL AND kind IN ('call', 'outcome', 'run')"
"""What makes a row an event; a torn line is a row of nothing in some engines."""

COPY = "ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY ts, host, pid) AS copy"
"""Which of the events of one id an event is; the first stands."""


class Query(msgspec.Struct, frozen=True):
    """One report as SQL over the relations of `events`.

    Args:
        select: What it gives.
        relations: What that is made of, by name, each of those before it.
    """

    select: str
    relations: Mapping[str, str] = {}

    def text(self, source: str, scope: Scope, *, is_once: bool = False) -> str:
        """Give the whole text.

        Args:
            source: What has the columns of events.
            scope: What the report is about.
            is_once: Whether the source is known to hold each event once.
        """
        relations = events(source, scope, is_once=is_once) | dict(self.relations)
        parts = [f"{name} AS (\n{sql.strip()}\n)" for name, sql in _used(relations, self.select)]
        beginning = f"WITH {', '.join(parts)}\n" if parts else ""
        return f"{beginning}{self.select.strip()}\n"


def events(source: str, scope: Scope, *, is_once: bool) -> dict[str, str]:
    """Give the relations that reports are made of.

    ``events`` has each event up to the end of the period once, ``calls``, ``runs`` and
    ``statements`` are those of a kind; calls and runs are in the period, and calls have the values
    that the scope asks for. Statements are of all times up to the end, because a later one may
    take an earlier one back.
    """
    until = f" AND ts < {at(scope.until)}" if scope.until else ""
    since = f" AND ts >= {at(scope.since)}" if scope.since else ""
    ranked = f"SELECT *, {COPY} FROM {source} WHERE {IS_EVENT}{until}"
    # Each is made of the source, because DuckDB would keep all columns of what they shared.
    every = (
        f"SELECT * FROM {source} WHERE {IS_EVENT}{until}"
        if is_once
        else "SELECT * FROM ranked WHERE copy = 1"
    )
    return {
        "ranked": ranked,
        "events": every,
        "calls": f"{every} AND kind = 'call'{since}{only(scope)}",
        "runs": f"{every} AND kind = 'run'{since}",
        "statements": f"{every} AND kind = 'outcome'",
    }


def at(ts: datetime) -> str:
    """Give a time in SQL."""
    return f"CAST('{ts.isoformat()}' AS TIMESTAMPTZ)"


def _used(relations: Mapping[str, str], select: str) -> Iterable[tuple[str, str]]:
    """Leave out what nothing is made of."""
    needed, kept = select, list[tuple[str, str]]()
    for name, sql in reversed(list(relations.items())):
        if re.search(rf"\b(FROM|JOIN)\s+{name}\b", needed):
            kept.append((name, sql))
            needed += "\n" + sql
    return reversed(kept)
