"""A body reads the same whole and in chunks, as JSON and as a stream; a bad one is unknown."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import Usage
from tokenmeter.dialects import UNREADABLE, Dialect, Reading
from tokenmeter.dialects.bedrock_invoke import BedrockInvoke
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_media import OpenAIMedia
from tokenmeter.guard import Guard
from tokenmeter.wire import body as bodies
from tokenmeter.wire.body import StreamReader
from tokenmeter.wire.sse import LIMIT
from wires import chat, chat_events, cut, sse

DIALECT = OpenAIChat()
JSON = json.dumps(chat()).encode()
STREAM = sse(*chat_events())


def feed(reader: StreamReader, chunk: bytes) -> None:
    """Do what an observer does with a chunk, with a batch of three."""
    reader.chunks.append(chunk)
    if len(reader.chunks) > 2:
        reader.scan()


def streamed(
    chunks: list[bytes], dialect: Dialect = DIALECT, encoding: str | None = None
) -> Reading:
    guard = Guard()
    reader = StreamReader(dialect, encoding, guard)
    for chunk in chunks:
        feed(reader, chunk)
    reading = reader.reading()
    assert guard.failures == {}
    return reading


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 400), blanks=st.sampled_from([b"", b" ", b"\n\r\n", b" " * 70_000]))
def test_json_reads_the_same_whole_and_in_chunks(size: int, blanks: bytes) -> None:
    reading = bodies.read(DIALECT, JSON)
    assert (reading.usage.input_tokens, reading.status) == (5, "completed")
    assert bodies.read(DIALECT, blanks + JSON) == reading
    assert streamed(cut(blanks + JSON, size)) == reading


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 400), filler=st.sampled_from([0, 40_000]))
def test_an_event_stream_reads_the_same_whole_and_in_chunks(size: int, filler: int) -> None:
    body = b": " + b"x" * filler + b"\n\n" + STREAM
    reading = bodies.read(DIALECT, body)
    assert (reading.usage.output_tokens, reading.status) == (3, "completed")
    assert streamed(cut(body, size)) == reading


def test_the_first_byte_tells_what_a_body_is_not_its_content_type() -> None:
    error = b'{"error": {"code": "overloaded"}}'
    assert streamed([error]).error_type == "overloaded"
    reader = StreamReader(DIALECT, None, Guard())
    feed(reader, b"  ")
    assert not reader.is_event_stream
    feed(reader, STREAM)
    reader.scan()
    assert reader.is_event_stream


BAD = {
    "empty": b"",
    "text": b"upstream timed out",
    "html": b"<html><body>502</body></html>",
    "truncated": JSON[:-20],
    "a list": b"[1, 2]",
    "a number": b"17",
    "null": b"null",
    "invalid UTF-8 alone": b"\xff\xfe\x00",
    "deep": b'{"usage":' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_body_that_cannot_be_read_says_nothing(body: bytes) -> None:
    for dialect in (DIALECT, OpenAIEmbeddings()):
        for reading in (bodies.read(dialect, body), streamed([body], dialect)):
            assert reading.usage == Usage()


def test_invalid_utf8_in_the_text_does_not_take_the_counts_with_it() -> None:
    for body in (JSON, JSON.replace(b'"id": "c1"', b'"id": 7')):
        broken = body.replace(b'"hi"', b'"h\xff\xfei"')
        assert bodies.read(DIALECT, broken).usage.output_tokens == 3
        broken = body.replace(b'"served"', b'"ser\xffved"')
        reading = bodies.read(DIALECT, broken)
        assert (reading.usage.output_tokens, reading.model) == (
            3,
            "ser\N{REPLACEMENT CHARACTER}ved",
        )


def test_lone_surrogates_in_the_text_do_not_take_the_counts_with_them() -> None:
    for body in (JSON, JSON.replace(b'"id": "c1"', b'"id": 7')):
        broken = body.replace(b'"hi"', b'"h\\ud83d i"')
        assert bodies.read(DIALECT, broken).usage.output_tokens == 3


def test_a_plain_body_of_fifty_megabytes_counts() -> None:
    body = json.dumps(chat(text="x" * 50_000_000)).encode()
    assert bodies.read(DIALECT, body).usage.output_tokens == 3


def test_a_streamed_json_body_beyond_the_limit_is_let_go_and_counted() -> None:
    guard = Guard()
    reader = StreamReader(DIALECT, None, guard)
    feed(reader, b'{"text": "')
    for _ in range(40):
        feed(reader, b"x" * (1024 * 1024))
    feed(reader, b'"}')
    assert reader.reading() is UNREADABLE
    assert reader.skipped == 1
    assert sum(map(len, reader._sink._collected._parts)) <= LIMIT


def test_a_body_that_is_not_what_its_encoding_says_is_unknown_and_no_fault_of_its_format() -> None:
    guard = Guard()
    reader = StreamReader(DIALECT, "gzip", guard)
    for chunk in cut(JSON, 10):
        feed(reader, chunk)
    assert reader.reading() is UNREADABLE
    assert guard.failures == {"undoing a content encoding": 1}


def test_an_embedding_is_read_without_its_vectors() -> None:
    body = json.dumps(
        {"object": "list", "data": [{"embedding": [0.1] * 1000}], "model": "e",
         "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    ).encode()  # fmt: skip
    assert bodies.read(OpenAIEmbeddings(), body) == Reading(
        recognised=True, model="e", usage=Usage(input_tokens=7), status="completed", final=True
    )


# Bodies that are audio or plain text

MEDIA = OpenAIMedia()
SAMPLES = {
    "samples": b"\x00\x01\xfe\xff" * 16_384,
    "samples that begin like JSON": b'{"\x00\x01' + b"a{\n}" * 16_383,
    "samples that begin like an event": b"data: \x01\x02" + b"\n\ndata: {}" * 6_553,
    "an MP3": b"ID3\x04\x00\x00" + b"\xff\xf3\x84\xc4" * 16_383,
    "a text": b"Good morning, friend. " * 2_978,
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=list(SAMPLES))
def test_of_a_body_that_is_audio_or_text_nothing_is_kept_however_long_it_is(sample: bytes) -> None:
    reader = StreamReader(MEDIA, None, Guard())
    tracemalloc.start()
    for _ in range(1_000):  # some 64 MB
        reader.chunks.append(sample)
        reader.scan()
    assert bodies.read(MEDIA, sample) is reader.reading() is UNREADABLE
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (held < 10_000, peak < 4 * len(sample)) == (True, True), (held, peak)
    assert (reader.skipped, reader.is_event_stream) == (0, False)


def test_an_item_of_an_array_that_cannot_be_read_is_passed_over_and_counted() -> None:
    guard = Guard()
    reader = StreamReader(BedrockInvoke(), None, guard)
    feed(reader, '[{"bytes":"é"},{"bytes":"eyJ"},{"bytes":"bm8="}]'.encode())
    assert reader.reading().usage == Usage()
    assert (reader.skipped, guard.failures) == (3, {})
