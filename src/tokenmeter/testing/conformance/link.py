"""What stands between `Background` and an exporter: a connection that can be as bad as any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter

Batch = Sequence[UsageEvent]
Send = Callable[[Batch], object]
Fault = Callable[[Batch, Send], None]


class Link:
    """Hand events on to an exporter, through a fault; everything else is the exporter's."""

    def __init__(self, to: Exporter, fault: Fault) -> None:
        self._to, self.fault = to, fault
        if hasattr(to, "batch"):
            self.batch = self._batch

    def __call__(self, event: UsageEvent) -> None:
        """Hand on an event."""
        self.fault([event], lambda events: self._to(*events))

    def _batch(self, events: Batch) -> None:
        to: Any = self._to
        self.fault(events, to.batch)

    def __getattr__(self, name: str) -> Any:
        """Have what the exporter has."""
        return getattr(self._to, name)


def clear(batch: Batch, send: Send) -> None:
    """Be no fault at all."""
    send(batch)


def held(gate: Callable[[], None]) -> Fault:
    """Hold what is sent at a gate."""

    def fault(batch: Batch, send: Send) -> None:
        gate()
        send(batch)

    return fault


def held_after(gate: Callable[[], None]) -> Fault:
    """Hold the answer at a gate: everything has arrived already."""

    def fault(batch: Batch, send: Send) -> None:
        send(batch)
        gate()

    return fault


def fails(times: int, share: float) -> Fault:
    """Break off a few times, after a share of the batch has been sent: 0 is none, 1 is all."""
    left = [None] * times

    def fault(batch: Batch, send: Send) -> None:
        if not left:
            send(batch)
            return
        left.pop()
        part = batch[: round(len(batch) * share)]
        if part:
            send(part)
        raise ConnectionResetError("the connection was reset, by the conformance kit")

    return fault
