"""The meter: refused at once or never, accounts that add up, calls that always go through."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest

import tokenmeter
from tokenmeter import CannotWrapError, ConfigurationError, Meter, UsageEvent
from tokenmeter.meter import Undo
from tokenmeter.sinks import Account
from tokenmeter.testing import Answer, ModelServer
from wires import ASKED, CHAT, Wire, chat, chat_events, cut, sse

MESSAGES: list[Any] = ASKED["messages"]
STREAM = sse(*chat_events())


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def wire() -> Wire:
    return Wire(httpx2, is_async=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def made(**more: Any) -> UsageEvent:
    ts = datetime(2026, 11, 22, tzinfo=UTC)
    return UsageEvent(kind="call", event_id="x", schema=1, ts=ts, **more)


class Ended:
    """An exporter that says what is done with it."""

    def __init__(self, *, failing: bool = False) -> None:
        self.did: list[object] = []
        self.failing = failing

    def _do(self, what: object) -> None:
        self.did.append(what)
        if self.failing:
            raise OSError("no")

    def __call__(self, event: UsageEvent) -> None:
        self._do(event.event_id)

    def flush(self) -> None:
        self._do("flush")

    def close(self) -> None:
        self._do("close")


# The whole event


def test_a_call_becomes_one_whole_event(events: list[UsageEvent], wire: Wire) -> None:
    clock, stopwatch = itertools.count(1_800_000_000_123_456_000, 0), itertools.count(0, 0.25)
    meter = Meter([events.append], now_ns=lambda: next(clock), timer_s=lambda: next(stopwatch))
    client = meter.wrap(wire.client(wire.answer(chat(service_tier="flex"))))
    with tokenmeter.attribute(user="ada", team="core", task="T-1", agent="planner", tier="gold"):
        wire.send(client)
    event, run = events
    assert event == UsageEvent(
        kind="call",
        event_id=event.event_id,
        schema=1,
        ts=datetime.fromtimestamp(1_800_000_000, UTC).replace(microsecond=123_456),
        provider="openai",
        operation="chat",
        request_model="asked",
        stream=False,
        server_address="api.openai.com",
        source="wire",
        response_model="served",
        response_id="c1",
        finish_reasons=("stop",),
        service_tier="flex",
        status="completed",
        http_status=200,
        duration_s=0.25,
        input_tokens=5,
        output_tokens=3,
        input_provenance="reported",
        output_provenance="reported",
        user="ada",
        user_origin="explicit",
        team="core",
        task="T-1",
        agent="planner",
        run_id=run.event_id,
        depth=0,
        tags={"tier": "gold"},
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    tokenmeter.check_invariants(event)
    meter.shutdown()


def test_a_call_belongs_to_whoever_made_it_not_to_whoever_reads_it(
    events: list[UsageEvent], wire: Wire
) -> None:
    meter = Meter([events.append])
    client = meter.wrap(wire.client(wire.answer(cut(STREAM, 50))))
    with tokenmeter.attribute(user="ada"), meter.tally() as spent:
        response = wire.send(client, stream=True)
    assert spent.calls == 0

    def read() -> None:
        with tokenmeter.attribute(user="bob"):
            wire.read(response)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert [event.user for event in events] == ["ada"]
    assert spent.calls == 1
    meter.shutdown()


def test_an_error_status_is_an_event_with_nothing_to_count(
    events: list[UsageEvent], wire: Wire
) -> None:
    meter = Meter([events.append])
    body = {"error": {"code": "rate_limit_exceeded", "message": "secret"}}
    client = meter.wrap(wire.client(lambda _: httpx2.Response(429, json=body)))
    assert wire.send(client).status_code == 429
    [event] = events
    assert (event.status, event.http_status, event.error_type) == (
        "failed",
        429,
        "rate_limit_exceeded",
    )
    assert (event.input_provenance, event.output_provenance) == ("none", "none")
    assert "secret" not in repr(event)


def test_a_background_response_is_one_event_with_the_same_id_in_every_process(
    server: ModelServer,
) -> None:
    taken: list[list[UsageEvent]] = [[], []]
    clients = []
    for events in taken:
        meter = Meter([events.append], estimates=False, providers={"127.0.0.1": "openai"})
        clients.append(meter.wrap(openai.OpenAI(base_url=server.openai_url, api_key="k")))
    with tokenmeter.attribute(user="ada"):
        queued = clients[0].responses.create(model="m", input="one two", background=True)
    assert taken == [[], []]
    with tokenmeter.attribute(user="bob"):
        for _ in range(4):
            for client in clients:
                client.responses.retrieve(queued.id)
    [creators], [fetchers] = taken
    assert (creators.user, fetchers.user) == ("ada", "bob")
    assert creators.event_id == fetchers.event_id
    assert creators.input_tokens == server.account[-1].input_tokens
    for client in clients:
        client.close()


# Configuration


def test_configuring_replaces_exporters_and_ends_the_old_ones() -> None:
    old, new = Ended(), Ended()
    meter = Meter([old])
    assert meter.configure(exporters=[new]) is meter
    meter.record(made())
    assert (old.did, new.did) == (["flush", "close"], ["x"])
    meter.configure(providers={"llm.corp": "openai"})
    meter.record(made())
    assert new.did == ["x", "x"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"exporters": ["memory", "nothing"]}, "there is no exporter 'nothing'"),
        ({"exporters": "memory"}, "exporters is a list, such as"),
        ({"exporters": ["jsonl:/no/such/folder/u.jsonl"]}, "cannot write events to"),
        ({"exporters": [None]}, "an exporter is a name such as"),
        ({"exporters": ["memory"], "providers": {"": "x"}}, "providers maps a host"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_changes(wrong: Any, said: str) -> None:
    kept = Ended()
    meter = Meter([kept])
    with pytest.raises(ConfigurationError, match=said):
        meter.configure(**wrong)
    meter.record(made())
    assert kept.did == ["x"]
    with pytest.raises(ConfigurationError, match=said):
        Meter(wrong["exporters"], providers=wrong.get("providers"))


def test_only_events_can_be_recorded() -> None:
    with pytest.raises(ConfigurationError, match=r"record\(\) takes a UsageEvent; got \{\}"):
        Meter().record({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "an object of type builtins.NoneType"),
        ("https://api.openai.com", "an object of type builtins.str"),
        (openai.OpenAI, "the class OpenAI: make a client of it first"),
        (httpx.Client, "the class Client: make a client of it first"),
        (openai, "an object of type builtins.module"),
        (httpx, "an object of type builtins.module"),
        (object(), "an object of type builtins.object"),
        (print, "an object of type builtins.builtin_function_or_method"),
    ],
    ids=["None", "str", "SDK class", "client class", "module", "library", "object", "function"],
)
def test_what_is_no_client_is_refused_and_told_what_would_work(given: Any, named: str) -> None:
    for method in (Meter().wrap, Meter().unwrap, tokenmeter.wrap, tokenmeter.unwrap):
        with pytest.raises(CannotWrapError) as caught:
            method(given)
        assert isinstance(caught.value, TypeError)
        assert named in str(caught.value)
        assert "tokenmeter.instrument()" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        openai.OpenAI,
        openai.AsyncOpenAI,
        anthropic.Anthropic,
        anthropic.AsyncAnthropic,
    ],
)
def test_the_clients_of_the_sdks_come_back_as_they_are(make: Callable[..., Any]) -> None:
    meter, client = Meter(), make(api_key="k")
    assert meter.wrap(client) is client
    assert type(client) is make
    assert meter.unwrap(client) is client


# Exporters and their accounts


def test_an_exporter_that_fails_harms_neither_the_call_nor_the_other_exporters(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = Ended(failing=True), Ended()
    meter = Meter([bad, good])
    client = meter.wrap(wire.client(wire.answer()))
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        for _ in range(3):
            assert wire.send(client).json() == chat()
        assert meter.flush() is False
        assert meter.shutdown() is False
    assert len(bad.did) == len(good.did) == 6
    assert good.did[3:] == ["flush", "flush", "close"]
    assert len(caplog.records) == 1
    assert meter.guard.failures == {"the exporter Ended": 6}


def test_an_odd_event_that_cannot_be_added_up_still_reaches_the_exporters() -> None:
    kept: list[UsageEvent] = []
    meter = Meter([kept.append])
    odd = made(input_tokens="three")
    for _ in range(300):  # more than totals are added up at once
        meter.record(odd)
    assert len(kept) == 300
    assert meter.stats()["guard"] == {"the totals": 300 - 255}  # a fold begins at the 256th


def test_what_was_attached_to_a_meter_ends_with_it() -> None:
    kept: list[UsageEvent] = []
    meter = Meter()
    meter.attach(kept.append)
    meter.shutdown()
    meter.configure(exporters=[])
    meter.record(made())
    assert kept == []


def accounted(**counts: int) -> dict[str, int]:
    return Account(**counts)._asdict()


def test_the_accounts_add_up_whatever_fails_in_many_threads() -> None:
    numbers = itertools.count()

    def flaky(event: UsageEvent) -> None:
        if next(numbers) % 3 == 0:
            raise ValueError

    kept: list[UsageEvent] = []
    meter = Meter([flaky, kept.append])

    def work() -> None:
        for _ in range(500):
            meter.record(made(input_tokens=1))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = meter.stats()
    assert stats["flaky"] == accounted(captured=3000, exported=2000, failed=1000)
    assert stats["append"] == accounted(captured=3000, exported=3000)
    assert meter.totals.rows()[None, None, None].input_tokens == 3000
    assert len(kept) == 3000


def test_without_exporters_events_only_update_the_totals(tmp_path: Path, wire: Wire) -> None:
    with contextlib.chdir(tmp_path):
        meter = Meter()
        with tokenmeter.attribute(user="ada", task="T"):
            wire.send(meter.wrap(wire.client(wire.answer())))
    assert str(meter.totals.rows()["ada", "T", "served"]) == "1 call, 5 input + 3 output tokens"
    assert list(tmp_path.iterdir()) == []


# Tallies


def test_a_tally_is_live_and_holds_what_was_called_inside(wire: Wire) -> None:
    meter = Meter()
    client = meter.wrap(wire.client(wire.answer()))
    wire.send(client)
    with meter.tally() as outer:
        wire.send(client)
        assert outer.calls == 1
        with meter.tally() as inner:
            wire.send(client)
        wire.send(client)
    wire.send(client)
    assert (outer.calls, outer.input_tokens, inner.calls) == (3, 15, 1)


def test_leaving_a_tally_waits_for_streams_that_were_dropped_inside(wire: Wire) -> None:
    meter = Meter()
    client = meter.wrap(wire.client(wire.answer(cut(STREAM, 30))))
    with meter.tally() as spent:
        for _ in range(5):
            wire.send(client, stream=True)
    assert (spent.calls, spent.abandoned) == (5, 5)
    meter.shutdown()


# The end


def test_shutting_down_ends_open_streams_before_exporters_close_and_passes_through_after(
    wire: Wire,
) -> None:
    exporter = Ended()
    meter = Meter([exporter])
    client = meter.wrap(wire.client(wire.answer(cut(STREAM, 30))))
    response = wire.send(client, stream=True)
    assert meter.shutdown() is True
    [event_id, *ends] = exporter.did
    assert ends == ["flush", "close"]
    assert event_id not in ends
    assert wire.read(response) == STREAM
    wire.send(client)
    assert meter.shutdown() is True
    assert exporter.did == [event_id, "flush", "close"]


def test_flushing_says_when_time_ran_out() -> None:
    meter, held = Meter(), threading.Event()
    begun = threading.Event()

    def hold() -> None:
        begun.set()
        held.wait()

    meter.pending.put(hold)
    meter.pending.start()
    assert begun.wait(20)
    assert meter.flush(0.01) is False
    held.set()
    assert meter.flush(20) is True


def test_taking_back_twice_is_once() -> None:
    did: list[int] = []
    with Undo(lambda: did.append(1)) as undo:
        undo()
    undo()
    assert did == [1]


def test_the_functions_of_the_package_use_one_default_meter(wire: Wire) -> None:
    events: list[UsageEvent] = []
    meter = tokenmeter.configure(exporters=[events.append])
    try:
        client = tokenmeter.wrap(wire.client(wire.answer()))
        with tokenmeter.tally() as spent, tokenmeter.instrument():
            wire.send(client)
            tokenmeter.record(made(input_tokens=1))
        assert (spent.calls, len(events)) == (2, 2)
        assert tokenmeter.flush() is True
        assert tokenmeter.configure() is meter
        tokenmeter.unwrap(client)
        wire.send(client)
        assert len(events) == 2
    finally:
        meter.configure(exporters=[])


# A response that is no response


def test_a_response_of_another_kind_is_passed_on_and_counts_as_unknown(wire: Wire) -> None:
    events: list[UsageEvent] = []
    meter, answer = Meter([events.append]), object()

    class Odd(httpx2.Client):
        def send(self, request: Any, **_options: Any) -> Any:
            return answer

    client = meter.wrap(Odd())
    assert wire.send(client) is answer
    assert [(e.status, e.input_provenance) for e in events] == [("completed", "unknown")]
    client.close()


# Bad input: the user's call always goes through

GOOD = json.dumps(chat(object="chat.completion", created=1)).encode()
BODIES: dict[str, bytes] = {
    "good": GOOD,
    "not JSON": b"upstream connect error",
    "empty": b"",
    "truncated": GOOD[:-30],
    "a list": b"[1]",
    "null": b"null",
    "usage of wrong types": GOOD.replace(b'"prompt_tokens": 5', b'"prompt_tokens": {"a": []}'),
    "usage is text": json.dumps(chat(usage="many")).encode(),
    "negative": GOOD.replace(b'"prompt_tokens": 5', b'"prompt_tokens": -5'),
    "huge number": GOOD.replace(b'"prompt_tokens": 5', b'"prompt_tokens": 1' + b"0" * 400),
    "fraction": GOOD.replace(b'"prompt_tokens": 5', b'"prompt_tokens": 5.5'),
    "invalid UTF-8": GOOD.replace(b'"hi"', b'"h\xff\xfei"'),
    "lone surrogate": GOOD.replace(b'"hi"', b'"\\ud800"'),
    "lone surrogate in the model": GOOD.replace(b"served", b"\\udfff"),
    "BOM": b"\xef\xbb\xbf" + GOOD,
    "deep": b'{"usage":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "NaN": GOOD.replace(b'"prompt_tokens": 5', b'"prompt_tokens": NaN'),
}


def outcome(call: Callable[[], Any]) -> tuple[object, ...]:
    """Say what a call gave or raised, so that two of them can be compared."""
    try:
        found = call()
    except Exception as error:
        return type(error), str(error)
    return type(found), found if isinstance(found, str) else repr(found)


@pytest.mark.parametrize("raw", [False, True], ids=["parsed", "raw"])
@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_reaches_the_sdk_as_it_would_without_the_meter(
    name: str, raw: bool, server: ModelServer, events: list[UsageEvent]
) -> None:
    meter = Meter([events.append], estimates=False, providers={"127.0.0.1": "openai"})

    def client() -> openai.OpenAI:
        return openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0)

    def call(sdk: openai.OpenAI) -> Any:
        server.script(Answer(body=BODIES[name]))
        if raw:
            return sdk.chat.completions.with_raw_response.create(model="m", messages=MESSAGES).text
        return sdk.chat.completions.create(model="m", messages=MESSAGES)

    with client() as bare, client() as metered:
        meter.wrap(metered)
        assert outcome(lambda: call(metered)) == outcome(lambda: call(bare))
    [event] = events
    tokenmeter.check_invariants(event)
    assert (event.status, event.http_status) == ("completed", 200)
    odd_text = {"invalid UTF-8", "lone surrogate", "lone surrogate in the model"}
    odd_input = {"fraction", "negative", "usage of wrong types", "huge number"}
    counted = {**dict.fromkeys({"good", *odd_text}, (5, 3)), **dict.fromkeys(odd_input, (None, 3))}
    assert (event.input_tokens, event.output_tokens) == counted.get(name, (None, None))
    assert meter.guard.failures == {}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_event_in_a_stream_reaches_the_sdk_as_it_would_without_the_meter(
    name: str, server: ModelServer, events: list[UsageEvent]
) -> None:
    meter = Meter([events.append], estimates=False)
    body = b"data: " + BODIES[name].replace(b"\n", b" ") + b"\n\n" + STREAM
    answer = Answer(body=body, headers={"content-type": "text/event-stream"}, chunk_size=11)

    def client() -> openai.OpenAI:
        return openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0)

    def call(sdk: openai.OpenAI) -> str:
        server.script(answer)
        chunks = sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        return "\n".join(map(repr, chunks))

    with client() as bare, client() as metered:
        meter.wrap(metered)
        assert outcome(lambda: call(metered)) == outcome(lambda: call(bare))
    gc.collect()  # openai 1 leaves the stream open, and its streams hold themselves
    meter.flush()
    [event] = events
    assert event.input_provenance in ("reported", "partial", "unknown")
    assert set(meter.guard.failures) <= {"unreadable parts of streams"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_of_fifty_megabytes_goes_through(
    streamed: bool, server: ModelServer, events: list[UsageEvent]
) -> None:
    meter = Meter([events.append])
    server.script(Answer(text="hi", padding=50_000_000))
    with openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0) as client:
        meter.wrap(client)
        answer: Any = client.chat.completions.create(
            model="m", messages=MESSAGES, stream=streamed,
            stream_options={"include_usage": True} if streamed else openai.omit,
        )  # fmt: skip
        usage = [chunk.usage for chunk in answer][-1] if streamed else answer.usage
    meter.flush()
    [event] = events
    assert (event.status, event.output_tokens) == ("completed", usage.completion_tokens)


@pytest.mark.parametrize("asked", [b"", b"{", b"\xff\xfe", b'{"model": {}}', b"[[[[", b'"\\ud800"'])
def test_a_bad_request_is_sent_as_it_is(asked: bytes, events: list[UsageEvent], wire: Wire) -> None:
    sent: list[bytes] = []

    def answer(request: Any) -> Any:
        sent.append(request.content)
        return httpx2.Response(200, json=chat())

    meter = Meter([events.append])
    client = meter.wrap(wire.client(answer))
    wire.send(client, client.build_request("POST", CHAT, content=asked))
    assert sent == [asked]
    assert [(e.request_model, e.input_tokens) for e in events] == [("served", 5)]
    assert meter.guard.failures == {}
