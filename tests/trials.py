"""What tests of experiments share: a model of one's own, a meter with a clock, and records."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import tokenmeter
from tokenmeter import UsageEvent
from tokenmeter.meter import Meter
from tokenmeter.notebook.records import Record
from tokenmeter.prices import Asked, NoPrice, Origin, compiled
from tokenmeter.tallies import COUNTED

BEGAN = datetime(2026, 11, 23, 10, 0, 0, 1, tzinfo=UTC)


class Prices:
    """A dollar for a million tokens of the model ``dear``, no price for any other."""

    def find(self, asked: Asked, /) -> Any:
        if asked.model != "dear":
            return NoPrice("unknown_model")
        return [DEAR]


DEAR = compiled({"input_tokens": Decimal(1), "output_tokens": Decimal(1)}, Origin("ours", "1"))


@tokenmeter.metered(model="dear", provider="ours")
def ask(tokens: int = 7) -> dict[str, int]:
    return {"input_tokens": tokens, "output_tokens": 3}


@tokenmeter.metered(model="unheard-of", provider="ours")
def ask_unpriced(tokens: int = 7) -> dict[str, int]:
    return {"input_tokens": tokens, "output_tokens": 3}


def stepping(events: list[UsageEvent]) -> Meter:
    """Give a meter whose stopwatch goes on by a second each time that it is looked at."""
    ticks = itertools.count()
    return Meter([events.append], timer_s=lambda: float(next(ticks)), prices=Prices())


def record(n: int = 0, **columns: Any) -> Record:
    """Give a completed run of ``v1`` that used nothing, but for what is said."""
    counts: dict[str, Any] = dict.fromkeys(COUNTED, 0)
    said: dict[str, Any] = {
        "kind": "experiment",
        "run_id": f"{n:032x}",
        "name": "v1",
        "ts": BEGAN + timedelta(minutes=n),
        "status": "completed",
        "duration_s": 1.0,
        "costs": {},
        **counts,
    }
    return Record(**said | columns)
