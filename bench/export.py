"""Measure what exporting costs: ``python bench/export.py [--quick]``.

What tokenmeter does and the machine's own limit for the same take turns in one process, in one
order and in its reverse; what is reported are medians of rounds and of the ratios within a round.
The limit of JSON lines is to encode with msgspec and to write with ``os.write``: a line at a time,
or a batch of 500 at a time.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import otel

from tokenmeter import Meter, UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.jsonl import Jsonl

EVENT = UsageEvent(
    "call", "01a2064a2d957886a5036ed19b4eeab1", 1, datetime(2026, 11, 22, 9, 8, 7, 65, tzinfo=UTC),
    provider="openai", operation="chat", request_model="gpt-5-mini", stream=False, source="wire",
    response_model="gpt-5-mini-2026-08-07", server_address="api.openai.com", status="completed",
    http_status=200, duration_s=0.512345, input_tokens=1000, output_tokens=100,
    cache_read_tokens=500, reasoning_tokens=20, input_provenance="reported",
    output_provenance="reported", user="ada", team="search", task="T-1042", host="host", pid=4242,
)  # fmt: skip
BATCH = 500

Arms = dict[str, Callable[[], float]]
"""By name, what gives the seconds that a number of events took."""


class Row(NamedTuple):
    """One line; ``goal`` is what the value may be at most, or at least."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    beside: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def rounds(arms: Arms, times: int) -> dict[str, list[float]]:
    """Let arms take turns; give their seconds a round, without the first, which warms up."""
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for n in range(times + 1):
        for name, arm in list(arms.items())[:: 1 if n % 2 else -1]:
            seconds = arm()
            if n:
                spent[name].append(seconds)
    return spent


def timed(piece: Callable[[], object]) -> float:
    began = time.perf_counter()
    piece()
    return time.perf_counter() - began


def ratio(spent: dict[str, list[float]], limit: str, ours: str) -> float:
    return median(a / b for a, b in zip(spent[limit], spent[ours], strict=True))


def rate(seconds: list[float], events: int) -> str:
    return f"{events / median(seconds) / 1e6:.2f} M/s"


# -- JSON lines -------------------------------------------------------------------------------


def lines(folder: Path, events: int, times: int) -> Iterator[Row]:
    """Compare one thread that writes line by line with the machine's limit."""
    given = [EVENT] * events
    encode = msgspec.json.Encoder().encode
    file = os.open(folder / "machine", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    jsonl = Jsonl(folder / "jsonl")
    meter = Meter([Jsonl(folder / "meter")])

    def machine() -> None:
        for event in given:
            os.write(file, encode(event) + b"\n")

    spent = rounds(
        {
            "machine": lambda: timed(machine),
            "jsonl": lambda: timed(lambda: [jsonl(event) for event in given]),
            "meter": lambda: timed(lambda: [meter.record(event) for event in given]),
        },
        times,
    )
    limit = f"limit {rate(spent['machine'], events)}"
    for arm, name, goal in (
        ("jsonl", "Jsonl, one thread", 0.5),
        ("meter", "Meter with Jsonl, one thread", None),
    ):
        beside = f"{rate(spent[arm], events)}, {limit}"
        yield Row(name, ratio(spent, "machine", arm), "x", goal, at_least=True, beside=beside)
    meter.shutdown()
    jsonl.close()
    os.close(file)


def batches(folder: Path, events: int, times: int) -> Iterator[Row]:
    """Compare batches through `Background`, handed over by one thread, with the limit."""
    given = [EVENT] * events
    encode_lines = msgspec.json.Encoder().encode_lines
    file = os.open(folder / "machine", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    path = folder / "jsonl"

    def machine() -> None:
        for n in range(0, events, BATCH):
            os.write(file, encode_lines(given[n : n + BATCH]))

    def from_a_full_queue() -> float:
        background = Background(Jsonl(path), size=events + 1, batch=BATCH, interval_s=3600)
        handed_over(background, given)
        return timed(lambda: background.flush(30)) + ended(background)

    def all_the_way() -> float:
        background = Background(Jsonl(path), size=events + 1, batch=BATCH, interval_s=0.01)
        return timed(lambda: (handed_over(background, given), background.flush(30))) + ended(
            background
        )

    spent = rounds(
        {
            "machine": lambda: timed(machine),
            "full queue": from_a_full_queue,
            "all the way": all_the_way,
        },
        times,
    )
    limit = f"limit {rate(spent['machine'], events)}"
    for arm, name in (
        ("full queue", "Background, Jsonl, a queue emptied"),
        ("all the way", "the same, and handed over meanwhile"),
    ):
        beside = f"{rate(spent[arm], events)}, {limit}"
        goal = 0.5 if arm == "full queue" else None
        yield Row(name, ratio(spent, "machine", arm), "x", goal, at_least=True, beside=beside)
    os.close(file)


# -- what the caller pays ---------------------------------------------------------------------


def nothing(_event: UsageEvent) -> None: ...


class Batches:
    """Take batches and do nothing."""

    def __call__(self, event: UsageEvent) -> None: ...

    def batch(self, events: Sequence[UsageEvent]) -> None: ...


def asleep(size: int) -> Background:
    """Give a queue whose worker sleeps and is not woken by so many events."""
    background = Background(Batches(), size=2 * size + 2, interval_s=3600)
    background(EVENT)
    background.flush(60)
    return background


def caller(_folder: Path, events: int, times: int) -> Iterator[Row]:
    """Measure what handing over costs the caller, in CPU of its thread."""
    given = [EVENT] * events

    def cpu(take: Callable[[UsageEvent], object]) -> float:
        began = time.thread_time()
        for event in given:
            take(event)
        return time.thread_time() - began

    def through(meter: Meter) -> float:
        spent = cpu(meter.record)
        meter.shutdown()
        return spent

    def handing_over() -> float:
        background = asleep(events)
        spent = cpu(background)
        background.close(60)
        return spent

    spent = rounds(
        {
            "nothing": lambda: cpu(nothing),
            "background": handing_over,
            "meter": lambda: through(Meter()),
            "in line": lambda: through(Meter([nothing])),
            "meter, background": lambda: through(Meter([asleep(events)])),
            "three": lambda: through(Meter([asleep(events) for _ in range(3)])),
        },
        times,
    )
    for arm, name, goal in (
        ("background", "handing over to Background, asleep", 1.0),
        ("meter", "Meter.record, no exporter", None),
        ("in line", "Meter.record, one that does nothing", None),
        ("meter, background", "Meter.record, one Background", None),
        ("three", "Meter.record, three Backgrounds", None),
    ):
        loop = zip(spent[arm], spent["nothing"], strict=True)
        yield Row(name, median(a - b for a, b in loop) / events * 1e6, "us", goal)
    yield Row("waking a thread, as a full queue does", waking(times), "us")


def waking(times: int) -> float:
    """Give the microseconds that waking a sleeping thread costs the one that wakes it."""
    wakeup, awake = threading.Event(), threading.Event()
    spent: list[float] = []

    def sleep() -> None:
        for _ in range(30 * times):
            wakeup.wait(60)
            wakeup.clear()
            awake.set()

    thread = threading.Thread(target=sleep)
    thread.start()
    for _ in range(30 * times):
        time.sleep(0.0005)  # so that it has fallen asleep
        began = time.thread_time()
        wakeup.set()
        spent.append(time.thread_time() - began)
        awake.wait(60)
        awake.clear()
    thread.join()
    return median(spent) * 1e6


def handed_over(background: Background, given: list[UsageEvent]) -> None:
    for event in given:
        background(event)


def ended(background: Background) -> float:
    """End it outside of what is timed."""
    background.close(60)
    account = background.account()
    assert account.captured == account.exported, account
    return 0.0


def opentelemetry(_folder: Path, _events: int, _times: int) -> Iterator[Row]:
    """Measure the OpenTelemetry exporter as its own benchmark does."""
    yield Row("OpenTelemetry, the caller", otel.caller_us(), "us", otel.CALLER_US)
    for what, event in otel.EVENTS.items():
        for profile in ("both", "current"):
            spent = otel.process_us(event, profile)
            yield Row(f"OpenTelemetry, {what}, {profile}", spent, "us", otel.PROCESS_US)


PARTS = {
    "lines": lines,
    "batches": batches,
    "caller": caller,
    "otel": opentelemetry,
}


def line(row: Row) -> str:
    goal = "" if row.goal is None else f"{'>=' if row.at_least else '<='} {row.goal:g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    value = f"{row.value:8.2f} {row.unit:<3}"
    return f"{row.name:<52} {value} {goal:>7}  {verdict:<6}  {row.beside}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part")
    given = parser.parse_args()
    events, times = (2_000, 3) if given.quick else (50_000, 15)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians\n")
    rows: list[Row] = []
    for name in given.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for row in PARTS[name](Path(folder), events, times):
                rows.append(row)
                print(line(row), flush=True)
    if not given.quick and any(row.met is False for row in rows):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
