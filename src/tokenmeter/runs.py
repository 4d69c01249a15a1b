"""Runs: an agent or a sub-agent at work, from its beginning to its end.

A run belongs to the process and not to a meter: every meter hears of its end, and says one event of
it. Where it stands among the others is a part of whom its calls are for; see `attribution`.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

import msgspec
from msgspec.structs import astuple

from tokenmeter.event import HOST, NOBODY, SCHEMA, Attribution, UsageEvent, timestamp
from tokenmeter.ids import EventIds
from tokenmeter.status import ABANDONED, COMPLETED, End, end_by
from tokenmeter.surroundings import Place, RemoteSpan, span_context, span_ids
from tokenmeter.watching import Watcher, in_force
from tokenmeter.who import Who
from tokenmeter.wire.claim import claim

InTree = tuple[str, str, str | None, int]
"""Where a run stands: the path of agents from the outermost one to it; its id; that of the run in
which it began, or ``None``; and its depth, how many runs it began in."""


class Hearer(Protocol):
    """What hears of runs: a meter."""

    @property
    def who(self) -> Who | None:
        """What finds out whose a run is where no block says it."""
        ...

    def ran(self, run: Run) -> None:
        """Say the event of a run that has ended."""
        ...

    def later(self, job: Callable[[], object]) -> None:
        """Do something when this is no finaliser any more; safe in one."""
        ...

    def expect_later(self) -> None:
        """Get ready for that; never called in a finaliser."""
        ...


class Run(msgspec.Struct, eq=False):
    """One run; whoever ends it first has ended it.

    Attributes:
        owner: The block that began it.
        in_tree: Where it stands.
        watchers: Those who watched where it began.
        span: The span in which it began.
        ts_ns: When it began, in nanoseconds since 1970.
        started_s: The same by the stopwatch, in seconds.
        pid: The process that has begun it.
        once: Empty when it has ended.
        attribution: Whom what happens in it is for.
        how: How it ended.
        ended_s: When it ended, by the stopwatch.
        found: Whom it is for as hearers found, where no block says a user.
    """

    owner: object
    in_tree: InTree
    watchers: tuple[Watcher, ...]
    span: Any
    ts_ns: int
    started_s: float
    pid: int
    once: list[None]
    attribution: Attribution = NOBODY
    how: End = ABANDONED
    ended_s: float | None = None
    found: dict[weakref.ref[Hearer], Attribution] | None = None

    def is_for(self, attribution: Attribution) -> None:
        """Take note of whom it is for, and of its user as each hearer finds one here and now."""
        self.attribution = attribution
        if _finding and attribution.user is None and self.once:
            self.found = {r: h.who.resolved(attribution) for r in _hearers if (h := r()) and h.who}

    def _as_found_by(self, hearer: Hearer) -> Attribution:
        found = self.found.get(weakref.ref(hearer)) if self.found else None
        return found or self.attribution

    def left(self, exc: BaseException | None) -> bool:
        """End it, and tell every meter: its block was left, by this exception or by none.

        Gives whether it had not ended before.
        """
        if isinstance(exc, GeneratorExit):
            return self.dropped()
        return self.ended(COMPLETED if exc is None else end_by(exc))

    def ended(self, end: End) -> bool:
        """End it so, and tell every meter; gives whether it had not ended before."""
        if not self._ends(end):
            return False
        holder = claim.get()  # as `claimed` says: an exporter is at work, perhaps in a finaliser
        later = holder is not None and holder.in_flight
        for reference in _hearers:
            hearer = reference()
            if hearer is not None:
                hearer.later(partial(hearer.ran, self)) if later else hearer.ran(self)
        return True

    def dropped(self) -> bool:
        """End it as abandoned, likewise; safe in a finaliser."""
        if not self._ends(ABANDONED):
            return False
        for hearer in _heard():
            hearer.later(partial(hearer.ran, self))
        return True

    def forget(self) -> None:
        """Have it never been: nothing of it has run."""
        self.once.clear()
        _open.pop(self, None)

    def _ends(self, end: End) -> bool:
        """Take note of the end, once; say whether it is to be told, as no child of a fork does."""
        try:
            self.once.pop()  # one atomic step: whoever comes second finds nothing
        except IndexError:
            return False
        self.how, self.ended_s = end, time.perf_counter()
        _open.pop(self, None)
        return self.pid == _ids.pid

    @property
    def is_ours(self) -> bool:
        """Whether this process has begun it, and not the one that it was forked from."""
        return self.pid == _ids.pid

    def event(self, place: Place, pid: int, hearer: Hearer) -> UsageEvent:
        """Give its event, whose id is that of the run; of one that is still open, an abandoned one.

        By position, in the order of the schema, for speed.
        """
        ended_s = time.perf_counter() if self.ended_s is None else self.ended_s
        *who, tags = astuple(self._as_found_by(hearer))
        columns: list[Any] = [
            "run",
            self.in_tree[1],
            SCHEMA,
            timestamp(self.ts_ns),
            *_BEFORE_STATUS,
            self.how.status,
            None,  # http_status
            self.how.error_type,
            int((ended_s - self.started_s) * 1e6) / 1e6,
            *_BEFORE_USER,
            *who,
            *span_ids(self.span),
            tags,
            *place,
            HOST,
            pid,
        ]
        return UsageEvent(*columns)


_columns = UsageEvent.__struct_fields__
_BEFORE_STATUS = (None,) * (_columns.index("status") - 4)
_BEFORE_USER = (None,) * (_columns.index("user") - _columns.index("duration_s") - 1)


def begin(
    agent: str,
    outer: Attribution,
    span: RemoteSpan | None = None,
    *,
    owner: object,
    in_generator: bool,
) -> Run:
    """Begin the run of an agent, in the run that the attribution around it names.

    ``span`` is that of another thread or process from which this was called, ``owner`` the block
    that begins it. A run that begins in a generator may end in a finaliser.
    """
    if in_generator:
        for hearer in _heard():
            hearer.expect_later()
    ts_ns = time.time_ns()
    in_tree = (
        agent if outer.agent is None else f"{outer.agent}/{agent}",
        _ids(ts_ns),
        outer.run_id,
        0 if outer.run_id is None else (outer.depth or 0) + 1,
    )
    holder = claim.get()  # as `claimed` says: inside of `disabled`, or of an exporter
    is_metered = holder is None or not holder.in_flight
    run = Run(
        owner,
        in_tree,
        in_force.get(),
        span_context(span),
        ts_ns,
        time.perf_counter(),
        _ids.pid,
        [None] if is_metered else [],
    )
    if is_metered:
        _open[run] = None
    return run


def left_elsewhere(owner: object, exc: BaseException | None) -> None:
    """End the latest run of a block that is left in another context than it was entered in."""
    for run in reversed(list(still_open())):
        if run.owner is owner and run.left(exc):
            return


def hear(hearer: Hearer) -> None:
    """Have it told of runs that end, as long as it lives."""
    global _hearers
    _hearers = (*(r for r in _hearers if r() is not None), weakref.ref(hearer))


def find_users() -> None:
    """Have runs that begin from now on ask their hearers for a user; which costs each of them."""
    global _finding
    _finding = True


def still_open() -> Iterator[Run]:
    """Give the runs of this process that have not ended."""
    return (run for run in list(_open) if run.is_ours)


def _heard() -> list[Hearer]:
    return [hearer for reference in _hearers if (hearer := reference()) is not None]


class _Ids:
    """Make the ids of runs; a forked child begins anew.

    Attributes:
        pid: The process, once it has begun a run.
    """

    def __init__(self) -> None:
        self.pid = 0
        self._make = EventIds()

    def __call__(self, ts_ns: int) -> str:
        if not self.pid:
            self._begin()
            os.register_at_fork(after_in_child=self._begin)
        return self._make(ts_ns)

    def _begin(self) -> None:
        self._make.reseed()
        self.pid = os.getpid()


_ids = _Ids()
_open: dict[Run, None] = {}
_hearers: tuple[weakref.ref[Hearer], ...] = ()
_finding = False
