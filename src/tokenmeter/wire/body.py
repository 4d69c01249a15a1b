"""From the bytes of a response to a reading, whatever way they arrive.

A body is JSON, an array or lines of JSON, an AWS event stream or server-sent events; its first byte
tells, and what stands between two objects (content types lie, and some servers answer a stream
request with a plain error). Where a dialect answers with audio or plain text too, what begins like
none of these is passed over.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, cast

import msgspec

from tokenmeter.dialects import UNREADABLE, Dialect, Reading
from tokenmeter.dialects.content import Piece
from tokenmeter.dialects.fields import decode
from tokenmeter.guard import Guard
from tokenmeter.wire.encodings import Undo, undo
from tokenmeter.wire.eventstream import FrameScanner
from tokenmeter.wire.sse import BOM, LIMIT, LINES, EventScanner

BATCH = 64 * 1024
"""Bytes of a stream that are kept as they came before they are searched together."""


_BETWEEN_LINES = b"}\n{"
"""Stands in lines of JSON, and nowhere in one JSON value: line feeds in strings are escaped."""

_STARTS = (b"{", b":", b"data:", b"event:", b"id:", b"retry:")
"""What JSON and server-sent events begin with."""

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""A byte that stands in no text, and very soon in audio of every kind."""

_HEAD = 1024


class Sink(Protocol):
    """Takes the bytes of a body in one framing."""

    @property
    def skipped(self) -> int:
        """Parts of it that could not be read."""
        ...

    @property
    def is_event_stream(self) -> bool:
        """Whether the framing is that of an answer that comes bit by bit."""
        ...

    def add(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...

    def reading(self) -> Reading:
        """Say what all that came means."""
        ...


def read(dialect: Dialect, body: bytes) -> Reading:
    """Read a whole body that is in memory and has no content encoding."""
    if dialect.media and _is_media(body):
        return UNREADABLE
    if body.startswith(b"{") and _BETWEEN_LINES not in body:
        return _read_json(dialect, body)
    sink = _sink(dialect, body)
    sink.add(body)
    return sink.reading()


def pieces(dialect: Dialect, body: bytes) -> list[Piece]:
    """Give what the model wrote in a body, or in as much of it as there is."""
    written = _Written(dialect)
    read(written, body)
    return written.found


_TURN = 50


class _Written(Dialect):
    """A dialect that looks at what was written, in every event, and not at usage."""

    answer = msgspec.json.Decoder(msgspec.Raw)

    def __init__(self, dialect: Dialect) -> None:
        self.name, self.media = dialect.name, dialect.media
        self.found: list[Piece] = []
        self._folded = 0
        self._dialect = dialect

    def fold(self, body: object, data: bytes) -> bool:  # noqa: ARG002
        self.found += self._dialect.pieces(data)
        self._folded += 1
        if self._folded % _TURN == 0:
            time.sleep(0)  # in a worker: lets a waiting event loop have the interpreter
        return True

    def reading(self, body: object) -> Reading:
        if body is not True:  # one JSON value, not a folded stream
            self.found += self._dialect.pieces(bytes(cast("msgspec.Raw", body)))
        return UNREADABLE


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

    __slots__ = (
        *("__weakref__", "_dialect", "_guard", "_keep", "_scanning", "_sink", "_undo"),
        "chunks",
    )

    def __init__(
        self,
        dialect: Dialect,
        content_encoding: str | None,
        guard: Guard,
        keep: Callable[[bytes], object] | None = None,
    ) -> None:
        self.chunks: list[bytes] = []
        self._keep = keep
        self._dialect = dialect
        self._guard = guard
        self._undo = (undo(content_encoding) or _lost) if content_encoding else None
        self._sink: Sink | None = None
        self._scanning = threading.Lock()

    @property
    def sent(self) -> bool:
        """Whether the model was asked: there is a response, so it was."""
        return True

    @property
    def is_event_stream(self) -> bool:
        """Whether the bytes so far are those of an answer that comes bit by bit."""
        return self._sink is not None and self._sink.is_event_stream

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
                if self._keep is not None and not isinstance(self._sink, _PassedOver):
                    self._keep(plain)

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


class _PassedOver:
    """A body that tells nothing, however long it is: nothing of it is kept."""

    skipped = 0
    is_event_stream = False

    def add(self, data: bytes) -> None:
        """Let go of it."""

    def reading(self) -> Reading:
        return UNREADABLE


class _Collected:
    """Bytes that are kept until the end, up to a limit; beyond it nothing of them is."""

    def __init__(self) -> None:
        self.dropped = False
        self._parts: list[bytes] = []
        self._room = LIMIT

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._room -= len(data)
        if self._room < 0 and len(self._parts) > 1:
            self._parts, self.dropped = [b""], True

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _JsonBuffer:
    """Collect one JSON object; one that turns out to be the first of several lines is no more."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._collected = _Collected()
        self._last = b""
        self._lines: EventScanner | None = None

    @property
    def skipped(self) -> int:
        return self._lines.skipped if self._lines is not None else int(self._collected.dropped)

    @property
    def is_event_stream(self) -> bool:
        return self._lines is not None

    def add(self, data: bytes) -> None:
        if self._lines is not None:
            self._lines.add(data)
            return
        self._collected.add(data)
        if _BETWEEN_LINES in (self._last + data).replace(b"\r", b""):
            self._lines = EventScanner(self._dialect, LINES)
            self._lines.add(self._collected.take())
        self._last = (self._last + data[-3:])[-3:]

    def reading(self) -> Reading:
        if self._lines is not None:
            return self._lines.reading()
        return _read_json(self._dialect, self._collected.take())


class _ArrayBuffer:
    """Collect a JSON array, whose items are the events of a stream."""

    is_event_stream = True

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._collected = _Collected()
        self._unread = 0
        self.add = self._collected.add

    @property
    def skipped(self) -> int:
        return self._unread + int(self._collected.dropped)

    def reading(self) -> Reading:
        body = None
        for item in _items(self._collected.take()):
            try:
                body = self._dialect.fold(body, item)
            except msgspec.DecodeError:
                self._unread += 1
        return UNREADABLE if body is None else self._dialect.reading(body)


def _items(array: bytes) -> Iterator[bytes]:
    """Give the objects of a JSON array, of one that was cut short too."""
    try:
        yield from _objects(map(bytes, msgspec.json.decode(array, type=list[msgspec.Raw])))
    except msgspec.DecodeError:
        yield from _objects(_whole_items(array.decode("utf-8", "replace")))


def _objects(items: Iterable[bytes]) -> Iterator[bytes]:
    return (item for item in items if item.lstrip().startswith(b"{"))


def _whole_items(array: str) -> Iterator[bytes]:
    decoder, at = json.JSONDecoder(), array.find("{")
    while at >= 0:
        try:
            _, end = decoder.raw_decode(array, at)
        except (ValueError, RecursionError):
            return
        yield array[at:end].encode("utf-8", "replace")
        at = array.find("{", end)


_FRAMINGS: dict[bytes, Callable[[Dialect], Sink]] = {
    b"{": _JsonBuffer,
    b"[": _ArrayBuffer,
    b"\0": FrameScanner,
}
"""How a body is divided, by its first byte; any other are server-sent events."""


def _sink(dialect: Dialect, data: bytes) -> Sink:
    if dialect.media and _is_media(data):
        return _PassedOver()
    return _FRAMINGS.get(data.lstrip()[:1], EventScanner)(dialect)


def _lost(_data: bytes) -> bytes:
    return b""


def _is_media(data: bytes) -> bool:
    """Say whether bytes begin like audio or plain text; a first chunk may be as short as a byte."""
    head = data[:_HEAD].removeprefix(BOM).lstrip()
    known = any(head.startswith(start) or start.startswith(head) for start in _STARTS)
    return not known or _CONTROL.search(head) is not None
