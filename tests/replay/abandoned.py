"""Leave recorded streams at every position: ``python abandoned.py CORPUS [--ids REGEX]``.

CORPUS is a directory of recorded interactions. Each recorded stream that the provider reported on
is left after each of its events, and before the first; the true output must lie between the bounds
that the event gives, always, and an input that the provider had sent must be the true one.
"""

import argparse
import re
import statistics
import struct
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from pages import put
from recorded import Counts, Record, body_of, has_usage, load, truths_of

from tokenmeter import Meter, UsageEvent

PATH = re.compile(r"^<[^>]*>")


def ends(record: Record, body: bytes) -> Iterator[int]:
    """Give where a stream can be left: before its first event and after each."""
    yield 0
    if record["response_encoding"] == "base64":  # an AWS event stream says how long a frame is
        at = 0
        while at + 4 <= len(body):
            at += struct.unpack_from(">I", body, at)[0]
            yield at
        return
    is_sse = b"data:" in body[:2000]
    for found in re.finditer(rb"\r?\n\r?\n" if is_sse else rb"\n", body):
        yield found.end()
    yield len(body)


class Streams:
    """A meter that is handed recorded streams as a seam would hand them over."""

    def __init__(self) -> None:
        self.events: list[UsageEvent] = []
        self.meter = Meter([self.events.append])
        self.meter.pending.start = lambda: None  # type: ignore[method-assign] # done here, not in a worker

    def left(self, record: Record, body: bytes) -> UsageEvent | None:
        """Give the event of a stream of which so much came."""
        path = unquote(PATH.sub("", record["path"]))
        call = self.meter.open(record["method"], record["host"].partition(":")[0], path)
        if call is None:
            return None
        call.asked(msgspec.json.encode(record["request_body"]), None)
        reader = call.streaming(record["status"], record["response_headers"], None, cached=False)
        if body:
            call.first()
            reader.chunks.append(body)
        call.released()
        self.meter.pending.drain(0)
        event, self.events[:] = self.events[-1] if self.events else None, []
        return event


class Found:
    """What was found for one endpoint."""

    def __init__(self) -> None:
        self.streams = self.positions = self.bounded = 0
        self.widths: list[float] = []
        self.lower: list[float] = []
        self.wrong: Counter[str] = Counter()

    def add(self, event: UsageEvent, true: Counts) -> list[str]:
        """Judge one event; give what is wrong with it."""
        self.positions += 1
        wrong = list(_wrong(event, true))
        self.wrong.update(wrong)
        least, most = event.output_tokens or 0, event.output_tokens_max
        if true.output and event.output_provenance == "partial":
            self.lower.append(least / true.output)
            if most is not None:
                self.bounded += 1
                self.widths.append((most - least) / true.output)
        return wrong


def _wrong(event: UsageEvent, true: Counts) -> Iterator[str]:
    if event.input_provenance == "reported" and event.input_tokens != true.input:
        yield "input"
    if true.output is None:
        return
    if event.output_provenance == "reported" and event.output_tokens != true.output:
        yield "output"
    if event.output_provenance == "partial":
        if (event.output_tokens or 0) > true.output:
            yield "lower bound"
        if event.output_tokens_max is not None and event.output_tokens_max < true.output:
            yield "upper bound"
    if event.output_provenance == "unknown":
        yield "output is unknown"
    if event.output_provenance == "estimated" and event.status != "completed":
        yield "output is estimated"  # only one that has ended may be


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("--ids", default="", help="records whose id matches")
    options.add_argument("--only", default="", help="endpoints that match")
    options.add_argument("--markdown", type=Path, help="the page that gets the table")
    options.add_argument("--wrong", type=int, default=0, help="list so many of what is wrong")
    given = options.parse_args()
    found: dict[str, Found] = defaultdict(Found)
    streams, listed = Streams(), 0
    for record in load(given.corpus, given.ids):
        wanted = record["streaming"] and has_usage(record)
        if not wanted or not re.search(given.only, record["endpoint"]):
            continue
        body, true, here = body_of(record), truths_of(record)[0], found[record["endpoint"]]
        here.streams += 1
        for end in sorted({*ends(record, body)}):
            event = streams.left(record, body[:end])
            if event is None:
                continue  # nothing came by which an answer on an unknown host could be known
            wrong = here.add(event, true)
            if wrong and listed < given.wrong:
                listed += 1
                print(record["id"], end, wrong, true, _told(event))
    rows = "\n".join(table(found))
    print(rows)
    if given.markdown:
        put(given.markdown, "abandoned", rows)
    failures = sum(sum(here.wrong.values()) for here in found.values())
    broken = streams.meter.guard.failures
    print(f"\n{failures} positions are wrong; {broken or 'nothing'} failed inside the meter")
    return 1 if failures or broken else 0


def _told(event: UsageEvent) -> dict[str, Any]:
    names = ("input_tokens", "input_provenance", "output_tokens", "output_provenance")
    return {n: getattr(event, n) for n in (*names, "output_tokens_max", "response_model")}


def table(found: dict[str, Found]) -> Iterator[str]:
    heads = ("streams", "positions", "with an upper bound", "lower / true", "width / true", "wrong")
    yield "| " + " | ".join(("endpoint", *heads)) + " |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for endpoint, here in sorted(found.items()):
        lower = f"{statistics.median(here.lower):.2f}" if here.lower else "-"
        width = f"{statistics.median(here.widths):.2f}" if here.widths else "-"
        wrong = ", ".join(f"{n} {what}" for what, n in here.wrong.items()) or "0"
        row = (endpoint, here.streams, here.positions, here.bounded, lower, width, wrong)
        yield "| " + " | ".join(map(str, row)) + " |"


if __name__ == "__main__":
    sys.exit(main())
