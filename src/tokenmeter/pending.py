"""Work that must not run where it arose: one queue, one worker thread.

A finaliser may run anywhere, inside a lock or an exporter included, so it only puts a job here.
`queue.SimpleQueue.put` is documented as safe in finalisers (it is reentrant and takes no lock that
Python code could hold).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from tokenmeter.guard import Guard

Job = Callable[[], None]


class Pending:
    """Run jobs later, in a worker or in whoever waits for them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.reset()

    def reset(self) -> None:
        """Forget everything; a forked child has neither the worker nor the parent's jobs."""
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._arrivals = itertools.count(1)
        self._arrived = 0
        self._done = 0
        self._progress = threading.Condition()
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Have the worker running; called where a job may follow, never in a finaliser."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="tokenmeter", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Let the worker end; `start` makes another, and `drain` works without one."""
        if self._worker is not None:
            self._worker = None
            self.put(_nothing)

    def put(self, job: Job) -> None:
        """Add a job; safe in a finaliser."""
        self._arrived = next(self._arrivals)
        self._queue.put(job)

    @property
    def waiting(self) -> int:
        """Jobs that have not been done yet."""
        return self._arrived - self._done

    def drain(self, timeout: float) -> bool:
        """Do what waits here and now; wait at most ``timeout`` seconds for the worker's share."""
        if not self.waiting:
            return True
        goal = self._arrived
        while self._do(block=False):
            pass
        with self._progress:
            return self._progress.wait_for(lambda: self._done >= goal, timeout)

    def _work(self) -> None:
        while self._worker is threading.current_thread():
            self._do(block=True)

    def _do(self, *, block: bool) -> bool:
        try:
            job = self._queue.get(block)
        except Empty:
            return False
        self._guard.run("a pending call", job)
        with self._progress:
            self._done += 1
            self._progress.notify_all()
        return True


def _nothing() -> None:
    """Do no job: what a stopped worker wakes up for."""
