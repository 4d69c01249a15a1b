"""Rates: what each thing that an event counts costs, and what that makes for an event.

A part that has a price of its own is taken out of its whole: cached input is no longer input. What
is left of which whole is worked out once, for a model, and prices become whole numbers of the
smallest unit that they have in common; then an event is a sum of products.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import time
from decimal import Context, Decimal
from operator import attrgetter
from typing import NamedTuple

import msgspec

from tokenmeter.dialects.billed import is_of_another_model
from tokenmeter.event import UsageEvent
from tokenmeter.prices.books import NoPrice, Origin
from tokenmeter.prices.units import OVERLAPS, UNITS, names_of

EXACT = Context(prec=28)
"""How amounts are worked out: a program's own context may round otherwise, or raise."""


class Step(NamedTuple):
    """A price that all tokens have where there is more input than so many tokens."""

    above: int
    price: Decimal


Price = Decimal | tuple[Step, ...]
"""What `Unit.per` of a thing cost; or that by the size of the input, beginning with that of 0."""

Counts = Sequence[int | None]
_Left = tuple[tuple[int, int], ...]
"""What is left of a thing without its parts that have a price: places in counts, and how often."""


class _Listed(NamedTuple):
    """The prices for a size of input, as multiples of `Rates.unit`.

    Attributes:
        single: Of what has no parts with a price, by its place in counts.
        wholes: Of what is left of the others.
        call: What a call costs.
    """

    single: tuple[tuple[int, int], ...]
    wholes: tuple[tuple[_Left, int], ...]
    call: int


class _Beside(NamedTuple):
    """What is no whole number of anything, as an hour's price for seconds, or has a minimum.

    Attributes:
        left: How many there are.
        least: How many are billed at least, where there is any.
        per: How many the price is for.
        prices: By the size of the input.
    """

    left: _Left
    least: int
    per: int
    prices: tuple[Decimal, ...]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of one model, ready to be applied; `compiled` makes them.

    Args:
        prices: What was said, by name of `UNITS`.
        least: How many of a thing are billed at least.
        columns: Gives the counts of an event that are columns: input, output, then the others.
        others: The places of those that stand in ``other_counts``, by the names of vendors.
        none: The counts of those where there are none.
        listed: The prices by the size of the input.
        unit: A power of ten.
        above: The sizes of input above which the second prices hold, the third and so on.
        beside: What is not in `listed`.
        overlaps: What has to be known where two parts of the input can overlap: both, and it.
        origin: Who says so.
        is_plain: Whether an event with both totals has all that is needed.
        for_tier: Whether these are prices of the tier that was asked for, and not the usual ones.
        between: From when to when they hold, in UTC; ``None``: all day.
    """

    prices: Mapping[str, Price]
    least: Mapping[str, int]
    columns: Callable[[UsageEvent], tuple[int | None, ...]]
    others: Mapping[str, int]
    none: tuple[None, ...]
    listed: tuple[_Listed, ...]
    unit: Decimal
    above: tuple[int, ...]
    beside: tuple[_Beside, ...]
    overlaps: tuple[tuple[int, int, int], ...]
    origin: Origin
    is_plain: bool
    for_tier: bool = False
    between: tuple[time, time] | None = None

    def hold_at(self, now: time) -> bool:
        """Say whether they hold at this time of the day."""
        if self.between is None:
            return True
        start, end = self.between
        return start <= now < end if start <= end else now >= start or now < end

    def amount(self, event: UsageEvent) -> Decimal | NoPrice:
        """Say what an event costs, or why nobody knows."""
        columns, others = self.columns(event), event.other_counts
        counts = columns + self.none if others is None else self._with_others(columns, others)
        if counts is None:
            return NoPrice("billed_beside")
        if not self.is_plain or counts[0] is None or counts[1] is None:
            missing = self._missing(event, counts)
            if missing is not None:
                return missing
        size = bisect_left(self.above, counts[0] or 0) if self.above else 0
        single, wholes, total = self.listed[size]
        for place, price in single:
            count = counts[place]
            if count:
                if count < 0:
                    return _CONTRADICTORY
                total += count * price
        for left, price in wholes:
            rest = 0
            for place, times in left:
                rest += (counts[place] or 0) * times
            if rest < 0:
                return _CONTRADICTORY
            total += rest * price
        amount = EXACT.multiply(total, self.unit)
        return self._with_beside(amount, counts, size) if self.beside else amount

    def _with_others(self, columns: Counts, said: Mapping[str, int]) -> Counts | None:
        """Put in their places what is no column; ``None``: another model was used, too."""
        found = [*columns, *self.none]
        for name, count in said.items():
            if name in self.others:
                found[self.others[name]] = count
            elif is_of_another_model(name):
                return None
        return found

    def times(self, factor: Decimal, without: Set[str] = frozenset()) -> Rates:
        """Give these prices times a factor, but for those of some things."""
        prices = {
            name: price if name in without else _times(price, factor)
            for name, price in self.prices.items()
        }
        return compiled(
            prices, self.origin, for_tier=self.for_tier, between=self.between, least=self.least
        )

    def _with_beside(self, amount: Decimal, counts: Counts, size: int) -> Decimal | NoPrice:
        for left, least, per, prices in self.beside:
            count = _sum(left, counts)
            if count < 0:
                return _CONTRADICTORY
            if count:
                cost = EXACT.multiply(prices[size], max(count, least))
                amount = EXACT.add(amount, EXACT.divide(cost, per))
        return amount

    def _missing(self, event: UsageEvent, counts: Counts) -> NoPrice | None:
        """Say what would have to be known, or would need a price."""
        units = self.prices.keys()
        if "input_tokens" in units and event.input_provenance == "unknown":
            return NoPrice("unknown_tokens")
        if "output_tokens" in units and event.output_provenance == "unknown":
            return NoPrice("unknown_tokens")
        if counts[0] and "input_tokens" not in units and not units & _UNDIRECTED:
            return NoPrice("no_price_of_input")
        if counts[1] and "output_tokens" not in units and not units & _UNDIRECTED:
            return NoPrice("no_price_of_output")
        for one, other, both in self.overlaps:
            if counts[one] and counts[other] and counts[both] is None:
                return NoPrice("unknown_split")
        return None


_UNDIRECTED = frozenset(("audio_seconds", "pages", "rerank_searches"))
_CONTRADICTORY = NoPrice("contradictory_usage")


def _sum(left: _Left, counts: Counts) -> int:
    return sum((counts[place] or 0) * times for place, times in left)


def compiled(
    prices: Mapping[str, Price],
    origin: Origin,
    *,
    for_tier: bool = False,
    between: tuple[time, time] | None = None,
    least: Mapping[str, int] | None = None,
) -> Rates:
    """Make rates of the prices of things, each for `Unit.per` of it.

    Args:
        prices: By name of `UNITS`; what is a part of something needs the price of that, too.
        origin: Who says so.
        for_tier: Whether they are the prices of the tier that was asked for.
        between: From when to when they hold, in UTC.
        least: How many of a thing are billed at least, where there is any of it.
    """
    priced, least = _with_overlaps(prices), least or {}
    columns, others = _places(priced)
    place = {name: n for n, name in enumerate((*columns, *others, _CALLS))}
    left = {
        name: tuple((place[each], times) for each, times in counts.items() if times)
        for name, counts in _left(priced).items()
    }
    steps = [step for price in priced.values() if isinstance(price, tuple) for step in price]
    above = sorted({step.above for step in steps} - {0})
    by_size = {name: tuple(_at(priced[name], size) for size in (0, *above)) for name in left}
    apart = {name for name in left if UNITS[name].per not in _ZEROS or name in least}
    unit = min(
        (_unit(name, each) for name in left.keys() - apart for each in by_size[name]), default=0
    )
    whole = {
        name: [int(each.scaleb(-unit - _ZEROS[UNITS[name].per], EXACT)) for each in by_size[name]]
        for name in left
        if name not in apart
    }
    return Rates(
        prices=priced,
        least=least,
        columns=attrgetter(*columns),
        others={vendors: place[name] for name in others for vendors in names_of(name) or ()},
        none=(None,) * len(others),
        listed=tuple(
            _listed({name: prices[n] for name, prices in whole.items()}, left)
            for n in range(len(above) + 1)
        ),
        unit=Decimal(1).scaleb(unit, EXACT),
        above=tuple(above),
        beside=tuple(
            _Beside(left[name], least.get(name, 0), UNITS[name].per, by_size[name])
            for name in left
            if name in apart
        ),
        overlaps=tuple(
            (place[UNITS[name].within[0]], place[UNITS[name].within[1]], place[name])
            for name in OVERLAPS
            if name in priced
        ),
        origin=origin,
        is_plain={*_TOTALS} <= priced.keys() and priced.keys().isdisjoint(OVERLAPS),
        for_tier=for_tier,
        between=between,
    )


_TOTALS = ("input_tokens", "output_tokens")
_CALLS = "calls"
_ZEROS = {10**n: n for n in range(10)}


def _with_overlaps(prices: Mapping[str, Price]) -> dict[str, Price]:
    priced = dict(prices)
    for name in OVERLAPS:
        one, other, *_ = UNITS[name].within
        if one in priced and other in priced:
            priced.setdefault(name, priced[one])
    return priced


def _places(priced: Mapping[str, Price]) -> tuple[list[str], list[str]]:
    """Give what is counted in columns, the totals first, and what in ``other_counts``."""
    parts = sorted(priced.keys() - {*_TOTALS, _CALLS})
    columns = [name for name in parts if names_of(name) is None]
    return [*_TOTALS, *columns], [name for name in parts if names_of(name) is not None]


def _left(priced: Mapping[str, Price]) -> dict[str, Counter[str]]:
    """Give what is left of each thing without its parts that have a price, as a sum of counts."""
    left: dict[str, Counter[str]] = {}
    for name in sorted(priced, key=lambda name: -len(UNITS[name].within)):
        left[name] = Counter({name: 1})
        for part, counts in [*left.items()]:
            if name in UNITS[part].within:
                left[name].subtract(counts)
    return left


def _times(price: Price, factor: Decimal) -> Price:
    if isinstance(price, Decimal):
        return EXACT.multiply(price, factor)
    return tuple(Step(above, EXACT.multiply(each, factor)) for above, each in price)


def _at(price: Price, size: int) -> Decimal:
    """Give the price where there is just more input than so many tokens."""
    if isinstance(price, Decimal):
        return price
    return max(step for step in price if step.above <= size).price


def _unit(name: str, price: Decimal) -> int:
    """Give the power of ten that the price of one is a multiple of."""
    exponent = price.normalize(EXACT).as_tuple().exponent
    return (exponent if isinstance(exponent, int) else 0) - _ZEROS[UNITS[name].per]


def _listed(prices: Mapping[str, int], left: Mapping[str, _Left]) -> _Listed:
    counted = [(left[name], price) for name, price in prices.items() if name != _CALLS]
    return _Listed(
        single=tuple((each[0][0], price) for each, price in counted if len(each) == 1),
        wholes=tuple((each, price) for each, price in counted if len(each) > 1),
        call=prices.get(_CALLS, 0),
    )
