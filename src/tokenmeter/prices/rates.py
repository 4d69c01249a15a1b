"""Rates: what each thing that an event counts costs, and what that makes for an event.

A part that has a price of its own is taken out of its whole: cached input is no longer input. How
much is left of a whole is worked out once, for a model; then an event is a few multiplications.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from decimal import Context, Decimal
from operator import attrgetter
from typing import NamedTuple, Protocol

import msgspec

from tokenmeter.dialects.billed import NAMES, has_another_model
from tokenmeter.event import UsageEvent


class Unit(NamedTuple):
    """Something that can have a price.

    Attributes:
        within: What it is a part of, the nearest whole first.
        per: How many of it the price is for.
    """

    within: tuple[str, ...] = ()
    per: int = 1_000_000


_INPUT, _OUTPUT = ("input_tokens",), ("output_tokens",)
_WRITES = ("cache_write_tokens", *_INPUT)

UNITS: Mapping[str, Unit] = {
    "input_tokens": Unit(),
    "cache_read_tokens": Unit(_INPUT),
    "cache_write_tokens": Unit(_INPUT),
    "cache_write_5m_tokens": Unit(_WRITES),
    "cache_write_1h_tokens": Unit(_WRITES),
    "input_text_tokens": Unit(_INPUT),
    "input_audio_tokens": Unit(_INPUT),
    "input_image_tokens": Unit(_INPUT),
    "input_video_tokens": Unit(_INPUT),
    "cache_read_audio_tokens": Unit(("cache_read_tokens", "input_audio_tokens", *_INPUT)),
    "cache_read_image_tokens": Unit(("cache_read_tokens", "input_image_tokens", *_INPUT)),
    "output_tokens": Unit(),
    "reasoning_tokens": Unit(_OUTPUT),
    "output_text_tokens": Unit(_OUTPUT),
    "output_audio_tokens": Unit(_OUTPUT),
    "output_image_tokens": Unit(_OUTPUT),
    "output_video_tokens": Unit(_OUTPUT),
    "citation_tokens": Unit(_OUTPUT),
    "audio_seconds": Unit(per=3600),
    "input_audio_seconds": Unit(("audio_seconds",), per=3600),
    "pages": Unit(per=1000),
    "rerank_searches": Unit(per=1000),
    "web_searches": Unit(per=1000),
    "calls": Unit(per=1000),
}
"""All that can have a price: columns of events, and what stands in ``other_counts``."""

OVERLAPS = ("cache_read_audio_tokens", "cache_read_image_tokens")
"""What is a part of two things, of which neither is a part of the other: `Unit.within`'s first."""

EXACT = Context(prec=28)
"""How amounts are worked out: a program's own context may round otherwise, or raise."""


class Step(NamedTuple):
    """A price that all tokens have where there is more input than so many tokens."""

    above: int
    price: Decimal


Price = Decimal | tuple[Step, ...]
"""What `Unit.per` of a thing cost; or that by the size of the input, beginning with that of 0."""


class Asked(NamedTuple):
    """What a book of prices is asked for.

    Attributes:
        provider: As events name it.
        model: As the provider names it.
        tier: The service tier that answered, in the provider's word; ``None``: the usual one.
        day: The day, in UTC.
    """

    provider: str
    model: str
    tier: str | None
    day: date


class NoPrice(NamedTuple):
    """There is no price; the reason is one of the words in ``docs/prices.md``."""

    reason: str


class Origin(NamedTuple):
    """Who says what something costs, which edition of it says so, and in which money."""

    source: str
    version: str
    currency: str = "USD"


class Factor(NamedTuple):
    """What the next book says, times this: a discount that was negotiated."""

    factor: Decimal
    origin: Origin


class Book(Protocol):
    """What knows prices."""

    def find(self, asked: Asked, /) -> Sequence[Rates] | Factor | Asked | NoPrice:
        """Give the rates on that day; several where they differ by the time of the day.

        The first that holds at the time of a call is taken. After a `NoPrice`, and after a
        `Factor`, the next book is asked; another `Asked` says what the model really is.
        """
        ...


class _Left(NamedTuple):
    """What is left of a thing when its parts that have a price are taken out, and its price.

    Attributes:
        counts: What to add up, and how often.
        prices: By the size of the input; as whole numbers of `Rates.exponent`, or as they were
            said where they are for something that no power of ten divides, which is an hour.
        least: How many are billed at least, where there is any.
        per: How many the price is for; 1 where it is a whole number of `Rates.exponent`.
    """

    counts: tuple[tuple[Callable[[UsageEvent], int | None], int], ...]
    prices: tuple[int, ...] | tuple[Decimal, ...]
    least: int
    per: int


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of one model, ready to be applied; `compiled` makes them.

    Args:
        units: What has a price.
        left: What there is to multiply.
        exponent: Of ten: what the whole numbers in it are multiples of.
        above: The sizes of input above which the second price holds, the third and so on.
        overlaps: What has to be known where two parts of the input can overlap: both, and it.
        origin: Who says so.
        is_plain: Whether an event with both totals has all that is needed.
        for_tier: Whether these are prices of the tier that was asked for, and not the usual ones.
        between: From when to when they hold, in UTC; ``None``: all day.
    """

    units: frozenset[str]
    left: tuple[_Left, ...]
    exponent: int
    above: tuple[int, ...]
    overlaps: tuple[tuple[str, str, Callable[[UsageEvent], int | None]], ...]
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
        if event.input_tokens is None or event.output_tokens is None or not self.is_plain:
            missing = self._missing(event)
            if missing is not None:
                return missing
        if event.other_counts is not None and has_another_model(event.other_counts):
            return NoPrice("billed_beside")
        step = 0
        for above in self.above:
            step += (event.input_tokens or 0) > above
        whole, rest = 0, Decimal(0)
        for counts, prices, least, per in self.left:
            count = 0
            for read, times in counts:
                count += (read(event) or 0) * times
            if count < 0:
                return NoPrice("contradictory_usage")
            if count:
                price = prices[step] * max(count, least)
                if isinstance(price, int):
                    whole += price
                else:
                    rest = EXACT.add(rest, EXACT.divide(price, per))
        total = Decimal(whole).scaleb(self.exponent, EXACT)
        return EXACT.add(total, rest) if rest else total

    def _missing(self, event: UsageEvent) -> NoPrice | None:
        """Say what would have to be known, or would need a price."""
        units = self.units
        if "input_tokens" in units and event.input_provenance == "unknown":
            return NoPrice("unknown_tokens")
        if "output_tokens" in units and event.output_provenance == "unknown":
            return NoPrice("unknown_tokens")
        if event.input_tokens and "input_tokens" not in units and not units & _UNDIRECTED:
            return NoPrice("no_price_of_input")
        if event.output_tokens and "output_tokens" not in units and not units & _UNDIRECTED:
            return NoPrice("no_price_of_output")
        for one, other, both in self.overlaps:
            if getattr(event, one) and getattr(event, other) and both(event) is None:
                return NoPrice("unknown_split")
        return None


_UNDIRECTED = frozenset(("audio_seconds", "pages", "rerank_searches"))


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
    priced = dict(prices)
    for name in OVERLAPS:
        one, other, *_ = UNITS[name].within
        if one in priced and other in priced:
            priced.setdefault(name, priced[one])
    steps = [step for price in priced.values() if isinstance(price, tuple) for step in price]
    above = sorted({step.above for step in steps} - {0})
    left: dict[str, Counter[str]] = {}
    for name in sorted(priced, key=lambda name: -len(UNITS[name].within)):
        left[name] = Counter({name: 1})
        for part, counts in [*left.items()]:
            if name in UNITS[part].within:
                left[name].subtract(counts)
    by_size = {name: [_at(priced[name], size) for size in (0, *above)] for name in left}
    exponent = min(
        (
            _exponent(price) - _ZEROS[UNITS[name].per]
            for name, prices in by_size.items()
            for price in prices
            if UNITS[name].per in _ZEROS
        ),
        default=0,
    )
    overlaps = tuple(
        (UNITS[name].within[0], UNITS[name].within[1], _reader(name))
        for name in OVERLAPS
        if name in priced
    )
    return Rates(
        units=frozenset(priced),
        left=tuple(
            _left(name, counts, by_size[name], exponent, (least or {}).get(name, 0))
            for name, counts in left.items()
        ),
        exponent=exponent,
        above=tuple(above),
        overlaps=overlaps,
        origin=origin,
        is_plain={"input_tokens", "output_tokens"} <= priced.keys() and not overlaps,
        for_tier=for_tier,
        between=between,
    )


_ZEROS = {10**n: n for n in range(10)}


def _exponent(price: Decimal) -> int:
    exponent = price.normalize(EXACT).as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _left(
    name: str, counts: Counter[str], prices: list[Decimal], exponent: int, least: int
) -> _Left:
    readers = tuple((_reader(count), times) for count, times in counts.items() if times)
    per = UNITS[name].per
    if per not in _ZEROS:
        return _Left(readers, tuple(prices), least, per)
    whole = tuple(int(price.scaleb(-exponent - _ZEROS[per], EXACT)) for price in prices)
    return _Left(readers, whole, least, 1)


def _at(price: Price, size: int) -> Decimal:
    """Give the price where there is just more input than so many tokens."""
    if isinstance(price, Decimal):
        return price
    return max(step for step in price if step.above <= size).price


def _reader(name: str) -> Callable[[UsageEvent], int | None]:
    """Give what reads from an event how many there are of something."""
    if name == "calls":
        return lambda _event: 1
    names = NAMES.get(name.removeprefix("input_") if name.endswith("_seconds") else name)
    if names is None:
        return attrgetter(name)

    def read(event: UsageEvent) -> int | None:
        others = event.other_counts
        if others is None:
            return None
        return next((others[each] for each in names if each in others), None)

    return read
