"""Answers that can be fetched again: whose they are, and which have been counted.

A background response, or a run of an assistant, is created by one request and fetched by others,
perhaps in another process. It becomes one event when its answer first appears. Answers are known by
their derived ids, which name the provider too.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

C = TypeVar("C")

_KEPT = 10_000


class Answers(Generic[C]):
    """Remember the creators of the last ten thousand answers, and which were counted."""

    def __init__(self) -> None:
        self._creators: OrderedDict[str, C | None] = OrderedDict()
        self._lock = threading.RLock()  # a finaliser may close a stream while it is held

    def created(self, answer_id: str, creator: C) -> None:
        """Remember who asked for an answer that does not exist yet."""
        with self._lock:
            if answer_id not in self._creators:
                self._keep(answer_id, creator)

    def take(self, answer_id: str, fetcher: C) -> C | None:
        """Claim an answer for counting: give its creator, else its fetcher, else ``None``.

        ``None`` means that the answer has been counted before.
        """
        with self._lock:
            creator = self._creators.get(answer_id, fetcher)
            self._keep(answer_id, None)
            return creator

    def _keep(self, answer_id: str, creator: C | None) -> None:
        self._creators[answer_id] = creator
        self._creators.move_to_end(answer_id)
        if len(self._creators) > _KEPT:
            self._creators.popitem(last=False)
