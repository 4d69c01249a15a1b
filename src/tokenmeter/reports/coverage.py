"""The report of what is not known: calls without counts, without a price, without a name."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tokenmeter.reports import running
from tokenmeter.reports.grouping import grouped, grouped_columns, ordered, totalled
from tokenmeter.reports.measures import COUNTABLE, UNATTRIBUTED, Measure, count, has, unpriced
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Result

_SIDES = (
    "COALESCE(input_provenance, 'reported') IN ('reported', 'none') "
    "AND COALESCE(output_provenance, 'reported') IN ('reported', 'none')"
)


class Coverage(msgspec.Struct, frozen=True):
    """How much of calls is reported, estimated and unknown; priced; and attributed to whom.

    What is said of tokens and money counts attempts in which a provider had something to count;
    what is said of names counts all attempts. What no meter saw is in no ledger: see ``tokenmeter
    doctor`` for what of a program is metered.

    Args:
        by: What to group by, as in `Usage`.
    """

    by: tuple[str, ...] = ("service", "provider", "operation")

    name: ClassVar[str] = "coverage"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return f"Coverage by {', '.join(self.by)}" if self.by else "Coverage"

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        return grouped_columns(self.by, _measures(scope), scope)

    def query(self, scope: Scope) -> Query:
        """Give its definition: the groups, and a row for all of them."""
        return grouped(self.by, _measures(scope), scope)

    def result(self, result: Result) -> Result:
        """Put first where most is unknown, then where most is attributed to nobody."""
        whole = totalled(result, len(self.by))
        return ordered(whole, "unknown", "unattributed", "unpriced", "countable")


def _measures(scope: Scope) -> tuple[Measure, ...]:
    return (
        Measure(Column("attempts", "count"), "COUNT(*)"),
        Measure(Column("countable", "count"), count(COUNTABLE)),
        Measure(Column("reported", "count"), count(f"{COUNTABLE} AND {_SIDES}")),
        *(
            Measure(Column(p, "count", heading), count(f"{COUNTABLE} AND {has(p)}"))
            for p, heading in (("estimated", "est."), ("partial", "part."), ("unknown", ""))
        ),
        Measure(Column("unpriced", "count"), count(f"({unpriced(scope)})")),
        *(
            Measure(Column(f"without_{name}", "count", f"no {name}"), count(f'"{name}" IS NULL'))
            for name in ("user", "team", "task")
        ),
        Measure(Column("unattributed", "count", "unattrib."), count(UNATTRIBUTED)),
    )
