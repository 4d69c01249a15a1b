"""Sinks that do what a test tells them: wait, fail, keep."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from tokenmeter import UsageEvent

TS = datetime(2026, 11, 23, tzinfo=UTC)
LONG = 60.0  # no test waits so long


def event(n: int = 0, user: str | None = None) -> UsageEvent:
    return UsageEvent(kind="call", event_id=f"{n:032x}", schema=1, ts=TS, user=user)


def numbers(events: Sequence[UsageEvent]) -> list[int]:
    return [int(e.event_id, 16) for e in events]


class Kept:
    """Takes one event after the other."""

    def __init__(self) -> None:
        self.events: list[UsageEvent] = []
        self.did: list[str] = []

    def __call__(self, event: UsageEvent) -> None:
        self.events.append(event)

    @property
    def numbers(self) -> list[int]:
        return numbers(self.events)

    def flush(self) -> None:
        self.did.append("flush")

    def close(self) -> None:
        self.did.append("close")


class Batches(Kept):
    """Takes batches; what stands in ``script`` is raised first, and the gate may be shut."""

    def __init__(self, *script: BaseException | None) -> None:
        super().__init__()
        self.script = deque(script)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.attempts: list[list[int]] = []

    def batch(self, events: Sequence[UsageEvent]) -> None:
        self.attempts.append(numbers(events))
        self.entered.set()
        assert self.gate.wait(LONG)
        fate = self.script.popleft() if self.script else None
        if fate is not None:
            raise fate
        self.events += events
