"""Events to hand to an exporter, each with an id of its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tokenmeter.event import UsageEvent
from tokenmeter.ids import EventIds

BEGAN = datetime(2026, 11, 22, 9, 8, 7, 123456, tzinfo=UTC)

_ids = EventIds()
_USUAL: dict[str, Any] = {
    "provider": "openai", "operation": "chat", "response_model": "gpt-5", "source": "wire",
    "status": "completed", "duration_s": 1.25, "input_tokens": 12, "output_tokens": 3,
    "input_provenance": "reported", "output_provenance": "reported", "user": "ada",
}  # fmt: skip


def events(count: int, **columns: Any) -> list[UsageEvent]:
    """Make events as calls give them, a second apart."""
    times = (BEGAN + timedelta(seconds=n) for n in range(count))
    return [event(ts, attempt=n, **columns) for n, ts in enumerate(times)]


def event(ts: datetime = BEGAN, **columns: Any) -> UsageEvent:
    """Make an event as a call gives it."""
    return bare(ts=ts, **(_USUAL | columns))


def bare(**columns: Any) -> UsageEvent:
    """Make an event with an identity and nothing else but what is given."""
    identity: dict[str, Any] = {"kind": "call", "event_id": new_id(), "schema": 1, "ts": BEGAN}
    return UsageEvent(**(identity | columns))


def new_id() -> str:
    """Make an id."""
    return _ids(time.time_ns())
