"""Taking one event out of server-sent events, whatever chunks they come in.

Events end with an empty line; lines end with a line feed, a carriage return or both
(https://html.spec.whatwg.org/multipage/server-sent-events.html, read 2026-11-22). Bytes are passed
on at once, unless they may begin the event that is to be taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tokenmeter.wire.sse import payload

LIMIT = 64 * 1024
"""An event that is longer than this is none to take out, in bytes."""

_EMPTY_LINE = re.compile(rb"(?:\n|\r\n|\r(?!\n))(?:\r\n|\n|\r)")
_NOT_JSON = re.compile(rb"data: *[^ {]")
_FIELDS = b"deir:"
"""What an event can begin with: a field's name (data, event, id, retry) or a comment."""


class Cutter:
    """Take out the first event that is extra, and nothing else.

    Args:
        is_extra: Judges the data of a whole event.
        ordinary: Byte strings, each of which shows of the beginning of an event that it is not.
    """

    __slots__ = (
        *("_context", "_held", "_is_extra", "_ordinary", "_passing", "_torn_end"),
        "taken",
    )

    def __init__(self, is_extra: Callable[[bytes], object], ordinary: tuple[bytes, ...]) -> None:
        self.taken = False
        """Whether the event has been taken out; what follows is passed on as it is."""
        self._is_extra = is_extra
        self._ordinary = ordinary
        self._held = b""  # the beginning of an event that may be the one
        self._passing = False  # in the middle of one that is not
        self._context = b""  # the end of what was passed of that
        self._torn_end = False  # the other half of a line end may follow what was taken out

    def add(self, data: bytes) -> bytes:
        """Take the next bytes and give what can be passed on now, perhaps nothing."""
        if self.taken:
            return self._after(data)
        text, at = self._context + self._held + data, len(self._context)
        begin = at if self._passing else _event_at(text, at)
        while end := _end_of_event(text, 0 if self._passing else begin):
            if not self._passing and self._judge(text[begin:end]):
                return text[at:begin] + self._take_out(text, end)
            self._passing = False
            begin = _event_at(text, end)
        return self._keep(text, at, begin)

    def rest(self) -> bytes:
        """Give what is held at the end of the stream, unless it is the event without its end."""
        held, self._held = self._held, b""
        return b"" if self._judge(held) else held

    def _keep(self, text: bytes, at: int, begin: int) -> bytes:
        """Give what is not the beginning of the event, and hold that back."""
        begun = text[begin:]
        if self._passing or self._is_ordinary(begun):
            self._passing, self._held, self._context = True, b"", text[-2:]
            return text[at:]
        self._held, self._context = begun, b""
        return text[at:begin]

    def _is_ordinary(self, begun: bytes) -> bool:
        return begun != b"" and (
            begun[0] not in _FIELDS
            or _NOT_JSON.match(begun) is not None
            or any(mark in begun for mark in self._ordinary)
            or len(begun) > LIMIT
        )

    def _judge(self, event: bytes) -> bool:
        if any(mark in event for mark in self._ordinary):
            return False
        data = payload(event.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        return data.lstrip().startswith(b"{") and bool(self._is_extra(data))

    def _take_out(self, text: bytes, end: int) -> bytes:
        self.taken, self._held, self._context = True, b"", b""
        self._torn_end = len(text) == end and text.endswith(b"\r")
        return text[end:]

    def _after(self, data: bytes) -> bytes:
        if not self._torn_end or not data:
            return data
        self._torn_end = False
        return data.removeprefix(b"\n")


def _end_of_event(text: bytes, begin: int) -> int:
    """Find where an event ends, the empty line included; 0 where it does not."""
    if b"\r" not in text:  # as most servers send them: a search of bytes is many times faster
        found = text.find(b"\n\n", begin)
        return found + 2 if found >= 0 else 0
    end = _EMPTY_LINE.search(text, begin)
    return 0 if end is None else end.end()


def _event_at(text: bytes, at: int) -> int:
    """Find where an event begins: empty lines before it are none of it."""
    while text[at : at + 1] in (b"\n", b"\r"):
        at += 1
    return at
