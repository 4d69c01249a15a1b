"""What a report groups by and what it counts: one pass over events, memory for its groups only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from operator import attrgetter

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.ids import is_derived
from tokenmeter.tallies import Tally

TAG = "tag:"
"""What stands before the name of a tag to make it a column."""

_Value = Callable[[UsageEvent], str | None]


def _model(event: UsageEvent) -> str | None:
    # A failed attempt knows only the requested name: grouping by it keeps both in one row.
    return event.request_model or event.response_model


def _day(event: UsageEvent) -> str:
    return event.ts.astimezone(UTC).date().isoformat()


COLUMNS: Mapping[str, _Value] = {
    "user": attrgetter("user"),
    "team": attrgetter("team"),
    "task": attrgetter("task"),
    "agent": attrgetter("agent"),
    "conversation": attrgetter("conversation"),
    "provider": attrgetter("provider"),
    "model": _model,
    "request_model": attrgetter("request_model"),
    "response_model": attrgetter("response_model"),
    "operation": attrgetter("operation"),
    "status": attrgetter("status"),
    "day": _day,
    "host": attrgetter("host"),
}
"""What a report can group by, besides tags."""

COUNTS = {
    "calls": "calls",
    "attempts": "attempts",
    "failed": "failed",
    "input_tokens": "input",
    "cache_read_tokens": "cached",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
    "estimated": "est.",
    "partial": "part.",
    "unknown": "unknown",
}
"""What a report counts: the name in JSON and CSV, which is the tally's, and the heading."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: what its events have in common, and what they add up to."""

    values: tuple[str | None, ...]
    tally: Tally

    @property
    def counts(self) -> list[int]:
        """The counts, in the order of `COUNTS`."""
        return [getattr(self.tally, name) for name in COUNTS]


class Groups:
    """Add events up by columns.

    Args:
        by: Names from `COLUMNS`, or ``tag:NAME``.

    Raises:
        ConfigurationError: There is no such column.
    """

    def __init__(self, by: Iterable[str]) -> None:
        self.by = tuple(name.strip() for name in by)
        self._total = Tally()
        self._columns = [_column(name) for name in self.by]
        self._tallies: dict[tuple[str | None, ...], Tally] = {}
        self._fetched: dict[str, UsageEvent | None] = {}  # None: added up

    def add(self, event: UsageEvent) -> None:
        """Add one event; one that several processes fetched counts once.

        Of these the earliest stands, in whatever order they come: it is the creator's, the others
        begin when their process fetched.
        """
        if not is_derived(event.event_id):  # every other id is unique and need not be remembered
            self._add(event)
            return
        other = self._fetched.get(event.event_id, event)
        if other is not None:
            self._fetched[event.event_id] = min(other, event, key=attrgetter("ts"))

    def _add(self, event: UsageEvent) -> None:
        if event.kind != "call":
            return
        key = tuple(column(event) for column in self._columns)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.sum_up(event)
        self._total.sum_up(event)

    def _add_fetched(self) -> None:
        for event_id, event in self._fetched.items():
            if event is not None:
                self._add(event)
                self._fetched[event_id] = None

    @property
    def total(self) -> Tally:
        """All groups together."""
        self._add_fetched()
        return self._total

    @property
    def rows(self) -> list[Row]:
        """The groups, the most tokens first."""
        self._add_fetched()
        rows = [Row(values, tally) for values, tally in self._tallies.items()]
        return sorted(rows, key=lambda r: (-r.tally.total_tokens, [v or "" for v in r.values]))


def _column(name: str) -> _Value:
    if name.startswith(TAG) and name != TAG:
        return _tag(name.removeprefix(TAG))
    try:
        return COLUMNS[name]
    except KeyError:
        known = ", ".join([*COLUMNS, f"{TAG}NAME"])
        raise ConfigurationError(f"there is no column {name!r}; use any of: {known}") from None


def _tag(name: str) -> _Value:
    def value(event: UsageEvent) -> str | None:
        found = (event.tags or {}).get(name)
        return None if found is None else str(found)

    return value
