"""Events in a list: for tests and for looking around."""

from __future__ import annotations

from tokenmeter.event import UsageEvent


class Memory:
    """Keep events in ``events``, in the order in which they came.

    >>> from tokenmeter import Meter
    >>> memory = Memory()
    >>> meter = Meter([memory])
    >>> memory.events
    []
    """

    def __init__(self) -> None:
        self.events: list[UsageEvent] = []

    def __call__(self, event: UsageEvent) -> None:
        """Keep one event."""
        self.events.append(event)

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()
