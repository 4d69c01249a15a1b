"""The report of tasks: what each cost, what came out of it, and what an accepted one costs."""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import Any, ClassVar

import msgspec

from tokenmeter.reports import running
from tokenmeter.reports.columns import keys
from tokenmeter.reports.grouping import IS_TOTAL, ordered, topped, totalled
from tokenmeter.reports.intervals import FEWEST, Interval, Sums, of_mean, of_ratio
from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.spending import SAMPLE, SUMS, is_by_task, spending
from tokenmeter.reports.values import Column, Result, Row, Value

_SMALLEST = Decimal("1e-9")

RATIOS: tuple[Column, ...] = (
    Column("cost_per_task", "money", "per task", is_optional=True),
    Column("cost_per_task_low", "money", "from", is_quiet=True, is_optional=True),
    Column("cost_per_task_high", "money", "to", is_quiet=True, is_optional=True),
    Column("cost_per_accepted", "money", "per accepted", is_optional=True),
    Column("cost_per_accepted_low", "money", "from", is_quiet=True, is_optional=True),
    Column("cost_per_accepted_high", "money", "to", is_quiet=True, is_optional=True),
)


_SAID_BY_STATUS = ("tasks", "accepted", "not_accepted", "undecided", "cost_undecided",
                   "cost_without_task")  # fmt: skip


def _detail(column: Column) -> Column:
    return msgspec.structs.replace(column, is_detail=True)


class Tasks(msgspec.Struct, frozen=True):
    """What tasks cost and what came out of them.

    Costs are those of the period, and so are outcomes: a task counts as accepted in the period in
    which it was accepted. ``cost_per_accepted`` is all that a group spent, also on what was not
    accepted and on no task, for each task that was accepted by somebody else than who did it.

    Args:
        by: What to group by, as in `Usage`; an outcome counts for what was said with it. By
            default a row is a task.
        top: The most rows, the others being added up in one; ``None``: all.
    """

    by: tuple[str, ...] = ("task",)
    top: int | None = None

    name: ClassVar[str] = "tasks"
    run = running.run
    sql = running.sql

    @property
    def title(self) -> str:
        """Say what it is about."""
        return "Tasks" if self.by == ("task",) else f"Tasks by {', '.join(self.by)}"

    def columns(self, scope: Scope) -> tuple[Column, ...]:
        """Give the columns of its query."""
        by = keys(self.by, scope)
        names = [key.column for key in by]
        if not is_by_task(by):
            return (*names, *SUMS, *SAMPLE, IS_TOTAL)
        sums = (_detail(column) if column.name in _SAID_BY_STATUS else column for column in SUMS)
        return (*names, Column("status", "name"), *sums, *SAMPLE, IS_TOTAL)

    def query(self, scope: Scope) -> Query:
        """Give its definition: the groups, and a row for all of them."""
        return spending(keys(self.by, scope), scope)

    def result(self, result: Result) -> Result:
        """Say what a task and an accepted one cost, with intervals, and put the dearest first."""
        ratios = tuple(map(_detail, RATIOS)) if self.by == ("task",) else RATIOS
        whole = with_ratios(totalled(result, len(self.by)), ratios)
        several = {"tasks", "undecided"} if self.by != ("task",) else set[str]()
        sums = {column.name for column in SUMS} - several  # one task may be in several groups
        dearest = ordered(whole, "cost_amount", "input_tokens")
        shown = topped(dearest, self.top, lambda column: column.name in sums)
        return msgspec.structs.replace(shown, notes=(*shown.notes, *_notes(whole)))


def with_ratios(result: Result, ratios: tuple[Column, ...]) -> Result:
    """Put costs per task and per accepted outcome where the sums of the sample were."""
    at = len(result.columns) - len(SAMPLE)
    given = itemgetter(*map(result.index, _RATIOS_OF))

    def made(row: Row) -> Row:
        return (*row[:at], *_ratios(*given(row)))

    return msgspec.structs.replace(
        result,
        columns=(*result.columns[:at], *ratios),
        rows=tuple(map(made, result.rows)),
        total=None if result.total is None else made(result.total),
    )


_RATIOS_OF = ("cost_amount", "cost_without_task", "tasks", "accepted", *(c.name for c in SAMPLE))


def _ratios(
    cost: Any, beside: Any, tasks: Any, accepted: Any, units: Any, *sums: Any
) -> tuple[Value, ...]:
    if cost is None:
        return (None,) * len(RATIOS)
    beside = beside or Decimal(0)
    if tasks < FEWEST and units < FEWEST:  # as in most rows, where a row is a task
        return _divided(cost - beside, tasks), None, None, _divided(cost, accepted), None, None
    x, xx, y, xy = (value or 0.0 for value in sums)
    per_task = of_mean(Sums(tasks, x, 0, xx, 0, 0))
    per_accepted = of_ratio(Sums(units, x, y, xx, y, xy), float(beside))
    return (
        _divided(cost - beside, tasks),
        *_money(per_task),
        _divided(cost, accepted),
        *_money(per_accepted),
    )


def _divided(cost: Decimal, by: int) -> Decimal | None:
    if by == 1:
        return cost
    return (cost / by).quantize(_SMALLEST) if by else None


def _money(interval: Interval) -> tuple[Value, ...]:
    return tuple(None if v is None else Decimal(v).quantize(_SMALLEST) for v in interval)


def _notes(result: Result) -> tuple[str, ...]:
    total = result.total if result.total is not None else next(iter(result.rows), None)
    if total is None:
        return ()
    row = dict(zip((column.name for column in result.columns), total, strict=True))
    return tuple(
        f"{what} costs {row[name]:.4f} {result.currency}{_range(row, name)}"
        for what, name in (("a task", "cost_per_task"), ("an accepted task", "cost_per_accepted"))
        if row[name] is not None
    )


def _range(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None else f" (95 % confidence: {low:.4f} to {high:.4f})"
