"""A process whose queue is full: threads record events for a receiver that takes none.

Started with its settings as JSON in the first argument; writes the id of each event that it has
recorded to stdout, a line each, then ends, or waits for its end.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from tokenmeter import Meter, UsageEvent
from tokenmeter.exporters.background import Background

from .process import Post

TS = datetime(2026, 11, 22, tzinfo=UTC)
THREADS, EVENTS = 8, 500


def fill(meter: Meter, said: Any = lambda event_id: None) -> None:
    """Record events in threads."""

    def some(thread: int) -> None:
        for n in range(EVENTS):
            event_id = f"{thread}.{n}"
            meter.record(UsageEvent(kind="call", event_id=event_id, schema=1, ts=TS))
            said(event_id)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    given = json.loads(sys.argv[1])
    background = Background(Post(given["port"], "filling"), **given["background"])
    fill(Meter([background]), lambda event_id: os.write(1, f"{event_id}\n".encode()))
    os.write(1, b"\n")
    if given["wait"]:
        threading.Event().wait()


if __name__ == "__main__":
    logging.disable()
    main()
