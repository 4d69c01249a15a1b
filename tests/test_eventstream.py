"""An AWS event stream reads the same however it is cut; what is damaged is skipped and counted."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amazon import converse_events, event, failure, message
from tokenmeter import Usage
from tokenmeter.dialects import UNREADABLE, Reading
from tokenmeter.dialects.bedrock_converse import BedrockConverse
from tokenmeter.guard import Guard
from tokenmeter.wire import eventstream
from tokenmeter.wire.body import StreamReader, read
from tokenmeter.wire.eventstream import FrameScanner
from wires import cut

DIALECT = BedrockConverse()
EVENTS = converse_events()
WHOLE = read(DIALECT, b"".join(EVENTS))
HEAD = {":message-type": "event"}


def scanned(*chunks: bytes) -> tuple[Reading, int]:
    scanner = FrameScanner(DIALECT)
    for chunk in chunks:
        scanner.add(chunk)
    return scanner.reading(), scanner.skipped


def test_a_whole_stream_is_read() -> None:
    assert WHOLE.usage == Usage(input_tokens=5, output_tokens=3)
    assert (WHOLE.status, WHOLE.final) == ("completed", True)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 400))
def test_a_stream_reads_the_same_whole_and_in_chunks(size: int) -> None:
    chunks = cut(b"".join(EVENTS), size)
    assert scanned(*chunks) == (WHOLE, 0)
    guard = Guard()
    reader = StreamReader(DIALECT, None, guard)
    for chunk in chunks:
        reader.chunks.append(chunk)
        reader.scan()
    assert (reader.reading(), reader.skipped, reader.is_event_stream) == (WHOLE, 0, True)
    assert guard.failures == {}


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), size=st.integers(1, 50))
def test_bytes_of_any_kind_are_survived(data: bytes, size: int) -> None:
    scanned(*cut(data, size))
    scanned(*cut(message({":a": "b"}, data), size))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(b"".join(EVENTS)) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_a_wrong_count(at: int, bit: int) -> None:
    damaged = bytearray(b"".join(EVENTS))
    damaged[at] ^= 1 << bit
    reading, skipped = scanned(bytes(damaged))
    assert skipped == 1
    assert reading.usage in (Usage(), WHOLE.usage)


def test_a_message_whose_content_is_damaged_is_skipped_alone() -> None:
    damaged = EVENTS[1][:-1] + b"?"
    assert scanned(EVENTS[0], damaged, *EVENTS[2:]) == (WHOLE, 1)


def test_what_follows_a_damaged_length_is_let_go_of() -> None:
    damaged = b"\0\0\xff" + EVENTS[1][3:]
    reading, skipped = scanned(EVENTS[0], damaged, *EVENTS[2:])
    assert (reading.recognised, reading.status, skipped) == (True, None, 1)


def test_a_message_that_is_too_long_is_skipped_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eventstream, "LIMIT", 1000)
    long = event("contentBlockDelta", {"delta": {"text": "x" * 5000}})
    scanner = FrameScanner(DIALECT)
    for part in cut(EVENTS[0] + long + b"".join(EVENTS[1:]), 64):
        scanner.add(part)
        assert len(scanner._tail) <= 1000
    assert (scanner.reading(), scanner.skipped) == (WHOLE, 1)


def test_half_a_message_at_the_end_is_an_interruption_and_no_oddity() -> None:
    reading, skipped = scanned(*EVENTS[:-1], EVENTS[-1][:-5])
    assert (reading.status, reading.final, skipped) == ("completed", False, 0)


def test_an_exception_in_a_stream_is_its_type_and_never_its_text() -> None:
    reading, _ = scanned(EVENTS[0], failure("modelStreamErrorException"))
    assert (reading.status, reading.error_type) == ("failed", "modelStreamErrorException")


def test_an_error_in_a_stream_is_its_code() -> None:
    unhandled = message({":message-type": "error", ":error-code": "InternalError"}, b"")
    reading, _ = scanned(unhandled)
    assert (reading.status, reading.error_type) == ("failed", "InternalError")


def test_headers_of_every_kind_are_passed_over() -> None:
    kinds = [(0, b""), (1, b""), (2, b"1"), (3, b"12"), (4, b"1234"), (5, b"12345678")]
    kinds += [(6, b"\0\x03abc"), (8, b"12345678"), (9, b"x" * 16)]
    odd = b"".join(b"\x01h" + bytes([kind]) + value for kind, value in kinds)
    said = b"\x0d:message-type\x07\0\x09exception" + b"\x0f:exception-type\x07\0\x04oops"
    head = odd + said
    prelude = struct.pack(">II", 16 + len(head), len(head))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head
    whole += struct.pack(">I", zlib.crc32(whole))
    reading, skipped = scanned(whole)
    assert (reading.error_type, skipped) == ("oops", 0)


def test_a_payload_that_is_no_json_is_skipped_and_counted() -> None:
    assert scanned(message(HEAD, b"{oops")) == (UNREADABLE, 1)
    assert scanned(message(HEAD, b"")) == (UNREADABLE, 0)
