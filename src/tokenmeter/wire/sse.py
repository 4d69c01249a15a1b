"""Server-sent events and lines of JSON: find, in batches, the few that matter to a dialect.

Formats: https://html.spec.whatwg.org/multipage/server-sent-events.html and
https://github.com/ndjson/ndjson-spec (both read 2026-11-22). Events do not align with network
chunks. Whole events are searched for the dialect's marks with C-speed scans from the end; only
events with a mark are decoded. Every byte is joined once and searched once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tokenmeter.dialects import UNREADABLE, Dialect, Reading

LIMIT = 16 * 1024 * 1024
"""An event longer than this is skipped, in bytes."""

BOM = b"\xef\xbb\xbf"
_ODD_SPACING = re.compile(rb'"\s+:|":(?:[^\S ]|\s\s)')


class Framing(NamedTuple):
    """How a stream is divided into events."""

    end: bytes
    payload: Callable[[bytes], bytes]


class EventScanner:
    """Fold what matters of an event stream into a dialect's body."""

    __slots__ = (
        *("_body", "_dialect", "_end", "_every", "_held_cr", "_payload", "_skipping", "_tail"),
        "skipped",
    )

    is_event_stream = True

    def __init__(self, dialect: Dialect, framing: Framing | None = None) -> None:
        self.skipped = 0
        """Events that were too long, or not what the dialect can read."""
        self._end, self._payload = framing or SSE
        self._dialect = dialect
        self._body: Any = None
        self._tail = bytearray()  # an incomplete event
        self._held_cr = b""
        self._skipping = False
        self._every = not dialect.marks

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        data = self._with_newlines(data)
        if not self._tail and not self._skipping and data.endswith(self._end):
            self._take(data)  # whole events, as most servers send them: no copy is needed
            return
        searched = max(0, len(self._tail) + 1 - len(self._end))
        self._tail += data
        if self._skipping and not self._resume():
            return
        cut = self._tail.rfind(self._end, 0 if self._skipping else searched)
        self._skipping = False
        if cut >= 0:
            whole = bytes(self._tail[: cut + len(self._end)])
            del self._tail[: cut + len(self._end)]
            self._take(whole)
        if len(self._tail) > LIMIT:
            self._skip()

    def reading(self) -> Reading:
        """Say what the stream said so far; an unterminated last event counts if it is whole."""
        if self._tail and not self._skipping:
            skipped = self.skipped
            self._take(bytes(self._tail) + self._end)
            self._tail.clear()
            self.skipped = skipped  # half an event is how a stream is interrupted, no oddity
        return UNREADABLE if self._body is None else self._dialect.reading(self._body)

    def _with_newlines(self, data: bytes) -> bytes:
        if not self._held_cr and b"\r" not in data:
            return data
        data = self._held_cr + data
        self._held_cr = b""
        if data.endswith(b"\r"):  # its line feed may come with the next bytes
            data, self._held_cr = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _skip(self) -> None:
        self.skipped += 1
        self._skipping = True
        del self._tail[:-1]

    def _resume(self) -> bool:
        end = self._tail.find(self._end)
        del self._tail[: end + len(self._end) if end >= 0 else -1]
        return end >= 0

    def _take(self, whole: bytes) -> None:
        """Fold the events that matter out of whole events."""
        done = 0 if self._body is not None else self._take_first(whole)
        if self._every:
            for event in whole[done:].split(self._end):
                self._fold(event)
        else:
            for start in self._marked(whole, done):
                self._fold(whole[start : whole.find(self._end, start)])

    def _take_first(self, whole: bytes) -> int:
        """Fold the first event that carries data: it names the model and the answer.

        Gives where the next event begins; a copy of the rest would cost as much as searching it.
        """
        done = 0
        while self._body is None and (end := whole.find(self._end, done)) >= 0:
            event = whole[done:end].removeprefix(BOM)
            self._every = self._every or _ODD_SPACING.search(event) is not None
            self._fold(event)
            done = end + len(self._end)
        return done

    def _marked(self, whole: bytes, done: int) -> list[int]:
        """Give where the events with a mark begin, from ``done`` on, in order."""
        starts: set[int] = set()
        for mark in self._dialect.marks:
            at = whole.rfind(mark, done)
            while at >= 0:
                end_before = whole.rfind(self._end, 0, at)
                start = end_before + len(self._end) if end_before >= 0 else 0
                starts.add(start)
                at = whole.rfind(mark, done, start)
        return sorted(starts)

    def _fold(self, event: bytes) -> None:
        data = self._payload(event)
        if not data:
            return
        try:
            self._body = self._dialect.fold(self._body, data)
        except msgspec.DecodeError:
            self.skipped += 1


def payload(event: bytes) -> bytes:
    """Join the data lines of one event; empty for a comment or an event without data."""
    lines = [
        line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")
    ]
    return b"\n".join(lines)


SSE = Framing(b"\n\n", payload)
LINES = Framing(b"\n", bytes.strip)
