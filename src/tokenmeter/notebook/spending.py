"""What a tally says in a table: tokens, money, calls, time, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tokenmeter.meter import default
from tokenmeter.notebook.tables import Bar, Figure, Table, rounded
from tokenmeter.tallies import Tally

COLUMNS = ("calls", "input", "output", "cached", "reasoning", "cost", "seconds", "numbers are")
"""What `spent` gives, by column."""

RARE = ("cached", "reasoning")
"""Columns that are left out where there is nothing of it."""


def money(costs: Mapping[str, Decimal]) -> str:
    """Say amounts by currency, rounded for reading.

    >>> money({"USD": Decimal("0.00123456"), "EUR": Decimal(2)})
    '2 EUR + 0.001235 USD'
    """
    return " + ".join(f"{rounded(amount)} {name}" for name, amount in sorted(costs.items()))


def cost(tally: Tally) -> str:
    """Say what is known of the cost: a lower bound where some calls have no price.

    >>> cost(Tally())
    '0'
    """
    if tally.costs:
        return f"{'≥ ' if tally.unpriced else ''}{money(tally.costs)}"
    return "no price" if tally.unpriced else "0"


def spent(
    tally: Tally | None, seconds: float | None, bar: Bar | None = None
) -> tuple[str | Figure, ...]:
    """Give the cells of a row; of what nobody knows each is a question mark."""
    if tally is None:
        return (*[Figure("?")] * 7, "unknown")
    counts = (
        tally.calls,
        tally.input_tokens,
        tally.output_tokens,
        tally.cache_read_tokens,
        tally.reasoning_tokens,
    )
    return (
        *[Figure(f"{count:,}") for count in counts],
        Figure(cost(tally), bar),
        Figure("?" if seconds is None else f"{seconds:,.2f}"),
        provenance(tally),
    )


def provenance(tally: Tally) -> str:
    """Say where the numbers come from, and what is not in them.

    >>> provenance(Tally())
    ''
    """
    if not tally.attempts:
        return ""
    said = tally.remarks()
    if not (tally.unknown or tally.partial or tally.estimated):
        said = ["reported", *said]
    return ", ".join(said)


UNSEEN = (
    "no call was seen: tokenmeter.instrument() meters every client in the process, and "
    "tokenmeter.propagate(function) has the calls of a thread seen here"
)


def hints(tally: Tally, unseen: str = UNSEEN) -> tuple[str, ...]:
    """Say what to do where there is nothing to see, or no money."""
    if not tally.attempts:
        return (unseen,)
    if tally.unpriced and default().pricing is None:
        return ("no prices: tokenmeter.configure(prices='genai-prices') adds what calls cost",)
    return ()


def shown(
    tally: Tally, title: str = "tokens", seconds: float | None = None, unseen: str = UNSEEN
) -> Table:
    """Give the table of one tally."""
    named = dict(zip(COLUMNS, spent(tally, seconds), strict=True))
    if seconds is None:
        del named["seconds"]
    return Table(title, tuple(named), (tuple(named.values()),), hints(tally, unseen)).without_empty(
        *RARE
    )
