"""Each rule of the seam (DESIGN, section 4), with httpx and httpx2, sync and async."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import brotli
import httpx
import httpx2
import msgspec
import openai
import pytest
import trio
import uvloop
import zstandard

import tokenmeter
from tokenmeter import Meter, UsageEvent, providers
from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.sinks import Account
from tokenmeter.testing import Answer, Gate, ModelServer
from wires import ASKED, CHAT, LIBRARIES, Wire, chat, chat_events, cut, sse

STREAM = sse(*chat_events())
COUNTED = (5, 3, "reported", "reported", "completed")


@pytest.fixture(
    params=[(library, is_async) for library in LIBRARIES for is_async in (False, True)],
    ids=["httpx", "httpx-async", "httpx2", "httpx2-async"],
)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    library, is_async = request.param
    wire = Wire(library, is_async=is_async)
    yield wire
    wire.finish()


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    meter = Meter([events.append], estimates=False)
    yield meter
    assert meter.stats()["guard"] == {}, "nothing failed behind the test's back"
    meter.shutdown()


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


def python(program: str, **environment: str) -> str:
    """Run a program in a new interpreter in which warnings are errors, and give what it printed."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not run.stderr, run.stderr
    assert run.returncode == 0
    return run.stdout


# Nothing is replaced but the stream


@pytest.mark.parametrize("streamed", [False, True])
def test_a_metered_response_is_like_an_unmetered_one(
    wire: Wire, meter: Meter, streamed: bool
) -> None:
    bare, metered = wire.client(wire.answer([STREAM])), wire.client(wire.answer([STREAM]))
    meter.wrap(metered)
    expected, got = (wire.send(client, stream=streamed) for client in (bare, metered))
    for _ in range(2):  # unread, then read
        assert type(got) is type(expected)
        assert {n: type(v) for n, v in vars(got).items() if n != "stream"} == {
            n: type(v) for n, v in vars(expected).items() if n != "stream"
        }
        assert got.num_bytes_downloaded == expected.num_bytes_downloaded
        assert got.history == expected.history == []
        assert wire.read(got) == wire.read(expected) == STREAM
    assert got.elapsed.total_seconds() > 0
    for twin in (copy.copy, lambda response: pickle.loads(pickle.dumps(response))):
        again, wanted = twin(got), twin(expected)
        assert set(vars(again)) == set(vars(wanted))
        assert (again.content, again.headers, again.status_code) == (
            wanted.content,
            wanted.headers,
            wanted.status_code,
        )


def test_a_plain_answer_keeps_its_stream_and_a_streamed_one_gets_a_subclass(
    wire: Wire, meter: Meter
) -> None:
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    plain, streamed = wire.send(client), wire.send(client, stream=True)
    assert not type(plain.stream).__module__.startswith("tokenmeter")
    assert isinstance(streamed.stream, wire.stream_class)
    assert type(streamed.stream).__module__.startswith("tokenmeter")
    wire.close(streamed)


def test_a_stream_of_another_kind_is_left_alone_and_the_call_counts_as_unknown(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    class Duck:
        """Looks like a stream of neither library."""

        def __iter__(self) -> Iterator[bytes]:
            yield STREAM

        async def __aiter__(self) -> Any:
            yield STREAM

        def close(self) -> None: ...

        async def aclose(self) -> None: ...

    duck = Duck()

    def send(self: Any, request: Any, **_options: Any) -> Any:
        return wire.library.Response(200, stream=duck, request=request)

    async def async_send(self: Any, request: Any, **options: Any) -> Any:
        return send(self, request, **options)

    kind = type("Odd", (wire.client_class,), {"send": async_send if wire.is_async else send})
    assert wire.send(meter.wrap(kind())).stream is duck
    assert [counted(e) for e in events] == [(None, None, "unknown", "unknown", "completed")]


def test_the_chunks_pass_unchanged_and_one_by_one(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    sent: list[bytes] = []
    chunks = cut(STREAM, 7)

    def chunked() -> Iterator[bytes]:
        for chunk in chunks:
            sent.append(chunk)
            yield chunk

    body = wire.body(chunked())
    client = meter.wrap(wire.client(lambda _: wire.library.Response(200, stream=body)))
    response = wire.send(client, stream=True)
    assert sent == []
    raw = response.aiter_raw() if wire.is_async else response.iter_raw()
    for at, chunk in enumerate(chunks):
        got = wire.do(anext(raw) if wire.is_async else next(raw))
        assert (got, len(sent)) == (chunk, at + 1)
    wire.close(raw)
    wire.close(response)
    assert body.closed
    assert meter.flush()
    assert [counted(e) for e in events] == [COUNTED]


def test_the_error_of_a_stream_reaches_its_reader_as_the_same_object(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    broken = wire.library.ReadError("gone")

    def chunks() -> Iterator[bytes]:
        yield STREAM[:60]
        raise broken

    client = meter.wrap(
        wire.client(lambda _: wire.library.Response(200, stream=wire.body(chunks())))
    )
    response = wire.send(client, stream=True)
    with pytest.raises(wire.library.ReadError) as caught:
        wire.read(response)
    assert caught.value is broken
    assert [(e.status, e.error_type) for e in events] == [("failed", "ReadError")]


# Compressed bodies


def raw_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-15)


def gzipped(body: bytes) -> bytes:
    return zlib.compress(body, wbits=31)


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzipped),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "stacked": ("gzip, br", lambda body: brotli.compress(gzipped(body))),
    "upper case": ("Deflate,GZIP", lambda body: gzipped(zlib.compress(body))),
}


@pytest.mark.parametrize("size", [9, 10_000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_bodies_count_the_same_streamed_or_not(
    wire: Wire, meter: Meter, events: list[UsageEvent], encoding: str, size: int
) -> None:
    name, compress = ENCODINGS[encoding]
    chunks = cut(compress(STREAM), size)
    client = wire.client(wire.answer(chunks, headers={"content-encoding": name}))
    decoded = wire.read(wire.send(client))
    meter.wrap(client)
    for streamed in (False, True):
        assert wire.read(wire.send(client, stream=streamed)) == decoded
    assert counted(events[1]) == COUNTED
    if encoding != "zstd":  # httpx2 decodes that with a package of its own choice
        assert decoded == STREAM
        assert counted(events[0]) == COUNTED


def test_a_body_whose_encoding_nobody_can_undo_is_unknown(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(
        wire.client(wire.answer([b"\x99" * 9], headers={"content-encoding": "rot"}))
    )
    assert wire.read(wire.send(client, stream=True)) == b"\x99" * 9
    assert [counted(e) for e in events] == [(None, None, "unknown", "unknown", "completed")]


# The request is never read


@pytest.mark.parametrize("kind", ["multipart", "generator", "stream"])
def test_a_request_that_is_streamed_up_is_not_read_by_the_meter(
    wire: Wire, meter: Meter, events: list[UsageEvent], kind: str
) -> None:
    pulled: list[bytes] = []

    def parts() -> Iterator[bytes]:
        pulled.append(b'{"model"')
        yield b'{"model": "asked"}'

    async def async_parts() -> Any:
        for part in parts():
            yield part

    async def received_async(request: Any) -> Any:
        pulled.append(await request.aread())
        return wire.library.Response(200, json=chat())

    def received(request: Any) -> Any:
        pulled.append(request.read())
        return wire.library.Response(200, json=chat())

    made: dict[str, Any] = {
        "multipart": {"files": {"file": ("a.txt", b"hello")}, "data": {"model": "asked"}},
        "generator": {"content": async_parts() if wire.is_async else parts()},
        "stream": {"content": wire.body(parts())},
    }[kind]

    class Transport(
        wire.library.AsyncBaseTransport if wire.is_async else wire.library.BaseTransport
    ):
        if wire.is_async:

            async def handle_async_request(self, request: Any) -> Any:
                body = b"".join([part async for part in request.stream])
                pulled.append(body)
                return wire.library.Response(200, json=chat())
        else:

            def handle_request(self, request: Any) -> Any:
                pulled.append(b"".join(request.stream))
                return wire.library.Response(200, json=chat())

    client = meter.wrap(wire.client(transport=Transport()))
    request = client.build_request("POST", CHAT, **made)
    assert wire.send(client, request).json() == chat()
    assert pulled[-1].count(b"asked") == 1
    with pytest.raises(wire.library.RequestNotRead):
        _ = request.content
    assert [(e.request_model, *counted(e)) for e in events] == [("served", *COUNTED)]


def test_a_request_that_is_in_memory_says_what_was_asked(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer()))
    request = client.build_request(
        "POST", CHAT, json=ASKED, headers={"x-stainless-retry-count": "2"}
    )
    wire.send(client, request)
    assert [(e.request_model, e.response_model, e.attempt, e.stream) for e in events] == [
        ("asked", "served", 2, False)
    ]


# By keyword


def test_the_clients_own_request_and_stream_methods_are_metered(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    wire.do(client.post(CHAT, json=ASKED))
    wire.do(client.request("POST", url=CHAT, json=ASKED))
    wire.do(client.send(request=client.build_request("POST", CHAT, json=ASKED), stream=False))

    async def stream_async() -> None:
        async with client.stream("POST", CHAT, json=ASKED) as response:
            await response.aread()

    if wire.is_async:
        wire.do(stream_async())
    else:
        with client.stream("POST", CHAT, json=ASKED) as response:
            response.read()
    assert [counted(e) for e in events] == [COUNTED] * 4


# The client is held weakly


def test_a_wrapped_client_that_is_dropped_is_freed_and_closes_its_sockets_without_a_collector(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    gc.collect()
    gc.disable()
    try:
        client = openai.OpenAI(base_url=server.openai_url, api_key="k")
        meter.wrap(client).post("/chat/completions", body=ASKED, cast_to=object)
        http_client = client._client
        network = http_client._transport._pool.connections[0]
        alive = weakref.ref(http_client)
        assert not network.is_closed()
        del client, http_client
        assert alive() is None
        assert network.is_closed()
    finally:
        gc.enable()
    assert len(events) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_bound_send_outliving_its_client_says_so(library: Any, meter: Meter) -> None:
    client = meter.wrap(library.Client(transport=library.MockTransport(lambda _: None)))
    send, request = client.send, client.build_request("POST", CHAT, json=ASKED)
    del client
    with pytest.raises(ReferenceError, match="only its send method was kept"):
        send(request)


def test_a_client_shared_by_two_sdks_is_metered_once_for_both(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    with httpx2.Client() as shared:
        gpt = openai.OpenAI(base_url=server.openai_url, api_key="k", http_client=shared)
        claude = anthropic.Anthropic(base_url=server.url, api_key="k", http_client=shared)
        messages: list[Any] = ASKED["messages"]
        for wrapped in (gpt, claude, gpt, shared):
            assert meter.wrap(wrapped) is wrapped
            gpt.chat.completions.create(model="m", messages=messages)
            claude.messages.create(model="m", max_tokens=9, messages=messages)
    assert [e.provider for e in events] == ["openai_compatible", "anthropic_compatible"] * 4


def test_a_copy_shares_the_meter_unless_it_is_given_an_http_client_of_its_own(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    messages: list[Any] = ASKED["messages"]
    with (
        httpx2.Client() as other,
        openai.OpenAI(base_url=server.openai_url, api_key="k") as client,
    ):
        meter.wrap(client)
        client.with_options(timeout=9).chat.completions.create(model="m", messages=messages)
        assert len(events) == 1
        copied = client.with_options(http_client=other)
        copied.chat.completions.create(model="m", messages=messages)
        assert len(events) == 1
        meter.wrap(copied).chat.completions.create(model="m", messages=messages)
        assert len(events) == 2


# Undo


def test_unwrapping_leaves_no_trace(wire: Wire, meter: Meter, events: list[UsageEvent]) -> None:
    client = wire.client(wire.answer())
    before = dict(vars(client))
    assert meter.unwrap(meter.wrap(meter.wrap(client))) is client
    assert vars(client) == before
    wire.send(meter.unwrap(client))
    assert events == []
    wire.send(meter.wrap(client))
    assert len(events) == 1


def test_instrument_is_undone_without_a_trace_and_once(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    before = wire.client_class.__dict__["send"]
    early = wire.client(wire.answer())
    with meter.instrument() as undo:
        late = wire.client(wire.answer())
        wire.send(early)
        wire.send(late)
        assert len(events) == 2
    undo()
    assert wire.client_class.__dict__["send"] is before
    wire.send(early)
    assert len(events) == 2


def test_two_meters_on_one_client_can_be_undone_in_any_order(wire: Wire) -> None:
    for first_off in (0, 1):
        taken: list[list[UsageEvent]] = [[], []]
        meters = [Meter([events.append], estimates=False) for events in taken]
        client = wire.client(wire.answer())
        for meter in meters:
            meter.wrap(client)
        wire.send(client)
        assert [len(events) for events in taken] == [0, 1]  # the outermost has it
        meters[first_off].unwrap(client)
        wire.send(client)
        assert [len(events) for events in taken] == ([0, 2] if first_off == 0 else [1, 1])
        meters[1 - first_off].unwrap(client)
        wire.send(client)
        assert sum(len(events) for events in taken) == 2
        if first_off == 1:
            assert "send" not in vars(client)


@pytest.mark.parametrize("first_off", [0, 1])
def test_two_meters_on_the_classes_can_be_undone_in_any_order(wire: Wire, first_off: int) -> None:
    original = wire.client_class.__dict__["send"]
    taken: list[list[UsageEvent]] = [[], []]
    client = wire.client(wire.answer())
    try:
        undos = [Meter([events.append], estimates=False).instrument() for events in taken]
        wire.send(client)
        undos[first_off]()
        wire.send(client)
        undos[1 - first_off]()
        wire.send(client)
        assert sum(len(events) for events in taken) == 2
        if first_off == 1:
            assert wire.client_class.__dict__["send"] is original
    finally:
        for library in LIBRARIES:
            for kind in (library.Client, library.AsyncClient):
                while hasattr(kind.send, "__wrapped__"):
                    kind.send = kind.send.__wrapped__


@pytest.mark.parametrize("order", ["wrap first", "instrument first"])
@pytest.mark.parametrize("off", ["wrap off first", "instrument off first"])
def test_a_wrapped_client_in_an_instrumented_process_gives_one_event_until_both_are_undone(
    wire: Wire, meter: Meter, events: list[UsageEvent], order: str, off: str
) -> None:
    client = wire.client(wire.answer([STREAM]))
    if order == "wrap first":
        meter.wrap(client)
    undo = meter.instrument()
    meter.wrap(client)
    for streamed in (False, True):
        wire.read(wire.send(client, stream=streamed))
    assert len(events) == 2
    steps: list[Callable[[], object]] = [partial(meter.unwrap, client), undo]
    for left, step in enumerate(steps if off == "wrap off first" else reversed(steps)):
        step()
        wire.send(client)
        assert len(events) == 3, left
    assert "send" not in vars(client)
    assert not hasattr(wire.client_class.send, "__wrapped__")


def test_a_patch_over_ours_stays_when_ours_is_undone(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer()))
    ours, seen = client.send, []

    def theirs(request: Any, **options: Any) -> Any:
        seen.append(request.url.path)
        return ours(request, **options)

    client.send = theirs
    wire.send(client)
    meter.unwrap(client)
    wire.send(client)
    assert client.send is theirs
    assert (len(seen), len(events)) == (2, 1)
    wire.send(meter.wrap(client))
    assert (len(seen), len(events)) == (3, 2)
    meter.unwrap(client)
    assert client.send is theirs


def test_a_patch_of_the_class_over_ours_stays_when_ours_is_undone(
    wire: Wire, meter: Meter, events: list[UsageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, seen = wire.client(wire.answer()), []
    original = wire.client_class.send
    undo = meter.instrument()
    ours = wire.client_class.send

    def theirs(self: Any, request: Any, **options: Any) -> Any:
        seen.append(request.url.path)
        return ours(self, request, **options)

    try:
        wire.client_class.send = theirs
        wire.send(client)
        undo()
        wire.send(client)
        assert wire.client_class.send is theirs
        assert (len(seen), len(events)) == (2, 1)
    finally:
        wire.client_class.send = original


def test_a_method_that_was_set_on_the_client_before_is_restored(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client, seen = wire.client(wire.answer()), []
    original = client.send

    def theirs(request: Any, **options: Any) -> Any:
        seen.append(request)
        return original(request, **options)

    client.send = theirs
    wire.send(meter.wrap(client))
    assert (len(seen), len(events)) == (1, 1)
    meter.unwrap(client)
    assert client.send is theirs


def test_the_hook_looks_like_the_method_it_stands_for(wire: Wire, meter: Meter) -> None:
    import inspect

    client = meter.wrap(wire.client())
    plain = wire.client()
    assert client.send.__name__ == "send"
    assert client.send.__doc__ == plain.send.__doc__
    assert inspect.iscoroutinefunction(client.send) == wire.is_async
    wire.close(client)
    wire.close(plain)


# Nested seams


def test_instrumenting_twice_gives_one_event(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = wire.client(wire.answer([STREAM]))
    with meter.instrument(), meter.instrument():
        wire.read(wire.send(client, stream=True))
    assert [counted(e) for e in events] == [COUNTED]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_transport_that_uses_a_metered_client_inside_gives_one_event(
    wire: Wire, meter: Meter, events: list[UsageEvent], streamed: bool
) -> None:
    inner = wire.client(wire.answer([STREAM]))

    class Inside(wire.library.AsyncBaseTransport if wire.is_async else wire.library.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            answer = inner.send(inner.build_request("POST", CHAT, json=ASKED), stream=True)
            return wire.library.Response(200, stream=answer.stream)

        async def handle_async_request(self, request: Any) -> Any:
            made = inner.build_request("POST", CHAT, json=ASKED)
            answer = await inner.send(made, stream=True)
            return wire.library.Response(200, stream=answer.stream)

    client = wire.client(transport=Inside())
    with meter.instrument():
        assert wire.read(wire.send(client, stream=streamed)) == STREAM
        assert [counted(e) for e in events] == [COUNTED]
        wire.read(wire.send(inner, stream=streamed))
        assert len(events) == 2


def test_a_task_started_while_a_request_is_in_flight_is_not_deaf_afterwards(
    meter: Meter, events: list[UsageEvent]
) -> None:
    wire = Wire(httpx2, is_async=True)

    async def main() -> None:
        landed, later = asyncio.Event(), []

        async def background() -> None:
            await landed.wait()
            async with meter.wrap(wire.client(wire.answer())) as client:
                await client.post(CHAT, json=ASKED)

        def answer(_request: Any) -> Any:
            later.append(asyncio.create_task(background()))
            return httpx2.Response(200, json=chat())

        async with meter.wrap(wire.client(answer)) as client:
            await client.post(CHAT, json=ASKED)
        landed.set()
        await later[0]

    asyncio.run(main())
    assert len(events) == 2
    wire.finish()


# Nothing about exporting is metered


def test_while_an_exporter_runs_every_seam_passes_through(wire: Wire) -> None:
    events: list[UsageEvent] = []
    inside = Wire(wire.library, is_async=False)
    late = inside.client(inside.answer([STREAM]))

    def export(event: UsageEvent) -> None:
        events.append(event)
        inside.read(inside.send(late, stream=True))
        other.record(event)

    meter, other = Meter([export], estimates=False), Meter([events.append], estimates=False)
    meter.wrap(late)
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    with meter.instrument(), other.instrument():
        for streamed in (False, True):
            wire.read(wire.send(client, stream=streamed))
    assert [counted(e) for e in events] == [COUNTED] * 2
    assert meter.stats()["guard"] == {}


# Asynchronous streams


async def _stream(client: Any, url: str) -> bytes:
    request = client.build_request("POST", url, json=ASKED | {"stream": True})
    response = await client.send(request, stream=True)
    body = b"".join([chunk async for chunk in response.aiter_bytes()])
    await response.aclose()
    return body


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("loop", ["trio", "uvloop"])
def test_streams_are_metered_under_trio_and_uvloop(
    library: Any, loop: str, meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    async def main() -> bytes:
        async with meter.wrap(library.AsyncClient()) as client:
            await client.post(server.openai_url + "/chat/completions", json=ASKED)
            return await _stream(client, server.url + "/v1/chat/completions")

    body = trio.run(main) if loop == "trio" else uvloop.run(main())
    assert body.endswith(b"data: [DONE]\n\n")
    assert [(e.status, e.stream) for e in events] == [("completed", False), ("completed", True)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_cancelled_trio_scope_leaves_an_abandoned_call(
    library: Any, meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    gate = Gate(after=2)
    server.script(Answer(gate=gate, text="a b c d"))

    async def main() -> None:
        async with meter.wrap(library.AsyncClient()) as client:
            with trio.CancelScope() as scope:
                request = client.build_request(
                    "POST", server.openai_url + "/chat/completions", json=ASKED | {"stream": True}
                )
                response = await client.send(request, stream=True)
                seen = b""
                async for chunk in response.aiter_bytes():
                    seen += chunk
                    if seen.count(b"\n\n") == 2:
                        scope.cancel()
            with trio.CancelScope(shield=True):
                await response.aclose()

    trio.run(main)
    assert [(e.status, e.input_provenance) for e in events] == [("abandoned", "unknown")]


def test_an_async_generator_over_a_stream_can_be_closed_in_another_context_and_task(
    meter: Meter, events: list[UsageEvent]
) -> None:
    wire = Wire(httpx2, is_async=True)
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        client = meter.wrap(wire.client(wire.answer(cut(STREAM, 20))))

        async def words() -> Any:
            with tokenmeter.attribute(user="ada"):
                request = client.build_request("POST", CHAT, json=ASKED)
                response = await client.send(request, stream=True)
                try:
                    async for chunk in response.aiter_raw():
                        yield chunk
                finally:
                    await response.aclose()

        for how in ("in a task", "dropped"):
            opened = words()
            first = asyncio.create_task(anext(opened), context=contextvars.Context())
            assert await first == STREAM[:20]
            if how == "in a task":
                await asyncio.create_task(opened.aclose(), context=contextvars.Context())
            del opened
            gc.collect()
            await asyncio.sleep(0)
        await client.post(CHAT, json=ASKED)

    asyncio.run(main())
    meter.flush()
    assert failures == []
    assert sorted((e.status, e.user) for e in events) == [
        ("abandoned", "ada"),
        ("abandoned", "ada"),
        ("completed", None),
    ]
    wire.finish()


def test_the_claim_of_a_send_that_is_finalised_elsewhere_does_not_outlive_it(
    meter: Meter, events: list[UsageEvent]
) -> None:
    class Waiting:
        def __await__(self) -> Iterator[None]:
            yield

    async def answer(_request: Any) -> Any:
        await Waiting()

    client = meter.wrap(httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
    request = client.build_request("POST", CHAT, json=ASKED)
    sending = client.send(request)
    contextvars.copy_context().run(sending.send, None)
    sending.close()
    wire = Wire(httpx2, is_async=False)
    wire.send(meter.wrap(wire.client(wire.answer())))
    assert [e.status for e in events] == ["abandoned", "completed"]


# Finalisers


@pytest.fixture
def cheap_collections() -> Iterator[None]:
    """Have each collection look at the garbage of the test alone."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("cheap_collections")
def test_streams_dropped_inside_an_exporter_that_holds_its_lock_are_neither_lost_nor_deadlocked(
    wire: Wire,
) -> None:
    lock, events, dropped = threading.Lock(), [], []

    def export(event: UsageEvent) -> None:
        assert lock.acquire(timeout=20), "an exporter was entered from inside an exporter"
        try:
            events.append(event)
            while dropped:
                ring = [dropped.pop()]
                ring.append(ring)  # only the collector can free it
                del ring
            gc.collect()
        finally:
            lock.release()

    meter = Meter([export], estimates=False)
    client = meter.wrap(wire.client(wire.answer(cut(STREAM, 30))))
    for started in range(8):
        response = wire.send(client, stream=True)
        if started % 2 and not wire.is_async:
            chunks = response.iter_raw()
            next(chunks)
            dropped.append((response, chunks))
            del chunks
        else:
            dropped.append(response)
        del response
    worker = threading.Thread(target=meter.record, args=(made_elsewhere(),))
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    assert meter.flush(60)
    assert [e.status for e in events[1:]] == ["abandoned"] * 8
    assert meter.stats() == {
        "export": Account(captured=9, exported=9)._asdict(),
        "guard": {},
    }


def made_elsewhere() -> UsageEvent:
    return tokenmeter.UsageEvent(
        kind="outcome", event_id="x", schema=1, ts=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_a_stream_dropped_unread_becomes_abandoned(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    response = wire.send(client, stream=True)
    del response
    gc.collect()
    assert meter.flush()
    assert [(e.status, e.input_provenance, e.output_provenance) for e in events] == [
        ("abandoned", "unknown", "unknown")
    ]


def test_streams_still_open_at_exit_become_abandoned_before_exporters_close(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    out = python(
        """
        import os, httpx, tokenmeter
        from wires import CHAT, ASKED, Wire, chat_events, sse, cut
        wire = Wire(httpx, is_async=False)
        class Late:
            def __call__(self, event): print(event.status, event.output_provenance)
            def close(self): print("closed", flush=True)
        tokenmeter.configure(exporters=["jsonl:" + os.environ["LEDGER"], Late()])
        client = tokenmeter.wrap(wire.client(wire.answer(cut(sse(*chat_events()), 40))))
        unread = wire.send(client, stream=True)
        begun = wire.send(client, stream=True)
        chunks = begun.iter_raw()
        next(chunks)
        """,
        LEDGER=str(path),
    )
    assert out.splitlines() == ["abandoned partial", "abandoned partial", "closed"]
    assert path.read_bytes().count(b'"status":"abandoned"') == 2


# Fork


def test_a_forked_child_begins_anew_and_the_parent_alone_says_its_open_calls(
    tmp_path: Path,
) -> None:
    out = python(
        """
        import gc, os, threading, warnings, httpx, tokenmeter
        from tokenmeter import Meter
        from wires import CHAT, ASKED, Wire, chat_events, sse, cut
        wire = Wire(httpx, is_async=False)
        events = []
        meter = Meter([events.append], estimates=False)
        client = meter.wrap(wire.client(wire.answer(cut(sse(*chat_events()), 40))))
        wire.send(client)
        # one open stream, one whose end waits for the worker
        opened = wire.send(client, stream=True)
        begun, held = threading.Event(), threading.Event()
        meter.pending.put(lambda: (begun.set(), held.wait()))  # the worker has its hands full
        begun.wait()
        dropped = wire.send(client, stream=True)
        del dropped
        gc.collect()
        assert meter.pending.waiting == 2
        from_parent, to_parent = os.pipe()
        warnings.simplefilter("ignore")  # Python 3.12 and later warn of threads beside a fork
        child = os.fork()
        if child == 0:
            events.clear()
            assert meter.totals.rows() == {}
            assert meter.stats()["append"]["captured"] == 0
            assert meter.pending.waiting == 0
            assert len(meter.open_calls) == 0
            wire.read(opened)           # the parent's call
            del opened
            meter.flush()
            assert events == []
            wire.read(wire.send(client, stream=True))
            [event] = events
            assert event.pid == os.getpid() and event.input_tokens == 5
            os.write(to_parent, event.event_id.encode())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        held.set()
        childs = os.read(from_parent, 99).decode()
        wire.read(opened)
        meter.flush()
        wire.send(client)
        assert sorted(e.status for e in events) == ["abandoned"] + ["completed"] * 3
        assert {e.pid for e in events} == {os.getpid()}
        halves = {e.event_id[16:20] for e in events}
        assert len(halves) == 1 and childs not in {e.event_id for e in events}
        print("fine")
        """
    )
    assert out == "fine\n"


# Libraries imported later


def test_clients_of_a_library_imported_later_are_metered() -> None:
    out = python(
        """
        import sys, tokenmeter
        from tokenmeter import Meter
        events = []
        undo = Meter([events.append], estimates=False).instrument()
        assert "httpx" not in sys.modules and "httpx2" not in sys.modules
        from wires import Wire, LIBRARIES
        for library in LIBRARIES:
            for is_async in (False, True):
                wire = Wire(library, is_async=is_async)
                wire.send(wire.client(wire.answer()))
                wire.finish()
        print(len(events))
        undo()
        assert not hasattr(LIBRARIES[0].Client.send, "__wrapped__")
        """
    )
    assert out == "4\n"


def test_a_library_imported_after_the_undo_is_left_alone() -> None:
    python(
        """
        from tokenmeter import Meter
        Meter().instrument()()
        import httpx
        assert not hasattr(httpx.Client.send, "__wrapped__")
        """
    )


def test_a_meter_whose_instrumentation_was_undone_can_go() -> None:
    def dropped() -> weakref.ref[Meter]:
        meter = Meter()
        with meter.instrument():
            pass
        return weakref.ref(meter)

    gone = dropped()
    gc.collect()
    assert gone() is None  # and hears of no runs any more


# Answers that no model gave, and exchanges that belong together


@pytest.mark.parametrize("mark", ["from_cache", "hishel_from_cache"])
def test_an_answer_from_an_http_cache_costs_nothing(
    wire: Wire, meter: Meter, events: list[UsageEvent], mark: str
) -> None:
    answer = wire.answer([STREAM], extensions={mark: True})
    client = meter.wrap(wire.client(answer))
    for streamed in (False, True):
        wire.read(wire.send(client, stream=streamed))
    assert [(e.cached, *counted(e)) for e in events] == [
        (True, None, None, "none", "none", "completed")
    ] * 2


def test_redirects_and_auth_challenges_belong_to_one_event(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    paths: list[str] = []

    def answer(request: Any) -> Any:
        paths.append(request.url.path)
        if request.url.path == "/moved/chat/completions":
            return wire.library.Response(307, headers={"location": CHAT})
        if "authorization" not in request.headers:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm="MD5"'
            return wire.library.Response(401, headers={"www-authenticate": challenge})
        return wire.library.Response(200, json=chat())

    client = meter.wrap(
        wire.client(answer, auth=wire.library.DigestAuth("u", "p"), follow_redirects=True)
    )
    request = client.build_request(
        "POST", "https://api.openai.com/moved/chat/completions", json=ASKED
    )
    response = wire.send(client, request)
    assert (response.status_code, len(paths) >= 3) == (200, True)
    assert [(e.http_status, *counted(e)) for e in events] == [(200, *COUNTED)]


# The off switch


def test_everything_passes_through_while_the_meter_is_disabled(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer([STREAM])))

    def both() -> int:
        before = len(events)
        assert wire.read(wire.send(client)) == wire.read(wire.send(client, stream=True)) == STREAM
        meter.record(made_elsewhere())
        return len(events) - before

    assert both() == 3
    with tokenmeter.disabled():
        assert both() == 0
    assert both() == 3
    meter.disable()
    assert both() == 0
    meter.configure(exporters=[events.append])
    assert both() == 0, "what was switched off by hand stays off"
    meter.enable()
    assert both() == 3


def test_a_stream_opened_before_the_meter_was_disabled_is_still_said(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    response = wire.send(meter.wrap(wire.client(wire.answer([STREAM]))), stream=True)
    with tokenmeter.disabled():
        wire.read(response)
    assert [counted(e) for e in events] == [COUNTED]


@pytest.mark.parametrize(("value", "said"), [("1", 0), ("true", 0), ("", 1), ("0", 1)])
def test_the_environment_switches_a_meter_off(
    value: str, said: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_DISABLED", value)
    events: list[UsageEvent] = []
    wire = Wire(httpx, is_async=False)
    wire.send(Meter([events.append], estimates=False).wrap(wire.client(wire.answer())))
    assert len(events) == said


# A dialect that fails


class Failing(Dialect):
    """A wire format whose reading always fails."""

    name = "failing"
    marks = (b"x",)
    counts_output = True

    def __init__(self, *, where: str) -> None:
        self.where = where
        self.reads = 0

    def _work(self, step: str) -> None:
        self.reads += 1
        if step == self.where:
            raise RuntimeError("a bug of ours")

    @property
    def request(self) -> msgspec.json.Decoder[Asked]:
        self._work("asked")
        return msgspec.json.Decoder(Asked)

    @property
    def answer(self) -> msgspec.json.Decoder[Any]:
        self._work("parse")
        return msgspec.json.Decoder()

    def fold(self, body: object, data: bytes) -> object:
        self._work("fold")
        return object()

    def reading(self, body: object) -> Reading:
        self._work("reading")
        return Reading(recognised=True)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("where", ["asked", "reading"])
def test_a_dialect_that_fails_a_hundred_times_is_switched_off_and_says_so_once(
    wire: Wire,
    streamed: bool,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    failing = Failing(where=where)
    form = providers.Format("/fail", failing, "chat", "mine")
    monkeypatch.setattr(providers, "FORMATS", (form, *providers.FORMATS))
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    caplog.set_level(logging.WARNING, "tokenmeter")
    for _ in range(105):
        request = client.build_request("POST", "https://h/fail", json=ASKED)
        response = wire.send(client, request, stream=streamed)
        assert wire.read(response) == STREAM
    assert meter.guard.failures == {"failing": 100}
    assert len(events) == 100
    assert {e.http_status for e in events} == {200}
    assert [("switched off" in r.getMessage()) for r in caplog.records] == [False, True]
    assert all("a bug of ours" not in r.getMessage() for r in caplog.records)
    reads = failing.reads
    wire.send(client, client.build_request("POST", "https://h/fail", json=ASKED))
    assert failing.reads == reads
    wire.send(client)
    assert len(events) == 101, "the other dialects go on"


# What is not a model call


@pytest.mark.parametrize("streamed", [False, True])
def test_a_path_like_openais_on_an_unknown_host_with_an_unknown_body_is_no_event(
    wire: Wire, meter: Meter, events: list[UsageEvent], streamed: bool
) -> None:
    client = meter.wrap(wire.client(wire.answer({"hello": "world"})))
    for path in ("chat/completions", "responses", "v1/messages", "embeddings"):
        request = client.build_request("POST", f"https://shop.example/{path}", json={"n": 1})
        wire.read(wire.send(client, request, stream=streamed))
    assert events == []


def test_a_server_of_ones_own_counts_whatever_its_prefix(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer([STREAM])))
    request = client.build_request("POST", "http://localhost/a/b/chat/completions?x=1", json={})
    wire.read(wire.send(client, request, stream=True))
    assert [(e.provider, e.server_address, *counted(e)) for e in events] == [
        ("openai_compatible", "localhost", *COUNTED)
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/files"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ],
)
def test_what_asks_no_model_is_no_event(
    wire: Wire, meter: Meter, events: list[UsageEvent], method: str, path: str
) -> None:
    client = meter.wrap(wire.client(wire.answer()))
    wire.send(client, client.build_request(method, "https://api.openai.com" + path))
    assert events == []


def test_a_request_that_fails_before_it_was_sent_counts_nothing_and_raises_the_same_object(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    errors = [wire.library.ConnectError("no"), wire.library.ReadTimeout("late"), KeyError("mine")]
    given = iter(errors)

    def answer(_request: Any) -> Any:
        raise next(given)

    client = meter.wrap(wire.client(answer))
    for error in errors:
        with pytest.raises(type(error)) as caught:
            wire.send(client)
        assert caught.value is error
    assert [(e.status, e.error_type, e.input_provenance) for e in events] == [
        ("failed", "ConnectError", "none"),
        ("failed", "ReadTimeout", "unknown"),
        ("failed", "KeyError", "unknown"),
    ]


# Light


def test_importing_the_package_imports_no_third_party_package() -> None:
    heavy = (
        "wrapt asyncio opentelemetry tiktoken msgspec openai anthropic httpx httpx2 httpcore "
        "aiohttp requests urllib3 botocore trio anyio rich"
    )
    out = python(
        f"""
        import sys
        import tokenmeter
        print(sorted(set("{heavy}".split()) & set(sys.modules)))
        """
    )
    assert out == "[]\n"


def test_wrapping_and_calling_imports_no_vendor_and_no_event_loop() -> None:
    out = python(
        """
        import sys
        import tokenmeter
        client = type("Client", (), {})()
        try:
            tokenmeter.wrap(client)
        except tokenmeter.CannotWrapError:
            pass
        names = "wrapt asyncio opentelemetry tiktoken openai anthropic httpx httpx2 trio"
        print(sorted(set(names.split()) & set(sys.modules)))
        """
    )
    assert out == "[]\n"
