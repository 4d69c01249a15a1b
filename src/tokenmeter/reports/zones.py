"""Whether an engine and Python agree on days: each has the rules of time zones of some version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from typing import Any

from tokenmeter.reports.columns import date
from tokenmeter.reports.relations import Query, at
from tokenmeter.reports.scope import Scope, local
from tokenmeter.reports.values import Column, Facts, rows_of


def edges(facts: Facts, scope: Scope) -> list[datetime]:
    """Give the moments of a report that have a day of which more than rows is made."""
    last = None if scope.until is None else scope.until - timedelta(microseconds=1)
    every = (scope.since, last, facts.first, facts.last)
    known = [moment for moment in every if moment and MINYEAR < moment.year < MAXYEAR]
    return [] if scope.zone == "UTC" else known


def days(moments: Sequence[datetime], scope: Scope) -> Query:
    """Ask an engine for the days of moments."""
    named = [f"{date('DAY', scope, at(each))} AS day_{n}" for n, each in enumerate(moments)]
    return Query(f"SELECT {', '.join(named)}")


def disagreement(
    moments: Sequence[datetime], found: Iterable[Sequence[Any]], scope: Scope, dialect: str
) -> Iterator[str]:
    """Say of the first moment that is of another day to the engine what this means.

    Args:
        moments: Which.
        found: What `days` found.
        scope: What the report is about.
        dialect: What the engine is called.
    """
    theirs = [day for row in rows_of([Column("day", "day")] * len(moments), found) for day in row]
    for moment, other in zip(moments, theirs, strict=True):
        day = local(moment, scope.zone).date()
        if str(other) != str(day):
            yield (
                f"what is {day} in {scope.zone} to Python is {other} to {dialect}, whose time "
                f"zones are of another version: days of rows are those of {dialect}, the period is "
                "that of Python"
            )
            return
