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

from msgspec.structs import astuple

from tokenmeter.event import HOST, NOBODY, SCHEMA, Attribution, UsageEvent, timestamp
from tokenmeter.ids import EventIds
from tokenmeter.status import ABANDONED, COMPLETED, End, end_by
from tokenmeter.surroundings import Place, RemoteSpan, span_context, span_ids
from tokenmeter.watching import in_force
from tokenmeter.who import Who
from tokenmeter.wire.claim import claimed

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


class Run:
    """One run; whoever ends it first has ended it.

    Attributes:
        in_tree: Where it stands.
        attribution: Whom what happens in it is for.
        watchers: Those who watched where it began.
    """

    __slots__ = (
        "_end",
        "_ended_s",
        "_found",
        "_once",
        "_pid",
        "_span",
        "_started_s",
        "_ts_ns",
        "attribution",
        "in_tree",
        "watchers",
    )

    def __init__(self, agent: str, outer: Attribution, span: RemoteSpan | None) -> None:
        self._ts_ns = ts_ns = time.time_ns()
        self.in_tree: InTree = (
            agent if outer.agent is None else f"{outer.agent}/{agent}",
            _ids(ts_ns),
            outer.run_id,
            0 if outer.run_id is None else (outer.depth or 0) + 1,
        )
        self.attribution = NOBODY
        self.watchers = in_force.get()
        self._span = span_context(span)
        self._pid = _ids.pid
        self._found: dict[weakref.ref[Hearer], Attribution] = _NONE
        self._end = ABANDONED
        self._ended_s: float | None = None
        self._once = [None]
        if claimed():  # nothing is metered here: inside of `disabled`, or of an exporter
            self._once.clear()
        else:
            _open.add(self)
        self._started_s = time.perf_counter()

    def is_for(self, attribution: Attribution) -> None:
        """Take note of whom it is for, and of its user as each hearer finds one here and now."""
        self.attribution = attribution
        if attribution.user is None and self._once:
            found = {r: h.who.resolved(attribution) for r in _hearers if (h := r()) and h.who}
            self._found = found or _NONE

    def _as_found_by(self, hearer: Hearer) -> Attribution:
        found = self._found.get(weakref.ref(hearer)) if self._found else None
        return found or self.attribution

    def left(self, exc: BaseException | None) -> None:
        """End it: its block was left, by this exception or by none."""
        if exc is None:
            self.end(COMPLETED)
        elif isinstance(exc, GeneratorExit):
            self.dropped()
        else:
            self.end(end_by(exc))

    def end(self, end: End) -> None:
        """End it, and tell every meter."""
        if not self._ends(end):
            return
        later = claimed()  # an exporter is at work here, perhaps below a finaliser
        for reference in _hearers:
            hearer = reference()
            if hearer is not None:
                hearer.later(partial(hearer.ran, self)) if later else hearer.ran(self)

    def dropped(self) -> None:
        """End it as abandoned; safe in a finaliser."""
        if self._ends(ABANDONED):
            for hearer in _heard():
                hearer.later(partial(hearer.ran, self))

    def forget(self) -> None:
        """Have it never been: nothing of it has run."""
        self._once.clear()
        _open.discard(self)

    def _ends(self, end: End) -> bool:
        """Take note of the end, once; say whether it is to be told, as no child of a fork does."""
        try:
            self._once.pop()  # one atomic step: whoever comes second finds nothing
        except IndexError:
            return False
        self._end, self._ended_s = end, time.perf_counter()
        _open.discard(self)
        return self.is_ours

    @property
    def is_ours(self) -> bool:
        """Whether this process has begun it, and not the one that it was forked from."""
        return self._pid == os.getpid()

    def event(self, place: Place, pid: int, hearer: Hearer) -> UsageEvent:
        """Give its event, whose id is that of the run; of one that is still open, an abandoned one.

        By position, in the order of the schema, for speed.
        """
        ended_s = time.perf_counter() if self._ended_s is None else self._ended_s
        *who, tags = astuple(self._as_found_by(hearer))
        columns: list[Any] = [
            "run",
            self.in_tree[1],
            SCHEMA,
            timestamp(self._ts_ns),
            *_BEFORE_STATUS,
            self._end.status,
            None,  # http_status
            self._end.error_type,
            int((ended_s - self._started_s) * 1e6) / 1e6,
            *_BEFORE_USER,
            *who,
            *span_ids(self._span),
            tags,
            *place,
            HOST,
            pid,
        ]
        return UsageEvent(*columns)


_NONE: dict[weakref.ref[Hearer], Attribution] = {}
_columns = UsageEvent.__struct_fields__
_BEFORE_STATUS = (None,) * (_columns.index("status") - 4)
_BEFORE_USER = (None,) * (_columns.index("user") - _columns.index("duration_s") - 1)


def begin(
    agent: str, outer: Attribution, span: RemoteSpan | None = None, *, in_generator: bool
) -> Run:
    """Begin the run of an agent, in the run that the attribution around it names.

    ``span`` is that of another thread or process from which this was called. A run that begins in
    a generator may end in a finaliser.
    """
    if in_generator:
        for hearer in _heard():
            hearer.expect_later()
    return Run(agent, outer, span)


def hear(hearer: Hearer) -> None:
    """Have it told of runs that end, as long as it lives."""
    global _hearers
    _hearers = (*(r for r in _hearers if r() is not None), weakref.ref(hearer))


def still_open() -> Iterator[Run]:
    """Give the runs of this process that have not ended."""
    return (run for run in list(_open) if run.is_ours)


def _heard() -> list[Hearer]:
    return [hearer for reference in _hearers if (hearer := reference()) is not None]


class _Ids:
    """Make the ids of runs; a forked child begins anew."""

    def __init__(self) -> None:
        self.pid = 0
        self._make = EventIds()

    def __call__(self, ts_ns: int) -> str:
        pid = os.getpid()
        if pid != self.pid:
            self._make.reseed()
            self.pid = pid
        return self._make(ts_ns)


_ids = _Ids()
_open: set[Run] = set()
_hearers: tuple[weakref.ref[Hearer], ...] = ()
