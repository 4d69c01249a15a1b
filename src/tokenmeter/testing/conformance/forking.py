"""A process that forks: parent and child each deliver their own, once, and nobody hangs."""

from __future__ import annotations

import os
import select
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from tokenmeter.event import UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.sinks import Sink
from tokenmeter.testing.conformance import trial as patience
from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.link import Link, clear, held, held_after
from tokenmeter.testing.conformance.rig import Check, Rig, needs, needs_shared, promise
from tokenmeter.testing.conformance.trial import END_S, Gate, Trial, joined

FORKS = 5
_PAUSE_S = 0.0005


def fork_with_events_waiting(rig: Rig) -> None:
    """What the parent had waiting is the parent's; the child delivers its own."""
    _can_fork(rig)
    for exporter in (None, Background(rig.make(), interval_s=60.0)):
        with Trial(rig, exporter) as trial:
            trial.export(events(20))
            own = events(20)
            with _child(_exports(trial.sink, own)):
                trial.export(events(20))
            _check_both(trial, own)


def fork_in_the_middle_of_a_batch(rig: Rig) -> None:
    """A batch is on its way, or its answer: the parent alone goes on with it."""
    _can_fork(rig)
    for fault in (held, held_after):
        gate = Gate()
        link = Link(rig.make(), fault(gate))
        with Trial(rig, Background(link)) as trial:
            trial.export(events(20))
            gate.wait()
            own = events(20)

            def export(
                link: Link = link, trial: Trial = trial, own: Sequence[UsageEvent] = own
            ) -> None:
                link.fault = clear
                _exports(trial.sink, own)()

            with _child(export):
                gate.open()
            _check_both(trial, own)


def forks_in_a_thread_storm(rig: Rig) -> None:
    """Other threads are in the middle of the exporter: each child still delivers, and ends."""
    _can_fork(rig)
    over = threading.Event()
    with Trial(rig) as trial:

        def storm() -> None:
            while not over.wait(_PAUSE_S):
                trial.export(events(1))

        threads = [threading.Thread(target=storm, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            owns = [_forked(trial, events(5)) for _ in range(FORKS)]
        finally:
            over.set()
        joined(threads, "a storm of calls around a fork")
        _check_both(trial, [each for own in owns for each in own])


def _forked(trial: Trial, own: list[UsageEvent]) -> list[UsageEvent]:
    with _child(_exports(trial.sink, own)):
        return own


def _exports(sink: Sink, own: Iterable[UsageEvent]) -> Callable[[], None]:
    """Give what a child does: what a meter does in one."""

    def export() -> None:
        sink.restart()
        for each in own:
            sink.export(each)
        sink.flush(END_S)
        sink.close(END_S)

    return export


def _check_both(trial: Trial, own: Sequence[UsageEvent]) -> None:
    """Check that what the parent and its children were given arrived, once."""
    trial.check_all_once()
    parents = list(trial.given)
    trial.given = [*parents, *own]
    trial.check_arrived(trial.given)
    trial.check_order(own[:5])
    trial.given = parents


@contextmanager
def _child(work: Callable[[], None]) -> Generator[None]:
    """Fork a child that works, and wait for its end."""
    over, tell = os.pipe()
    with warnings.catch_warnings():
        # that a process with threads forks is the point; from Python 3.12 on it is warned of
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    os.close(tell)
    try:
        yield
    finally:
        ended, _, _ = select.select([over], [], [], patience.PATIENCE_S)
        os.close(over)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    promise(
        ended and status == 0,
        "did not come to an end in a forked child" if not ended else f"ended a child: {status}",
        "a child that exports, flushes, closes and ends",
        "in after_fork() make new locks, and drop connections and threads without using them",
    )


def _can_fork(rig: Rig) -> None:
    needs(hasattr(os, "fork"), "this system does not fork")
    needs_shared(rig)


CHECKS: tuple[Check, ...] = (
    fork_with_events_waiting,
    fork_in_the_middle_of_a_batch,
    forks_in_a_thread_storm,
)
