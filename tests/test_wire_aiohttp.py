"""The seam for aiohttp, with the real aiohttp against a real server: shapes times exits."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import socket
import subprocess
import sys
import textwrap
import weakref
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import brotli
import httpx
import httpx2
import pytest
import zstandard

import tokenmeter
from aio import LOOPS, PATH, Played, Reply, Scene, Server, fact, play, wired
from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.testing import ModelServer
from wires import chat, chat_events, cut, sse

VERSION = tuple(int(part) for part in aiohttp.__version__.split(".")[:2])
WIRINGS = ("wrap", "instrument", "both")
STREAM = sse(*chat_events())
EVENTS = tuple(sse(event) for event in chat_events())
PLAIN = json.dumps(chat()).encode()
ERROR = json.dumps({"error": {"code": "bad_key", "message": "no"}}).encode()

STREAMED = Reply(parts=EVENTS)
HELD = Reply(parts=EVENTS[:2], then="hold")

UNCLOSED = pytest.mark.filterwarnings(
    # aiohttp says so, with and without us
    "ignore:Exception ignored in. .function Connection.__del__",
    "ignore:Unclosed connection:ResourceWarning",
)

COUNTED = (5, 3, "reported", "reported", "completed", None)
ABANDONED = (None, None, "unknown", "unknown", "abandoned", None)


@pytest.fixture(scope="module", autouse=True)
def _collecting_is_cheap() -> Iterator[None]:
    """Keep what exists out of the scenes' collections: they collect only their own garbage."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def counted(event: UsageEvent) -> tuple[Any, ...]:
    return (
        event.input_tokens,
        event.output_tokens,
        event.input_provenance,
        event.output_provenance,
        event.status,
        event.error_type,
    )


def prove(act: Any, *replies: Reply, wiring: str = "wrap", **options: Any) -> Played:
    """Show that a metered scenario looks like an unmetered one, and give what came of it."""
    bare = play(act, *replies, wiring="bare", **options)
    played = play(act, *replies, wiring=wiring, **options)
    assert bare.events == []
    assert played.seen == bare.seen
    assert [r.body for r in played.requests] == [r.body for r in bare.requests]
    assert {event.user for event in played.events} <= {"ada"}
    return played


# Every way to read


async def whole(response: Any) -> Any:
    return await response.read()


async def as_text(response: Any) -> Any:
    return await response.text()


async def read_twice(response: Any) -> Any:
    return [await response.read(), await response.text()]


async def any_chunks(response: Any) -> Any:
    return b"".join([chunk async for chunk in response.content.iter_any()])


async def chunks_of_a_size(response: Any) -> Any:
    return b"".join([chunk async for chunk in response.content.iter_chunked(7)])


async def http_chunks(response: Any) -> Any:
    return [pair async for pair in response.content.iter_chunks()]


async def lines(response: Any) -> Any:
    return [line async for line in response.content]


async def line_by_line(response: Any) -> Any:
    got = []
    while line := await response.content.readline():
        got.append(line)
    return got


async def until_a_mark(response: Any) -> Any:
    got = []
    while part := await response.content.readuntil(b"\n\n"):
        got.append(part)
    return got


async def whatever_is_there(response: Any) -> Any:
    got = b""
    while part := await response.content.readany():
        got += part
    return got


async def some_at_a_time(response: Any) -> Any:
    got = b""
    while part := await response.content.read(50):
        got += part
    return [got, await response.content.read(0)]


async def the_content_at_once(response: Any) -> Any:
    return await response.content.read()


async def exactly(response: Any) -> Any:
    return [
        await response.content.readexactly(10),
        await response.content.readexactly(len(STREAM) - 10),
    ]


async def without_waiting(response: Any) -> Any:
    await response.content.wait_eof()
    return [response.content.read_nowait(20), response.content.read_nowait()]


async def in_all_ways_at_once(response: Any) -> Any:
    content = response.content
    return [
        await content.readline(),
        await content.readexactly(3),
        (await content.read(2)),
        content.read_nowait(1),
        b"".join([chunk async for chunk in content.iter_any()]),
    ]


WAYS = {
    way.__name__: way
    for way in (
        whole,
        as_text,
        read_twice,
        any_chunks,
        chunks_of_a_size,
        http_chunks,
        lines,
        line_by_line,
        until_a_mark,
        whatever_is_there,
        some_at_a_time,
        the_content_at_once,
        exactly,
        without_waiting,
        in_all_ways_at_once,
    )
}


def opened(read: Callable[[Any], Any], **options: Any) -> Callable[[Scene], Any]:
    """Make a scenario of a way to read, in a context."""

    async def act(scene: Scene) -> Any:
        async with scene.post(**options) as response:
            return [response, await read(response)]

    return act


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_counts_the_same_whichever_way_it_is_read(way: str, loop: str) -> None:
    played = prove(opened(WAYS[way]), STREAMED, loop=loop)
    assert [counted(e) for e in played.events] == [COUNTED]
    [event] = played.events
    assert (event.request_model, event.response_model) == ("asked", "served")
    assert (event.http_status, event.server_address) == (200, "127.0.0.1")
    assert (event.stream, event.source, event.attempt) == (True, "wire", None)
    assert 0 < (event.time_to_first_chunk_s or 0) <= (event.duration_s or 0)


@pytest.mark.parametrize("wiring", WIRINGS[1:])
@pytest.mark.parametrize("way", WAYS)
def test_a_stream_of_an_instrumented_process_counts_once(way: str, wiring: str) -> None:
    played = prove(opened(WAYS[way]), STREAMED, wiring=wiring)
    assert [counted(e) for e in played.events] == [COUNTED]


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("reply", [Reply(parts=(PLAIN,), length=True), Reply(parts=(PLAIN,))])
def test_a_plain_answer_is_counted_when_it_is_read(reply: Reply, wiring: str) -> None:
    played = prove(opened(lambda response: response.json()), reply, wiring=wiring)
    assert [counted(e) for e in played.events] == [COUNTED]
    assert played.events[0].stream is False


def test_a_stream_longer_than_a_batch_is_counted() -> None:
    filler = sse({"id": "c1", "choices": [{"index": 0, "delta": {"content": "x" * 9_000}}]})
    reply = Reply(parts=(EVENTS[0], *[filler] * 40, *EVENTS[1:]))
    played = prove(opened(any_chunks), reply)
    assert [counted(e) for e in played.events] == [COUNTED]


# Every way to ask


async def by_request(scene: Scene) -> Any:
    return await (await scene.session.request("post", scene.server.url + PATH, json={})).read()


async def by_keyword(scene: Scene) -> Any:
    asked = {"method": "POST", "url": scene.server.url + PATH, "data": b"{}"}
    return await (await scene.session.request(**asked)).read()


async def by_url_object(scene: Scene) -> Any:
    url = aiohttp.client.URL(scene.server.url + PATH)
    return await (await scene.session.post(url, data="{}")).read()


async def by_context(scene: Scene) -> Any:
    async with scene.session.post(scene.server.url + PATH) as response:
        return await response.read()


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("ask", [by_request, by_keyword, by_url_object, by_context])
def test_every_way_to_ask_is_metered(ask: Any, wiring: str) -> None:
    played = prove(ask, STREAMED, wiring=wiring)
    assert [counted(e) for e in played.events] == [COUNTED]


def test_a_path_below_the_sessions_base_url_is_found() -> None:
    async def act(scene: Scene) -> Any:
        async with aiohttp.ClientSession(scene.server.url) as session:
            return await (await session.post(PATH)).read()

    played = prove(act, STREAMED, wiring="instrument")
    assert [e.server_address for e in played.events] == ["127.0.0.1"]


def test_the_function_without_a_session_is_metered_in_an_instrumented_process() -> None:
    async def act(scene: Scene) -> Any:
        async with aiohttp.request("POST", scene.server.url + PATH) as response:
            return await response.read()

    played = prove(act, STREAMED, wiring="instrument")
    assert [counted(e) for e in played.events] == [COUNTED]


async def pieces(pulled: list[bytes]) -> AsyncIterator[bytes]:
    pulled.append(b"{}")
    yield b"{}"


BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "json": ({"json": {"model": "asked", "odd": 1}}, "asked"),
    "bytes": ({"json": None, "data": b'{"model": "asked"}'}, "asked"),
    "bytearray": ({"json": None, "data": bytearray(b'{"model": "asked"}')}, "asked"),
    "text": ({"json": None, "data": '{"model": "asked"}'}, "asked"),
    "form": ({"json": None, "data": {"model": "asked"}}, "served"),
    "nothing": ({"json": None}, "served"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_request_says_what_was_asked_when_it_is_in_memory(kind: str) -> None:
    options, model = BODIES[kind]
    played = prove(opened(whole, **options), STREAMED)
    assert [(e.request_model, *counted(e)) for e in played.events] == [(model, *COUNTED)]


def test_a_request_that_is_streamed_up_is_not_read_by_the_meter() -> None:
    pulled: list[bytes] = []

    async def act(scene: Scene) -> Any:
        pulled.clear()
        async with scene.post(json=None, data=pieces(pulled)) as response:
            return await response.read()

    played = prove(act, STREAMED)
    assert pulled == [b"{}"]
    assert [r.body for r in played.requests] == [b"{}"]
    assert [e.request_model for e in played.events] == ["served"]


def test_json_that_only_the_callers_own_encoder_knows_is_sent_as_ever() -> None:
    class Own:
        pass

    options = {"json_serialize": lambda _: '{"model": "asked"}'}
    played = prove(opened(whole, json={Own(): 1}), STREAMED, **options)
    assert [r.body for r in played.requests] == [b'{"model": "asked"}']
    assert [counted(e) for e in played.events] == [COUNTED]


def test_an_attempt_that_the_request_numbers_is_said() -> None:
    act = opened(whole, headers={"x-stainless-retry-count": "2"})
    assert [e.attempt for e in prove(act, STREAMED).events] == [2]


def test_what_asks_no_model_is_no_event() -> None:
    async def act(scene: Scene) -> Any:
        async with scene.post("/v1/files") as response:
            return [response, type(response.content), await response.read()]

    assert prove(act, STREAMED).events == []


# What the caller gets


def test_a_metered_response_is_like_an_unmetered_one() -> None:
    async def act(scene: Scene) -> Any:
        async with scene.post() as response:
            content = response.content
            before = [repr(content), content.is_eof(), content.at_eof(), content.exception()]
            limits = content.get_read_buffer_limits() if VERSION >= (3, 10) else None
            await content.wait_eof()
            arrived = [content.is_eof(), content.total_bytes, repr(content)]
            first = await content.readline()
            return [
                before[1:],
                limits,
                arrived,
                first,
                repr(content),
                await response.read(),
                content.at_eof(),
                response.closed,
                response.history,
                response.method,
                response.content_type,
                response.request_info.method,
                sorted(set(vars(response)) - {"_in_context"}),
                isinstance(content, aiohttp.StreamReader),
                type(response) is aiohttp.ClientResponse,
            ]

    played = prove(act, STREAMED)
    assert [counted(e) for e in played.events] == [COUNTED]


def test_the_method_of_a_metered_session_keeps_its_name_and_signature() -> None:
    expected = inspect.signature(aiohttp.ClientSession._request)

    async def look() -> None:
        async with aiohttp.ClientSession() as session:
            bound = inspect.signature(session._request)
            for wiring in WIRINGS:
                with wired(Meter(), wiring) as metered:
                    metered(session)
                    found = inspect.signature(aiohttp.ClientSession._request)
                    assert (found, found.parameters.keys()) == (
                        expected,
                        expected.parameters.keys(),
                    )
                    assert set(bound.parameters) <= set(
                        inspect.signature(session._request).parameters
                    )
                    assert inspect.iscoroutinefunction(session._request)
                    request = session.post("http://127.0.0.1:1/")
                    assert request._coro.__qualname__ == "ClientSession._request"
                    request.close()

    asyncio.run(look())


def test_chunks_reach_the_reader_when_the_server_sent_them() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(HELD).running() as server, aiohttp.ClientSession() as session:
            meter.wrap(session)
            response = await session.post(server.url + PATH)
            got = b""
            while got != b"".join(EVENTS[:2]):
                got += await response.content.readany()
            assert events == []
            response.release()
            assert [e.status for e in events] == ["abandoned"]

    asyncio.run(scene())


def test_a_chunk_is_never_held_back_for_the_event() -> None:
    """The event is said when the reader asks on, not before it has its last chunk."""

    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            response = await meter.wrap(session).post(server.url + PATH)
            await response.content.wait_eof()
            assert await response.content.readany() == STREAM
            assert events == []
            assert await response.content.readany() == b""
            assert [counted(e) for e in events] == [COUNTED]

    asyncio.run(scene())


# Compressed bodies


def gzipped(body: bytes) -> bytes:
    return zlib.compress(body, wbits=31)


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzipped),
    "upper case": ("GZIP", gzipped),
    "deflate": ("deflate", zlib.compress),
    "br": ("br", brotli.compress),
    "identity": ("identity", lambda body: body),
    "zstd": ("zstd", lambda body: zstandard.ZstdCompressor().compress(body)),
    "stacked": ("gzip, br", lambda body: brotli.compress(gzipped(body))),
}


@pytest.mark.parametrize("undone", [True, False])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_compressed_body_counts_the_same_whoever_undoes_it(encoding: str, undone: bool) -> None:
    name, compress = ENCODINGS[encoding]
    parts = tuple(cut(compress(STREAM), 20))
    reply = Reply(parts=parts, headers={"content-encoding": name})
    played = prove(opened(any_chunks), reply, auto_decompress=undone)
    if isinstance(played.seen, tuple):
        pytest.skip("this aiohttp cannot undo the encoding itself, and says so")
    assert [counted(e) for e in played.events] == [COUNTED]


@pytest.mark.skipif(VERSION < (3, 11), reason="an option of the session only, before 3.11")
def test_a_request_can_say_itself_that_its_body_is_not_to_be_decompressed() -> None:
    reply = Reply(parts=(gzipped(STREAM),), headers={"content-encoding": "gzip"})
    played = prove(opened(whole, auto_decompress=False), reply)
    assert played.seen[1] == (bytes, gzipped(STREAM))
    assert [counted(e) for e in played.events] == [COUNTED]


# Every way to leave


async def leaves_the_context(scene: Scene) -> Any:
    async with scene.post() as response:
        return await response.content.readline()


async def releases(scene: Scene) -> Any:
    response = await scene.post()
    line = await response.content.readline()
    response.release()
    return [line, response.closed]


async def closes(scene: Scene) -> Any:
    response = await scene.post()
    line = await response.content.readline()
    response.close()
    response.close()
    return [line, response.closed]


async def releases_unread(scene: Scene) -> Any:
    async with scene.post() as response:
        return response


async def raises_in_the_context(scene: Scene) -> Any:
    async with scene.post() as response:
        await response.content.readline()
        raise KeyError("mine")


async def breaks_off(scene: Scene) -> Any:
    async with scene.post() as response:
        async for line in response.content:
            got = line
            break
        return got


async def reads_on_after_the_release(scene: Scene) -> Any:
    async with scene.post() as response:
        await response.content.readline()
    return await response.content.readline()


async def _started(coroutine: Any, scene: Scene) -> asyncio.Task[Any]:
    task = asyncio.create_task(coroutine)
    await scene.server.answered.wait()
    for _ in range(20):
        await asyncio.sleep(0.001)
    return task


async def is_cancelled_in_read(scene: Scene) -> Any:
    async def read() -> Any:
        return await (await scene.post()).read()

    task = await _started(read(), scene)
    task.cancel()
    return await task


async def is_cancelled_in_a_chunk(scene: Scene) -> Any:
    async def read() -> Any:
        async with scene.post() as response:
            return [chunk async for chunk in response.content.iter_any()]

    task = await _started(read(), scene)
    task.cancel()
    return await task


async def runs_out_of_patience(scene: Scene) -> Any:
    async with scene.post() as response, asyncio.timeout(0.05):
        return await response.read()


async def leaves_a_generator(scene: Scene) -> Any:
    async def said() -> AsyncIterator[bytes]:
        async with scene.post() as response:
            async for line in response.content:
                yield line

    stream = said()
    line = await anext(stream)
    await stream.aclose()
    return line


LEAVING = (
    leaves_the_context,
    releases,
    closes,
    releases_unread,
    raises_in_the_context,
    breaks_off,
    reads_on_after_the_release,
    is_cancelled_in_read,
    is_cancelled_in_a_chunk,
    runs_out_of_patience,
    leaves_a_generator,
)


@pytest.mark.parametrize("wiring", ["wrap", "both"])
@pytest.mark.parametrize("leave", LEAVING)
def test_a_stream_that_its_reader_left_is_abandoned(leave: Any, wiring: str) -> None:
    played = prove(leave, HELD, wiring=wiring)
    assert [counted(e) for e in played.events] == [ABANDONED]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("leave", LEAVING)
def test_what_had_arrived_of_a_stream_that_was_left_is_said(leave: Any, loop: str) -> None:
    """A vendor that reports its counts early is counted as far as it was read."""
    early = sse({"id": "c1", "model": "served", "choices": [], "usage": {"prompt_tokens": 5}})
    reply = Reply(parts=(early, EVENTS[0]), then="hold")
    played = prove(leave, reply, loop=loop)
    [event] = played.events
    read = leave is not releases_unread
    assert (event.input_tokens, event.status) == (5 if read else None, "abandoned")


@UNCLOSED
@pytest.mark.parametrize(
    "leave",
    [
        aiohttp.ClientResponse.close,
        lambda response: type(response.release()),
        lambda response: None,
    ],
    ids=["closed", "released", "dropped"],
)
def test_a_stream_that_is_left_after_its_terminal_marker_is_completed(leave: Any) -> None:
    async def act(scene: Scene) -> Any:
        response = await scene.post()
        while not (line := await response.content.readline()).startswith(b"data: [DONE]"):
            pass
        return [line, leave(response)]

    played = prove(act, Reply(parts=(STREAM,), then="hold"))
    assert [counted(e) for e in played.events] == [COUNTED]


def test_an_answer_of_a_known_length_that_was_read_without_asking_on_is_completed() -> None:
    async def act(scene: Scene) -> Any:
        async with scene.post() as response:
            return await response.content.readexactly(len(PLAIN))

    played = prove(act, Reply(parts=(PLAIN,), length=True))
    assert [counted(e) for e in played.events] == [COUNTED]


def test_a_read_that_was_cancelled_can_be_repeated() -> None:
    async def act(scene: Scene) -> Any:
        got, late = b"", 0
        async with scene.post() as response:
            while True:
                try:
                    part = await asyncio.wait_for(response.content.readany(), 0.02)
                except TimeoutError:
                    late += 1
                    scene.server.go.set()
                    continue
                if not part:
                    return [got, late > 0]
                got += part

    played = prove(act, Reply(parts=EVENTS, pause=2))
    assert played.seen == fact([STREAM, True])
    assert [counted(e) for e in played.events] == [COUNTED]


@UNCLOSED
@pytest.mark.parametrize("arrived", [True, False])
def test_a_response_that_is_dropped_unread_is_abandoned(arrived: bool) -> None:
    async def act(scene: Scene) -> Any:
        response = await scene.post()
        if arrived:
            await response.content.wait_eof()
        del response

    played = prove(act, STREAMED if arrived else HELD)
    assert [counted(e) for e in played.events] == [ABANDONED]


def test_a_response_that_arrived_and_is_dropped_is_said_at_once() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            response = await meter.wrap(session).post(server.url + PATH, json={"model": "m"})
            await response.content.wait_eof()
            gc.disable()
            try:
                del response
            finally:
                gc.enable()
            assert meter.flush()
            assert [counted(e) for e in events] == [ABANDONED]

    asyncio.run(scene())


def test_a_stream_that_is_still_open_when_the_meter_is_shut_down_is_abandoned() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(HELD).running() as server, aiohttp.ClientSession() as session:
            response = await meter.wrap(session).post(server.url + PATH)
            await response.content.readline()
            meter.shutdown()
            assert [e.status for e in events] == ["abandoned"]
            response.close()
            assert len(events) == 1

    asyncio.run(scene())


# Every way to fail


def failing(played: Played) -> tuple[Any, ...]:
    [event] = played.events
    return (event.status, event.error_type, event.http_status, event.input_provenance)


@pytest.mark.parametrize("way", ["whole", "any_chunks", "lines", "chunks_of_a_size"])
def test_a_connection_that_is_cut_in_the_body_fails_the_call(way: str) -> None:
    played = prove(opened(WAYS[way]), Reply(parts=EVENTS[:2], then="cut"))
    assert played.seen[0] is aiohttp.ClientPayloadError
    assert failing(played) == ("failed", "ClientPayloadError", 200, "unknown")


def test_what_had_arrived_before_a_cut_is_said() -> None:
    early = sse({"id": "c1", "model": "served", "choices": [], "usage": {"prompt_tokens": 5}})
    played = prove(opened(whole), Reply(parts=(early, EVENTS[0]), then="cut"))
    assert failing(played) == ("failed", "ClientPayloadError", 200, "reported")


@pytest.mark.parametrize("way", ["whole", "any_chunks"])
def test_a_body_that_takes_too_long_fails_the_call(way: str) -> None:
    timeout = aiohttp.ClientTimeout(total=0.1)
    played = prove(opened(WAYS[way], timeout=timeout), HELD)
    assert played.seen[0] is TimeoutError
    assert failing(played) == ("failed", "TimeoutError", 200, "unknown")


@pytest.mark.parametrize("way", ["whole", "any_chunks"])
def test_a_socket_that_falls_silent_in_the_body_fails_the_call(way: str) -> None:
    timeout = aiohttp.ClientTimeout(sock_read=0.1)
    played = prove(opened(WAYS[way], timeout=timeout), HELD)
    assert issubclass(played.seen[0], aiohttp.ServerTimeoutError)
    assert failing(played) == ("failed", played.seen[0].__name__, 200, "unknown")


def test_a_session_that_is_closed_under_a_reader_fails_the_call() -> None:
    async def act(scene: Scene) -> Any:
        patience = aiohttp.ClientTimeout(total=0.5)  # older versions wait for what cannot come
        response = await scene.post(timeout=patience)
        await response.content.readline()
        await scene.session.close()
        for _ in range(3):
            await asyncio.sleep(0)
        return await response.read()

    played = prove(act, HELD)
    assert failing(played) == ("failed", played.seen[0].__name__, 200, "unknown")


def test_a_line_that_is_too_long_fails_the_call() -> None:
    async def act(scene: Scene) -> Any:
        async with scene.post() as response:
            return await response.content.readline()

    played = prove(act, Reply(parts=(b"x" * 5_000,)), read_bufsize=1_000)
    assert failing(played) == ("failed", played.seen[0].__name__, 200, "unknown")


def test_a_read_that_is_wrong_by_itself_ends_nothing() -> None:
    async def act(scene: Scene) -> Any:
        async with scene.post() as response:
            got = await response.content.readexactly(len(EVENTS[0] + EVENTS[1]))
            reading = asyncio.create_task(response.content.readany())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another coroutine") as caught:
                await response.content.readany()
            with pytest.raises(RuntimeError, match="is waiting"):
                response.content.read_nowait()
            scene.server.go.set()
            return [str(caught.value), got + await reading + await response.content.read()]

    played = prove(act, Reply(parts=EVENTS, pause=2))
    assert [counted(e) for e in played.events] == [COUNTED]


def test_a_server_that_hangs_up_fails_the_call() -> None:
    played = prove(opened(whole), Reply(silent=True))
    assert played.seen[0] is aiohttp.ServerDisconnectedError
    assert failing(played) == ("failed", "ServerDisconnectedError", None, "unknown")


def test_a_server_that_never_answers_is_unknown_after_the_timeout() -> None:
    timeout = aiohttp.ClientTimeout(total=0.1)
    played = prove(opened(whole, timeout=timeout), Reply(silent=True, then="hold"))
    assert failing(played) == ("failed", "TimeoutError", None, "unknown")


def test_a_request_that_is_cancelled_under_way_is_abandoned() -> None:
    async def act(scene: Scene) -> Any:
        async def ask() -> Any:
            return await scene.post()

        task = asyncio.create_task(ask())
        while not scene.server.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        return await task

    played = prove(act, Reply(silent=True, then="hold"))
    assert failing(played) == ("abandoned", None, None, "unknown")


def test_a_refused_connection_counts_nothing() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}{PATH}"

        async def act(scene: Scene) -> Any:
            return await scene.session.post(url, json={"model": "asked"})

        played = prove(act, STREAMED)
    assert played.seen[0] is aiohttp.ClientConnectorError
    assert failing(played) == ("failed", "ClientConnectorError", None, "none")


def test_a_name_that_is_not_found_counts_nothing() -> None:
    class Nowhere(aiohttp.abc.AbstractResolver):
        async def resolve(self, *_place: Any, **_more: Any) -> Any:
            raise OSError("no such name")

        async def close(self) -> None: ...

    async def act(scene: Scene) -> Any:
        connector = aiohttp.TCPConnector(resolver=Nowhere())
        async with aiohttp.ClientSession(connector=connector) as session:
            return await session.post("http://api.openai.com" + PATH)

    played = prove(act, STREAMED, wiring="instrument")
    assert issubclass(played.seen[0], aiohttp.ClientConnectorError)
    assert failing(played) == ("failed", played.seen[0].__name__, None, "none")


@pytest.mark.skipif(VERSION < (3, 10), reason="no exception of its own before 3.10")
def test_a_connection_that_takes_too_long_counts_nothing() -> None:
    class Slow(aiohttp.abc.AbstractResolver):
        async def resolve(self, *_place: Any, **_more: Any) -> Any:
            await asyncio.sleep(5)

        async def close(self) -> None: ...

    async def act(scene: Scene) -> Any:
        connector = aiohttp.TCPConnector(resolver=Slow())
        timeout = aiohttp.ClientTimeout(connect=0.05)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await session.post("http://api.openai.com" + PATH)

    played = prove(act, STREAMED, wiring="instrument")
    assert failing(played) == ("failed", "ConnectionTimeoutError", None, "none")


def test_a_closed_session_sends_nothing_and_counts_nothing() -> None:
    async def act(scene: Scene) -> Any:
        await scene.session.close()
        return await scene.post()

    played = prove(act, STREAMED)
    assert failing(played) == ("failed", "RuntimeError", None, "none")


@pytest.mark.parametrize("url", ["http://", "//", "nowhere", "http://[", 7, None])
def test_what_is_no_url_is_refused_by_aiohttp_alone(url: Any) -> None:
    async def act(scene: Scene) -> Any:
        return await scene.session.post(url)

    assert prove(act, STREAMED).events == []


def test_a_url_of_another_scheme_counts_nothing() -> None:
    async def act(scene: Scene) -> Any:
        return await scene.session.post("ftp://api.openai.com" + PATH)

    assert failing(prove(act, STREAMED))[3] == "none"


def test_the_error_of_a_metered_call_is_the_object_that_aiohttp_raised() -> None:
    raised: list[BaseException] = []

    class Noting(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **options: Any) -> Any:
            raised.append(aiohttp.ClientConnectionError("mine"))
            raise raised[0]

    async def act(scene: Scene) -> Any:
        raised.clear()
        async with aiohttp.ClientSession(connector=Noting()) as session:
            with pytest.raises(aiohttp.ClientConnectionError) as caught:
                await session.post(scene.server.url + PATH)
        assert caught.value is raised[0]
        assert caught.value.__context__ is None

    prove(act, STREAMED, wiring="both")


# Error answers

REFUSED = Reply(parts=(ERROR,), status=401, length=True)


async def reads_the_error(scene: Scene) -> Any:
    async with scene.post() as response:
        return [response, await response.json()]


async def raises_for_status(scene: Scene) -> Any:
    async with scene.post() as response:
        response.raise_for_status()


async def raises_for_status_outside_of_a_context(scene: Scene) -> Any:
    (await scene.post()).raise_for_status()


async def asks_for_the_exception(scene: Scene) -> Any:
    return await scene.post(raise_for_status=True)


async def reads_and_raises(response: aiohttp.ClientResponse) -> None:
    if not response.ok:
        raise LookupError((await response.json())["error"]["code"])


async def judges_himself(scene: Scene) -> Any:
    return await scene.post(raise_for_status=reads_and_raises)


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize(
    ("act", "error"),
    [
        (reads_the_error, "bad_key"),
        (raises_for_status, "401"),
        (raises_for_status_outside_of_a_context, "401"),
        (asks_for_the_exception, "401"),
        (judges_himself, "bad_key"),
    ],
)
def test_an_error_answer_is_failed_and_counts_nothing(act: Any, error: str, wiring: str) -> None:
    if act is judges_himself and VERSION < (3, 9):
        pytest.skip("a judgement of one's own came with 3.9")
    played = prove(act, REFUSED, wiring=wiring)
    assert failing(played) == ("failed", error, 401, "none")


@pytest.mark.parametrize("judge", [True, reads_and_raises])
def test_a_session_that_makes_exceptions_of_errors_does(judge: Any) -> None:
    if callable(judge) and VERSION < (3, 9):
        pytest.skip("a judgement of one's own came with 3.9")
    played = prove(opened(whole), REFUSED, raise_for_status=judge)
    assert failing(played) == ("failed", "bad_key" if callable(judge) else "401", 401, "none")
    played = prove(opened(whole), STREAMED, raise_for_status=judge)
    assert [counted(e) for e in played.events] == [COUNTED]


@UNCLOSED
@pytest.mark.skipif(VERSION < (3, 9), reason="a judgement of one's own came with 3.9")
def test_a_judgement_that_refuses_a_good_answer_fails_the_call() -> None:
    async def refuse(_response: Any) -> None:
        raise LookupError("mine")

    played = prove(opened(whole), STREAMED, raise_for_status=refuse)
    assert failing(played) == ("failed", "LookupError", 200, "unknown")


def test_an_error_answer_without_a_body_is_said() -> None:
    played = prove(releases_unread, Reply(status=503, length=True))
    assert failing(played) == ("failed", "503", 503, "none")


def test_an_error_answer_that_nobody_reads_is_said() -> None:
    played = prove(releases_unread, REFUSED)
    assert failing(played) == ("failed", "401", 401, "none")


def test_a_server_that_speaks_no_http_made_no_answer() -> None:
    async def act(scene: Scene) -> Any:
        async def garbage(_reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(garbage, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return (
                await scene.session.post(f"http://127.0.0.1:{port}{PATH}", json={"model": "m"})
            ).status

    played = play(act, STREAMED)
    assert failing(played) == ("failed", played.seen[0].__name__, None, "unknown")


# What aiohttp does inside of one exchange


def test_redirects_belong_to_one_event() -> None:
    moved = Reply(status=307, headers={"location": PATH}, length=True)

    async def act(scene: Scene) -> Any:
        async with scene.post("/old/chat/completions") as response:
            return [await response.read(), len(response.history)]

    played = prove(act, moved, STREAMED)
    assert len(played.requests) == 2
    assert [(e.http_status, *counted(e)) for e in played.events] == [(200, *COUNTED)]


def test_a_redirect_without_an_end_counts_nothing() -> None:
    moved = Reply(status=307, headers={"location": PATH}, length=True)
    played = prove(opened(whole), moved)
    assert failing(played) == ("failed", "TooManyRedirects", None, "none")


@pytest.mark.skipif(VERSION < (3, 12), reason="middlewares came with 3.12")
def test_what_a_middleware_repeats_belongs_to_one_event() -> None:
    async def again(request: Any, handler: Any) -> Any:
        response = await handler(request)
        if response.status == 401:
            response.release()
            response = await handler(request)
        return response

    played = prove(opened(whole), REFUSED, STREAMED, middlewares=(again,))
    assert len(played.requests) == 2
    assert [(e.http_status, *counted(e)) for e in played.events] == [(200, *COUNTED)]


@pytest.mark.skipif(VERSION < (3, 12), reason="middlewares came with 3.12")
def test_a_body_that_a_middleware_has_read_already_is_counted() -> None:
    async def log(request: Any, handler: Any) -> Any:
        response = await handler(request)
        await response.read()
        return response

    played = prove(opened(as_text), STREAMED, middlewares=(log,))
    assert [counted(e) for e in played.events] == [COUNTED]


def test_a_body_that_a_trace_has_read_already_is_counted_once() -> None:
    async def log(_session: Any, _context: Any, told: Any) -> None:
        await told.response.read()

    def traced() -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(log)
        return trace

    async def act(scene: Scene) -> Any:
        async with aiohttp.ClientSession(trace_configs=[traced()]) as session:
            return await (await session.post(scene.server.url + PATH)).text()

    played = prove(act, STREAMED, wiring="instrument")
    assert [counted(e) for e in played.events] == [COUNTED]


def test_calls_made_at_once_are_told_apart() -> None:
    async def act(scene: Scene) -> Any:
        async def one(user: str) -> Any:
            with attribute(user=user):
                async with scene.post() as response:
                    return await response.read()

        return await asyncio.gather(*(one(f"u{n}") for n in range(20)))

    played = play(act, STREAMED)
    assert sorted(str(e.user) for e in played.events) == sorted(f"u{n}" for n in range(20))
    assert {counted(e) for e in played.events} == {COUNTED}


# Sessions are left as they were


def test_a_wrapped_session_that_is_dropped_is_freed_without_a_collector() -> None:
    async def scene() -> None:
        meter = Meter()
        async with Server(STREAMED).running() as server:
            session = aiohttp.ClientSession()
            async with meter.wrap(session).post(server.url + PATH) as response:
                await response.read()
            await session.close()
            gone = weakref.ref(session)
            gc.collect()
            gc.disable()
            try:
                del session, response
                assert gone() is None
            finally:
                gc.enable()

    asyncio.run(scene())


def test_a_method_that_outlives_its_session_says_so() -> None:
    async def scene() -> None:
        session = aiohttp.ClientSession()
        Meter().wrap(session)
        method = session._request
        await session.close()
        del session
        gc.collect()
        with pytest.raises(ReferenceError, match="the session is gone"):
            await method("POST", "http://127.0.0.1" + PATH)

    asyncio.run(scene())


def test_unwrap_and_undo_restore_what_was_there() -> None:
    async def scene() -> None:
        before = aiohttp.ClientSession.__dict__["_request"]
        async with aiohttp.ClientSession() as session:
            own = dict(vars(session))
            meter = Meter()
            assert meter.wrap(meter.wrap(session)) is session
            assert meter.unwrap(session) is session
            assert vars(session) == own
            undo = meter.instrument()
            assert aiohttp.ClientSession.__dict__["_request"] is not before
            undo()
            undo()
            assert aiohttp.ClientSession.__dict__["_request"] is before

    asyncio.run(scene())


@pytest.mark.parametrize("first", ["session", "class"])
@pytest.mark.parametrize("order", ["session first", "class first"])
def test_hooks_come_off_in_any_order(first: str, order: str) -> None:
    async def scene() -> None:
        before = aiohttp.ClientSession.__dict__["_request"]
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            url = server.url + PATH

            async def said() -> int:
                events.clear()
                await (await session.post(url)).read()
                return len(events)

            undo = meter.instrument() if first == "class" else None
            meter.wrap(session)
            undo = undo or meter.instrument()
            assert await said() == 1
            undo() if order == "class first" else meter.unwrap(session)
            assert await said() == 1
            undo() if order == "session first" else meter.unwrap(session)
            assert await said() == 0
            assert "_request" not in vars(session)
            assert aiohttp.ClientSession.__dict__["_request"] is before

    asyncio.run(scene())


def test_a_hook_that_somebody_patched_over_passes_through_after_the_undo() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            ours = meter.wrap(session)._request

            async def theirs(*args: Any, **options: Any) -> Any:
                return await ours(*args, **options)

            session._request = theirs
            await (await session.post(server.url + PATH)).read()
            assert len(events) == 1
            meter.unwrap(session)
            assert session._request is theirs
            await (await session.post(server.url + PATH)).read()
            assert len(events) == 1

    asyncio.run(scene())


def test_a_session_that_somebody_patched_before_is_metered_and_restored() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            plain = session._request

            async def theirs(*args: Any, **options: Any) -> Any:
                return await plain(*args, **options)

            session._request = theirs
            meter.wrap(session)
            await (await session.post(server.url + PATH)).read()
            assert len(events) == 1
            meter.unwrap(session)
            assert session._request is theirs

    asyncio.run(scene())


def test_two_meters_on_one_session_say_one_event() -> None:
    async def scene() -> None:
        outer: list[UsageEvent] = []
        inner: list[UsageEvent] = []
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            Meter([inner.append], estimates=False).wrap(session)
            Meter([outer.append], estimates=False).wrap(session)
            await (await session.post(server.url + PATH)).read()
            assert (len(outer), len(inner)) == (1, 0)

    asyncio.run(scene())


def test_a_disabled_meter_leaves_responses_alone() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            meter.wrap(session)
            with tokenmeter.disabled():
                response = await session.post(server.url + PATH)
                assert type(response.content) is aiohttp.StreamReader
                await response.read()
            assert events == []

    asyncio.run(scene())


def test_an_exporter_that_uses_aiohttp_in_an_instrumented_process_makes_no_event() -> None:
    async def scene() -> None:
        events: list[UsageEvent] = []
        sent: list[asyncio.Task[Any]] = []
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:

            async def send() -> bytes:
                return await (await session.post(server.url + PATH)).read()

            def export(event: UsageEvent) -> None:
                events.append(event)
                sent.append(asyncio.create_task(send()))

            with Meter([export], estimates=False).instrument():
                await (await session.post(server.url + PATH)).read()
                assert await sent[0] == STREAM
            assert (len(events), len(sent)) == (1, 1)

    asyncio.run(scene())


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
def test_a_session_of_a_subclass_is_metered() -> None:
    class Own(aiohttp.ClientSession):
        async def _request(self, *args: Any, **options: Any) -> Any:
            return await super()._request(*args, **options)

    async def act(scene: Scene) -> Any:
        async with Own() as session:
            return await (await session.post(scene.server.url + PATH)).read()

    played = prove(act, STREAMED, wiring="instrument")
    assert [counted(e) for e in played.events] == [COUNTED]


def test_an_answer_from_an_http_cache_costs_nothing() -> None:
    class Cached:
        """Like a response of aiohttp-client-cache."""

        status, headers, content, _body, from_cache = 200, {}, None, STREAM, True

    async def act(scene: Scene) -> Any:
        async def cached(*_args: Any, **_options: Any) -> Any:
            return Cached

        scene.session.__dict__["_request"] = cached
        Meter().wrap(scene.session)
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False)
        meter.wrap(scene.session)
        assert await scene.post() is Cached
        return [(e.cached, e.input_provenance, e.status) for e in events]

    played = play(act, STREAMED, wiring="bare")
    assert played.seen == fact([(True, "none", "completed")])


def test_a_response_of_another_kind_is_left_alone_and_the_call_counts_as_unknown() -> None:
    class Odd:
        status, headers, content = 200, {}, object()

    async def act(scene: Scene) -> Any:
        async def odd(*_args: Any, **_options: Any) -> Any:
            return Odd

        scene.session.__dict__["_request"] = odd
        events: list[UsageEvent] = []
        meter = Meter([events.append], estimates=False, providers={"127.0.0.1": "mine"})
        meter.wrap(scene.session)
        assert await scene.post() is Odd
        assert meter.stats()["guard"] == {}
        return [counted(e) for e in events]

    played = play(act, STREAMED, wiring="bare")
    assert played.seen == fact([(None, None, "unknown", "unknown", "completed", None)])


# Stacks on top of each other


class AiohttpTransport(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
    """Carry httpx over aiohttp, as litellm and httpx-aiohttp do."""

    def __init__(self, library: Any, session: aiohttp.ClientSession) -> None:
        self.library = library
        self.session = session

    async def handle_async_request(self, request: Any) -> Any:
        response = await self.session.request(
            request.method,
            str(request.url),
            headers=request.headers.multi_items(),
            data=request.content,
            allow_redirects=False,
            auto_decompress=False,
        )

        class Body(self.library.AsyncByteStream):  # type: ignore[name-defined, misc]
            async def __aiter__(self) -> AsyncIterator[bytes]:
                async for chunk in response.content.iter_any():
                    yield chunk

            async def aclose(self) -> None:
                response.close()

        return self.library.Response(response.status, headers=response.headers, stream=Body())


@pytest.mark.skipif(VERSION < (3, 11), reason="auto_decompress of a request came with 3.11")
@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize("streamed", [False, True])
def test_httpx_over_aiohttp_is_one_event_of_the_outer_seam(library: Any, streamed: bool) -> None:
    async def scene(metered: Callable[[Any], Any]) -> None:
        async with Server(STREAMED).running() as server, aiohttp.ClientSession() as session:
            metered(session)
            transport = AiohttpTransport(library, session)
            async with library.AsyncClient(transport=transport) as client:
                metered(client)
                request = client.build_request("POST", server.url + PATH, json={"model": "asked"})
                response = await client.send(request, stream=streamed)
                assert await response.aread() == STREAM

    for wiring in WIRINGS:
        events: list[UsageEvent] = []
        with wired(Meter([events.append], estimates=False), wiring) as metered:
            asyncio.run(scene(metered))
        assert [counted(e) for e in events] == [COUNTED]


# The real SDK


@pytest.fixture
def gemini() -> Iterator[str]:
    """Have google-genai's paths read as OpenAI's format, which this server speaks."""
    from tokenmeter import providers

    row = providers.Format(
        r"/models/(?P<model>[^/]+):\w+", "openai_chat:OpenAIChat", "chat", "test_only"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "FORMATS", (row, *providers.FORMATS))
        yield "gemini-test"


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize("streamed", [False, True])
def test_the_async_client_of_google_genai_over_aiohttp_is_one_event(
    gemini: str, streamed: bool
) -> None:
    genai = pytest.importorskip("google.genai")

    async def act(scene: Scene) -> Any:
        options = genai.types.HttpOptions(base_url=scene.server.url)
        client = genai.Client(api_key="k", http_options=options)
        models = client.aio.models
        try:
            if not streamed:
                return (await models.generate_content(model=gemini, contents="hi")).response_id
            stream = await models.generate_content_stream(model=gemini, contents="hi")
            return [chunk.response_id async for chunk in stream]
        finally:
            await client.aio.aclose()

    said = {"responseId": "r1", "candidates": []} | chat()
    parts = (sse(said),) if streamed else (json.dumps(said).encode(),)
    played = prove(act, Reply(parts=parts), wiring="instrument")
    assert played.seen == fact(["r1"] if streamed else "r1")
    [event] = played.events
    assert (event.input_tokens, event.output_tokens, event.status) == (5, 3, "completed")
    assert event.provider == "test_only"


@UNCLOSED
@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_a_stream_of_google_genai_that_is_left_is_one_abandoned_event(gemini: str) -> None:
    genai = pytest.importorskip("google.genai")

    async def act(scene: Scene) -> Any:
        options = genai.types.HttpOptions(base_url=scene.server.url)
        client = genai.Client(api_key="k", http_options=options)
        stream = await client.aio.models.generate_content_stream(model=gemini, contents="hi")
        chunk = await anext(stream)
        await stream.aclose()
        await client.aio.aclose()
        return chunk.response_id

    said = {"responseId": "r1", "candidates": [], "model": "served", "choices": []}
    played = prove(act, Reply(parts=(sse(said), EVENTS[0]), then="hold"), wiring="instrument")
    assert played.seen == fact("r1")
    assert [(e.status, e.response_model) for e in played.events] == [("abandoned", "served")]


def test_an_error_of_google_genai_is_one_failed_event_and_its_own_exception(gemini: str) -> None:
    genai = pytest.importorskip("google.genai")

    async def act(scene: Scene) -> Any:
        options = genai.types.HttpOptions(base_url=scene.server.url)
        async with genai.Client(api_key="k", http_options=options).aio as client:
            return await client.models.generate_content(model=gemini, contents="hi")

    with pytest.warns(DeprecationWarning, match="Inheritance class"):
        played = prove(act, REFUSED, wiring="instrument")
    assert played.seen[0] is genai.errors.ClientError
    assert failing(played) == ("failed", "bad_key", 401, "none")


def test_the_local_model_server_is_metered_exactly() -> None:
    async def scene(server: ModelServer, session: Any) -> None:
        for stream in (False, True):
            asked = {
                "model": "m",
                "stream": stream,
                "messages": [{"role": "user", "content": "Good morning!"}],
            } | ({"stream_options": {"include_usage": True}} if stream else {})
            url = server.openai_url + "/chat/completions"
            async with session.post(url, json=asked) as response:
                await response.read()

    async def main(server: ModelServer) -> None:
        async with aiohttp.ClientSession() as session:
            await scene(server, meter.wrap(session))

    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    with ModelServer() as server:
        asyncio.run(main(server))
        assert [(e.input_tokens, e.output_tokens, e.status) for e in events] == [
            (served.input_tokens, served.output_tokens, "completed") for served in server.account
        ]
    assert len(events) == 2


# Light


def python(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stderr, run.stderr
    return run.stdout


def test_the_seam_imports_neither_aiohttp_nor_an_event_loop() -> None:
    out = python(
        """
        import sys
        import tokenmeter.wire.aiohttp as seam
        from tokenmeter import Meter
        meter = Meter()
        assert not seam.is_client(object())
        print(sorted({"aiohttp", "asyncio", "yarl", "multidict"} & set(sys.modules)))
        """
    )
    assert out == "[]\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_sessions_are_metered_whether_aiohttp_was_imported_before_or_after(when: str) -> None:
    imports = ("import aiohttp", "") if when == "after" else ("", "import aiohttp")
    out = python(
        f"""
        import asyncio, sys
        {imports[0]}
        from tokenmeter import Meter
        events = []
        undo = Meter([events.append], estimates=False).instrument()
        {imports[1]}
        from tokenmeter.testing import ModelServer

        async def main(url):
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json={{"model": "m", "input": "a"}}) as response:
                    await response.read()

        with ModelServer() as server:
            asyncio.run(main(server.openai_url + "/embeddings"))
        print([event.status for event in events])
        undo()
        assert not hasattr(aiohttp.ClientSession._request, "__wrapped__")
        """
    )
    assert out == "['completed']\n"


@pytest.mark.skipif(VERSION < (3, 9), reason="aiohttp warned of itself before 3.9")
def test_a_session_in_development_mode_is_wrapped_without_a_warning() -> None:
    out = python(
        """
        import os, subprocess, sys
        program = '''
        import asyncio, aiohttp
        from tokenmeter import Meter

        async def main():
            asyncio.get_running_loop().slow_callback_duration = 60  # that is not asked here
            async with aiohttp.ClientSession() as session:
                meter = Meter()
                meter.wrap(session)
                meter.unwrap(session)
                print("fine")

        asyncio.run(main())
        '''
        import textwrap
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)]
        subprocess.run(command, check=True)
        """
    )
    assert out == "fine\n"
