"""An exporter at work, and its account: what became of every event that it was given."""

from __future__ import annotations

import threading
from typing import NamedTuple

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.guard import Guard


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
    its own, which gives an `Account` of what it took; any other has exported what it took.
    """

    def __init__(self, exporter: Exporter, guard: Guard) -> None:
        self.exporter = exporter
        self.name: str = getattr(exporter, "__name__", type(exporter).__name__)
        self._place = f"the exporter {self.name}"
        self._guard = guard
        self.restart()

    def restart(self) -> None:
        """Begin a new account; a forked child exports its own events only."""
        self._captured = self._taken = self._refused = 0
        self._lock = threading.Lock()

    def export(self, event: UsageEvent) -> None:
        """Hand one event to the exporter; what it raises stays here."""
        with self._lock:
            self._captured += 1
        taken = self._guard.done(self._place, self.exporter, event)
        with self._lock:
            if taken:
                self._taken += 1
            else:
                self._refused += 1

    def account(self) -> Account:
        """Say what became of the events so far."""
        own = getattr(self.exporter, "account", None)
        said = None if own is None else self._guard.run(self._place, own) or Account()
        with self._lock:  # after asking: what arrives meanwhile is pending, and nothing is lost
            captured, taken, refused = self._captured, self._taken, self._refused
        ends = Account(exported=taken) if said is None else said
        failed = ends.failed + refused
        known = ends.exported + ends.filtered + ends.dropped + failed
        return ends._replace(captured=captured, failed=failed, pending=captured - known)

    def call(self, method: str) -> None:
        """Call ``flush`` or ``close`` where the exporter has it."""
        wanted = getattr(self.exporter, method, None)
        if wanted is not None:
            self._guard.run(self._place, wanted)
