"""The report of what calls used, by anything: tokens by kind, money, attempts, failures, time."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tokenmeter.reports import running
from tokenmeter.reports.grouping import (
    grouped,
    grouped_columns,
    ordered,
    topped,
    totalled,
    unpriced_once,
)
from tokenmeter.reports.measures import measures
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Result

_ADDITIVE = {measure.column.name for measure in measures(Scope()) if measure.is_additive}


class Usage(msgspec.Struct, frozen=True):
    """What calls used, a row for each combination of values; calls without a value are one, too.

    Args:
        by: What to group by: names of `tokenmeter.reports.columns.NAMES`, or ``tag:NAME``.
        top: The most rows, the others being added up in one; ``None``: all. It does not change the
            query, only what is shown of it.

    >>> Usage(("user",)).title
    'Usage by user'
    """

    by: tuple[str, ...] = ("user", "task", "model")
    top: int | None = None

    name: ClassVar[str] = "report"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return f"Usage by {', '.join(self.by)}" if self.by else "Usage"

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        return grouped_columns(self.by, measures(scope), scope)

    def query(self, scope: Scope) -> Query:
        """Give its definition: the groups, and a row for all of them."""
        return grouped(self.by, measures(scope), scope)

    def result(self, result: Result) -> Result:
        """Put the most expensive first."""
        whole = unpriced_once(totalled(result, len(self.by)))
        sums = ("cost_amount", "input_tokens", "output_tokens", "attempts")
        return topped(ordered(whole, *sums), self.top, lambda column: column.name in _ADDITIVE)
