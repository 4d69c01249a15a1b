"""The table that a command closes with: what its own events add up to, without an engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, TextIO

from tokenmeter.event import UsageEvent
from tokenmeter.ids import is_derived
from tokenmeter.reports.measures import measures
from tokenmeter.reports.output.table import grid
from tokenmeter.reports.scope import RULES, Scope
from tokenmeter.reports.values import Column, Facts, Result, Row
from tokenmeter.tallies import Tally

BY = ("user", "task", "model")
"""What it groups by."""


class Closing:
    """What events add up to, in all and by user, task and model.

    Args:
        events: Each counts once; of an answer that several processes fetched the earliest stands.
    """

    def __init__(self, events: Iterable[UsageEvent]) -> None:
        self.total = Tally()
        self._tallies: dict[tuple[str | None, ...], Tally] = {}
        for event in _once(events):
            if event.kind == "call":
                self._add(event)

    def _add(self, event: UsageEvent) -> None:
        # A failed attempt knows only the requested name: grouping by it keeps both in one row.
        key = (event.user, event.task, event.request_model or event.response_model)
        self._tallies.setdefault(key, Tally()).sum_up(event)
        self.total.sum_up(event)

    def write(self, out: TextIO) -> None:
        """Write the table.

        Raises:
            MissingExtraError: rich is not installed.
        """
        grid(self._result(), out)

    def _result(self) -> Result:
        counted = [column for m in measures(Scope()) if self._counts(column := m.column)]
        rows = [(*key, *_row(tally, counted)) for key, tally in self._tallies.items()]
        names = tuple(Column(name, "name") for name in BY)
        return Result(
            name="closing",
            title="Usage",
            columns=(*names, *counted),
            rows=tuple(sorted(rows, key=_most_tokens_first([*names, *counted]))),
            total=(*(None,) * len(BY), *_row(self.total, counted)),
            facts=Facts(),
            currency=next(iter(self.total.costs), ""),
            zone="UTC",
            since=None,
            until=None,
            rules=RULES,
            names=len(BY),
        )

    def _counts(self, column: Column) -> bool:
        if column.name in ("cost_amount", "unpriced"):
            return len(self.total.costs) == 1
        return hasattr(self.total, column.name)


def _once(events: Iterable[UsageEvent]) -> Iterator[UsageEvent]:
    fetched: dict[str, UsageEvent] = {}
    for event in events:
        if is_derived(event.event_id):  # every other id is unique and need not be remembered
            other = fetched.get(event.event_id, event)
            fetched[event.event_id] = min(other, event, key=attrgetter("ts"))
        else:
            yield event
    yield from fetched.values()


def _row(tally: Tally, columns: Iterable[Column]) -> Row:
    return tuple(_value(tally, column.name) for column in columns)


def _value(tally: Tally, name: str) -> Any:
    value = getattr(tally, name)
    is_side = name in ("input_tokens", "output_tokens")
    is_unknown = (is_side and tally.unknown) or (name == "cost_amount" and not tally.costs)
    return None if is_unknown and not value else value


def _most_tokens_first(columns: list[Column]) -> Any:
    at = {column.name: index for index, column in enumerate(columns)}
    sides = [at["input_tokens"], at["output_tokens"]]

    def order(row: Row) -> Any:
        names = [str(value or "") for value in row[: len(BY)]]
        return -sum(int(str(row[side] or 0)) for side in sides), names

    return order
