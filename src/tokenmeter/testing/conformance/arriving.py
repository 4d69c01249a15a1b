"""What every exporter promises while nothing is wrong: all of it, once, in order."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from tokenmeter.event import UsageEvent
from tokenmeter.guard import Guard
from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.rig import Check, Rig, needs, promise
from tokenmeter.testing.conformance.trial import END_S, Trial, in_line_and_not, joined, patiently

THREADS, SHARE = 16, 60


def order_of_a_thread(rig: Rig) -> None:
    """The events of a thread arrive once, in their order, in line and in the background."""
    for exporter in in_line_and_not(rig, batch=7):
        with Trial(rig, exporter) as trial:
            trial.export(events(100))
            trial.check_all_once()
            trial.check_order(trial.given)


def thread_storm(rig: Rig) -> None:
    """Many threads at once: everything once, and the order of each of them."""
    shares = [events(SHARE, user=f"thread {n}") for n in range(THREADS)]
    with Trial(rig) as trial:
        _at_once(trial, shares)
        trial.check_all_once()
        for share in shares:
            trial.check_order(share)


def flushed_in_a_storm(rig: Rig) -> None:
    """Several threads flush while others export: all come back, nothing is lost."""
    shares = [events(SHARE, user=f"thread {n}") for n in range(4)]
    over = threading.Event()
    with Trial(rig) as trial:

        def flush() -> None:
            while not over.is_set():
                trial.sink.flush(END_S)

        flushing = [threading.Thread(target=flush, daemon=True) for _ in range(2)]
        for thread in flushing:
            thread.start()
        _at_once(trial, shares)
        over.set()
        joined(flushing, "flush() of several threads")
        trial.check_all_once()


def returned_is_there(rig: Rig) -> None:
    """What an exporter without an account of its own has returned from is there, unflushed."""
    exporter = rig.make()
    needs(not hasattr(exporter, "account"), "the exporter has an account() of its own")
    with Trial(rig, exporter) as trial:
        for each in events(3):
            trial.export([each])
            there = len(trial.arrived())
            promise(
                there == trial.account().exported,
                f"returned from {len(trial.given)} events, and {there} are at the sink",
                "the event at the sink when the exporter returns",
                "send it before returning, or give the exporter a method account() that says what "
                "it still holds",
            )


def exported_is_there(rig: Rig) -> None:
    """At no moment is more said to be exported than has arrived."""
    with Trial(rig) as trial:
        for each in events(50):
            trial.export([each])
            said = trial.account().exported
            there = len(trial.arrived())
            promise(
                said <= there,
                f"says that {said} events are exported, and {there} are at the sink",
                "an event counted as exported once it is at the sink",
                "count what waits as pending: leave it out of `exported` in account()",
            )


def batches_of_any_size(rig: Rig) -> None:
    """A batch of none, of one, of many."""
    exporter: Any = rig.make()
    needs(hasattr(exporter, "batch"), "the exporter has no batch()")
    trial = Trial(rig, exporter)  # not at work in it: nobody but us calls the exporter
    for size in (0, 1, 500):
        part = events(size)
        promise(
            patiently(functools.partial(Guard().done, "batch", exporter.batch, part), "batch()"),
            f"raised for a batch of {size} events",
            "all of them taken",
            "take what there is, also where it is nothing",
        )
        trial.given += part
    trial.flush()
    trial.check_arrived(trial.given)
    trial.check_order(trial.given)
    trial.close()


def two_at_one_sink(rig: Rig) -> None:
    """Two exporters share a sink: each delivers its own, and one ends without the other."""
    with Trial(rig) as one, Trial(rig) as two:
        one.export(events(10))
        two.export(events(10))
        one.export(events(10))
        one.check_all_once()
        one.close()
        two.export(events(10))
        two.check_all_once()


def _at_once(trial: Trial, shares: Sequence[Sequence[UsageEvent]]) -> None:
    start = threading.Barrier(len(shares))

    def export(share: Sequence[UsageEvent]) -> None:
        start.wait()
        trial.export(share)

    threads = [threading.Thread(target=export, args=[share], daemon=True) for share in shares]
    with _few_steps_each():
        for thread in threads:
            thread.start()
        joined(threads, "a storm of calls")


@contextmanager
def _few_steps_each() -> Generator[None]:
    """Have the interpreter go from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


CHECKS: tuple[Check, ...] = (
    order_of_a_thread,
    thread_storm,
    flushed_in_a_storm,
    returned_is_there,
    exported_is_there,
    batches_of_any_size,
    two_at_one_sink,
)
