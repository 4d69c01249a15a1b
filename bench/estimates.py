"""Measure what estimates cost an event loop: ``python bench/estimates.py [--quick]``.

Streams that do not report usage are read, and left, over a mock transport, with estimates and
without in turns; the clock is the CPU time of the loop's thread. The lag is how late a task wakes
that sleeps in the same loop: the machine's own (nothing is metered), while the vocabulary is loaded
by the worker, and while it counts. Needs httpx2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from statistics import median

import httpx2

from tokenmeter import Meter, UsageEvent

URL = "https://api.openai.com/v1/chat/completions"
ASKED = {
    "model": "gpt-4o",
    "stream": True,
    "messages": [{"role": "user", "content": "word " * 500}],
}
CHUNK = {
    "id": "c", "model": "gpt-4o",
    "choices": [{"index": 0, "delta": {"content": "four words of text "}, "finish_reason": None}],
}  # fmt: skip
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
EVENTS = 500


class Body(httpx2.AsyncByteStream):
    async def __aiter__(self):
        for _ in range(EVENTS):
            yield EVENT
        yield b"data: [DONE]\n\n"


def client(meter: Meter) -> httpx2.AsyncClient:
    headers = {"content-type": "text/event-stream"}
    answer = lambda _request: httpx2.Response(200, headers=headers, stream=Body())  # noqa: E731
    return meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))


async def read(http: httpx2.AsyncClient, leave: bool) -> float:
    """Read a stream, or leave it in its middle; gives the CPU seconds of its last step."""
    async with http.stream("POST", URL, json=ASKED) as response:
        chunks = response.aiter_raw()
        for n in range(EVENTS // 2 if leave else EVENTS + 1):
            await anext(chunks)
            if n % 50 == 0:
                await asyncio.sleep(0)  # as a real transport does, which waits for its bytes
        began = time.thread_time()
        if not leave:
            await anext(chunks, None)
        await response.aclose()
        return time.thread_time() - began


async def lag(done: asyncio.Event) -> float:
    """Give how late a sleep of half a millisecond ended at worst, in seconds."""
    worst = 0.0
    while not done.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.0005)
        worst = max(worst, time.perf_counter() - began - 0.0005)
    return worst


async def during(meter: Meter, http: httpx2.AsyncClient | None, streams: int) -> float:
    """Give the worst lag while streams are read and counted."""
    done = asyncio.Event()
    watching = asyncio.create_task(lag(done))
    if http is None:
        await asyncio.sleep(0.5)
    else:
        for n in range(streams):
            await read(http, leave=bool(n % 2))
        while meter.pending.waiting:
            await asyncio.sleep(0.001)
    done.set()
    return await watching


async def measure(streams: int) -> dict[str, float]:
    events: list[UsageEvent] = []
    on, off = Meter([events.append], estimates=True), Meter([events.append], estimates=False)
    with_estimates, without = client(on), client(off)
    rows = {"lag, nothing metered": await during(off, None, 0)}
    rows["lag, vocabulary loaded"] = await during(on, with_estimates, 1)
    rows["lag, streams without estimates"] = await during(off, without, streams)
    rows["lag, streams with estimates"] = await during(on, with_estimates, streams)
    for leave, what in ((False, "end of a stream"), (True, "leaving a stream")):
        spent: dict[str, list[float]] = {"with": [], "without": []}
        for _ in range(streams):
            spent["with"].append(await read(with_estimates, leave))
            spent["without"].append(await read(without, leave))
        rows[f"{what}, more with estimates"] = median(
            a - b for a, b in zip(spent["with"], spent["without"], strict=True)
        )
        rows[f"{what}, worst with estimates"] = max(spent["with"])
    assert on.flush(60)
    assert {e.output_provenance for e in events} <= {"estimated", "partial", "unknown"}
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    rows = asyncio.run(measure(20 if options.parse_args().quick else 300))
    for what, seconds in rows.items():
        print(f"{what:40} {seconds * 1e6:10.0f} us")


if __name__ == "__main__":
    main()
