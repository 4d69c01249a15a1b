"""Work that must not run where it arose: one queue, one worker thread.

A finaliser may run anywhere, inside a lock or an exporter included, so it only puts a job here.
`queue.SimpleQueue.put` is documented as safe in finalisers (it is reentrant and takes no lock that
Python code could hold), and so is appending to a `deque`.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue

from tokenmeter.guard import Guard

Job = Callable[[], object]

LIMIT = 10_000
"""Jobs that may wait; only what comes out of a finaliser is taken beyond it."""


class Pending:
    """Run jobs later, in order, in a worker; without a worker, in whoever waits for them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.reset()

    def reset(self) -> None:
        """Forget everything; a forked child has neither the worker nor the parent's jobs."""
        self._queue: SimpleQueue[Job | threading.Event] = SimpleQueue()
        self._undone: deque[None] = deque()  # one for each job that has not been done
        self._worker: threading.Thread | None = None
        self._at_work: threading.Thread | None = None

    def start(self) -> None:
        """Have the worker running; called where a job may follow, never in a finaliser."""
        if self._worker is None:
            # tiktoken wants it, and while an interpreter ends it can no longer be imported; streams
            # that are open then are estimated all the same.
            import concurrent.futures.thread  # noqa: F401  # pyright: ignore[reportUnusedImport]

            self._worker = threading.Thread(target=self._work, name="tokenmeter", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """Let the worker end; `start` makes another, and `drain` works without one."""
        if self._worker is not None:
            self._worker = None
            self.put(_nothing)

    def put(self, job: Job) -> None:
        """Add a job; safe in a finaliser."""
        self._undone.append(None)
        self._queue.put(job)

    def later(self, job: Job) -> bool:
        """Have a job done by the worker, at once where this is it; say whether it could be taken.

        Not for finalisers: it may start the worker.
        """
        if self.is_here:
            job()
            return True
        if self.waiting >= LIMIT:
            return False
        self.put(job)
        with contextlib.suppress(RuntimeError):  # at its end an interpreter starts no threads
            self.start()
        return True

    @property
    def is_here(self) -> bool:
        """Whether it is a job that runs in this thread now."""
        return threading.current_thread() is self._at_work

    @property
    def waiting(self) -> int:
        """Jobs that have not been done yet."""
        return len(self._undone)

    def drain(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until what waits now is done; say whether it is."""
        if not self._undone:
            return True
        if self._worker is None or self._worker is threading.current_thread():
            while self._do(block=False):
                pass
            return True
        done = threading.Event()
        self._queue.put(done)  # jobs are done in order, so all that wait now come before it
        return done.wait(timeout)

    def _work(self) -> None:
        while self._worker is threading.current_thread():
            self._do(block=True)

    def _do(self, *, block: bool) -> bool:
        try:
            job = self._queue.get(block)
        except Empty:
            return False
        if isinstance(job, threading.Event):
            job.set()
        else:
            self._at_work = threading.current_thread()
            self._guard.run("a pending call", job)
            self._at_work = None
            self._undone.popleft()
        return True


def _nothing() -> None:
    """Do no job: what a stopped worker wakes up for."""
