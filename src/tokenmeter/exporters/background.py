"""Any exporter, away from the caller: a bounded queue, a worker, batches, retries.

The caller appends to a deque and goes on. The worker looks at it a few times a second, because
waking a thread costs the caller ten times what appending does; what fills the queue, flushes or
ends wakes it. What happens on the way to the exporter is in `delivery`, what happens on disk in
`spill`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from tokenmeter.endings import END_S, care_for, end_on_sigterm
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.delivery import Batch, Delivery
from tokenmeter.exporters.spill import Spill
from tokenmeter.guard import Guard
from tokenmeter.sinks import Account, Sink, Stats, loss
from tokenmeter.wire.claim import passing_through

Full = Literal["block", "drop_newest", "drop_oldest", "spill"]

GRACE_S = 0.5
"""How long `close` waits for what is being sent after its time is over."""


class Background:
    """Give an exporter a queue and a worker, so that no caller waits for it.

    Events of one thread arrive in the order in which they were given. What could not be delivered
    is counted: see `account`. A forked child begins with an empty queue and a worker of its own;
    what the parent had waiting is sent by the parent alone. What waits is delivered at the end of
    the process; SIGTERM is such an end where nobody else handles it and this was made in the main
    thread. A process that is killed loses what is in the queue and on its way.

    Args:
        exporter: What takes the events: by its ``batch(events)`` where it has one.
        size: Events that the queue holds.
        batch: Events that are handed over at once, at most.
        interval_s: How often the worker looks at the queue.
        retry_s: How long a batch is tried before it has failed, with growing pauses.
        full: What happens to an event when the queue is full: ``drop_newest`` drops it,
            ``drop_oldest`` drops the one that has waited longest, ``block`` has the caller wait
            for room, ``spill`` writes it to disk.
        wait_s: How long ``block`` waits; then the event is dropped.
        folder: Where ``spill`` writes: an existing folder, for this exporter alone. What a process
            leaves there is delivered by the next one.
        sigterm: Whether SIGTERM, which else ends the process at once, delivers before.

    Raises:
        ConfigurationError: A setting cannot be used.

    >>> arrived = []
    >>> background = Background(arrived.append)
    >>> background.account()
    Account(captured=0, exported=0, filtered=0, dropped=0, failed=0, pending=0)
    >>> background.close()
    """

    def __init__(  # noqa: PLR0913 - each is a setting of its own, by name
        self,
        exporter: Exporter,
        *,
        size: int = 50_000,
        batch: int = 500,
        interval_s: float = 0.2,
        retry_s: float = 60.0,
        full: Full = "drop_newest",
        wait_s: float = END_S,
        folder: str | os.PathLike[str] | None = None,
        sigterm: bool = True,
    ) -> None:
        _check(size=size, batch=batch, interval_s=interval_s, retry_s=retry_s, wait_s=wait_s)
        if isinstance(exporter, Background):
            raise ConfigurationError(
                f"{exporter.__name__} is in the background already; give Background the exporter "
                f"itself"
            )
        self.exporter = exporter
        self.__name__: str = getattr(exporter, "__name__", type(exporter).__name__)
        self._size, self._batch, self._interval_s = size, batch, interval_s
        self._retry_s, self._wait_s = retry_s, wait_s
        self._overflow = self._policy(full, folder)
        self._folder = folder
        self._guard = Guard()
        self._sink = Sink(exporter, self._guard)
        self._begin()
        care_for(self, last=True)
        if sigterm:
            end_on_sigterm()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wakeup = threading.Event()
        self._worker: threading.Thread | None = None
        self._queue: deque[UsageEvent] = deque()
        self._held: Batch = ()  # those that came from the queue and are with the exporter
        self._spill = None if self._folder is None else Spill(self._folder, self.__name__)
        self._left = 0  # on disk, after closing
        self._recovered = 0 if self._spill is None else self._spill.recovered
        self._delivery = Delivery(self.exporter, self._retry_s)
        self._room = self._size  # 0 where an event needs a closer look
        self._alarm = 0  # the length of the queue at which the worker is woken, or started
        self._ended = self._moving = 0  # those with an end, in order, and those on their way
        self._dropped = self._refused = 0  # those that were in the queue, and those that never were
        self._closed = self._orphaned = False
        if self._recovered:
            self._wake()

    # what the caller does

    def __call__(self, event: UsageEvent) -> None:
        """Take an event; what becomes of it is in the account."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._room:
            self._full(event)
            return
        queue.append(event)
        if waiting >= self._alarm:
            self._wake()

    def _full(self, event: UsageEvent) -> None:
        self._wake()
        with self._lock:
            self._refused += self._closed or not self._overflow(event)

    def _policy(self, full: str, folder: object) -> Callable[[UsageEvent], bool]:
        known = {
            "block": self._block,
            "drop_newest": self._drop_newest,
            "drop_oldest": self._drop_oldest,
            "spill": self._to_disk,
        }
        if full not in known:
            raise ConfigurationError(f"full is one of {', '.join(known)}; got {full!r}")
        if (full == "spill") is (folder is None):
            raise ConfigurationError(
                "full='spill' and a folder to write to belong together; "
                f"got full={full!r}, folder={folder!r}"
            )
        return known[full]

    def _drop_newest(self, _event: UsageEvent) -> bool:
        return False

    def _drop_oldest(self, event: UsageEvent) -> bool:
        self._queue.append(event)
        self._queue.popleft()
        self._dropped += 1
        self._ended += 1
        return True

    def _block(self, event: UsageEvent) -> bool:
        room = self._changed.wait_for(self._has_room, self._wait_s) and not self._closed
        if room:
            self._queue.append(event)
        return room

    def _has_room(self) -> bool:
        return self._closed or len(self._queue) < self._size

    def _to_disk(self, event: UsageEvent) -> bool:
        assert self._spill is not None  # _policy saw to it
        written = self._guard.done("the spill to disk", self._spill.write, event)
        if written:
            self._room = 0  # until the disk has been read, so that the order is kept
        return written

    # what the worker does

    def _wake(self) -> bool:
        """Have the worker look at the queue now; say whether there is one."""
        if self._worker is None and not self._start():
            return False
        self._wakeup.set()
        return True

    def _start(self) -> bool:
        with self._lock:
            if self._worker is None and not self._closed:
                name = f"tokenmeter {self.__name__}"
                worker = threading.Thread(target=self._work, name=name, daemon=True)
                with contextlib.suppress(RuntimeError):  # at its end an interpreter starts none
                    worker.start()
                    self._worker = worker
                self._alarm = self._size
        return self._worker is not None

    def _work(self) -> None:
        try:
            with passing_through():
                while not self._closed:
                    if not self._step():
                        self._sleep()
        finally:
            with self._lock:
                self._worker, self._alarm = None, 0
                if not self._closed:  # an exporter may raise SystemExit; the next event starts anew
                    self._delivery.failed += self._moving
                    self._ended, self._moving = self._ended + self._moving, 0
            if self._orphaned:
                self._sink.close(END_S)

    def _sleep(self) -> None:
        self._alarm = self._size // 2
        self._wakeup.wait(self._interval_s)
        self._wakeup.clear()
        self._alarm = self._size

    def _step(self) -> bool:
        """Deliver the next batch; say whether there was one."""
        batch, spilled = self._take()
        if not batch:
            return False
        try:
            for ended in self._delivery.deliver(batch):
                self._end(ended)
        finally:
            if spilled is not None:
                self._read(spilled, len(batch))
        return True

    def _read(self, spilled: Spill, taken: int) -> None:
        """Note how far the disk was read; what could not be sent waits there again."""
        with self._lock:
            spilled.done(taken - self._moving)
            self._moving = 0

    def _take(self) -> tuple[Batch, Spill | None]:
        with self._lock:
            size = min(self._batch, len(self._queue))
            batch = self._unsent() or [self._queue.popleft() for _ in range(size)]
            spilled = None
            if not batch and self._spill is not None:
                spilled, batch = self._spill, self._spill.take(self._batch)
                if not self._closed and not self._spill.waiting:
                    self._room = self._size
            self._moving = len(batch)
            self._held = batch if spilled is None else ()
            self._changed.notify_all()
        return batch, spilled

    def _unsent(self) -> Batch:
        return self._held[len(self._held) - self._moving :]

    def _end(self, ended: int) -> None:
        with self._lock:
            if ended > self._moving:  # `_leave` came first
                return
            self._moving -= ended
            self._ended += ended
            self._changed.notify_all()

    # what the owner does

    @property
    def recovered(self) -> int:
        """Events that an earlier process left on disk, and that this one delivers."""
        inside: int = getattr(self.exporter, "recovered", 0)
        return self._recovered + inside

    @property
    def branches(self) -> tuple[Sink, ...]:
        """The sinks that the exporter hands events on to."""
        return getattr(self.exporter, "branches", ())

    def account(self) -> Account:
        """Say what became of the events so far."""
        own: Callable[[], Account] | None = getattr(self.exporter, "account", None)
        ends = Account(exported=self._delivery.taken) if own is None else own()
        with self._lock:  # after asking: what moves on meanwhile is pending
            captured = self._ended + self._moving + self._waiting + self._refused
            dropped = ends.dropped + self._dropped + self._refused
            failed = ends.failed + self._delivery.failed
        pending = captured - ends.exported - ends.filtered - dropped - failed
        return Account(captured, ends.exported, ends.filtered, dropped, failed, pending)

    @property
    def _waiting(self) -> int:
        return len(self._queue) + (self._left if self._spill is None else self._spill.waiting)

    def flush(self, timeout: float = END_S) -> bool:
        """Deliver what waits now, in at most ``timeout`` seconds; false when not all of it was."""
        deadline = time.monotonic() + timeout
        lost = self.account().lost
        self._delivery.hurry()
        if self._waiting and not self._wake():
            self._drain(deadline)
        with self._changed:
            target = self._ended + self._moving + self._waiting
            self._changed.wait_for(lambda: self._ended >= target or self._closed, timeout)
            done = self._ended >= target
        with passing_through():
            flushed = self._sink.flush(max(0.0, deadline - time.monotonic()))
        return done and flushed and self.account().lost == lost

    def _drain(self, deadline: float) -> None:
        """Do the work of the worker where there can be none."""
        self._delivery.stop(deadline)
        with passing_through():
            while time.monotonic() < deadline and self._step():
                pass
        self._delivery.stop(float("inf"))  # a worker that can be started later has all its time

    def close(self, timeout: float = END_S) -> None:
        """Deliver what waits, in at most ``timeout`` seconds, and close the exporter.

        What could not be delivered is dropped, or stays on disk where it is spilled to.
        """
        if self._closed:
            return
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        with self._changed:
            self._closed, self._room = True, 0
            self._changed.notify_all()
        self._delivery.stop()
        self._wakeup.set()
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join(GRACE_S)
        with self._lock:
            hangs = self._orphaned = self._worker is not None  # in the middle of the exporter
        self._leave(hangs)
        if not hangs:  # else the worker does it, when it comes back
            with passing_through():
                self._sink.close(max(0.0, deadline - time.monotonic()))

    def _leave(self, hangs: bool) -> None:
        """Give up what was not sent, or leave it on disk for the next process.

        What an exporter that hangs holds may still arrive, so it is left on disk too: it arrives
        twice rather than never.
        """
        with self._lock:
            keeps = self._spill is not None
            unsent: Batch = [] if hangs and not keeps else self._unsent()
            waiting = [*self._queue]
            self._queue.clear()
            kept = [keeps and self._to_disk(event) for event in (*unsent, *waiting)]
            failed, dropped = kept[: len(unsent)].count(False), kept[len(unsent) :].count(False)
            self._delivery.failed += failed
            self._dropped += dropped
            self._moving -= len(unsent)
            self._ended += failed + dropped
            if self._spill is not None:
                self._left = self._spill.waiting
                self._spill.close()
                self._spill = None

    def at_end(self, timeout: float) -> list[str]:
        """End with the process, and say what was lost where no meter does."""
        if self._closed:
            return []
        self.close(timeout)
        return loss(self.__name__, self.account())

    def after_fork(self) -> None:
        """Begin anew in a forked child: what waits is the parent's."""
        if self._spill is not None:
            self._spill.forget()
        self._sink.restart()
        self._begin()

    def watch(self, stats: Stats) -> None:
        """Show the accounts of all exporters to the one inside."""
        self._sink.watch(stats)


def _check(**settings: float) -> None:
    for name, given in settings.items():
        least = 1 if name in ("size", "batch") else 0
        if not isinstance(given, (int, float)) or given < least:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"Background({name}={given!r}): {name} is a number of at least {least}"
            )
