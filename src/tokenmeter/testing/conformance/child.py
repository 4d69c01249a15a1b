"""What the checks of a process's end run in a process of its own: ``child.py ORDERS``.

ORDERS is a pickle of ``sys.path`` and then one of how to end, the factory and the events.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import pickle
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.meter import Meter
from tokenmeter.testing.conformance.trial import placed

Make = Callable[[], Exporter]
Events = Sequence[UsageEvent]

_meters: list[Meter] = []
"""Those at work: a meter that nobody holds any more is not told of the end."""


def main(orders: Path) -> None:
    """Export as ordered, and come to the end that was ordered."""
    with orders.open("rb") as file:
        sys.path[:] = pickle.load(file)  # first, because the factory may be found only there
        how, make, events = pickle.load(file)
    ENDS[how](make, events)


def end_of_the_script(make: Make, events: Events) -> None:
    """Export and simply end."""
    _export(_working(placed(make())), events)


def end_with_threads_at_work(make: Make, events: Events) -> None:
    """End while threads that nobody waits for go on exporting."""
    meter = _working(placed(make()))
    extra, never = UsageEvent("call", "extra", 1, events[0].ts), threading.Event()

    def go_on() -> None:
        while not never.wait(0.001):
            meter.record(extra)

    threading.Thread(target=go_on, daemon=True).start()
    _export(meter, events)


def end_by_sigterm(make: Make, events: Events) -> None:
    """Export and wait for the signal."""
    _export(_working(placed(make())), events)
    print("ready", flush=True)
    while True:
        time.sleep(0.01)  # not pause(), which a signal that comes just before it does not end


def end_of_asyncio(make: Make, events: Events) -> None:
    """Export from tasks, some of which the end of the loop cancels."""
    meter = _working(placed(make()))

    async def export(part: Events) -> None:
        try:
            _export(meter, part[::2])
            await asyncio.Event().wait()
        finally:
            _export(meter, part[1::2])

    async def work() -> None:
        tasks = [asyncio.create_task(export(events[n::4])) for n in range(4)]
        await asyncio.wait(tasks, timeout=0)

    asyncio.run(work())


def after_the_end(make: Make, events: Events) -> None:
    """Export once more when everything has ended, and no thread can be started."""
    exporters: list[Exporter] = []

    def too_late() -> None:
        with contextlib.suppress(Exception):  # raising is an answer too
            exporters[0](events[-1])
        print("ended", flush=True)

    atexit.register(too_late)  # before there is a meter, and so called after its end
    exporters.append(placed(make()))
    _export(_working(*exporters), events[:-1])


def _working(exporter: Exporter) -> Meter:
    _meters.append(Meter([exporter]))
    return _meters[-1]


def _export(meter: Meter, events: Events) -> None:
    for event in events:
        meter.record(event)


ENDS: dict[str, Callable[[Make, Events], None]] = {
    end.__name__: end
    for end in (
        end_of_the_script,
        end_with_threads_at_work,
        end_by_sigterm,
        end_of_asyncio,
        after_the_end,
    )
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
