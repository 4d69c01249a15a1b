"""An exporter at work, watched from all sides: what it was given, what it says, what arrived."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.background import Background
from tokenmeter.guard import Guard
from tokenmeter.sinks import Account, Sink
from tokenmeter.testing.conformance.rig import BrokenError, Rig, promise

T = TypeVar("T")

PATIENCE_S = 20.0
"""How long anything may take before it hangs: far longer than what works needs."""

END_S = 5.0
"""The deadline that `flush` and `close` are given where nothing is wrong."""

_GLANCE_S = 0.001


def placed(exporter: Exporter, **settings: Any) -> Exporter:
    """Put an exporter where it belongs: in line, or away from the caller where it wants that."""
    return backed(exporter, **settings) if getattr(exporter, "in_background", False) else exporter


def backed(exporter: Exporter, **settings: Any) -> Exporter:
    """Put an exporter behind a `Background`, unless it is one."""
    return exporter if isinstance(exporter, Background) else Background(exporter, **settings)


def in_line_and_not(rig: Rig, **settings: Any) -> Iterator[Exporter]:
    """Give an exporter where it belongs, and then another one behind a `Background`."""
    yield placed(rig.make(), **settings)
    yield backed(rig.make(), **settings)


class Trial:
    """Have an exporter at work, its account read all the while.

    Leaving it closes the exporter and checks that the account balances, and that what it says was
    exported is what arrived.

    Args:
        rig: Where to look what arrived.
        exporter: What is at work; ``None``: a new one of the rig, where it belongs.
        uncertain: Whether more may have arrived than anybody can know: the sink did not answer.
    """

    def __init__(
        self, rig: Rig, exporter: Exporter | None = None, *, uncertain: bool = False
    ) -> None:
        self.rig = rig
        self._uncertain = uncertain
        self.sink = Sink(placed(rig.make()) if exporter is None else exporter, Guard())
        self.given: list[UsageEvent] = []
        self._complaints: list[str] = []
        self._before: list[threading.Thread] = []
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        self._before = threading.enumerate()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.close()
                self.check_balance()
            else:  # it may hang, and nobody wants to know any more
                threading.Thread(target=self.sink.close, args=[0.0], daemon=True).start()
        finally:
            self._over.set()
            self._watcher.join(PATIENCE_S)

    # at work

    def export(self, given: Iterable[UsageEvent]) -> None:
        """Hand events over one after the other, as a meter does."""
        for each in given:
            self.given.append(each)
            self.sink.export(each)

    def flush(self, timeout: float = END_S) -> bool:
        """Flush; an exporter that does not come back is broken."""
        return patiently(lambda: self.sink.flush(timeout), f"flush(timeout={timeout})")

    def close(self, timeout: float = END_S) -> bool:
        """Close; likewise."""
        return patiently(lambda: self.sink.close(timeout), f"close(timeout={timeout})")

    def account(self) -> Account:
        """Say what became of the events, which is to be had at any moment."""
        return patiently(self.sink.account, "account()")

    def join_workers(self) -> None:
        """Wait for the threads that were started in the trial: one of them may be closing."""
        threads = [each for each in threading.enumerate() if each not in self._before]
        joined(threads, "close(): a thread of it goes on")

    # what arrived

    def arrived(self) -> list[UsageEvent | str]:
        """Give what arrived of what was given, in the order of the sink."""
        ours = {each.event_id for each in self.given}
        return [each for each in self.rig.arrived() if ident(each) in ours]

    def check_all_once(self) -> None:
        """Check that everything arrived, once, and that the account says so."""
        flushed = self.flush()
        self.check_arrived(self.given)
        account = self.account()
        promise(
            flushed and not account.lost and not account.pending,
            f"delivered everything, flush said {flushed} and the account {account}",
            "True, and all of them exported",
            "return from flush() nothing or True where all arrived; count an event as exported "
            "once it is at the sink",
        )

    def check_arrived(self, wanted: Sequence[UsageEvent]) -> None:
        """Check that these events arrived, once, and as they were where the rig shows that."""
        arrived = self.arrived()
        count = Counter(map(ident, arrived))
        missing = [f"number {n}" for n, e in enumerate(wanted, 1) if not count[e.event_id]]
        allowed = self.account().filtered
        promise(
            len(missing) <= allowed,
            f"was given {len(wanted)} events, and {len(missing)} did not arrive: {some(missing)}",
            "every event at the sink",
            "return only when the event is there, raise where it is not",
        )
        self.check_once(arrived)
        same = {each.event_id: each for each in wanted}
        for each in arrived:
            if isinstance(each, UsageEvent) and each.event_id in same:
                _check_same(same[each.event_id], each)

    def check_once(self, arrived: Iterable[UsageEvent | str]) -> None:
        """Check that nothing arrived twice."""
        twice = [name for name, n in Counter(map(ident, arrived)).items() if n > 1]
        promise(
            not twice,
            f"delivered {len(twice)} events more than once: {some(twice)}",
            "every event once, also where it is handed over again",
            "have the sink tell events by event_id (a unique key, an idempotency key), or raise "
            "only where nothing arrived; a forked child must forget what its parent had",
        )

    def check_order(self, wanted: Sequence[UsageEvent]) -> None:
        """Check that these events, those of one thread, arrived in the order they were given in."""
        place = {each.event_id: n for n, each in enumerate(wanted)}
        places = [place[name] for name in map(ident, self.arrived()) if name in place]
        wrong = next((n for n, m in itertools.pairwise(places) if m < n), None)
        promise(
            wrong is None,
            f"delivered event {wrong} of a thread before an earlier one of the same thread",
            "the events of one thread in the order in which they were given",
            "send a batch in its order, and the next one after it",
        )

    def check_balance(self) -> None:
        """Check that the account balanced all the while, and that it says what arrived."""
        account = self.account()
        self._look(account, account)
        promise(
            not self._complaints,
            f"had an account that did not balance: {self._complaints[:1]}",
            "captured = exported + filtered + dropped + failed + pending at every moment, nothing "
            "negative, no end taken back",
            "change all numbers of an account under one lock, and count an event once",
        )
        names = set(map(ident, self.arrived()))
        there = sum(each.event_id in names for each in self.given)
        exact = account.exported == there or (self._uncertain and account.exported < there)
        promise(
            account.captured == len(self.given) and exact,
            f"was given {len(self.given)} events, {there} are there, and its account is {account}",
            "all of them captured, and as many exported as arrived",
            "raise where an event is not at the sink, instead of returning",
        )

    # the watcher

    def _watch(self) -> None:
        before = Account()
        while not self._over.wait(_GLANCE_S):
            now = self.sink.account()
            self._look(before, now)
            before = now

    def _look(self, before: Account, now: Account) -> None:
        ends = sum(now[1:])
        back = any(new < old for old, new in zip(before[:-1], now[:-1], strict=True))
        if min(now) < 0 or now.captured != ends or back:
            self._complaints.append(f"{before} and then {now}")


class Gate:
    """Hold whoever comes through until it is opened."""

    def __init__(self) -> None:
        self._entered, self._opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        """Come through."""
        self._entered.set()
        if not self._opened.wait(PATIENCE_S):
            raise TimeoutError("nobody opened the gate")

    def open(self) -> None:
        """Let everybody through from now on."""
        self._opened.set()

    def reached(self, thread: threading.Thread) -> bool:
        """Wait until a thread stands before it or has ended; say which."""
        while thread.is_alive() and not self._entered.wait(_GLANCE_S):
            pass
        return self._entered.is_set()

    def wait(self) -> None:
        """Wait until somebody stands before it."""
        promise(
            self._entered.wait(PATIENCE_S),
            "was to be handed an event, and was not",
            "Background hands events over within moments",
            "let batch() and __call__ return, so that the worker can go on",
        )


def ident(each: UsageEvent | str) -> str:
    """Give the id of what a rig says arrived."""
    return each if isinstance(each, str) else each.event_id


def some(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def until(holds: Callable[[], object], did: str, expected: str, do: str) -> None:
    """Wait for something to hold, with patience."""
    end, pause = time.monotonic() + PATIENCE_S, threading.Event()
    while not holds():
        promise(time.monotonic() < end, did, expected, do)
        pause.wait(_GLANCE_S)


def patiently(function: Callable[[], T], name: str) -> T:
    """Call something that must come back."""
    result: SimpleQueue[T] = SimpleQueue()
    thread = threading.Thread(target=lambda: result.put(function()), daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    try:
        return result.get_nowait()
    except Empty:
        raise BrokenError(
            f"the exporter did not come back from {name} within {PATIENCE_S:g} s\n"
            f"expected: back at its deadline, whatever the sink does\n"
            f"to do:    give every call that waits a time-out (a lock, a queue, a socket), and "
            f"none of them the deadline of all"
        ) from None


def joined(threads: Iterable[threading.Thread], name: str) -> None:
    """Wait for threads that must come to their end."""
    for thread in threads:
        patiently(thread.join, name)


def _check_same(given: UsageEvent, arrived: UsageEvent) -> None:
    names = UsageEvent.__struct_fields__
    wrong = [name for name in names if getattr(given, name) != getattr(arrived, name)]
    promise(
        not wrong,
        f"changed {', '.join(wrong)} of an event on the way: "
        + "; ".join(f"{getattr(given, n)!r:.80} became {getattr(arrived, n)!r:.80}" for n in wrong),
        "the event as it was given",
        "keep every column as it is (Decimal has no float in between, unknown is not zero), or "
        "give event ids in `arrived` where the sink keeps less",
    )
