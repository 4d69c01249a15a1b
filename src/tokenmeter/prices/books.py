"""Books: what a source of prices is asked, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from tokenmeter.prices.rates import Rates


class Asked(NamedTuple):
    """What a book of prices is asked for.

    Attributes:
        provider: As events name it.
        model: As the provider names it.
        tier: The service tier that answered, in the provider's word; ``None``: the usual one.
        day: The day, in UTC.
        region: Where it was answered, in the provider's word; ``None``: nobody says.
    """

    provider: str
    model: str
    tier: str | None
    day: date
    region: str | None = None


class NoPrice(NamedTuple):
    """There is no price; the reason is one of the words in ``docs/prices.md``."""

    reason: str


class Origin(NamedTuple):
    """Who says what something costs, which edition of it says so, and in which money."""

    source: str
    version: str
    currency: str = "USD"


class Factor(NamedTuple):
    """What the next book says, times this: a discount that was negotiated.

    Attributes:
        factor: The factor.
        origin: Who says so; its source is named in that of the price.
        without: What it is not for, by name of `UNITS`.
    """

    factor: Decimal
    origin: Origin
    without: frozenset[str] = frozenset()


class Book(Protocol):
    """What knows prices."""

    def find(self, asked: Asked, /) -> Sequence[Rates] | Factor | Asked | NoPrice:
        """Give the rates on that day; several where they differ by the time of the day.

        The first that holds at the time of a call is taken. After a `NoPrice`, and after a
        `Factor`, the next book is asked; another `Asked` says what the model really is.
        """
        ...
