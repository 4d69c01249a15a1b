"""What a set of calls used, added up: totals that never hide what is unknown."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from tokenmeter.event import UsageEvent
from tokenmeter.wording import counted

if TYPE_CHECKING:
    from tokenmeter.trees import Forest, Tree


EXACT = Context(prec=28)
"""How money is added up: a program's own context may round otherwise, or raise."""


def money(costs: Mapping[str, Decimal]) -> str:
    """Say amounts by currency.

    >>> money({"USD": Decimal("1.50"), "EUR": Decimal(2)})
    '2 EUR + 1.5 USD'
    """
    return " + ".join(
        f"{amount.normalize(EXACT):f} {name}" for name, amount in sorted(costs.items())
    )


COUNTED = (
    "calls", "attempts", "failed", "abandoned", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "unknown", "estimated",
    "partial", "unpriced",
)  # fmt: skip
"""What a tally counts, each a number."""


class Tally:
    """Add up events, live; safe to read and to add to from any thread.

    A token total is the sum of what is known; ``unknown`` says how many calls have a side that
    nobody knows, ``estimated`` and ``partial`` how many have one that was not simply reported, and
    ``unpriced`` how many are not in the money.

    >>> spent = Tally()
    >>> print(spent)
    0 calls, 0 input + 0 output tokens
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin at zero; a forked child counts its own calls only."""
        self._forest: Forest | None = None
        self.calls = 0
        """Model calls; retries of one call count once."""
        self.attempts = 0
        """Exchanges with a provider, retries included."""
        self.failed = 0
        """Attempts that failed."""
        self.abandoned = 0
        """Attempts whose answer was left before its end."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.cache_read_tokens = 0
        self.cache_write_tokens = 0
        self.reasoning_tokens = 0
        self.unknown = 0
        """Attempts with an input or an output that nobody knows."""
        self.estimated = 0
        self.partial = 0
        self.costs: dict[str, Decimal] = {}
        """Money of what is priced, by currency."""
        self.unpriced = 0
        """Attempts that have tokens and no price."""
        self._lock = threading.Lock()

    @property
    def total_tokens(self) -> int:
        """Known input plus known output."""
        return self.input_tokens + self.output_tokens

    @property
    def cost_amount(self) -> Decimal | None:
        """Money of what is priced; ``None`` where it is of several currencies: see `costs`."""
        if len(self.costs) > 1:
            return None
        return next(iter(self.costs.values()), Decimal(0))

    def add(self, event: UsageEvent) -> None:
        """Add one event: a call to the totals, and what belongs to a run to the `tree`."""
        self.sum_up(event)
        if event.run_id is not None:
            self._grow(event)

    def tree(self) -> Tree:
        """Give the runs of agents and sub-agents, with what each used by itself and in all.

        Print it, or let a notebook show it; with rich installed ``rich.print`` shows it in colour.

        >>> print(Tally().tree())
        no runs
        """
        from tokenmeter.trees import Tree

        roots = () if self._forest is None else self._forest.roots()
        outside = Tally()
        with self._lock:  # after the runs: what is added meanwhile is outside for now, not missing
            outside.include(self)
        for root in roots:
            outside.include(root.subtree, times=-1)
        return Tree(roots, outside)

    def _grow(self, event: UsageEvent) -> None:
        if self._forest is None:
            from tokenmeter.trees import Forest

            with self._lock:
                self._forest = self._forest or Forest()
        self._forest.add(event)

    def include(self, other: Tally, times: int = 1) -> None:
        """Add what another tally has counted; its tree is left aside."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))
        for currency, amount in other.costs.items():
            self._pay(currency, EXACT.multiply(amount, times))

    def sum_up(self, event: UsageEvent) -> None:
        """Add one event to the totals alone; anything but a model call is left aside."""
        if event.kind != "call":
            return
        provenances = (event.input_provenance, event.output_provenance)
        with self._lock:
            self.attempts += 1
            self.calls += not event.attempt
            self.failed += event.status == "failed"
            self.abandoned += event.status == "abandoned"
            self.input_tokens += event.input_tokens or 0
            self.output_tokens += event.output_tokens or 0
            self.cache_read_tokens += event.cache_read_tokens or 0
            self.cache_write_tokens += event.cache_write_tokens or 0
            self.reasoning_tokens += event.reasoning_tokens or 0
            self.unknown += "unknown" in provenances
            self.estimated += "estimated" in provenances
            self.partial += "partial" in provenances
            self.unpriced += event.cost_amount is None and bool(
                event.input_tokens or event.output_tokens
            )
            if event.cost_amount is not None:
                self._pay(event.cost_currency or "unknown", event.cost_amount)

    def _pay(self, currency: str, amount: Decimal) -> None:
        before = self.costs.get(currency)
        self.costs[currency] = amount if before is None else EXACT.add(before, amount)

    def __str__(self) -> str:
        """Say the totals in one line, and what they do not know."""
        tokens = f"{self.input_tokens:,} input + {self.output_tokens:,} output tokens"
        line = f"{counted(self.calls, 'call')}, {tokens}"
        if self.costs:
            line += f", {money(self.costs)}"
        said = self.remarks()
        return f"{line} ({', '.join(said)})" if said else line

    def remarks(self) -> list[str]:
        """Say, a phrase each, how many attempts are not simply completed, reported and priced."""
        notes = {
            "retried": self.attempts - self.calls,
            "failed": self.failed,
            "abandoned": self.abandoned,
            "with unknown tokens": self.unknown,
            "with partial tokens": self.partial,
            "with estimated tokens": self.estimated,
            "without a price": self.unpriced if self.costs else 0,
        }
        return [f"{n} {what}" for what, n in notes.items() if n]

    def __repr__(self) -> str:
        return f"<Tally: {self}>"

    def _repr_html_(self) -> str:
        """Give it to a notebook: a table without script or style of others."""
        from tokenmeter.notebook.spending import shown

        return shown(self).html()


Key = tuple[str | None, str | None, str | None]

OTHERS: Key = ("(others)", "(others)", "(others)")
"""The row of `Totals` that takes what comes after the limit."""

_BATCH = 256


class Totals:
    """Tallies by user, task and model; bounded, and what exceeds the bound is one visible row.

    >>> Totals().rows()
    {}
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._rows: dict[Key, Tally] = {}
        self._recent: deque[UsageEvent] = deque()  # one object for ever: threads add to it unlocked
        self._lock = threading.Lock()

    def add(self, event: UsageEvent) -> None:
        """Add a call to its row; the work is done for some hundred of them together."""
        self._recent.append(event)
        # Never waiting for the lock: a finaliser may come here inside its own thread's fold.
        if len(self._recent) >= _BATCH and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def rows(self) -> dict[Key, Tally]:
        """Give the tallies by ``(user, task, model)``."""
        with self._lock:
            self._fold()
            return dict(self._rows)

    def _fold(self) -> None:
        for _ in range(len(self._recent)):
            event = self._recent.popleft()
            key = (event.user, event.task, event.response_model or event.request_model)
            if key not in self._rows and len(self._rows) >= self._limit:
                key = OTHERS
            self._rows.setdefault(key, Tally()).sum_up(event)
