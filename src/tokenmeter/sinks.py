"""An exporter at work: what it was given, and what it failed to take."""

from __future__ import annotations

import threading

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.guard import Guard


class Sink:
    """One exporter and its account: ``captured == exported + failed``."""

    def __init__(self, exporter: Exporter, guard: Guard) -> None:
        self.exporter = exporter
        self.name: str = getattr(exporter, "__name__", type(exporter).__name__)
        self._place = f"the exporter {self.name}"
        self._guard = guard
        self.restart()

    def restart(self) -> None:
        """Begin a new account; a forked child exports its own events only."""
        self.captured = 0
        self.failed = 0
        self._lock = threading.Lock()

    @property
    def exported(self) -> int:
        """Events that the exporter took."""
        return self.captured - self.failed

    def export(self, event: UsageEvent) -> None:
        """Hand one event to the exporter; what it raises stays here."""
        done = self._guard.done(self._place, self.exporter, event)
        with self._lock:
            self.captured += 1
            if not done:
                self.failed += 1

    def call(self, method: str) -> None:
        """Call ``flush`` or ``close`` where the exporter has it."""
        wanted = getattr(self.exporter, method, None)
        if wanted is not None:
            self._guard.run(self._place, wanted)
