"""Work that waits: who does it, and when nobody has to any more."""

from __future__ import annotations

import threading

from tokenmeter import Meter
from tokenmeter.guard import Guard
from tokenmeter.pending import Pending


def test_a_meter_that_was_shut_down_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    meter = Meter()
    meter.pending.start()
    (worker,) = set(threading.enumerate()) - before
    meter.shutdown()
    worker.join(5)
    assert not worker.is_alive()


def test_what_arrives_after_the_worker_has_stopped_is_done_by_whoever_waits() -> None:
    pending, done = Pending(Guard()), []
    pending.start()
    pending.stop()
    pending.put(lambda: done.append(1))
    assert pending.drain(5)
    assert done == [1]


def test_a_stopped_worker_can_be_started_again() -> None:
    pending, done = Pending(Guard()), threading.Event()
    pending.start()
    pending.stop()
    pending.start()
    pending.put(done.set)
    assert done.wait(5)
    pending.stop()
