"""What no vendor reported is estimated in the worker, and the event says so."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import anthropic
import httpx2
import msgspec
import openai
import pytest
import requests
import urllib3

from tokenmeter import Meter, UsageEvent, check_invariants
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.estimating import A_STREAM, Bytes, Kept, Room, filled, wanted
from tokenmeter.guard import Guard
from tokenmeter.pending import LIMIT
from tokenmeter.testing import Answer, Gate, ModelServer
from tokenmeter.tokens.tokenizers import Tokenizers
from wires import Wire, chat

WORDS = {"*": lambda text, model: len(text.split())}
"""A tokenizer whose counts a reader can check."""

ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": "How are you today?"}],
    "max_tokens": 50,
}
READ = 4 + 4 + 3
"""Four words, four tokens around a message and three before the answer."""

SAID = "I am quite well, thank you"


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    meter = Meter([events.append], tokenizers=WORDS)
    yield meter
    assert meter.flush(60)
    assert meter.room.left == Room().left
    for event in events:
        check_invariants(event)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def client(server: ModelServer, meter: Meter) -> Iterator[openai.OpenAI]:
    with bare(server.openai_url) as client:
        yield meter.wrap(client)


def bare(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(**{"base_url": url, "api_key": "none", "max_retries": 0} | options)


def told(event: UsageEvent) -> tuple[Any, ...]:
    return (
        (event.input_tokens, event.input_provenance),
        (event.output_tokens, event.output_provenance, event.output_tokens_max),
        event.status,
    )


def only(meter: Meter, events: list[UsageEvent]) -> UsageEvent:
    assert meter.flush(60)
    (event,) = events
    return event


# Completed answers


def test_a_stream_without_usage_is_estimated_on_both_sides(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    server.script(Answer(text=SAID))
    for _chunk in client.chat.completions.create(**ASK, stream=True):
        pass
    event = only(meter, events)
    assert told(event) == ((READ, "estimated"), (6, "estimated", None), "completed")
    assert event.estimator == "tokenizer"
    assert event.input_tokens_error is not None
    assert event.output_tokens_error is not None


def test_a_plain_answer_without_usage_is_estimated(meter: Meter, events: list[UsageEvent]) -> None:
    silent = {name: value for name, value in chat().items() if name != "usage"}
    wire = Wire(httpx2, is_async=False)
    wire.send(meter.wrap(wire.client(wire.answer(silent))))
    event = only(meter, events)
    assert (event.input_provenance, event.output_provenance) == ("estimated", "estimated")


def test_a_call_that_was_reported_on_is_not_touched(
    meter: Meter, events: list[UsageEvent], client: openai.OpenAI
) -> None:
    client.chat.completions.create(**ASK)
    assert len(events) == 1  # in line, not by a worker
    assert (events[0].input_provenance, events[0].estimator) == ("reported", None)


def test_leaving_a_tally_waits_for_the_estimates(meter: Meter, client: openai.OpenAI) -> None:
    with meter.tally(60) as spent:
        for _chunk in client.chat.completions.create(**ASK, stream=True):
            pass
    assert (spent.calls, spent.estimated, spent.unknown, spent.input_tokens) == (1, 1, 0, READ)


def test_the_event_keeps_its_time_and_its_account(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    from tokenmeter import attribute

    with attribute(user="ada"):
        stream = client.chat.completions.create(**ASK, stream=True)
    for _chunk in stream:
        pass
    client.chat.completions.create(**ASK)
    assert meter.flush(60)
    first, second = sorted(events, key=lambda event: event.event_id)
    assert (first.user, second.user) == ("ada", None)
    assert first.ts < second.ts


# Answers that were left


def test_a_stream_that_is_left_gives_a_lower_bound_and_the_most_that_was_allowed(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    server.script(Answer(text=SAID, gate=Gate(after=5)))
    with client.chat.completions.create(**ASK, n=2, stream=True) as stream:
        next(stream)
    (reading, (least, provenance, most), status) = told(only(meter, events))
    assert (reading, provenance, most, status) == ((READ, "estimated"), "partial", 100, "abandoned")
    assert 0 <= least <= 6


def test_a_stream_that_is_left_unread_has_an_input_and_no_output_yet(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    server.script(Answer(text=SAID))
    client.chat.completions.create(**ASK, stream=True).close()
    assert told(only(meter, events)) == ((READ, "estimated"), (0, "partial", 50), "abandoned")


def test_what_the_first_events_reported_stands(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    server.script(Answer(text=SAID, gate=Gate(after=6)))
    with anthropic.Anthropic(base_url=server.url, api_key="none") as client:
        with meter.wrap(client).messages.create(**ASK, stream=True) as stream:
            for _ in range(4):
                next(stream)
        event = only(meter, events)
    assert (event.input_tokens, event.input_provenance) == (5, "reported")
    assert (event.output_provenance, event.output_tokens_max) == ("partial", 50)
    assert 1 <= (event.output_tokens or 0) <= 6


def test_without_a_limit_there_is_no_upper_bound_for_a_model_nobody_knows(
    meter: Meter, events: list[UsageEvent], client: openai.OpenAI
) -> None:
    ask = {name: value for name, value in ASK.items() if name != "max_tokens"}
    client.chat.completions.create(**ask | {"model": "nobody-s"}, stream=True).close()
    assert only(meter, events).output_tokens_max is None


def test_a_long_stream_is_kept_in_part_and_its_rest_is_known_by_its_length(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    words = 3 * A_STREAM // 200
    server.script(Answer(text="word " * words))
    unlimited = {name: value for name, value in ASK.items() if name != "max_tokens"}
    for _chunk in client.chat.completions.create(**unlimited, stream=True):
        pass
    event = only(meter, events)
    assert event.output_provenance == "estimated"
    assert (event.output_tokens or 0) == pytest.approx(words, rel=0.05)
    assert abs((event.output_tokens or 0) - words) <= (event.output_tokens_error or 0)


# Every HTTP stack


def over_requests(meter: Meter, url: str, *, leave: bool) -> None:
    with meter.wrap(requests.Session()) as session:
        response = session.post(url, json=ASK | {"stream": True}, stream=True)
        for _line in response.iter_lines():
            if leave:
                break
        response.close()


def over_urllib3(meter: Meter, url: str, *, leave: bool) -> None:
    pool = meter.wrap(urllib3.PoolManager())
    response = pool.request("POST", url, json=ASK | {"stream": True}, preload_content=False)
    for _chunk in response.stream(16):
        if leave:
            break
    response.close()
    pool.clear()


def over_aiohttp(meter: Meter, url: str, *, leave: bool) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            asked = meter.wrap(session).post(url, json=ASK | {"stream": True})
            async with asked as response:
                async for _line in response.content:
                    if leave:
                        break

    asyncio.run(ask())


@pytest.mark.parametrize("leave", [False, True], ids=["read", "left"])
@pytest.mark.parametrize("over", [over_requests, over_urllib3, over_aiohttp])
def test_what_an_estimate_needs_is_kept_over_every_stack(
    meter: Meter, events: list[UsageEvent], server: ModelServer, over: Any, leave: bool
) -> None:
    server.script(Answer(text=SAID, gate=Gate(after=4)) if leave else Answer(text=SAID))
    over(meter, f"{server.openai_url}/chat/completions", leave=leave)
    event = only(meter, events)
    assert (event.input_tokens, event.input_provenance) == (READ, "estimated")
    if leave:
        assert (event.output_provenance, event.status) == ("partial", "abandoned")
        assert 0 <= (event.output_tokens or 0) <= 6 <= (event.output_tokens_max or 0)
    else:
        assert told(event)[1:] == ((6, "estimated", None), "completed")


# Where nothing is estimated


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 529])
def test_a_refused_call_is_never_billed(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI, status: int
) -> None:
    server.script(Answer(status=status))
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(**ASK, stream=True)
    assert told(only(meter, events)) == ((None, "none"), (None, "none", None), "failed")


def test_a_call_that_reached_nobody_is_never_billed(meter: Meter, events: list[UsageEvent]) -> None:
    client = meter.wrap(bare("http://127.0.0.1:9/v1"))
    with client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)
    assert told(only(meter, events)) == ((None, "none"), (None, "none", None), "failed")


def test_a_call_that_is_refused_locally_is_never_billed(
    meter: Meter, events: list[UsageEvent]
) -> None:
    client = meter.wrap(bare("nowhere://llm/v1"))
    with client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)
    assert told(only(meter, events)) == ((None, "none"), (None, "none", None), "failed")


def test_a_redirect_is_not_billed_and_its_target_once(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    moved = f"{server.openai_url}/chat/completions?moved"
    server.script(Answer(status=307, headers={"location": moved}, body=b""), Answer(text=SAID))
    for _chunk in client.chat.completions.create(**ASK, stream=True):
        pass
    assert told(only(meter, events)) == ((READ, "estimated"), (6, "estimated", None), "completed")


def test_an_error_that_comes_with_200_and_without_an_answer_stays_unknown(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    meter.configure(providers={"127.0.0.1": "openrouter"})
    error = {"error": {"code": 502, "message": "no model is there"}}
    server.script(Answer(body=error), Answer(ending="error", stop_after=0))
    client.chat.completions.create(**ASK)
    with pytest.raises(openai.APIError):
        for _chunk in client.chat.completions.create(**ASK, stream=True):
            pass
    assert meter.flush(60)
    unknown = ((None, "unknown"), (None, "unknown", None), "failed")
    assert [told(event) for event in events] == [unknown, unknown]


def test_an_answer_in_which_nothing_can_be_seen_stays_unknown(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    server.script(Answer(body={"id": "c", "choices": [{"index": 0, "message": {}}]}))
    client.chat.completions.create(**ASK)
    assert told(only(meter, events)) == (
        (READ, "estimated"),
        (None, "unknown", None),
        "completed",
    )


def test_an_answer_from_a_cache_is_never_billed(meter: Meter, events: list[UsageEvent]) -> None:
    wire = Wire(httpx2, is_async=False)
    silent = {name: value for name, value in chat().items() if name != "usage"}
    answer = wire.answer(silent, extensions={"from_cache": True})
    wire.send(meter.wrap(wire.client(answer)))
    assert told(only(meter, events)) == ((None, "none"), (None, "none", None), "completed")


def test_a_call_that_is_tried_again_is_counted_once(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    server.script(Answer(status=429, headers={"retry-after-ms": "1"}), Answer(text=SAID))
    client = meter.wrap(bare(server.openai_url, max_retries=2))
    with client, meter.tally(60) as spent:
        for _chunk in client.chat.completions.create(**ASK, stream=True):
            pass
    assert meter.flush(60)
    assert sorted((e.attempt, *told(e)[:2]) for e in events) == [
        (0, (None, "none"), (None, "none", None)),
        (1, (READ, "estimated"), (6, "estimated", None)),
    ]
    assert (spent.calls, spent.attempts, spent.input_tokens, spent.output_tokens) == (1, 2, READ, 6)


def test_a_time_out_after_the_request_was_sent_stays_unknown(
    meter: Meter, events: list[UsageEvent], server: ModelServer
) -> None:
    gate = Gate()
    server.script(Answer(gate=gate))
    client = meter.wrap(bare(server.openai_url, timeout=0.05))
    with client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**ASK)
    gate.open()
    assert told(only(meter, events)) == ((None, "unknown"), (None, "unknown", None), "failed")


@pytest.mark.parametrize("switch", ["in code", "in the environment"])
def test_a_switch_turns_estimates_off(
    switch: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[UsageEvent] = []
    if switch == "in the environment":
        monkeypatch.setenv("TOKENMETER_ESTIMATES", "0")
    meter = Meter([events.append], estimates=False if switch == "in code" else None)
    with openai.OpenAI(base_url=server.openai_url, api_key="none") as client:
        for _chunk in meter.wrap(client).chat.completions.create(**ASK, stream=True):
            pass
    assert told(events[0]) == ((None, "unknown"), (None, "unknown", None), "completed")


def test_what_the_code_says_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_ESTIMATES", "0")
    assert Meter(estimates=True).estimates
    assert not Meter().estimates
    assert Meter().configure(estimates=True).estimates
    monkeypatch.delenv("TOKENMETER_ESTIMATES")
    assert Meter().estimates


# Nobody is held up


def test_text_is_counted_in_the_worker_and_never_where_the_call_was_made(
    server: ModelServer,
) -> None:
    counted_in: set[str] = set()

    def count(text: str, model: str | None) -> int:
        counted_in.add(threading.current_thread().name)
        return len(text.split())

    events: list[UsageEvent] = []
    meter = Meter([events.append], tokenizers={"*": count})

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="none") as client:
            stream = await meter.wrap(client).chat.completions.create(**ASK, stream=True)
            async for _chunk in stream:
                pass
            left = await client.chat.completions.create(**ASK, stream=True)
            await left.close()
        while len(events) < 2:
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert counted_in == {"tokenmeter"}


STREAMED = "client.chat.completions.create(**ask, stream=True)"


@pytest.mark.parametrize(
    ("call", "loads"),
    [
        ("client.chat.completions.create(**ask)", False),
        (f"list({STREAMED.removesuffix(')')}, stream_options={{'include_usage': True}}))", False),
        ("list(client.responses.create(model='m', input='Hi', stream=True))", False),
        (f"list({STREAMED})", True),
    ],
)
def test_only_a_call_that_nobody_reported_on_loads_a_tokenizer(call: str, loads: bool) -> None:
    program = f"""
        import sys, openai
        from tokenmeter import Meter
        from tokenmeter.testing import ModelServer
        ask = {{"model": "m", "messages": [{{"role": "user", "content": "Hi"}}]}}
        events = []
        meter = Meter([events.append])
        with ModelServer() as server:
            client = meter.wrap(openai.OpenAI(base_url=server.openai_url, api_key="none"))
            {call}
            assert meter.flush(60)
        assert len(events) == 1
        print("tiktoken" in sys.modules, "tokenmeter.tokens.estimates" in sys.modules)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert run.stdout.split() == [str(loads)] * 2


def test_where_too_much_is_pending_an_event_is_said_at_once_and_that_is_counted(
    meter: Meter, events: list[UsageEvent], client: openai.OpenAI
) -> None:
    held, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        held.wait(60)

    meter.pending.put(hold)
    meter.pending.start()
    assert begun.wait(60)
    for _ in range(LIMIT):
        meter.pending.put(int)
    client.chat.completions.create(**ASK, stream=True).close()
    seen = list(events)
    held.set()
    assert [told(e) for e in seen] == [((None, "unknown"), (None, "unknown", None), "abandoned")]
    assert meter.guard.failures == {"estimates left out: too many are pending": 1}


def test_where_there_is_no_room_an_event_is_said_at_once_and_that_is_counted(
    meter: Meter, events: list[UsageEvent], client: openai.OpenAI
) -> None:
    full = meter.room.left
    assert meter.room.take(full)
    client.chat.completions.create(**ASK, stream=True).close()
    assert told(events[0]) == ((None, "unknown"), (None, "unknown", None), "abandoned")
    assert meter.guard.failures == {"estimates left out for want of room": 1}
    meter.room.give(full)


def test_where_there_is_no_room_for_a_stream_that_is_counted_too(
    meter: Meter, events: list[UsageEvent], client: openai.OpenAI
) -> None:
    full = meter.room.left
    assert meter.room.take(full)
    for _chunk in client.chat.completions.create(**ASK, stream=True):
        pass
    assert told(events[0]) == ((None, "unknown"), (None, "unknown", None), "completed")
    assert meter.guard.failures == {"estimates left out for want of room": 1}
    meter.room.give(full)


def test_of_one_large_part_the_beginning_is_kept() -> None:
    kept = Kept(Room())
    kept.add(b"x" * (A_STREAM + 7))
    kept.add(b"y")
    assert (kept.size, kept.seen, len(kept.parts)) == (A_STREAM, A_STREAM + 8, 1)


def test_a_stream_that_is_dropped_is_estimated_too(
    meter: Meter, events: list[UsageEvent], server: ModelServer, client: openai.OpenAI
) -> None:
    server.script(Answer(text=SAID))
    stream: Any = client.chat.completions.create(**ASK, stream=True)
    next(stream)
    del stream
    gc.collect()
    event = only(meter, events)
    assert (event.input_tokens, event.output_provenance, event.status) == (
        READ, "partial", "abandoned",
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_with_all_its_room(meter: Meter) -> None:
    assert meter.room.take(1000)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, str(meter.room.left == Room().left).encode())
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 100) == b"True"
    os.close(reader)
    os.wait()
    meter.room.give(1000)


# The parts


def test_the_first_part_of_a_stream_is_kept_and_nothing_after_a_gap() -> None:
    room = Room(10)
    kept = Kept(room)
    for part in (b"abcd", b"efgh", b"ijkl", b"m"):
        kept.add(part)
    assert (kept.parts, kept.size, kept.seen, room.left) == ([b"abcd", b"efgh"], 8, 13, 2)
    kept.clear()
    assert (kept.parts, room.left) == ([], 10)


def test_what_cannot_be_read_is_left_unknown_and_noted() -> None:
    guard = Guard()
    event = made_of(input_provenance="unknown", output_provenance="unknown")
    evidence = Bytes(OpenAIChat(), b"{no", [b"{no"])
    assert filled(event, evidence, Tokenizers(), guard).input_tokens is None
    assert set(guard.failures) == {"reading a request to estimate it"}


def test_an_exchange_is_weighed_by_the_rules_of_its_day() -> None:
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}]}
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    evidence = Bytes(OpenAIChat(), msgspec.json.encode(asked), [msgspec.json.encode(said)])
    now = made_of(
        request_model="gpt-4o",
        status="completed",
        http_status=200,
        input_provenance="unknown",
        output_provenance="unknown",
    )
    then = msgspec.structs.replace(now, ts=now.ts.replace(year=2025, month=4))
    output = [filled(e, evidence, Tokenizers(), Guard()).output_tokens for e in (then, now)]
    assert output == [len(["Hello", "<|im_end|>"]), len(["Hello"])]


@pytest.mark.parametrize(
    ("said", "is_wanted"),
    [
        ({"http_status": 200, "input_provenance": "unknown", "output_provenance": "none"}, True),
        ({"http_status": 200, "output_provenance": "partial"}, True),
        ({"http_status": 200, "input_provenance": "reported"}, False),
        ({"http_status": None, "input_provenance": "unknown"}, False),
        ({"http_status": 302, "input_provenance": "unknown"}, False),
        ({"http_status": None, "input_provenance": "unknown", "source": "metered"}, True),
        ({"source": "metered", "input_provenance": "unknown", "status": "failed"}, False),
    ],
)
def test_an_estimate_is_wanted_where_somebody_answered_and_did_not_say(
    said: dict[str, Any], is_wanted: bool
) -> None:
    assert wanted(made_of(**said)) is is_wanted


def made_of(**said: Any) -> UsageEvent:
    from datetime import UTC, datetime

    ts = datetime(2026, 11, 22, tzinfo=UTC)
    return UsageEvent(kind="call", event_id="x", schema=1, ts=ts, **said)
