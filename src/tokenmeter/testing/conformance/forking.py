"""A process that forks: parent and child each deliver their own, once, and nobody hangs."""

from __future__ import annotations

import functools
import itertools
import os
import select
import signal
import sys
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
from tokenmeter.testing.conformance.trial import END_S, Gate, Trial, in_line_and_not, joined

POINTS = 20
"""How many of an exporter's steps are forked at, about."""


def fork_with_events_waiting(rig: Rig) -> None:
    """What the parent had waiting is the parent's; the child delivers its own."""
    _can_fork(rig)
    for exporter in in_line_and_not(rig, interval_s=60):
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


def fork_at_any_step(rig: Rig) -> None:
    """Another thread is anywhere in the exporter: the child still delivers, and ends."""
    _can_fork(rig)
    with Trial(rig, rig.make()) as trial:
        trial.export(events(1))  # the first call may connect, import and make things
        steps = _stopped_at(trial, 0, _nothing)
        points = range(1, steps + 1, max(1, steps // POINTS))
        owns: list[UsageEvent] = []
        for point in points:
            _stopped_at(trial, point, functools.partial(_forked, trial, owns))
        _check_both(trial, owns)


def _stopped_at(trial: Trial, point: int, work: Callable[[], None]) -> int:
    """Work while a thread has stopped at a step of the exporter; give how many it has.

    A step is a call or a return, as the interpreter tells a profiler of them. Not every call has
    as many.
    """
    gate, steps = Gate(), itertools.count(1)
    last = 0

    def step(*_: object) -> None:
        nonlocal last
        last = next(steps)
        if last == point:
            gate()

    def export() -> None:
        sys.setprofile(step)
        trial.export(events(1))
        sys.setprofile(None)

    thread = threading.Thread(target=export, daemon=True)
    thread.start()
    try:
        if point and gate.reached(thread):
            work()
    finally:
        gate.open()
        joined([thread], "a call that another thread forked in")
    return last


def _nothing() -> None: ...


def _forked(trial: Trial, owns: list[UsageEvent]) -> None:
    own = events(2)
    with _child(_exports(trial.sink, own)):
        owns += own


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
    trial.check_order(own[:2])
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
    fork_at_any_step,
)
