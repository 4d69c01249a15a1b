"""The seams of requests and urllib3, with the real libraries against real servers."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import gc
import inspect
import io
import itertools
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import textwrap
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest
import requests
import urllib3
import zstandard

import tokenmeter
from sockets import Piece, RawServer, chunked, head
from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.testing import Gate, ModelServer
from wires import ASKED, chat, chat_events, sse

ASKED_STREAM = ASKED | {"stream": True}
PLAIN = json.dumps(chat()).encode()
EVENTS = [sse(event) for event in chat_events()]
STREAM = b"".join(EVENTS)
COUNTED = (5, 3, "reported", "reported", "completed")
UNKNOWN = (None, None, "unknown", "unknown")
NONE = (None, None, "none", "none")
SSE = "content-type: text/event-stream"
CHUNKED = "transfer-encoding: chunked"
CLOSE = "connection: close"
STREAMED = [head(SSE, CHUNKED, CLOSE), *chunked(*EVENTS)]
VERSION = tuple(map(int, urllib3.__version__.split(".")[:2]))
IS_OLD = VERSION < (2, 0)


def plain(body: bytes = PLAIN, *headers: str, status: str = "200 OK") -> list[Piece]:
    length = f"content-length: {len(body)}"
    return [head(length, CLOSE, *headers, status=status) + body]


@pytest.fixture(autouse=True)
def _collecting_is_cheap() -> None:
    """Keep what exists out of a test's collections: it collects only its own garbage."""
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _thawing() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    before = hooked()
    meter = Meter([events.append], estimates=False)
    yield meter
    assert meter.stats()["guard"] == {}, "nothing failed behind the test's back"
    meter.shutdown()
    gc.collect()
    assert hooked() == before, "every hook is taken off again"


def hooked() -> dict[Any, Any]:
    """Give what stands at every place that is ever hooked."""
    places = {
        requests.Session: ("send",),
        urllib3.PoolManager: ("urlopen",),
        urllib3.HTTPConnectionPool: ("urlopen",),
        urllib3.HTTPResponse: ("read", "read1", "read_chunked", "stream", "close"),
    }
    return {
        (owner, name): owner.__dict__.get(name) for owner, names in places.items() for name in names
    }


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def counted(event: UsageEvent) -> tuple[Any, ...]:
    return (
        event.input_tokens,
        event.output_tokens,
        event.input_provenance,
        event.output_provenance,
        event.status,
    )


class Way:
    """One way to send; a test is written once and proves all."""

    name: str

    def client(self, url: str) -> Any:
        raise NotImplementedError

    def post(self, client: Any, url: str, asked: Any = ASKED, **more: Any) -> Any:
        raise NotImplementedError

    def raw(self, response: Any) -> Any:
        return response

    def whole(self, response: Any) -> bytes:
        return response.data

    def close(self, client: Any) -> None:
        client.clear()


class Requests(Way):
    name = "requests"

    def client(self, url: str) -> Any:
        return requests.Session()

    def post(self, client: Any, url: str, asked: Any = ASKED, **more: Any) -> Any:
        return client.post(url, json=asked, **more)

    def raw(self, response: Any) -> Any:
        return response.raw

    def whole(self, response: Any) -> bytes:
        return response.content

    def close(self, client: Any) -> None:
        client.close()


class Prepared(Requests):
    name = "requests, prepared"

    def post(self, client: Any, url: str, asked: Any = ASKED, **more: Any) -> Any:
        request = requests.Request("POST", url, json=asked).prepare()
        return client.send(request=request, **more)


class Urllib3(Way):
    name = "urllib3"

    def client(self, url: str) -> Any:
        return urllib3.PoolManager(retries=False)

    def post(self, client: Any, url: str, asked: Any = ASKED, **more: Any) -> Any:
        stream = more.pop("stream", False)
        body = json.dumps(asked)
        return client.request("POST", url, body=body, preload_content=not stream, **more)


class Pool(Urllib3):
    name = "urllib3, a pool"

    def client(self, url: str) -> Any:
        return urllib3.connection_from_url(url, retries=False)

    def post(self, client: Any, url: str, asked: Any = ASKED, **more: Any) -> Any:
        stream = more.pop("stream", False)
        body = json.dumps(asked).encode()
        path = urllib3.util.parse_url(url).request_uri
        return client.urlopen("POST", path, body, preload_content=not stream, **more)

    def close(self, client: Any) -> None:
        client.close()


WAYS = [Requests(), Prepared(), Urllib3(), Pool()]


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture(params=[Requests(), Urllib3()], ids=lambda way: way.name)
def library(request: pytest.FixtureRequest) -> Way:
    return request.param


@contextlib.contextmanager
def wired(wiring: str, meter: Meter, client: Any) -> Iterator[Any]:
    """Wrap the client, instrument the process, do both, or leave it ``bare``."""
    with contextlib.ExitStack() as undos:
        if wiring in ("instrument", "both"):
            undos.enter_context(meter.instrument())
        if wiring in ("wrap", "both"):
            undos.callback(meter.unwrap, meter.wrap(client))
        yield client


Reads = Callable[[Any], Any]
Pieces = list[Piece] | Callable[[], list[Piece]]


def play(
    way: Way, answer: Pieces, reads: Callable[[Way, Any], Any], wiring: str, **more: Any
) -> tuple[Any, list[UsageEvent]]:
    """Send one request over a wiring; give what its caller saw, and the events."""
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    with (
        RawServer(answer() if callable(answer) else answer) as server,
        wired(wiring, meter, way.client(server.url)) as client,
        attribute(user="ada"),
    ):
        try:
            seen = reads(way, lambda **options: way.post(client, server.url, **more, **options))
        except Exception as exc:  # what reached the caller is what is compared
            seen = (type(exc), _without_addresses(str(exc)))
        gc.collect()
        assert meter.flush()
        way.close(client)
    assert meter.stats()["guard"] == {}
    meter.shutdown()
    return seen, events


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|port=\d+|127\.0\.0\.1:\d+", "…", text)


def prove(
    way: Way,
    answer: Pieces,
    reads: Callable[[Way, Any], Any],
    *expected: tuple[Any, ...],
    wirings: tuple[str, ...] = ("wrap", "instrument", "both"),
    **more: Any,
) -> list[UsageEvent]:
    """Prove that a caller sees the same with and without the meter, and what the events say."""
    bare, nothing = play(way, answer, reads, "bare", **more)
    assert nothing == []
    for wiring in wirings:
        seen, events = play(way, answer, reads, wiring, **more)
        assert seen == bare
        assert [counted(event) for event in events] == list(expected)
        assert {event.user for event in events} <= {"ada"}
        for event in events:
            tokenmeter.check_invariants(event)
    return events


# Shapes: how an answer travels, times how it is read

FRAMINGS: dict[str, Callable[[bytes, list[str]], list[Piece]]] = {
    "chunked": lambda body, more: [head(CHUNKED, CLOSE, *more), *chunked(body[:90], body[90:])],
    "with a length": lambda body, more: plain(body, *more),
    "until the end": lambda body, more: [head(CLOSE, *more), body[:70], body[70:]],
}


def gzipped(body: bytes) -> bytes:
    return zlib.compress(body, wbits=31)


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "none": ("", bytes),
    "gzip": ("gzip", gzipped),
    "deflate": ("deflate", zlib.compress),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "stacked": ("gzip, deflate", lambda body: zlib.compress(gzipped(body))),
}


def sent(framing: str, encoding: str, body: bytes = STREAM) -> list[Piece]:
    name, compress = ENCODINGS[encoding]
    more = [SSE, f"content-encoding: {name}"] if name else [SSE]
    return FRAMINGS[framing](compress(body), more)


def loop(step: Callable[[], bytes]) -> list[bytes]:
    return list(iter(step, b""))


def reading_into(raw: Any) -> bytes:
    room, found = bytearray(50), b""
    while count := raw.readinto(room):
        found += room[:count]
    return found


def text_of(raw: Any) -> list[str]:
    raw.auto_close = False
    return list(io.TextIOWrapper(raw, "utf-8"))


RAW_READS: dict[str, Reads] = {
    "read": lambda raw: raw.read(),
    "read, decoded": lambda raw: raw.read(decode_content=True),
    "read, as it came": lambda raw: raw.read(decode_content=False),
    "read by amount": lambda raw: loop(lambda: raw.read(40)),
    "read by amount, decoded": lambda raw: loop(lambda: raw.read(40, True)),
    "read into": reading_into,
    "stream": lambda raw: list(raw.stream(33)),
    "stream, decoded": lambda raw: list(raw.stream(33, decode_content=True)),
    "stream, as it came": lambda raw: list(raw.stream(33, decode_content=False)),
    "lines of a file": lambda raw: raw.readlines(),
    "lines": list,
    "text": text_of,
    "buffered": lambda raw: io.BufferedReader(raw, 64).read(),
    "data": lambda raw: raw.data,
}
if not IS_OLD:
    # joined, because read1 gives what has come by then
    RAW_READS["read1"] = lambda raw: b"".join(loop(raw.read1))
    RAW_READS["read1 by amount, decoded"] = lambda raw: b"".join(loop(lambda: raw.read1(40, True)))
if VERSION >= (2, 6):  # in 2.0 to read the rest loses some of it
    RAW_READS["read in two"] = lambda raw: [raw.read(60), raw.read(), raw.read(), raw.read(5)]

RESPONSE_READS: dict[str, Reads] = {
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "content by chunks": lambda response: list(response.iter_content(21)),
    "content as it comes": lambda response: list(response.iter_content(None)),
    "lines": lambda response: list(response.iter_lines()),
    "the response itself": list,
    "twice": lambda response: [list(response.iter_lines()), response.raw.read()],
}


SOME = (("wrap",), ("wrap", "instrument", "both"))
"""Wirings that a large table of cases is played with: all of them where one encoding stands."""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("read", RAW_READS)
def test_a_stream_counts_the_same_however_it_travels_and_is_read(
    library: Way, read: str, framing: str, encoding: str
) -> None:
    def reads(way: Way, post: Any) -> Any:
        response = post(stream=True)
        return RAW_READS[read](way.raw(response))

    prove_reading(library, sent(framing, encoding), reads, encoding)


def prove_reading(way: Way, answer: list[Piece], reads: Any, encoding: str) -> None:
    """Prove that what was read as a whole is counted; some versions of urllib3 give less."""
    seen, _ = play(way, answer, reads, "bare")
    if joined(seen) in answer_bodies(encoding):
        prove(way, answer, reads, COUNTED, wirings=SOME[encoding == "gzip"])
    else:
        assert isinstance(seen, tuple) or VERSION < (2, 6) or encoding == "zstd"
        again, events = play(way, answer, reads, "wrap")
        assert (again, len(events)) == (seen, 1)


def answer_bodies(encoding: str) -> tuple[bytes, ...]:
    compressed = ENCODINGS[encoding][1](STREAM)
    return STREAM, compressed, STREAM.replace(b"\n", b"")


def joined(seen: Any) -> bytes:
    """Give all the bytes in what was seen."""
    if isinstance(seen, list):
        return b"".join(map(joined, seen))
    return seen.encode() if isinstance(seen, str) else seen


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("read", RESPONSE_READS)
def test_a_stream_of_requests_counts_the_same_however_it_travels_and_is_read(
    read: str, framing: str, encoding: str
) -> None:
    def reads(way: Way, post: Any) -> Any:
        return RESPONSE_READS[read](post(stream=True))

    prove_reading(Requests(), sent(framing, encoding), reads, encoding)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_plain_answer_counts_the_same_however_it_travels(
    way: Way, framing: str, encoding: str, streamed: bool
) -> None:
    prove(
        way,
        sent(framing, encoding, PLAIN),
        lambda way, post: way.whole(post(stream=streamed)),
        COUNTED,
    )


@pytest.mark.parametrize("amount", [len(STREAM), len(STREAM) + 1])
def test_a_body_of_known_length_is_whole_when_that_was_read(library: Way, amount: int) -> None:
    def reads(way: Way, post: Any) -> Any:
        return way.raw(post(stream=True)).read(amount)

    prove(library, plain(STREAM), reads, COUNTED)


def test_chunks_that_the_server_sent_are_read_one_by_one(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        return list(way.raw(post(stream=True)).read_chunked())

    prove(library, STREAMED, reads, COUNTED)
    assert play(library, STREAMED, reads, "wrap")[0] == EVENTS


def test_a_body_in_memory_that_nobody_decoded_is_decoded_on_a_copy() -> None:
    answer = plain(gzipped(PLAIN), "content-encoding: gzip")
    prove(Urllib3(), answer, lambda _, post: post(decode_content=False).data, COUNTED)


def test_a_body_whose_encoding_nobody_can_undo_is_unknown(way: Way) -> None:
    answer = plain(b"\x99" * 9, "content-encoding: rot")
    for streamed in (False, True):
        prove(
            way,
            answer,
            lambda way, post, s=streamed: way.whole(post(stream=s)),
            (*UNKNOWN, "completed"),
        )


# Exits: how a stream is left

LEFT = (*UNKNOWN, "abandoned")


def break_and_drop(way: Way, post: Any) -> Any:
    for chunk in way.raw(post(stream=True)).stream(20):
        return chunk
    return None


def read_a_line_and_drop(way: Way, post: Any) -> Any:
    return io.BufferedReader(way.raw(post(stream=True)), 64).readline()


def break_and_close_twice(way: Way, post: Any) -> Any:
    response = post(stream=True)
    found = way.raw(response).read(20)
    response.close()
    response.close()
    return found


def break_inside_with(way: Way, post: Any) -> Any:
    with post(stream=True) as response:
        for chunk in way.raw(response).stream(20):
            return chunk
    return None


def raise_inside_with(way: Way, post: Any) -> Any:
    with post(stream=True) as response:
        for _ in way.raw(response).stream(20):
            raise KeyError("mine")


def raise_in_the_loop(way: Way, post: Any) -> Any:
    for _ in way.raw(post(stream=True)).stream(20):
        raise KeyError("mine")


def release_after_some(way: Way, post: Any) -> Any:
    raw = way.raw(post(stream=True))
    found = raw.read(20)
    raw.release_conn()
    return found


def drop_unread(way: Way, post: Any) -> Any:
    return post(stream=True).headers["content-type"]


def close_unread(way: Way, post: Any) -> Any:
    post(stream=True).close()


def leave_with_unread(way: Way, post: Any) -> Any:
    with post(stream=True):
        pass


def keep_in_a_ring(way: Way, post: Any) -> Any:
    ring = [post(stream=True)]
    ring.append(ring)  # only the collector frees it


EXITS = [
    break_and_drop,
    read_a_line_and_drop,
    break_and_close_twice,
    break_inside_with,
    raise_inside_with,
    raise_in_the_loop,
    release_after_some,
    drop_unread,
    close_unread,
    leave_with_unread,
    keep_in_a_ring,
]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of what the collector frees
@pytest.mark.parametrize("answer", [STREAMED, plain(STREAM, SSE)], ids=["chunked", "length"])
@pytest.mark.parametrize("leave", EXITS, ids=lambda leave: leave.__name__)
def test_a_stream_is_seen_once_however_it_is_left(
    library: Way, leave: Any, answer: list[Piece]
) -> None:
    prove(library, answer, leave, LEFT)


def test_a_stream_left_after_its_terminal_event_is_completed(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        with post(stream=True) as response:
            for line in way.raw(response):
                if line == b"data: [DONE]\n":
                    return line
        return None

    prove(library, STREAMED, reads, COUNTED)


def test_a_stream_read_in_another_thread_belongs_to_whoever_asked(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        raw, found = way.raw(post(stream=True)), []

        def read() -> None:
            with attribute(user="somebody else"):
                found.extend(raw.stream(20))

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        return found

    prove(library, STREAMED, reads, COUNTED)


def test_a_stream_that_is_closed_is_said_at_once(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(STREAMED) as server:
        client = meter.wrap(library.client(server.url))
        response = library.post(client, server.url, stream=True)
        response.close()
        assert [counted(e) for e in events] == [LEFT]
        meter.unwrap(client)
        library.close(client)


CUT = [head(SSE, CHUNKED, CLOSE), *chunked(*EVENTS[:2], end=b"")]
ENDS: dict[str, tuple[Callable[[], list[Piece]], str]] = {
    "cut": (lambda: CUT, "ProtocolError"),
    "reset": (lambda: [*CUT, None], "ProtocolError"),
    "stalled": (lambda: [*CUT, Gate()], "ReadTimeoutError"),
    "not chunks": (lambda: [*CUT, b"no size\r\n"], "ProtocolError"),
    "not gzip": (lambda: plain(b"no gzip", SSE, "content-encoding: gzip"), "DecodeError"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_that_fails_fails_for_its_reader_as_ever_and_is_seen_once(
    library: Way, end: str
) -> None:
    answer, error_type = ENDS[end]

    def reads(way: Way, post: Any) -> Any:
        response = post(stream=True, timeout=0.3)
        if way.name == "requests":
            return list(response.iter_content(None))
        return list(response.stream(decode_content=True))

    [event] = prove(library, answer, reads, (*UNKNOWN, "failed"))
    assert event.http_status == 200
    assert event.error_type in (error_type, "InvalidChunkLength")


def test_an_answer_whose_body_is_cut_is_failed_and_unknown(way: Way) -> None:
    answer = [head("content-length: 500", CLOSE) + PLAIN]
    takes_it_for_whole = IS_OLD and isinstance(way, Requests)
    expected = COUNTED if takes_it_for_whole else (*UNKNOWN, "failed")
    prove(way, answer, lambda way, post: way.whole(post()), expected)


@pytest.mark.skipif(IS_OLD, reason="there it ends the body")
def test_an_error_of_the_callers_own_ends_no_stream(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        raw = way.raw(post(stream=True))
        with pytest.raises(TypeError):
            raw.read("many")
        with pytest.raises(urllib3.exceptions.ResponseNotChunked):
            next(raw.read_chunked())
        return raw.read()

    prove(library, plain(STREAM), reads, COUNTED)


@pytest.mark.skipif(not hasattr(urllib3.HTTPResponse, "shutdown"), reason="since urllib3 2.3")
def test_a_stream_shut_down_while_it_is_read_is_seen_once(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        raw = way.raw(post(stream=True))
        first = next(chunks := raw.stream(20))
        raw.shutdown()
        with pytest.raises(urllib3.exceptions.ProtocolError):
            list(chunks)
        return first

    prove(library, lambda: [*CUT, Gate()], reads, (*UNKNOWN, "failed"))


# Nothing is read early, delayed or changed


def test_what_has_come_is_there_before_the_rest_is_sent(library: Way) -> None:
    def reads(way: Way, post: Any) -> Any:
        chunks = way.raw(post(stream=True, timeout=5)).stream(None)
        found = [next(chunks)]
        gate.open()
        return [*found, *chunks]

    for wiring in ("wrap", "instrument", "both"):
        gate = Gate()
        answer = [head(SSE, CHUNKED, CLOSE), *chunked(*EVENTS)]
        answer.insert(2, gate)
        seen, events = play(library, answer, reads, wiring)
        assert seen == EVENTS
        assert [counted(e) for e in events] == [COUNTED]
        assert events[0].time_to_first_chunk_s is not None


@pytest.mark.parametrize("streamed", [False, True])
def test_a_metered_response_is_like_an_unmetered_one(
    library: Way, meter: Meter, streamed: bool
) -> None:
    with RawServer(*[STREAMED] * 2) as server:
        clients = [library.client(server.url) for _ in range(2)]
        meter.wrap(clients[1])
        expected, got = (library.post(c, server.url, stream=streamed) for c in clients)
        for _ in range(2):  # unread, then read
            for one, other in ((got, expected), (library.raw(got), library.raw(expected))):
                assert type(one) is type(other)
                assert {n: type(v) for n, v in vars(one).items()} == {
                    n: type(v) for n, v in vars(other).items()
                }
            assert library.whole(got) == library.whole(expected) == STREAM
        meter.unwrap(clients[1])
        for client in clients:
            library.close(client)


def test_a_metered_response_of_requests_is_pickled_and_copied_as_ever(meter: Meter) -> None:
    with RawServer(STREAMED) as server, meter.wrap(requests.Session()) as session:
        response = session.post(server.url, json=ASKED, stream=True)
        assert response.elapsed.total_seconds() > 0
        assert response.history == []
        for twin in (copy.copy(response), pickle.loads(pickle.dumps(response))):
            assert (type(twin), twin.content, twin.headers) == (
                requests.Response,
                STREAM,
                response.headers,
            )
        assert pickle.loads(pickle.dumps(session)).__dict__.get("send") is None
        meter.unwrap(session)


def test_the_methods_look_as_ever(meter: Meter) -> None:
    before = {place: inspect.signature(was) for place, was in hooked().items() if was}
    with meter.instrument():
        for (owner, name), signature in before.items():
            assert inspect.signature(getattr(owner, name)) == signature
            assert getattr(owner, name).__name__ == name


def test_an_exception_of_the_callers_own_reaches_the_caller_as_the_same_object(
    library: Way, events: list[UsageEvent]
) -> None:
    boom = RuntimeError("mine")
    meter = Meter([events.append], estimates=False, providers={"127.0.0.1": "mine"})

    def body() -> Iterator[bytes]:
        yield b"{"
        raise boom

    with RawServer() as server:
        client = meter.wrap(library.client(server.url))
        with pytest.raises(RuntimeError) as caught:
            send_body(library, client, server.url, body())
        assert caught.value is boom
        meter.unwrap(client)
        library.close(client)
    assert [(*counted(e), e.error_type) for e in events] == [(*UNKNOWN, "failed", "RuntimeError")]


def send_body(library: Way, client: Any, url: str, body: Any, **more: Any) -> Any:
    if library.name == "requests":
        return client.post(url, data=body, **more)
    return client.request("POST", url, body=body, **more)


# Requests that fail


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Give an address at which nobody listens, and keep it so."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1/chat/completions"


def failure_of(library: Way, meter: Meter, url: str, **more: Any) -> str:
    client = meter.wrap(library.client(url))
    with pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError)) as caught:
        library.post(client, url, **more)
    meter.unwrap(client)
    library.close(client)
    return type(caught.value).__name__


def test_a_request_that_was_never_sent_counts_nothing(
    way: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with closed_port() as url:
        raised = failure_of(way, meter, url)
    assert raised in ("ConnectionError", "NewConnectionError")
    assert [(*counted(e), e.error_type, e.http_status) for e in events] == [
        (*NONE, "failed", "NewConnectionError", None)
    ]


def test_an_answer_that_does_not_come_in_time_is_unknown(
    way: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer([Gate()]) as server:
        raised = failure_of(way, meter, server.url, timeout=0.2)
    assert raised in ("ReadTimeout", "ReadTimeoutError")
    assert [(*counted(e), e.error_type, e.http_status) for e in events] == [
        (*UNKNOWN, "failed", "ReadTimeoutError", None)
    ]


@pytest.mark.parametrize("answer", [[], [None]], ids=["hung up", "reset"])
def test_a_connection_that_breaks_before_an_answer_is_unknown(
    way: Way, meter: Meter, events: list[UsageEvent], answer: list[Piece]
) -> None:
    with RawServer(answer) as server:
        raised = failure_of(way, meter, server.url)
    assert raised in ("ConnectionError", "ProtocolError")
    assert [(*counted(e), e.error_type) for e in events] == [(*UNKNOWN, "failed", "ProtocolError")]


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/v1/chat/completions"])
def test_a_handshake_that_fails_is_said_as_the_caller_sees_it(
    library: Way, meter: Meter, events: list[UsageEvent], url: str
) -> None:
    with RawServer([b"no tls here, nor anywhere else"]) as server:
        raised = failure_of(library, meter, server.url.replace("http:", "https:"))
    assert raised == "SSLError"
    assert [(e.status, e.error_type) for e in events] == [("failed", "SSLError")]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_of_the_provider_counts_nothing(way: Way, streamed: bool) -> None:
    error = json.dumps({"error": {"code": "slow_down", "message": "no", "type": "t"}}).encode()
    answer = plain(error, status="429 Too Many Requests")
    [event] = prove(
        way, answer, lambda way, post: way.whole(post(stream=streamed)), (*NONE, "failed")
    )
    assert (event.http_status, event.error_type) == (429, "slow_down")


def test_an_error_that_nobody_reads_is_seen_once(library: Way) -> None:
    answer = plain(b"{}", status="503 Busy")
    [event] = prove(library, answer, drop_unread_error, (*NONE, "failed"))
    assert (event.http_status, event.error_type) == (503, "503")


def drop_unread_error(way: Way, post: Any) -> None:
    post(stream=True)


# Retries, redirects and what else belongs together


def retrying(library: Way, total: int = 3, **more: Any) -> Any:
    retries = urllib3.Retry(total, status_forcelist=[429, 503], allowed_methods=None, **more)
    if library.name != "requests":
        return urllib3.PoolManager(retries=retries)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
    return session


@pytest.mark.parametrize("wiring", ["wrap", "instrument", "both"])
def test_each_time_urllib3_tries_again_is_an_event_of_its_own(
    library: Way, meter: Meter, events: list[UsageEvent], wiring: str
) -> None:
    busy = plain(b"{}", status="503 Busy")
    limited = plain(b"{}", status="429 Too Many Requests")
    with (
        RawServer(busy, [], limited, plain()) as server,
        wired(wiring, meter, retrying(library)) as client,
    ):
        assert library.whole(library.post(client, server.url)) == PLAIN
        library.close(client)
    assert len(server.requests) == 4
    assert [(e.attempt, e.http_status, e.error_type, *counted(e)) for e in events] == [
        (None, 503, "503", *NONE, "failed"),
        (1, None, "ProtocolError", *UNKNOWN, "failed"),
        (2, 429, "429", *NONE, "failed"),
        (3, 200, None, *COUNTED),
    ]
    assert {e.request_model for e in events} == {"asked"}


@pytest.mark.parametrize("raises", [True, False])
def test_retries_that_are_used_up_are_as_many_events(
    library: Way, meter: Meter, events: list[UsageEvent], raises: bool
) -> None:
    with RawServer(*[plain(b"{}", status="503 Busy")] * 2) as server:
        client = meter.wrap(retrying(library, 1, raise_on_status=raises))
        if raises:
            with pytest.raises((requests.exceptions.RetryError, urllib3.exceptions.MaxRetryError)):
                library.post(client, server.url)
        else:
            assert library.whole(library.post(client, server.url)) == b"{}"
        meter.unwrap(client)
        library.close(client)
    assert [(e.attempt, e.http_status, *counted(e)) for e in events] == [
        (None, 503, *NONE, "failed"),
        (1, 503, *NONE, "failed"),
    ]


def test_connections_refused_again_and_again_are_as_many_events(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with closed_port() as url:
        client = meter.wrap(retrying(library, 2))
        with pytest.raises((requests.ConnectionError, urllib3.exceptions.MaxRetryError)):
            library.post(client, url)
        meter.unwrap(client)
        library.close(client)
    assert [(e.attempt, e.error_type, *counted(e)) for e in events] == [
        (attempt, "NewConnectionError", *NONE, "failed") for attempt in (None, 1, 2)
    ]


def test_a_number_that_the_sdk_gives_its_attempt_is_taken(
    meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(plain()) as server, meter.wrap(requests.Session()) as session:
        session.post(server.url, json=ASKED, headers={"X-Stainless-Retry-Count": "2"})
        meter.unwrap(session)
    assert [(e.attempt, e.request_model, e.response_model, e.stream) for e in events] == [
        (2, "asked", "served", False)
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_redirects_belong_to_what_they_redirect(library: Way, streamed: bool) -> None:
    with RawServer(plain(), plain(), plain(), plain()) as target:
        moved = plain(b"moved", f"location: {target.url}", status="307 Moved")

        def reads(way: Way, post: Any) -> Any:
            response = post(stream=streamed)
            history = [r.status_code for r in getattr(response, "history", ())]
            return way.whole(response), history

        prove(library, moved, reads, COUNTED, **({} if library.name == "requests" else FOLLOW))


FOLLOW: dict[str, Any] = {"retries": urllib3.Retry(3)}


def test_redirects_without_end_are_one_event(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(*[plain(b"", "location: /v1/chat/completions", status="308 On")] * 2) as server:
        client = library.client(server.url)
        if library.name == "requests":
            client.max_redirects = 1
        more = {} if library.name == "requests" else {"retries": urllib3.Retry(1)}
        with pytest.raises((requests.TooManyRedirects, urllib3.exceptions.MaxRetryError)):
            library.post(meter.wrap(client), server.url, **more)
        meter.unwrap(client)
        library.close(client)
    assert [counted(e) for e in events] == [(*NONE, "failed")]


def test_an_answer_to_an_authentication_belongs_to_the_call(
    meter: Meter, events: list[UsageEvent]
) -> None:
    challenge = 'www-authenticate: Digest realm="r", nonce="n", qop="auth", algorithm="MD5"'
    with (
        RawServer(plain(b"", challenge, status="401 No"), plain()) as server,
        meter.wrap(requests.Session()) as session,
    ):
        session.auth = requests.auth.HTTPDigestAuth("u", "p")
        assert session.post(server.url, json=ASKED).content == PLAIN
        meter.unwrap(session)
    assert [counted(e) for e in events] == [COUNTED]


# Sessions and adapters of the user


class CachingSession(requests.Session):
    """Keeps answers, and marks them as requests-cache does."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Any, Any] = {}

    def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        if request.url not in self.kept:
            response = super().send(request, **kwargs)
            self.kept[request.url] = pickle.loads(pickle.dumps(response))
            return response
        kept = self.kept[request.url]
        kept.from_cache = True
        return kept


def test_an_answer_from_a_cache_costs_nothing(meter: Meter, events: list[UsageEvent]) -> None:
    with RawServer(plain()) as server, meter.wrap(CachingSession()) as session:
        for _ in range(2):
            assert session.post(server.url, json=ASKED).content == PLAIN
        meter.unwrap(session)
    assert [(e.cached, *counted(e)) for e in events] == [
        (None, *COUNTED),
        (True, *NONE, "completed"),
    ]


def test_an_answer_from_a_cache_above_the_hooked_class_is_no_event(
    meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(plain()) as server, meter.instrument(), CachingSession() as session:
        for _ in range(2):
            assert session.post(server.url, json=ASKED).content == PLAIN
    assert [counted(e) for e in events] == [COUNTED]


@pytest.mark.parametrize("kind", ["requests_cache", "cachecontrol"])
def test_a_cache_that_people_use_is_not_disturbed(
    kind: str, meter: Meter, events: list[UsageEvent]
) -> None:
    cache = pytest.importorskip(kind)
    fresh = plain(STREAM, "cache-control: max-age=900", "date: Sun, 22 Nov 2026 00:00:00 GMT")
    with RawServer(fresh, fresh) as server:
        if kind == "requests_cache":
            session = cache.CachedSession(backend="memory", allowable_methods=["POST"])
        else:
            adapter = cache.CacheControlAdapter(cacheable_methods=("POST",))
            session = requests.Session()
            session.mount("http://", adapter)
        meter.wrap(session)
        for _ in range(2):
            response = session.post(server.url, json=ASKED, stream=True)
            assert b"".join(response.iter_content(None)) == STREAM
        meter.unwrap(session)
        session.close()
    assert meter.flush()
    assert [e.status for e in events] == ["completed"] * 2
    assert counted(events[0]) == COUNTED
    if events[1].cached:
        assert counted(events[1]) == (*NONE, "completed")


class OwnAdapter(requests.adapters.BaseAdapter):
    """Answers without urllib3."""

    def send(self, request: Any, **_: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.raw = io.BytesIO(PLAIN)
        return response

    def close(self) -> None: ...


def test_an_adapter_without_urllib3_is_counted_when_requests_has_the_body(
    meter: Meter, events: list[UsageEvent]
) -> None:
    with requests.Session() as session:
        session.mount("own://", OwnAdapter())
        meter.wrap(session)
        assert session.post("own://api.openai.com/v1/chat/completions").json() == chat()
        response = session.post("own://api.openai.com/v1/chat/completions", stream=True)
        assert response.json() == chat()
        meter.unwrap(session)
    assert [counted(e) for e in events] == [COUNTED, (*UNKNOWN, "completed")]


class Passing(requests.Session):
    def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return super().send(request, **kwargs)


class PassingManager(urllib3.PoolManager):
    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        return super().urlopen(*args, **kwargs)


@pytest.mark.parametrize("wiring", ["wrap", "instrument", "both"])
@pytest.mark.parametrize("kind", [Passing, PassingManager])
def test_a_subclass_that_calls_its_parent_is_seen_once(
    kind: Any, wiring: str, meter: Meter, events: list[UsageEvent]
) -> None:
    library = Requests() if kind is Passing else Urllib3()
    with RawServer(plain()) as server, wired(wiring, meter, kind()) as client:
        library.post(client, server.url)
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED]


def test_a_body_that_a_hook_of_the_user_has_read_is_counted_when_it_is_kept(
    meter: Meter, events: list[UsageEvent]
) -> None:
    hooks: list[Any] = [lambda response, **_: response.content and None]
    hooks.append(lambda response, **_: list(response.iter_content()) and None)
    with RawServer(plain(), plain()) as server, meter.wrap(requests.Session()) as session:
        for hook in hooks:
            session.post(server.url, json=ASKED, stream=True, hooks={"response": hook})
        meter.unwrap(session)
    assert [counted(e) for e in events] == [COUNTED, (*UNKNOWN, "completed")]


# Requests are not read


@pytest.mark.parametrize("kind", ["text", "bytes", "file", "generator", "multipart"])
def test_a_request_says_what_was_asked_only_when_it_is_in_memory(
    library: Way, meter: Meter, events: list[UsageEvent], kind: str
) -> None:
    asked = json.dumps(ASKED)
    pulled: list[str] = []

    def parts() -> Iterator[bytes]:
        pulled.append("part")
        yield asked.encode()

    class File(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            pulled.append("file")
            return super().read(*args)

    body: Any = {
        "text": asked,
        "bytes": asked.encode(),
        "file": File(asked.encode()),
        "generator": parts(),
        "multipart": urllib3.encode_multipart_formdata({"model": "asked"})[0],
    }[kind]
    for wrapped in (False, True):
        if kind == "generator":
            body = parts()
        if kind == "file":
            body.seek(0)
        pulled.clear()
        with RawServer(plain()) as server:
            client = library.client(server.url)
            if wrapped:
                meter.wrap(client)
            send_body(library, client, server.url, body)
            if wrapped:
                meter.unwrap(client)
            library.close(client)
        if not wrapped:
            expected = list(pulled)
    assert pulled == expected
    model = "asked" if kind in ("text", "bytes") else "served"
    assert [(e.request_model, *counted(e)) for e in events] == [(model, *COUNTED)]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("HEAD", "/v1/chat/completions"), ("GET", "/v1/chat/completions")],
)
def test_what_asks_no_model_is_no_event(
    library: Way, meter: Meter, events: list[UsageEvent], method: str, path: str
) -> None:
    with RawServer(plain() if method == "GET" else [head(CLOSE)]) as server, meter.instrument():
        client = meter.wrap(library.client(server.url))
        client.request(method, server.origin + path)
        meter.unwrap(client)
        library.close(client)
    assert events == []


def test_a_path_like_openais_with_an_unknown_body_is_no_event(library: Way) -> None:
    for streamed in (False, True):
        prove(
            library,
            plain(b'{"hello": "world"}'),
            lambda way, post, s=streamed: way.whole(post(asked={"n": 1}, stream=s)),
        )


# The functions of the modules, and what is not wrapped by hand


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_functions_of_both_modules_are_metered(meter: Meter, events: list[UsageEvent]) -> None:
    with RawServer(plain(), STREAMED, plain()) as server, meter.instrument():
        assert requests.post(server.url, json=ASKED).json() == chat()
        assert requests.request("POST", server.url, json=ASKED, stream=True).content == STREAM
        if IS_OLD:
            urllib3.PoolManager().request("POST", server.url, body=json.dumps(ASKED))
        else:
            assert urllib3.request("POST", server.url, json=ASKED).json() == chat()
    assert [counted(e) for e in events] == [COUNTED] * 3


def test_a_response_that_only_one_expression_holds_can_be_read(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(STREAMED, STREAMED, STREAMED) as server, meter.instrument():
        client = library.client(server.url)

        def post() -> Any:
            return library.post(client, server.url, stream=True)

        assert library.raw(post()).read() == STREAM
        assert b"".join(library.raw(post()).stream(20)) == STREAM
        assert list(library.raw(post()).read_chunked()) == EVENTS
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED] * 3


def test_clients_that_existed_before_are_metered_too(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(plain(), plain(), plain()) as server:
        client = library.client(server.url)
        library.post(client, server.url)
        with meter.instrument():
            library.post(client, server.url)
        library.post(client, server.url)
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED]


def test_what_is_no_client_cannot_be_wrapped(meter: Meter) -> None:
    for thing in (requests, urllib3, requests.Session, requests.adapters.HTTPAdapter()):
        with pytest.raises(tokenmeter.CannotWrapError):
            meter.wrap(thing)


# Hooks: held weakly, taken off in any order


def test_a_wrapped_client_and_its_responses_are_freed_without_a_collector(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    gc.collect()
    gc.disable()
    try:
        before = hooked()
        with RawServer(plain(), STREAMED, STREAMED) as server:
            client = meter.wrap(library.client(server.url))
            library.post(client, server.url)
            response = library.post(client, server.url, stream=True)
            alive = weakref.ref(library.raw(response)), weakref.ref(client)
            del response
            assert alive[0]() is None
            response = library.post(client, server.url, stream=True)
            chunks = library.raw(response).stream(20)
            next(chunks)
            alive = weakref.ref(library.raw(response)), weakref.ref(client)
            del response, chunks
            assert alive[0]() is None
            library.close(client)
            del client
            assert alive[1]() is None
        assert meter.flush()
        assert hooked() == before
    finally:
        gc.enable()
    assert [e.status for e in events] == ["completed", "abandoned", "abandoned"]


def test_a_method_outliving_its_client_says_so(library: Way, meter: Meter) -> None:
    client = meter.wrap(library.client("http://127.0.0.1"))
    kept = client.send if library.name == "requests" else client.urlopen
    del client
    with pytest.raises(ReferenceError, match="method was kept"):
        kept("POST", "http://127.0.0.1/")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_hooks_are_taken_off_in_any_order(library: Way, order: tuple[int, ...]) -> None:
    before, others = hooked(), ([], [])
    meters = [Meter([events.append], estimates=False) for events in others]
    with RawServer(*[plain()] * 4) as server:
        client = library.client(server.url)
        meters[0].wrap(client)
        undo = meters[0].instrument()
        meters[1].wrap(client)
        offs = [lambda: meters[0].unwrap(client), undo, lambda: meters[1].unwrap(client)]
        for at in order:
            library.post(client, server.url)
            offs[at]()
        library.post(client, server.url)
        library.close(client)
    left = [set(range(3)) - set(order[:done]) for done in range(4)]
    assert len(others[1]) == sum(2 in on for on in left)
    assert len(others[0]) == sum(2 not in on and bool(on) for on in left)
    assert hooked() == before


def test_a_stream_that_is_open_when_the_hooks_are_taken_off_is_still_said(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    before = hooked()
    with RawServer(STREAMED) as server:
        client = library.client(server.url)
        with meter.instrument():
            response = library.post(client, server.url, stream=True)
        assert library.whole(response) == STREAM
        assert hooked() == before
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED]


def test_a_hook_that_somebody_patched_over_stays_and_passes_through(
    meter: Meter, events: list[UsageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hooked()
    undo = meter.instrument()
    for owner, name in before:
        if ours := owner.__dict__.get(name):
            theirs = lambda *args, ours=ours, **kwargs: ours(*args, **kwargs)  # noqa: E731
            monkeypatch.setattr(owner, name, theirs)
    undo()
    with RawServer(*[STREAMED] * 2) as server, requests.Session() as session:
        assert session.post(server.url, json=ASKED, stream=True).content == STREAM
        assert events == []
        with meter.instrument():
            assert session.post(server.url, json=ASKED, stream=True).content == STREAM
    assert [counted(e) for e in events] == [COUNTED]
    monkeypatch.undo()
    for (owner, name), method in before.items():
        if method is not None:
            setattr(owner, name, method)


def test_what_an_exporter_sends_is_no_event(library: Way) -> None:
    events: list[UsageEvent] = []
    with RawServer(STREAMED, plain(), plain()) as server:
        client = library.client(server.url)

        def export(event: UsageEvent) -> None:
            events.append(event)
            library.post(client, server.url)

        meter = Meter([export], estimates=False)
        with meter.instrument():
            library.whole(library.post(client, server.url, stream=True))
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED]


def test_streams_dropped_inside_an_exporter_are_not_lost(library: Way) -> None:
    events: list[UsageEvent] = []
    dropped: list[Any] = []

    def export(event: UsageEvent) -> None:
        events.append(event)
        dropped.clear()

    meter = Meter([export], estimates=False)
    with RawServer(STREAMED, plain()) as server:
        client = meter.wrap(library.client(server.url))
        dropped.append(library.post(client, server.url, stream=True))
        library.post(client, server.url)
        assert meter.flush()
        meter.unwrap(client)
        library.close(client)
    assert [e.status for e in events] == ["completed", "abandoned"]


def test_everything_passes_through_while_the_meter_is_disabled(
    library: Way, meter: Meter, events: list[UsageEvent]
) -> None:
    with RawServer(*[plain()] * 3) as server:
        client = meter.wrap(library.client(server.url))
        with tokenmeter.disabled():
            library.post(client, server.url)
        meter.disable()
        library.post(client, server.url)
        meter.enable()
        library.post(client, server.url)
        meter.unwrap(client)
        library.close(client)
    assert [counted(e) for e in events] == [COUNTED]


# Threads, forks and what is imported late


def test_threads_that_share_a_client_are_counted_one_by_one(
    library: Way, meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    url = f"{server.openai_url}/chat/completions"
    client = library.client(url)
    asked = ASKED_STREAM | {"stream_options": {"include_usage": True}}

    def send(at: int) -> int:
        with attribute(user=f"user {at % 4}"):
            response = library.post(client, url, asked=asked, stream=bool(at % 2))
            return len(library.whole(response))

    with meter.instrument(), concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(send, range(80)))) == 80
    library.close(client)
    assert meter.flush()
    assert len(events) == len(server.account) == 80
    for name in ("input_tokens", "output_tokens"):
        assert sum(getattr(e, name) for e in events) == sum(
            getattr(line, name) for line in server.account
        )
    assert sorted(e.user for e in events) == sorted(f"user {at % 4}" for at in range(80))
    assert {e.status for e in events} == {"completed"}


WARNINGS = ("-W", "error", "-W", "ignore::ImportWarning", "-W", "ignore::DeprecationWarning")
"""urllib3 1.26 warns in newer versions of Python."""


def python(program: str) -> str:
    """Run a program in a new interpreter in which warnings are errors, and give what it printed."""
    run = subprocess.run(
        [sys.executable, *WARNINGS, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stderr, run.stderr
    assert run.returncode == 0
    return run.stdout


def test_a_forked_child_leaves_the_open_streams_to_its_parent() -> None:
    out = python(
        """
        import os, warnings, requests
        from sockets import RawServer, chunked, head
        from tokenmeter import Meter
        from wires import ASKED, chat_events, sse
        answer = [head("transfer-encoding: chunked", "connection: close"),
                  *chunked(*[sse(event) for event in chat_events()])]
        events = []
        meter = Meter([events.append], estimates=False)
        with RawServer(answer, answer) as server, requests.Session() as session:
            meter.wrap(session)
            opened = session.post(server.url, json=ASKED, stream=True)
            warnings.simplefilter("ignore")  # Python 3.12 and later warn of threads beside a fork
            child = os.fork()
            if child == 0:
                del opened
                meter.flush()
                assert events == []
                assert len(session.post(server.url, json=ASKED).content) > 100
                [event] = events
                os._exit(0 if (event.pid, event.input_tokens) == (os.getpid(), 5) else 1)
            assert os.waitpid(child, 0)[1] == 0
            opened.close()
        meter.flush()
        print([(e.status, e.pid == os.getpid()) for e in events])
        """
    )
    assert out == "[('abandoned', True)]\n"


def test_streams_open_at_exit_are_abandoned_and_libraries_imported_later_are_metered() -> None:
    out = python(
        """
        import sys, tokenmeter
        class Late:
            def __call__(self, event): print(event.status, event.input_tokens)
            def close(self): print("closed", flush=True)
        tokenmeter.configure(exporters=[Late()])
        undo = tokenmeter.instrument()
        assert not {"requests", "urllib3"} & set(sys.modules)
        import requests, urllib3
        from sockets import RawServer, chunked, head
        from wires import ASKED, chat_events, sse
        answer = [head("transfer-encoding: chunked", "connection: close"),
                  *chunked(*[sse(event) for event in chat_events()])]
        with RawServer(answer, answer) as server:
            requests.post(server.url, json=ASKED)
            opened = requests.post(server.url, json=ASKED, stream=True)
            chunks = opened.iter_content(9)
            next(chunks)
        undo()
        assert not hasattr(requests.Session.send, "__wrapped__")
        """
    )
    assert out.splitlines() == ["completed 5", "abandoned 8", "closed"]
