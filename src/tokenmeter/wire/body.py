"""From the bytes of a response to a reading, whatever way they arrive.

A body is JSON or an event stream; its first byte tells (content types lie, and some servers answer
a stream request with a plain error).
"""

from __future__ import annotations

import threading

import msgspec

from tokenmeter.dialects import UNREADABLE, Dialect, Reading
from tokenmeter.dialects.fields import decode
from tokenmeter.guard import Guard
from tokenmeter.wire.encodings import Undo, undo
from tokenmeter.wire.sse import LIMIT, EventScanner

BATCH = 64 * 1024
"""Bytes of a stream that are kept as they came before they are searched together."""


def read(dialect: Dialect, body: bytes) -> Reading:
    """Read a whole body that is in memory and has no content encoding."""
    if body.startswith(b"{"):
        return _read_json(dialect, body)
    sink = _sink(dialect, body)
    sink.add(body)
    return sink.reading()


def _read_json(dialect: Dialect, body: bytes) -> Reading:
    try:
        return dialect.reading(decode(dialect.answer, body))
    except msgspec.DecodeError:
        return UNREADABLE


class StreamReader:
    """Read a body that arrives in chunks, without touching them.

    An observer appends each chunk to ``chunks`` as it came, and calls `scan` whenever more than
    `BATCH` bytes have come together; that keeps the path of a chunk to an append.
    """

    __slots__ = ("_dialect", "_guard", "_scanning", "_sink", "_undo", "chunks")

    def __init__(self, dialect: Dialect, content_encoding: str | None, guard: Guard) -> None:
        self.chunks: list[bytes] = []
        self._dialect = dialect
        self._guard = guard
        self._undo = (undo(content_encoding) or _lost) if content_encoding else None
        self._sink: EventScanner | _JsonBuffer | None = None
        self._scanning = threading.Lock()

    @property
    def sent(self) -> bool:
        """Whether the model was asked: there is a response, so it was."""
        return True

    @property
    def is_event_stream(self) -> bool:
        """Whether the bytes so far are server-sent events."""
        return isinstance(self._sink, EventScanner)

    @property
    def skipped(self) -> int:
        """Parts of the body that could not be read."""
        return self._sink.skipped if self._sink else 0

    def scan(self) -> None:
        """Search what has come and let go of it."""
        with self._scanning:
            count = len(self.chunks)
            data = b"".join(self.chunks[:count])
            del self.chunks[:count]
            plain = data if self._undo is None else self._undone(self._undo, data)
            if plain is None:
                self._undo = _lost  # what follows cannot be undone either
            else:
                self._guard.run(self._dialect.name, self._search, plain)

    def _undone(self, undo: Undo, data: bytes) -> bytes | None:
        return self._guard.run("undoing a content encoding", undo, data)

    def _search(self, data: bytes) -> None:
        if self._sink is None and data.lstrip():
            self._sink = _sink(self._dialect, data)
        if self._sink is not None:
            self._sink.add(data)

    def reading(self) -> Reading:
        """Say what all that was fed means."""
        self.scan()
        return UNREADABLE if self._sink is None else self._sink.reading()


class _JsonBuffer:
    """Collect a JSON body that is streamed; one that is too long is not read."""

    def __init__(self, dialect: Dialect) -> None:
        self.skipped = 0
        self._dialect = dialect
        self._parts: list[bytes] = []
        self._room = LIMIT

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._room -= len(data)
        if self._room < 0 and len(self._parts) > 1:
            self._parts, self.skipped = [b""], 1

    def reading(self) -> Reading:
        return _read_json(self._dialect, b"".join(self._parts))


def _sink(dialect: Dialect, data: bytes) -> EventScanner | _JsonBuffer:
    is_json = data.lstrip()[:1] in (b"{", b"[")
    return _JsonBuffer(dialect) if is_json else EventScanner(dialect)


def _lost(_data: bytes) -> bytes:
    return b""
