"""What is true of everything a report is about: how much of it is known, priced and attributed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from tokenmeter.event import SCHEMA
from tokenmeter.reports.grouping import added, number, spent
from tokenmeter.reports.measures import COUNTABLE, UNATTRIBUTED, count, has, tokens
from tokenmeter.reports.relations import Query, at
from tokenmeter.reports.scope import USUAL_CURRENCY
from tokenmeter.reports.values import Column, Facts, rows_of

_SUMS = {
    "attempts": "COUNT(*)",
    "countable": count(COUNTABLE),
    "input_tokens": tokens("input_tokens"),
    "output_tokens": tokens("output_tokens"),
    **{p: count(f"{COUNTABLE} AND {has(p)}") for p in ("estimated", "partial", "unknown")},
    "unattributed": count(UNATTRIBUTED),
}
"""What is added up of all calls, whatever they are priced in."""

_PRICED = {
    "cost_amount": "SUM(cost_amount)",
    "priced": count(f"{COUNTABLE} AND cost_amount IS NOT NULL"),
}

_TIMES = {"first": "EPOCH_US(MIN(ts))", "last": "EPOCH_US(MAX(ts))"}

_COLUMNS = (
    Column("cost_currency", "name"),
    *(Column(name, "count") for name in _SUMS),
    Column("cost_amount", "money"),
    Column("priced", "count"),
    *(Column(name, "time") for name in _TIMES),
)

CALLS = Query(
    "SELECT cost_currency, "
    + ", ".join(f"{sql} AS {name}" for name, sql in {**_SUMS, **_PRICED, **_TIMES}.items())
    + " FROM calls GROUP BY cost_currency"
)
"""What is true of calls, by the currency of their amounts."""

PEOPLE = Query(
    'SELECT cost_currency, COUNT(DISTINCT "user") AS people FROM calls '
    "WHERE cost_amount IS NOT NULL GROUP BY cost_currency"
)
"""How many people have amounts in a currency; asked where there are several currencies."""

_PEOPLE = (Column("cost_currency", "name"), Column("people", "count"))


def oddities(now: datetime) -> Query:
    """Give the query for what is true of all events: statements, wrong clocks, later versions."""
    marks = ("kind = 'outcome'", f"ts > {at(now)}", f"schema > {SCHEMA}")
    named = zip(map(count, marks), _ODD, strict=True)
    return Query(f"SELECT {', '.join(f'{sql} AS {c.name}' for sql, c in named)} FROM events")


_ODD = (Column("outcomes", "count"), Column("ahead", "count"), Column("newer", "count"))


class Calls:
    """What is true of calls, in parts: one for each currency, and one for those of none.

    Args:
        found: What `CALLS` found.
    """

    def __init__(self, found: Iterable[Sequence[Any]]) -> None:
        names = [column.name for column in _COLUMNS]
        self._parts: dict[str | None, dict[str, Any]] = {}
        for row in rows_of(_COLUMNS, found):
            part: dict[str, Any] = dict(zip(names, row, strict=True))
            self._parts[part["cost_currency"]] = part

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that calls are priced in."""
        found = (
            name for name, part in self._parts.items() if name and part["cost_amount"] is not None
        )
        return tuple(sorted(found))

    def currency(self, people: Callable[[], Iterable[Sequence[Any]]]) -> str:
        """Give the currency of most people, so that nobody can change it by calling more.

        Args:
            people: Asks for `PEOPLE`.
        """
        if len(self.currencies) < 2:
            return next(iter(self.currencies), USUAL_CURRENCY)
        many = {name: number(count) for name, count in rows_of(_PEOPLE, people())}
        return max(
            self.currencies,
            key=lambda currency: (
                many[currency],
                0 if many[currency] else self._parts[currency]["priced"],
                currency == USUAL_CURRENCY,
                currency,
            ),
        )

    def facts(self, currency: str, odd: Iterable[Sequence[Any]]) -> Facts:
        """Give the facts, of which amounts are in a currency.

        Args:
            currency: Which.
            odd: What `oddities` found.
        """
        sums: dict[str, Any] = {name: added(self._of(name)) for name in _SUMS}
        priced = {name: part["priced"] for name, part in self._parts.items() if name}
        here: dict[str, Any] = self._parts.get(currency, {})
        ((outcomes, ahead, newer),) = rows_of(_ODD, odd)
        unpriced = (sums["countable"] or 0) - priced.pop(currency, 0)
        known: dict[str, Any] = {
            **sums,
            "cost_amount": spent(here.get("cost_amount"), unpriced),
            "unpriced": unpriced,
            "other_currencies": {name: n for name, n in sorted(priced.items()) if n},
            "first": min(self._of("first"), default=None),
            "last": max(self._of("last"), default=None),
            "outcomes": outcomes,
            "ahead": ahead,
            "newer": newer,
        }
        return Facts(**{name: value for name, value in known.items() if value is not None})

    def _of(self, name: str) -> list[Any]:
        """Give what is known of one thing, part by part."""
        return [part[name] for part in self._parts.values() if part[name] is not None]
