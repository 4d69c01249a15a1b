"""Work for later is done once: by the worker, or by whoever waits for it."""

from __future__ import annotations

import gc
import threading

from tokenmeter import Meter
from tokenmeter.guard import Guard
from tokenmeter.pending import Pending


def test_whoever_waits_does_what_is_waiting_in_order() -> None:
    pending, done = Pending(Guard()), []
    for n in range(5):
        pending.put(lambda n=n: done.append((n, threading.current_thread())))  # type: ignore[misc]
    assert pending.waiting == 5
    assert pending.drain(0)
    assert done == [(n, threading.current_thread()) for n in range(5)]
    assert pending.waiting == 0
    assert pending.drain(0)


def test_the_worker_is_one_daemon_that_does_what_comes() -> None:
    pending, begun = Pending(Guard()), threading.Event()
    before = threading.active_count()
    pending.start()
    pending.start()
    assert threading.active_count() == before + 1
    names: list[tuple[str, bool]] = []

    def job() -> None:
        names.append((threading.current_thread().name, threading.current_thread().daemon))
        begun.set()

    pending.put(job)
    assert begun.wait(20)
    assert names == [("tokenmeter", True)]


def test_waiting_ends_when_the_worker_is_done_or_time_is_up() -> None:
    pending, begun, held = Pending(Guard()), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        held.wait()

    pending.put(hold)
    pending.start()
    assert begun.wait(20)
    assert pending.drain(0.01) is False
    assert pending.waiting == 1
    held.set()
    assert pending.drain(20) is True


def test_a_job_that_raises_harms_no_other() -> None:
    guard, done = Guard(), []
    pending = Pending(guard)
    pending.put(lambda: {}["nothing"])
    pending.put(lambda: done.append(1))
    assert pending.drain(0)
    assert (done, guard.failures) == ([1], {"a pending call": 1})


def test_a_finaliser_may_add_a_job_while_a_job_runs_and_while_someone_waits() -> None:
    pending, done = Pending(Guard()), []

    class Dropped:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            pending.put(lambda: done.append("finalised"))

    def job() -> None:
        Dropped()
        gc.collect()
        done.append("job")

    pending.put(job)
    with pending._progress:  # as if the collector ran inside the worker's own lock
        Dropped()
        gc.collect()
    assert pending.drain(0)
    assert pending.drain(0)
    assert done == ["job", "finalised", "finalised"]


def test_a_forked_child_forgets_the_parents_jobs() -> None:
    pending, done = Pending(Guard()), []
    pending.put(lambda: done.append(1))
    pending.reset()
    assert (pending.waiting, pending.drain(0), done) == (0, True, [])


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
