"""What the OpenTelemetry exporter costs: the caller, and the process, for each event.

``python bench/otel.py [--quick]``. CPU time, best of several rounds; goals: at most 3 µs for the
caller and 90 µs for the process, with both profiles. It fails where a goal is missed, unless it
was quick.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tokenmeter import UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.otel import Otel
from tokenmeter.surroundings import span_context

CALLER_US, PROCESS_US, CALL_US = 3.0, 90.0, 1.0
BATCH = 500
QUICK = "--quick" in sys.argv
ROUNDS = 3 if QUICK else 15

PLAIN = UsageEvent(
    "call", "x", 1, datetime(2026, 11, 22, tzinfo=UTC), provider="openai", operation="chat",
    request_model="gpt-5-mini", response_model="gpt-5-mini-2026-08-07", status="completed",
    duration_s=0.5, input_tokens=1000, output_tokens=100, cache_read_tokens=500,
    cache_write_tokens=0, reasoning_tokens=20, input_provenance="reported",
    output_provenance="reported", cost_amount=Decimal("0.01"), cost_currency="USD",
)  # fmt: skip


def changed(**columns: object) -> UsageEvent:
    import msgspec

    return msgspec.structs.replace(PLAIN, **columns)


EVENTS = {
    "a plain answer": PLAIN,
    "a stream": changed(time_to_first_chunk_s=0.1),
    "a stream in a trace": changed(
        time_to_first_chunk_s=0.1, trace_id="0af7651916cd43dd8448eb211c80319c", span_id="1" * 16
    ),
}


def best_us(piece: Callable[[], object], times: int, clock: Callable[[], float]) -> float:
    """Give the microseconds of the best round, divided by ``times``."""
    spans = []
    for _ in range(ROUNDS):
        began = clock()
        piece()
        spans.append(clock() - began)
    return min(spans) / times * 1e6


def exporter(profile: str = "both") -> Otel:
    return Otel(profile, meter_provider=MeterProvider([InMemoryMetricReader()]))


def process_us(event: UsageEvent, profile: str) -> float:
    otel, events = exporter(profile), [event] * BATCH
    return best_us(lambda: otel.batch(events), BATCH, time.process_time)


def caller_us() -> float:
    count = 20_000
    background = Background(exporter(), size=ROUNDS * count + 1, interval_s=3600)
    background(PLAIN)  # starts the worker

    def hand_over() -> None:
        for _ in range(count):
            background(PLAIN)

    spent = best_us(hand_over, count, time.thread_time)
    background.close(0)
    return spent


def bare_record_us() -> float:
    """Give what one measurement costs the SDK alone, as a measure of the machine."""
    provider = MeterProvider([InMemoryMetricReader()])
    histogram = provider.get_meter("bench").create_histogram("h")
    said = {"a": "chat", "b": "openai", "c": "gpt-5-mini", "d": "gpt-5-mini-2026-08-07"}
    nowhere = Context()

    def record() -> None:
        for _ in range(BATCH):
            histogram.record(1, said, nowhere)

    return best_us(record, BATCH, time.process_time)


def main() -> None:
    missed = []
    rows = [("the caller, through Background", caller_us(), CALLER_US)]
    rows += [
        (f"the process, {what}, {profile}", process_us(event, profile), PROCESS_US)
        for what, event in EVENTS.items()
        for profile in ("both", "current")
    ]
    count = 100_000
    looked = best_us(lambda: [span_context() for _ in range(count)], count, time.process_time)
    rows.append(("a call, looking for a span", looked, CALL_US))
    for what, spent, goal in rows:
        print(f"{what:<46} {spent:7.2f} µs  (at most {goal:.0f})")
        if spent > goal:
            missed.append(what)
    print(f"{'one measurement of the SDK alone':<46} {bare_record_us():7.2f} µs")
    if missed and not QUICK:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
