"""How a loop goes: what is done and spent, how fast, and what it will have cost at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from html import escape

import msgspec

from tokenmeter.notebook.spending import cost, money
from tokenmeter.notebook.tables import Bar, bar_svg, printable, rounded, shortened
from tokenmeter.tallies import EXACT, Tally

_SURE_S = 1.0
"""Seconds before which a rate is not said: it would jump."""


class Pace(msgspec.Struct, frozen=True, eq=False):
    """What is known of a loop at a moment; shows itself as a line of text, or of HTML with a bar.

    Args:
        label: What it is called.
        done: How many items are done.
        total: How many there are; ``None``: nobody knows.
        seconds: How long it has gone on.
        spent: What it has used.
    """

    label: str
    done: int
    total: int | None
    seconds: float
    spent: Tally

    @property
    def name(self) -> str:
        """What it is called, fit to be shown."""
        return printable(shortened(self.label))

    def __str__(self) -> str:
        return " · ".join(self._parts())

    def __repr__(self) -> str:
        return f"{self.name} {self}".lstrip()

    def _repr_html_(self) -> str:
        """Give it to a notebook."""
        bar = "" if not self.total else bar_svg(Bar(min(1.0, self.done / self.total)))
        name = f"<b>{escape(self.name)}</b> " if self.name else ""
        return f"<div style='font-size:90%'>{name}{bar} {escape(str(self))}</div>"

    def _parts(self) -> Iterator[str]:
        of = "" if self.total is None else f"/{self.total:,}"
        yield f"{self.done:,}{of} in {_clock(self.seconds)}"
        yield f"{self.spent.total_tokens:,} tokens"
        yield cost(self.spent)
        if self.seconds >= _SURE_S and self.spent.total_tokens:
            yield f"{self._amounts(60 / self.seconds)}/min"
        if self.total and 0 < self.done < self.total and self.spent.total_tokens:
            yield f"about {self._amounts(self.total / self.done)} in all"
        yield from self.spent.remarks()

    def _amounts(self, times: float) -> str:
        """Say so many times what was spent: money where there is any, or else tokens."""
        if self.spent.costs:
            at_least = "≥ " if self.spent.unpriced else ""
            return at_least + money(_times(self.spent.costs, times))
        return f"{rounded(round(self.spent.total_tokens * times))} tokens"


def _times(costs: Mapping[str, Decimal], times: float) -> dict[str, Decimal]:
    by = Decimal(str(times))
    return {name: EXACT.multiply(amount, by) for name, amount in costs.items()}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
