"""Server-sent events: however they are cut and ended, the same events are found, in linear time."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import Usage
from tokenmeter.dialects import UNREADABLE, Asked, Dialect, Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.wire.sse import LIMIT, EventScanner, payload
from wires import chat_events, cut, sse

ANTHROPIC: list[object] = [
    {"type": "message_start", "message": {"type": "message", "id": "m1", "model": "served",
     "usage": {"input_tokens": 4, "cache_read_input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]  # fmt: skip
RESPONSES: list[object] = [
    {"type": "response.created", "response": {"object": "response", "id": "r1", "model": "served",
     "status": "in_progress"}},
    {"type": "response.output_text.delta", "delta": "hi"},
    {"type": "response.completed", "response": {"object": "response", "id": "r1",
     "model": "served", "status": "completed", "usage": {"input_tokens": 5, "output_tokens": 3}}},
]  # fmt: skip
STREAMS: list[tuple[Dialect, list[object]]] = [
    (OpenAIChat(), chat_events()),
    (AnthropicMessages(), ANTHROPIC),
    (OpenAIResponses(), RESPONSES),
]


class Kept:
    """A wire format that keeps the data of every event that is handed to it."""

    name = "kept"
    marks = (b"mark",)
    counts_output = True

    def __init__(self) -> None:
        self.data: list[bytes] = []

    request = msgspec.json.Decoder(Asked)
    answer = msgspec.json.Decoder()

    def fold(self, body: object, data: bytes) -> object:
        self.data.append(data)
        return self

    def reading(self, body: object) -> Reading:
        return Reading(recognised=True)


def scanned(dialect: Dialect, chunks: list[bytes]) -> Reading:
    scanner = EventScanner(dialect)
    for chunk in chunks:
        scanner.add(chunk)
    reading = scanner.reading()
    assert scanner.skipped == 0
    return reading


def pieces(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(body)) for place in places} | {0, len(body)})
    return [body[a:b] for a, b in pairwise(ends)]


@pytest.mark.parametrize(("dialect", "datas"), STREAMS, ids=lambda v: getattr(v, "name", ""))
@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.integers(0, 700)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    comments=st.booleans(),
)
def test_a_stream_reads_the_same_wherever_it_is_cut_and_however_its_lines_end(  # noqa: PLR0917
    dialect: Dialect, datas: list[object], places: list[int], end: str, bom: bool, comments: bool
) -> None:
    whole = scanned(dialect, [sse(*datas)])
    assert (whole.status, whole.final, whole.model) == ("completed", True, "served")
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (5, 3)
    body = sse(*datas, end=end)
    if comments:
        gap = f"{end}{end}".encode()
        body = gap.join(b": ping" + gap + event for event in body.split(gap) if event) + gap
    if bom:
        body = b"\xef\xbb\xbf" + body
    assert scanned(dialect, pieces(body, places)) == whole


@pytest.mark.parametrize(("dialect", "datas"), STREAMS, ids=lambda v: getattr(v, "name", ""))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_stream_in_chunks_of_one_byte_reads_the_same(
    dialect: Dialect, datas: list[object], end: str
) -> None:
    assert scanned(dialect, cut(sse(*datas, end=end), 1)) == scanned(dialect, [sse(*datas)])


@pytest.mark.parametrize(("dialect", "datas"), STREAMS, ids=lambda v: getattr(v, "name", ""))
def test_blanks_inside_the_json_change_nothing(dialect: Dialect, datas: list[object]) -> None:
    spaced = "".join(
        f"data: {d if isinstance(d, str) else json.dumps(d, separators=(' , ', ' : '))}\n\n"
        for d in datas
    )
    assert scanned(dialect, [spaced.encode()]) == scanned(dialect, [sse(*datas)])


def test_event_names_ids_and_fields_without_a_blank_change_nothing() -> None:
    odd = b"".join(
        b"event: x\nid: 7\nretry: 9\n" + event.replace(b"data: ", b"data:") + b"\n\n"
        for event in sse(*ANTHROPIC).split(b"\n\n")
        if event
    )
    assert scanned(AnthropicMessages(), [odd]) == scanned(AnthropicMessages(), [sse(*ANTHROPIC)])


def test_the_data_lines_of_one_event_are_joined() -> None:
    assert payload(b"event: a\ndata: {\ndata:  1}\n: comment\ndatum: 2") == b"{\n 1}"
    assert payload(b": only a comment") == b""
    body = sse(*chat_events()).replace(b', "usage"', b',\ndata: "usage"')
    assert scanned(OpenAIChat(), [body]) == scanned(OpenAIChat(), [sse(*chat_events())])


def test_only_the_first_event_and_those_with_a_mark_are_decoded() -> None:
    kept = Kept()
    scanned(kept, [sse("first", "second", "mark a", "fourth", "mark b", "a mark c", "last")])
    assert kept.data == [b"first", b"mark a", b"mark b", b"a mark c"]


def test_the_last_event_counts_even_without_its_blank_line() -> None:
    body = sse(*chat_events()).rstrip(b"\n")
    assert scanned(OpenAIChat(), [body]) == scanned(OpenAIChat(), [sse(*chat_events())])


def test_half_an_event_at_the_end_is_left_out_and_not_counted_as_an_oddity() -> None:
    body = sse(*chat_events())
    usage = body.index(b'"usage":{')
    reading = scanned(OpenAIChat(), [body[: usage + 12]])
    assert (reading.finish_reasons, reading.usage, reading.status) == (("stop",), Usage(), None)


def test_a_stream_of_nothing_says_nothing() -> None:
    for body in (b"", b"\n\n\n", b": ping\n\n", b"event: x\n\n", b"\xef\xbb\xbf"):
        assert scanned(OpenAIChat(), [body]) is UNREADABLE


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_without_raising(chunks: list[bytes]) -> None:
    for dialect, _datas in STREAMS:
        scanner = EventScanner(dialect)
        for chunk in [b"data: {", *chunks, b"\n\ndata: ", *chunks]:
            scanner.add(chunk)
        scanner.reading()


# Huge and endless events


def test_an_event_beyond_the_limit_is_skipped_and_counted_and_those_around_it_are_read() -> None:
    events = [sse(d) for d in chat_events()]
    scanner = EventScanner(OpenAIChat())
    chunk = b"x" * (1024 * 1024)
    kept = 0
    for piece in [*events[:2], b"data: ", *([chunk] * 40), b"\n", b"\n", *events[2:]]:
        scanner.add(piece)
        kept = max(kept, len(scanner._tail))
    reading = scanner.reading()
    assert scanner.skipped == 1
    assert kept <= LIMIT
    assert reading.usage.output_tokens == 3
    assert reading.status == "completed"


def test_two_events_beyond_the_limit_after_each_other_are_two() -> None:
    scanner = EventScanner(OpenAIChat())
    for _ in range(2):
        scanner.add(b"data: " + b"x" * (LIMIT + 1))
        scanner.add(b"\n\n")
    scanner.add(sse(*chat_events()))
    assert scanner.skipped == 2
    assert scanner.reading().status == "completed"


def test_an_endless_event_holds_no_more_than_the_limit() -> None:
    scanner = EventScanner(OpenAIChat())
    for _ in range(60):
        scanner.add(b"y" * (1024 * 1024))
        assert len(scanner._tail) <= LIMIT
    assert scanner.reading() is UNREADABLE
    assert scanner.skipped == 1


class CountedBytes(bytearray):
    """An incomplete event that counts how many bytes are looked at."""

    looked_at = 0

    def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:  # type: ignore[override]
        CountedBytes.looked_at += len(self) - start
        return super().rfind(sub, start)


def test_one_event_in_chunks_of_one_byte_is_searched_once() -> None:
    scanner = EventScanner(OpenAIChat())
    scanner._tail = CountedBytes()
    CountedBytes.looked_at = 0
    event = sse({"id": "c1", "model": "m", "choices": [], "x": "y" * 100_000})
    for chunk in cut(event, 1):
        scanner.add(chunk)
    assert CountedBytes.looked_at <= 3 * len(event)
