"""Exact streams at the seam: the caller gets what it would have got, and the event the usage."""

from __future__ import annotations

import gc
import json
import pickle
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tokenmeter import Meter, UsageEvent
from wires import ASKED, CHAT, LIBRARIES, Wire, chat_events, cut, sse

ASKING = ASKED | {"stream": True}
EVENTS = chat_events()
BARE = sse(*EVENTS[:-2], EVENTS[-1])  # without the chunk that comes when it was asked for
WHOLE = sse(*EVENTS)
COUNTED = (5, 3, "reported", "reported", "completed")
UNKNOWN = (None, None, "unknown", "unknown", "completed")


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
    meter = Meter([events.append], estimates=False, exact_streams=True)
    yield meter
    assert meter.stats()["guard"] == {}, "nothing failed behind the test's back"
    meter.shutdown()


def counted(event: UsageEvent) -> tuple[Any, ...]:
    return (
        event.input_tokens,
        event.output_tokens,
        event.input_provenance,
        event.output_provenance,
        event.status,
    )


class Server:
    """Sends the usage where it is asked for, and remembers what it was sent.

    Args:
        refusing: The status with which it refuses to be asked.
        broken: The status with which it refuses everything.
        size: The bytes of each chunk.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        refusing: int | None = None,
        broken: int | None = None,
        size: int = 10_000,
        **options: Any,
    ) -> None:
        self.wire, self.refusing, self.broken, self.size = wire, refusing, broken, size
        self.options = options
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.bodies: list[Any] = []

    def __call__(self, request: Any) -> Any:
        body = json.loads(request.content)
        self.requests.append((body, dict(request.headers)))
        assert request.headers["content-length"] == str(len(request.content))
        asked = (body.get("stream_options") or {}).get("include_usage", False)
        status = self.broken or (self.refusing if asked else None) or 200
        answer = WHOLE if asked else BARE
        sent = self.wire.body(cut(b'{"error":{}}' if status != 200 else answer, self.size))
        self.bodies.append(sent)
        return self.wire.library.Response(status, stream=sent, **self.options)

    @property
    def asked(self) -> list[bool]:
        """Which of the requests asked."""
        return ["stream_options" in body for body, _ in self.requests]


def built(client: Any, **more: Any) -> Any:
    return client.build_request("POST", CHAT, json=ASKING, **more)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_caller_gets_the_stream_without_the_chunk_and_the_event_the_usage(
    wire: Wire, meter: Meter, events: list[UsageEvent], size: int, streamed: bool
) -> None:
    server = Server(wire, size=size)
    client = meter.wrap(wire.client(server))
    response = wire.send(client, built(client), stream=streamed)
    assert wire.read(response) == response.content == BARE
    assert server.asked == [True]
    assert [counted(e) for e in events] == [COUNTED]
    assert pickle.loads(pickle.dumps(response)).content == BARE


@pytest.mark.parametrize("way", ["raw", "bytes", "lines", "text"])
def test_in_every_way_to_iterate(
    wire: Wire, meter: Meter, events: list[UsageEvent], way: str
) -> None:
    def read(client: Any) -> list[Any]:
        response = wire.send(client, built(client), stream=True)

        async def collected() -> list[Any]:
            return [part async for part in getattr(response, f"aiter_{way}")()]

        try:
            if wire.is_async:
                return wire.do(collected())
            return list(getattr(response, f"iter_{way}")())
        finally:
            wire.close(response)

    expected = read(wire.client(wire.answer([sse(event) for event in (*EVENTS[:3], EVENTS[4])])))
    client = meter.wrap(wire.client(wire.answer([sse(event) for event in EVENTS])))
    assert read(client) == expected
    assert [counted(e) for e in events] == [COUNTED]


def test_a_caller_that_asks_gets_what_it_asked_for(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    server = Server(wire)
    client = meter.wrap(wire.client(server))
    body = ASKING | {"stream_options": {"include_usage": True}}
    request = client.build_request("POST", CHAT, json=body)
    assert wire.read(wire.send(client, request, stream=True)) == WHOLE
    assert server.requests[0][1]["accept-encoding"] == request.headers["accept-encoding"]
    assert [counted(e) for e in events] == [COUNTED]


def test_without_the_switch_nothing_is_asked(wire: Wire, events: list[UsageEvent]) -> None:
    meter, server = Meter([events.append], estimates=False), Server(wire)
    client = meter.wrap(wire.client(server))
    for wanted, asked in ((None, False), (True, True), (None, True), (False, False)):
        meter.configure(exact_streams=wanted)
        assert wire.read(wire.send(client, built(client), stream=True)) == BARE
        assert server.asked[-1] is asked
    assert [counted(e) for e in events] == [UNKNOWN, COUNTED, COUNTED, UNKNOWN]


def test_under_instrument_too(wire: Wire, meter: Meter, events: list[UsageEvent]) -> None:
    client = wire.client(Server(wire))
    with meter.instrument():
        assert wire.read(wire.send(client, built(client), stream=True)) == BARE
        assert wire.read(wire.do(client.post(CHAT, json=ASKING))) == BARE
        meter.wrap(client)
        assert wire.read(wire.do(client.send(request=built(client)))) == BARE
    assert [counted(e) for e in events] == [COUNTED] * 3


# The request


def test_the_callers_request_is_what_it_was_and_the_response_has_it(
    wire: Wire, meter: Meter
) -> None:
    server = Server(wire)
    client = meter.wrap(wire.client(server))
    request = built(client, headers={"x-mine": "1"})
    content, headers, stream = request.content, request.headers.copy(), request.stream
    for _ in range(2):  # the same request again, as a loop that retries sends it
        response = wire.send(client, request, stream=True)
        assert response.request is request
        assert (request.content, request.headers, request.stream) == (content, headers, stream)
        assert wire.read(response) == BARE
    sent, sent_headers = server.requests[1]
    assert sent == ASKING | {"stream_options": {"include_usage": True}}
    assert sent_headers == dict(headers) | {
        "accept-encoding": "identity",
        "content-length": sent_headers["content-length"],
    }


def test_what_authentication_and_hooks_add_is_on_the_callers_request_as_ever(
    wire: Wire, meter: Meter
) -> None:
    signed: list[bytes] = []

    class Signing(wire.library.Auth):
        requires_request_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            signed.append(request.content)
            request.headers["x-signed"] = str(len(request.content))
            yield request

    def hook(request: Any) -> None:
        request.headers["x-hooked"] = "yes"

    async def async_hook(request: Any) -> None:
        hook(request)

    server = Server(wire)
    hooks = {"request": [async_hook if wire.is_async else hook]}
    client = meter.wrap(wire.client(server, auth=Signing(), event_hooks=hooks))
    request = built(client)
    before = dict(request.headers)
    response = wire.send(client, request, stream=True)
    assert wire.read(response) == BARE
    assert json.loads(signed[0]) == server.requests[0][0], "what is signed is what is sent"
    assert dict(response.request.headers) == before | {
        "x-signed": str(len(signed[0])),
        "x-hooked": "yes",
    }


def test_a_client_with_hooks_on_responses_is_not_asked_for_it(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    seen: list[bytes] = []

    def hook(response: Any) -> None:
        seen.append(response.read())

    async def async_hook(response: Any) -> None:
        seen.append(await response.aread())

    server = Server(wire)
    hooks = {"response": [async_hook if wire.is_async else hook]}
    client = meter.wrap(wire.client(server, event_hooks=hooks))
    assert wire.read(wire.send(client, built(client), stream=True)) == BARE
    assert (seen, server.asked) == ([BARE], [False])
    assert [counted(e) for e in events] == [UNKNOWN]


def test_a_body_that_was_read_below_the_seam_is_without_the_chunk(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    class Reading(wire.library.Auth):
        requires_response_body = True

    client = meter.wrap(wire.client(Server(wire), auth=Reading()))
    response = wire.send(client, built(client), stream=True)
    assert wire.read(response) == response.content == BARE
    assert [counted(e) for e in events] == [COUNTED]


def test_redirects_and_challenges_lead_back_to_the_callers_body(wire: Wire, meter: Meter) -> None:
    server = Server(wire)

    def answer(request: Any) -> Any:
        if request.url.path == "/moved/chat/completions":
            return wire.library.Response(307, headers={"location": CHAT})
        if "authorization" not in request.headers:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm="MD5"'
            return wire.library.Response(401, headers={"www-authenticate": challenge})
        request.read()
        return server(request)

    async def async_answer(request: Any) -> Any:
        await request.aread()
        return answer(request)

    def sent(client: Any) -> tuple[Any, Any]:
        moved = "https://api.openai.com/moved/chat/completions"
        request = client.build_request("POST", moved, json=ASKING)
        response = wire.send(client, request, stream=True)
        assert wire.read(response) == BARE
        return request, [answered.request for answered in (*response.history, response)]

    def client() -> Any:
        auth = wire.library.DigestAuth("u", "p")
        handler = async_answer if wire.is_async else answer
        return wire.client(handler, auth=auth, follow_redirects=True)

    def facts(request: Any) -> tuple[str, dict[str, str]]:
        shown = {n: v for n, v in request.headers.items() if n != "authorization"}
        return str(request.url), shown

    request, requests = sent(meter.wrap(client()))
    expected_request, expected = sent(client())
    assert server.asked == [True, False]
    assert [facts(r) for r in requests] == [facts(r) for r in expected]
    assert [r is request for r in requests] == [r is expected_request for r in expected]
    assert {r.stream for r in requests} == {request.stream}


def test_an_error_of_the_transport_names_the_callers_request(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    broken = wire.library.ConnectError("gone")

    def answer(_request: Any) -> Any:
        raise broken

    client = meter.wrap(wire.client(answer))
    request = built(client)
    with pytest.raises(wire.library.ConnectError) as caught:
        wire.send(client, request, stream=True)
    assert caught.value is broken
    assert broken.request is request
    assert [(e.status, e.error_type) for e in events] == [("failed", "ConnectError")]


# A server that refuses


@pytest.mark.parametrize("status", [400, 404, 406, 415, 422])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_that_refuses_to_be_asked_is_asked_once(
    wire: Wire, meter: Meter, events: list[UsageEvent], status: int, streamed: bool
) -> None:
    server = Server(wire, refusing=status)
    client = meter.wrap(wire.client(server))
    for _ in range(3):
        request = built(client)
        response = wire.send(client, request, stream=streamed)
        assert (response.status_code, response.request is request) == (200, True)
        assert wire.read(response) == BARE
    assert server.asked == [True, False, False, False]
    assert server.requests[1][0] == ASKING
    assert server.bodies[0].closed, "the refusal was closed"
    assert [(e.http_status, *counted(e)) for e in events] == [(200, *UNKNOWN)] * 3


def test_a_request_that_is_refused_for_another_reason_gives_that_refusal(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    server = Server(wire, broken=400)
    client = meter.wrap(wire.client(server))
    response = wire.send(client, built(client), stream=True)
    assert (response.status_code, wire.read(response)) == (400, b'{"error":{}}')
    assert server.asked == [True, False]
    server.broken = None
    assert wire.read(wire.send(client, built(client), stream=True)) == BARE
    assert server.asked == [True, False, True], "that was not about being asked"
    assert [(e.http_status, e.status) for e in events] == [(400, "failed"), (200, "completed")]


@pytest.mark.parametrize("status", [401, 402, 403, 408, 409, 413, 429, 500, 503])
def test_other_refusals_are_the_callers_at_once(
    wire: Wire, meter: Meter, events: list[UsageEvent], status: int
) -> None:
    server = Server(wire, broken=status)
    client = meter.wrap(wire.client(server))
    response = wire.send(client, built(client), stream=True)
    assert (response.status_code, wire.read(response)) == (status, b'{"error":{}}')
    assert server.asked == [True]
    assert [(e.http_status, e.status, e.input_provenance) for e in events] == [
        (status, "failed", "none")
    ]


# A compressed answer


def test_an_answer_that_is_compressed_in_spite_of_all_is_not_changed_and_not_asked_for_again(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    asked: list[bool] = []

    def answer(request: Any) -> Any:
        asks = b"include_usage" in request.content
        asked.append(asks)
        body = zlib.compress(WHOLE if asks else BARE, wbits=31)
        headers = {"content-encoding": "gzip"}
        return wire.library.Response(200, stream=wire.body(cut(body, 9)), headers=headers)

    client = meter.wrap(wire.client(answer))
    bodies = [wire.read(wire.send(client, built(client), stream=True)) for _ in range(3)]
    assert bodies == [WHOLE, BARE, BARE]
    assert asked == [True, False, False]
    assert [counted(e) for e in events] == [COUNTED, UNKNOWN, UNKNOWN]


# Servers that report otherwise


def test_usage_in_a_chunk_with_content_is_passed_on(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    last = {
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }
    body = sse(*EVENTS[:2], last, "[DONE]")
    client = meter.wrap(wire.client(wire.answer(cut(body, 5))))
    assert wire.read(wire.send(client, built(client), stream=True)) == body
    assert [counted(e) for e in events] == [COUNTED]


def test_a_plain_answer_to_a_stream_is_passed_on(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer()))
    response = wire.send(client, built(client), stream=True)
    assert wire.read(response) == wire.read(wire.send(wire.client(wire.answer())))
    assert [counted(e) for e in events] == [COUNTED]


def test_a_host_that_ignores_what_it_is_asked_stays_unknown(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(wire.answer([BARE])))
    assert wire.read(wire.send(client, built(client), stream=True)) == BARE
    assert [counted(e) for e in events] == [UNKNOWN]


# How a stream is left


def test_a_stream_that_is_left_early_is_closed_and_abandoned(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    server = Server(wire, size=20)
    client = meter.wrap(wire.client(server))
    response = wire.send(client, built(client), stream=True)
    wire.some(response, 2)
    assert server.bodies[0].closed
    assert meter.flush()
    assert [(e.status, e.output_provenance) for e in events] == [("abandoned", "unknown")]
    assert response.elapsed.total_seconds() > 0


def test_a_stream_that_is_dropped_unread_is_abandoned(
    wire: Wire, meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(wire.client(Server(wire)))
    response = wire.send(client, built(client), stream=True)
    del response
    gc.collect()
    assert meter.flush()
    assert [e.status for e in events] == ["abandoned"]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_error_of_a_stream_reaches_its_reader_as_the_same_object(
    wire: Wire, meter: Meter, events: list[UsageEvent], streamed: bool
) -> None:
    broken = wire.library.ReadError("gone")

    def chunks() -> Iterator[bytes]:
        yield WHOLE[:60]
        raise broken

    body = wire.body(chunks())
    client = meter.wrap(wire.client(lambda _: wire.library.Response(200, stream=body)))
    request = built(client)
    with pytest.raises(wire.library.ReadError) as caught:
        wire.read(wire.send(client, request, stream=streamed))
    assert caught.value is broken
    assert broken.request is request
    assert body.closed or streamed  # httpx leaves that to whoever reads
    assert [(e.status, e.error_type) for e in events] == [("failed", "ReadError")]


def test_the_chunks_pass_one_by_one(wire: Wire, meter: Meter) -> None:
    sent: list[bytes] = []
    chunks = [sse(event) for event in EVENTS]

    def chunked() -> Iterator[bytes]:
        for chunk in chunks:
            sent.append(chunk)
            yield chunk

    body = wire.body(chunked())
    client = meter.wrap(wire.client(lambda _: wire.library.Response(200, stream=body)))
    response = wire.send(client, built(client), stream=True)
    assert sent == []
    raw = response.aiter_raw() if wire.is_async else response.iter_raw()
    for count, chunk in ((1, chunks[0]), (2, chunks[1]), (3, chunks[2]), (5, chunks[4])):
        got = wire.do(anext(raw) if wire.is_async else next(raw))
        assert (got, len(sent)) == (chunk, count)
    wire.close(raw)
    wire.close(response)


def test_a_failure_of_ours_never_harms_the_call(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False, exact_streams=True)
    server = Server(wire)
    client = meter.wrap(wire.client(server))

    def fails(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("tokenmeter.dialects.openai_asking.asking", fails)
    assert wire.read(wire.send(client, built(client), stream=True)) == BARE
    monkeypatch.undo()
    monkeypatch.setattr("tokenmeter.dialects.openai_asking.is_extra", fails)
    assert wire.read(wire.send(client, built(client), stream=True)) == WHOLE
    assert server.asked == [False, True]
    assert [counted(e) for e in events] == [UNKNOWN, COUNTED]
    assert meter.stats()["guard"] == {"the httpx seam": 1, "openai_chat": 1}
    meter.shutdown()


def test_a_refusal_that_cannot_be_closed_fails_no_call(wire: Wire, meter: Meter) -> None:
    broken = wire.library.CloseError("gone")

    class Stuck(wire.stream_class):
        def __iter__(self) -> Iterator[bytes]:
            yield b"{}"

        async def __aiter__(self) -> Any:
            yield b"{}"

        def close(self) -> None:
            raise broken

        async def aclose(self) -> None:
            raise broken

    def answer(request: Any) -> Any:
        if b"include_usage" in request.content:
            return wire.library.Response(400, stream=Stuck())
        return wire.library.Response(200, stream=wire.body([BARE]))

    client = meter.wrap(wire.client(answer))
    assert wire.read(wire.send(client, built(client), stream=True)) == BARE


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_no_response_is_given_as_it_is(wire: Wire, streamed: bool) -> None:
    """Something between the meter and the library may return what it likes."""
    odd = object()

    def send(self: Any, request: Any, **_options: Any) -> Any:
        return odd

    async def async_send(self: Any, request: Any, **options: Any) -> Any:
        return odd

    kind = type("Odd", (wire.client_class,), {"send": async_send if wire.is_async else send})
    meter = Meter(exact_streams=True)
    client = meter.wrap(kind())
    assert wire.send(client, built(client), stream=streamed) is odd
    meter.shutdown()
