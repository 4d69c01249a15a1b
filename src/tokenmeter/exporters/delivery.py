"""Handing batches to an exporter until they are taken, refused for good, or out of time.

`Background` says when; what became of each event is counted here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import tenacity

from tokenmeter.errors import BusyError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.guard import Guard

Batch = Sequence[UsageEvent]

FIRST_S, LONGEST_S = 0.1, 10.0
"""The first pause between two attempts, which doubles, and the longest one."""

_backoff = tenacity.wait_exponential(FIRST_S, LONGEST_S)
_jitter = random.Random()  # tenacity's would draw from the numbers that the program seeded


class Delivery:
    """Deliver batches, trying again while that may help, and count what became of the events.

    Args:
        exporter: What takes them: its ``batch`` where it has one, else one after the other.
        retry_s: How long a batch is tried, in seconds.

    Attributes:
        taken: Events that the exporter took.
        failed: Events that it did not take.
    """

    def __init__(self, exporter: Exporter, retry_s: float) -> None:
        self.taken = self.failed = 0
        self._guard = Guard()
        self._place = f"delivery to {getattr(exporter, '__name__', type(exporter).__name__)}"
        self._send: Callable[[Batch], object] | None = getattr(exporter, "batch", None)
        self._exporter = exporter
        self._retry_s, self._deadline = retry_s, float("inf")
        self._hurried = threading.Event()
        self._retrying = tenacity.Retrying(
            stop=self._is_over,
            wait=_pause,
            sleep=self._nap,
            retry=tenacity.retry_if_exception(_may_help),
            after=self._note,
            reraise=True,
        )

    def hurry(self) -> None:
        """Try at once what waits to be tried again."""
        self._hurried.set()

    def stop(self, deadline: float = 0.0) -> None:
        """Try nothing again after a time (of the monotonic clock): from now on by default."""
        self._deadline = deadline
        self._hurried.set()

    def deliver(self, batch: Batch) -> Iterator[int]:
        """Deliver, and yield how many events have an end, as they have it.

        They have it in order; those that were still tried when `stop` was called have none.
        """
        send = self._send or self._each
        todo: list[Batch] = [batch] if self._send else [[event] for event in reversed(batch)]
        while todo:
            before = self.taken + self.failed
            halves = self._part(todo.pop(), send)
            if halves is None:
                return
            todo += reversed(halves)
            yield self.taken + self.failed - before

    def _each(self, part: Batch) -> None:
        for event in part:
            self._exporter(event)

    def _part(self, part: Batch, send: Callable[[Batch], object]) -> Sequence[Batch] | None:
        """Deliver a part of a batch; give its halves where they may do better.

        ``None``: it was stopped before the part had an end.
        """
        end = self._guard.run(f"{self._place}, for good,", self._tried, send, part)
        if end is None and self._stopped_early:
            return None
        lost = len(part) if end is None else 0
        if isinstance(end, RejectedError):
            if end.events is None and len(part) > 1:
                middle = len(part) // 2
                return part[:middle], part[middle:]
            self._guard.note(self._place, end)
            lost = len(part if end.events is None else end.events)
        self.failed += lost
        self.taken += len(part) - lost
        return ()

    def _tried(self, send: Callable[[Batch], object], part: Batch) -> RejectedError | str:
        """Try until it is taken or refused for good; raise what was raised last."""
        try:
            self._retrying(send, part)
        except RejectedError as exc:
            return exc
        return "taken"

    @property
    def _stopped_early(self) -> bool:
        return time.monotonic() >= self._deadline

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        return self._stopped_early or (state.seconds_since_start or 0.0) >= self._retry_s

    def _nap(self, seconds: float) -> None:
        self._hurried.wait(min(seconds, max(0.0, self._deadline - time.monotonic())))
        self._hurried.clear()

    def _note(self, state: tenacity.RetryCallState) -> None:
        exc = _raised(state)
        if exc is not None:
            self._guard.note(f"an attempt of {self._place}", exc)


def _may_help(exc: BaseException) -> bool:
    return isinstance(exc, Exception) and not isinstance(exc, RejectedError)


def _pause(state: tenacity.RetryCallState) -> float:
    exc = _raised(state)
    least = exc.retry_after_s if isinstance(exc, BusyError) else None
    return max(_backoff(state) + _jitter.uniform(0, FIRST_S), least or 0.0)


def _raised(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
