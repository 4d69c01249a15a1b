"""AWS event streams, ``application/vnd.amazon.eventstream``: find the events that matter.

Format: https://smithy.io/2.0/aws/amazon-eventstream.html (read 2026-11-22). A message is its
length, the length of its headers, a checksum of the two, headers, a payload, a checksum of it all.
botocore has a parser too, but whoever reads Bedrock over httpx need not have botocore.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import Any

import msgspec

from tokenmeter.dialects import UNREADABLE, Dialect, Reading
from tokenmeter.wire.sse import LIMIT

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_SMALLEST = _PRELUDE.size + _CHECKSUM.size
_ENDLESS = sys.maxsize

_AN_EVENT = b"\x0d:message-type\x07\x00\x05event"
"""The header that all but failures have."""

_STRING, _BYTES = 7, 6
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; strings and bytes say their own."""


class FrameScanner:
    """Fold what matters of an AWS event stream into a dialect's body.

    A message that is damaged, or too long, is skipped and counted; where its length is damaged
    nobody can tell where the next one begins, and all that follows is let go of.
    """

    is_event_stream = True

    def __init__(self, dialect: Dialect) -> None:
        self.skipped = 0
        """Messages that were damaged, too long, or not what the dialect can read."""
        self._dialect = dialect
        self._body: Any = None
        self._tail = bytearray()  # an incomplete message
        self._skipping = 0  # bytes still to come of what cannot be read

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._skipping:
            over = min(self._skipping, len(data))
            self._skipping -= over
            data = data[over:]
        self._tail += data
        done = 0
        while (room := len(self._tail) - done) >= _SMALLEST:
            size = self._size(done)
            if size > LIMIT:
                self.skipped += 1
            elif size > room:
                break
            else:
                self._take(bytes(self._tail[done : done + size]))
            done += size
        self._skipping += max(0, done - len(self._tail))
        del self._tail[:done]

    def reading(self) -> Reading:
        """Say what the stream said so far; half a message is how a stream is interrupted."""
        return UNREADABLE if self._body is None else self._dialect.reading(self._body)

    def _size(self, start: int) -> int:
        """Give the length of the message that starts here; a damaged one never ends."""
        size, headers, checksum = _PRELUDE.unpack_from(self._tail, start)
        sound = zlib.crc32(self._tail[start : start + 8]) == checksum
        return int(size) if sound and size >= _SMALLEST + headers else _ENDLESS

    def _take(self, message: bytes) -> None:
        _, length, _ = _PRELUDE.unpack_from(message)
        if zlib.crc32(message[:-4]) != _CHECKSUM.unpack_from(message, len(message) - 4)[0]:
            self.skipped += 1
            return
        cut = _PRELUDE.size + length
        headers, payload = message[_PRELUDE.size : cut], message[cut:-4]
        failure = None if _AN_EVENT in headers else _failure(headers)
        if failure is not None:
            self._fold(b'{"error":{"type":%b}}' % msgspec.json.encode(failure))
        elif payload and self._matters(payload):
            self._fold(payload)

    def _matters(self, payload: bytes) -> bool:
        marks = self._dialect.marks
        return self._body is None or not marks or any(mark in payload for mark in marks)

    def _fold(self, payload: bytes) -> None:
        try:
            self._body = self._dialect.fold(self._body, payload)
        except msgspec.DecodeError:
            self.skipped += 1


def _failure(headers: bytes) -> str | None:
    """Give the type of the exception that a message is, or ``None`` for an event."""
    try:
        said = _strings(headers)
    except (IndexError, KeyError, struct.error):
        return None
    if said.get(":message-type") not in ("exception", "error"):
        return None
    return said.get(":exception-type") or said.get(":error-code") or "error"


def _strings(headers: bytes) -> dict[str, str]:
    """Read the headers of a message that are text."""
    found: dict[str, str] = {}
    at = 0
    while at < len(headers):
        name_end = at + 1 + headers[at]
        name, kind, start = headers[at + 1 : name_end], headers[name_end], name_end + 1
        if kind in (_STRING, _BYTES):
            size = int.from_bytes(headers[start : start + 2], "big")
            start += 2
        else:
            size = _SIZES[kind]
        if kind == _STRING:
            text = headers[start : start + size].decode("utf-8", "replace")
            found[name.decode("utf-8", "replace")] = text
        at = start + size
    return found
