"""What a result says of itself in words: its period, and what is true of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import NamedTuple

from tokenmeter.reports.output.cells import safe, share
from tokenmeter.reports.scope import local
from tokenmeter.reports.values import Facts, Result

SHARES = ("estimated", "partial", "unknown", "unpriced", "unattributed")
"""The facts of which a share is told."""


class Fact(NamedTuple):
    """One thing that is true of a result.

    Attributes:
        name: What it is a share of, in a word.
        share: From 0 to 1; ``None`` where there is nothing.
        attempts: How many that are; ``None`` for coverage.
        parts: What some of them are, and how many.
    """

    name: str
    share: float | None
    attempts: int | None
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it."""
        if self.share is None:
            return f"{self.name} of nothing"
        said = "; ".join([f"{self.attempts:,}", *self.parts]) if self.attempts else ""
        return f"{self.name} {share(self.share)}{f' ({said})' if said else ''}"


def facts_of(facts: Facts) -> list[Fact]:
    """Give the facts that every report states, in their order."""
    elsewhere = facts.other_currencies.items()
    parts = {"unpriced": tuple(f"{n:,} of them in {safe(name)}" for name, n in elsewhere)}
    shares = [
        Fact(name, facts.share(name), getattr(facts, name), parts.get(name, ())) for name in SHARES
    ]
    return [Fact("coverage", facts.coverage, None), *shares]


def about(result: Result) -> str:
    """Say in one line what a result is about: period, zone, currency, choice."""
    only = [f"only {safe(name)} = {safe(value)}" for name, value in result.only.items()]
    return " · ".join([period(result), result.zone, result.currency, *only])


def period(result: Result) -> str:
    """Say which time a result is about, in days where it begins and ends with one."""
    if result.since is None and result.until is None:
        return _all(result)
    since, until = (at and local(at, result.zone) for at in (result.since, result.until))
    if all(at is None or at.time() == time() for at in (since, until)):
        return _span(_day(since), _day(until and until - timedelta(days=1)))
    return _span(_second(since), None if until is None else f"before {_second(until)}")


def _day(at: datetime | None) -> str | None:
    return None if at is None else str(at.date())


def _all(result: Result) -> str:
    if result.facts.first is None or result.facts.last is None:
        return "no calls"
    days = (local(at, result.zone).date() for at in (result.facts.first, result.facts.last))
    return "all calls, " + _span(*map(str, days))


def _span(first: str | None, last: str | None) -> str:
    if first == last and first is not None:
        return first
    return f"{first or 'from the first call'} to {last or 'the last call'}"


def _second(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(" ", "seconds")


def lines(result: Result) -> Iterator[str]:
    """Say what is true of everything in a result: facts, what it is compared with, notes, damage.

    A line each; the text of anybody in them is as `safe` gives it.
    """
    yield facts_line(result)
    if result.before is not None:
        yield f"before: {about(result.before)} · {facts_line(result.before)}"
    yield from (f"note: {safe(note)}" for note in result.notes)
    yield from (f"damage: {safe(damage)}" for damage in damages(result))


def facts_line(result: Result) -> str:
    """Say in one line how much is known, priced and attributed, and by which rules."""
    facts = result.facts
    rules = f"rules version {result.rules}"
    if not facts.attempts:
        return f"no attempts · {rules}"
    attempts = f"{facts.attempts:,} attempts, {facts.countable:,} countable"
    return " · ".join([attempts, *map(str, facts_of(facts)), rules])


def damages(result: Result) -> tuple[str, ...]:
    """Give what of the ledgers is no event, also of those that it is compared with, each once."""
    before = () if result.before is None else result.before.damage
    return tuple(dict.fromkeys([*result.damage, *before]))
