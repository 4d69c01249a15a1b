"""Pricing: which book is asked, what it said for a day, and the cost of an event by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import NamedTuple, cast

from msgspec.structs import replace

from tokenmeter.event import Cost, UsageEvent
from tokenmeter.guard import Guard
from tokenmeter.prices.books import Asked, Book, Factor, NoPrice
from tokenmeter.prices.rates import Rates
from tokenmeter.prices.tiers import of_region, of_tier

_REMEMBERED = 10_000
"""Models, tiers and days whose prices are remembered; then they are forgotten together."""

PRICED = (
    "cost_amount", "cost_currency", "cost_reason", "price_source", "price_version", "price_date",
)  # fmt: skip
"""The columns that say what an event cost; no other one changes when it is priced."""

_UNPRICED = dict.fromkeys(PRICED)

_STEPS = 10
"""How often a book may say that a model is really another one."""

_FAILED = NoPrice("book_failed")
_NO_PRICE = NoPrice("no_price")


class _Found(NamedTuple):
    """What holds for a model, tier and region on a day; ``always`` is for all of it.

    Where that is for some hours alone, ``beyond`` is what the next books say of the others.
    """

    rates: Sequence[Rates]
    always: Rates | None
    source: str
    version: str
    currency: str
    day: str
    beyond: _Found | NoPrice = _NO_PRICE

    def at(self, now: time) -> tuple[_Found, Rates | NoPrice]:
        """Give what holds at a time of the day, and who says so."""
        for rates in self.rates:
            if rates.hold_at(now):
                return self, rates
        return self.beyond.at(now) if isinstance(self.beyond, _Found) else (self, self.beyond)


class _NotYet:
    """The book of those who have not loaded theirs."""

    def find(self, _asked: Asked, /) -> NoPrice:
        return NoPrice("prices_not_loaded")


class Pricing:
    """Say what events cost, by books that are asked in their order.

    Args:
        books: Makes the books, by `load`; the first that has a price of a model and tier says it.
        guard: Counts and logs where one fails; then the next one is asked.
    """

    def __init__(self, books: Callable[[], Sequence[Book]], guard: Guard | None = None) -> None:
        self._make = books
        self._guard = guard or Guard()
        self._books: Sequence[Book] = (_NotYet(),)
        self._known: dict[tuple[object, ...], _Found | NoPrice] = {}
        self.is_loaded = False
        """Whether the books are there, or will never be; until then no event has a price."""

    def load(self) -> None:
        """Have the books, once; what was asked before is forgotten.

        Raises:
            Exception: A book could not be made; then no event has a price.
        """
        if self.is_loaded:
            return
        try:
            self._books = self._make()
            self._known = {}
        finally:
            self.is_loaded = True

    def priced(self, event: UsageEvent) -> UsageEvent:
        """Give a call with its cost, or with the reason why nobody knows it.

        One that says its cost already, or that used nothing, stays as it is.
        """
        if event.kind != "call" or event.cost_amount is not None:
            return event
        if event.input_provenance == "none" == event.output_provenance and not event.other_counts:
            return event  # there is nothing to pay for, as after a failed attempt
        if event.cost_reason is not None:
            event = replace(event, cost_reason=None)  # of somebody who knew no price
        ts = event.ts
        if ts.tzinfo is not UTC:
            try:
                ts = ts.astimezone(UTC)
            except OverflowError:
                return replace(event, cost_reason="unknown_day")
        model = event.response_model or event.request_model
        key = (event.provider, model, event.service_tier, event.region, ts.toordinal())
        found = self._known.get(key) or self._find(key, event, model, ts)
        if not isinstance(found, _Found):
            return replace(event, cost_reason=found.reason)
        rates: Rates | NoPrice | None = found.always
        if rates is None:
            found, rates = found.at(ts.time())
        amount = rates if isinstance(rates, NoPrice) else rates.amount(event)
        if not isinstance(amount, Decimal):
            return replace(event, cost_reason=amount.reason)
        return replace(
            event,
            cost_amount=amount,
            cost_currency=found.currency,
            price_source=found.source,
            price_version=found.version,
            price_date=found.day,
        )

    def repriced(self, event: UsageEvent, *, everything: bool = False) -> UsageEvent:
        """Give an event of the past with its cost by the prices of its own day.

        A cost that its provider said stays, and so does one that was priced, unless ``everything``.
        Only who calls this changes a cost: a later price never does so by itself.
        """
        said_by_provider = event.cost_amount is not None and event.price_date is None
        if said_by_provider or (event.cost_amount is not None and not everything):
            return event
        return self.priced(replace(event, **_UNPRICED))

    def cost(self, event: UsageEvent) -> Cost | None:
        """Say what a call costs by these books, whatever it says itself; ``None``: nothing used."""
        return self.priced(replace(event, **_UNPRICED)).cost

    def _find(
        self, key: tuple[object, ...], event: UsageEvent, model: str | None, ts: datetime
    ) -> _Found | NoPrice:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        found: _Found | NoPrice = NoPrice("unknown_model")
        if event.provider is not None and model is not None:
            asked = Asked(event.provider, model, event.service_tier, ts.date(), event.region)
            question = _Question(asked, self._books, self._guard)
            found = question.answer()
            if question.has_failed:
                return found  # and is asked again for the next call
        self._known[key] = found
        return found


class _Question:
    """What several books are asked, one after the other."""

    def __init__(self, asked: Asked, books: Sequence[Book], guard: Guard) -> None:
        self.has_failed = False
        """Whether one of them failed, so that the answer is not what it would be otherwise."""
        self._asked, self._books, self._guard = asked, iter(books), guard
        self._discounts: list[Factor] = []

    def answer(self) -> _Found | NoPrice:
        """Ask the books in their order for a price of the tier and region that were asked for.

        Where none has one, the last that knows the model says why, or else the last one.
        """
        said, refused = NoPrice("unknown_model"), None
        for found in self._answers():
            if isinstance(found, NoPrice):
                said = found
            elif isinstance(whole := self._whole(found), _Found):
                return whole
            else:
                refused = whole
        return _FAILED if self.has_failed else refused or said

    def _whole(self, rates: Sequence[Rates]) -> _Found | NoPrice:
        """Ask the next books, too, where a book says prices of some hours alone."""
        found = _found(self._asked, rates, self._discounts)
        if isinstance(found, NoPrice) or any(each.between is None for each in found.rates):
            return found
        beyond = self.answer()
        known = isinstance(beyond, _Found) or beyond is _FAILED
        return found._replace(beyond=beyond) if known else found

    def _answers(self) -> Iterator[Sequence[Rates] | NoPrice]:
        for book in self._books:
            found = self._guard.run("a price", self._said, book)
            if found is None:
                self.has_failed = True
            elif isinstance(found, Factor):
                self._discounts.append(found)
            elif not isinstance(found, Asked):
                yield found

    def _said(self, book: Book) -> Sequence[Rates] | Factor | Asked | NoPrice:
        """Give what a book says, of another model where it says so."""
        asked = self._asked
        been = {asked}
        found = book.find(asked)
        while isinstance(found, Asked) and found not in been:
            if len(been) > _STEPS:
                raise RecursionError(f"{book} says of each model that it is another one")
            asked = found
            been.add(asked)
            found = book.find(asked)
        is_known = isinstance(found, Asked | Factor | NoPrice)
        rates: Sequence[object] = () if is_known else cast("Sequence[object]", found)
        if not is_known and not (rates and all(isinstance(each, Rates) for each in rates)):
            raise TypeError(f"{book} gives no rates: {type(found).__name__}")
        self._asked = asked
        return found


def _times(rates: Rates, factors: Sequence[Factor]) -> Rates:
    for each in factors:
        rates = rates.times(each.factor, each.without)
    return rates


def _found(asked: Asked, said: Sequence[Rates], discounts: Sequence[Factor]) -> _Found | NoPrice:
    """Apply to rates what was negotiated, and what is documented of the tier and the region."""
    factors = [*discounts]
    for factor in (None if said[0].for_tier else of_tier(asked), of_region(asked)):
        if isinstance(factor, NoPrice):
            return factor
        if factor is not None:
            factors.append(factor)
    origin, rates = said[0].origin, [_times(each, factors) for each in said]
    source = ", ".join((origin.source, *(f"{f.origin.source} x {f.factor}" for f in factors)))
    always = rates[0] if rates[0].between is None else None
    return _Found(rates, always, source, origin.version, origin.currency, asked.day.isoformat())
