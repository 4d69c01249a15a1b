"""An exporter at work, and its account: what became of every event that it was given."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.guard import Guard

Stats = Callable[[], Mapping[str, Mapping[str, int]]]
"""What gives the accounts of all exporters: ``meter.stats``."""


class Account(NamedTuple):
    """What became of the events that an exporter was given: ``captured`` is the sum of the others.

    Attributes:
        captured: All of them.
        exported: Those that are where they were to go.
        filtered: Those that were not wanted there.
        dropped: Those that were given up before anybody tried to send them.
        failed: Those that could not be sent.
        pending: Those whose end is not known yet.
    """

    captured: int = 0
    exported: int = 0
    filtered: int = 0
    dropped: int = 0
    failed: int = 0
    pending: int = 0

    @property
    def lost(self) -> int:
        """Events that will not arrive any more."""
        return self.dropped + self.failed

    def __str__(self) -> str:
        """Say what became of them, leaving out what is nothing.

        >>> print(Account(captured=9, exported=8, failed=1))
        9 captured: 8 exported, 1 failed
        """
        parts = [f"{n:,} {what}" for what, n in self._asdict().items() if n and what != "captured"]
        return f"{self.captured:,} captured: {', '.join(parts) or 'nothing'}"


class Sink:
    """One exporter and its account.

    An exporter that does not finish with an event before it returns has a method ``account`` of
    its own, which gives an `Account` of what it took; any other has exported what it took. One that
    also delivers what an earlier process left behind says how much in ``recovered``; one that
    hands events on to several has their sinks in ``branches``.
    """

    def __init__(self, exporter: Exporter, guard: Guard) -> None:
        self.exporter = exporter
        self.name: str = getattr(exporter, "__name__", type(exporter).__name__)
        self._place = f"the exporter {self.name}"
        self._guard = guard
        self._begin()

    def _begin(self) -> None:
        self._taken = self._refused = 0
        self._in_flight: list[None] = []  # one for each event that the exporter has in its hands
        self._lock = threading.Lock()

    def restart(self) -> None:
        """Begin a new account; a forked child exports its own events only."""
        self._begin()
        self._call("after_fork")

    def export(self, event: UsageEvent) -> None:
        """Hand one event to the exporter; what it raises stays here."""
        self._in_flight.append(None)  # without the lock, which would cost as much as all the rest
        taken = self._guard.done(self._place, self.exporter, event)
        with self._lock:
            if taken:
                self._taken += 1
            else:
                self._refused += 1
            self._in_flight.pop()

    def account(self) -> Account:
        """Say what became of the events so far."""
        own = getattr(self.exporter, "account", None)
        said = None if own is None else self._guard.run(self._place, own) or Account()
        recovered: int = getattr(self.exporter, "recovered", 0)
        with self._lock:  # after asking: what arrives meanwhile is pending, and nothing is lost
            taken, refused = self._taken, self._refused
            captured = taken + refused + len(self._in_flight) + recovered
        ends = Account(exported=taken) if said is None else said
        failed = ends.failed + refused
        known = ends.exported + ends.filtered + ends.dropped + failed
        return ends._replace(captured=captured, failed=failed, pending=captured - known)

    def losses(self) -> list[str]:
        """Say, a line each, what this exporter and its branches have not delivered."""
        return [line for sink in lineage(self) for line in loss(sink.name, sink.account())]

    def flush(self, timeout: float) -> bool:
        """Have the exporter send what it holds; false when it failed or time ran out."""
        return self._call("flush", timeout)

    def close(self, timeout: float) -> bool:
        """Have the exporter end; false when it failed or time ran out."""
        return self._call("close", timeout)

    def watch(self, stats: Stats) -> None:
        """Show the accounts of all exporters to one that wants to see them."""
        watch = getattr(self.exporter, "watch", None)
        if watch is not None:
            self._guard.run(self._place, watch, stats)

    def _call(self, method: str, *timeout: float) -> bool:
        wanted = getattr(self.exporter, method, None)
        return wanted is None or self._guard.run(self._place, _told, wanted, *timeout) is True


def shares(sinks: Sequence[Sink], timeout: float) -> Iterator[tuple[Sink, float]]:
    """Give each sink with its share of the seconds that are left: none eats another's."""
    deadline = time.monotonic() + timeout
    for left, sink in zip(range(len(sinks), 0, -1), sinks, strict=True):
        yield sink, max(0.0, deadline - time.monotonic()) / left


def loss(name: str, account: Account) -> list[str]:
    """Say in a line what was not delivered, if anything was not."""
    if not account.lost and not account.pending:
        return []
    return [f"the exporter {name} did not deliver all events: {account}"]


def lineage(sink: Sink) -> Iterator[Sink]:
    """Give a sink and, after it, those that its exporter hands events on to.

    One that does nothing else has no account of its own to give.
    """
    branches: Sequence[Sink] = getattr(sink.exporter, "branches", ())
    if not branches or hasattr(sink.exporter, "account"):
        yield sink
    for branch in branches:
        yield from lineage(branch)


def _told(method: Callable[..., Any], *timeout: float) -> bool:
    """Call ``flush`` or ``close``, with the seconds where it takes them."""
    takes = timeout and "timeout" in inspect.signature(method).parameters
    return (method(timeout=timeout[0]) if takes else method()) is not False
