"""The seam for botocore carries aiobotocore too: real clients against a server that speaks Bedrock.

aiobotocore pins the botocore that it works with, so it has an environment of its own: the stage
"aiobotocore" of ``.ci/run --all`` makes one and runs these.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from amazon import (
    CLAUDE,
    EVENT_STREAM,
    MEASURED,
    Bedrock,
    Reply,
    chunk,
    claude,
    claude_events,
    compact,
    converse_events,
    failure,
    throttled,
)
from tokenmeter import Meter, UsageEvent, attribute, check_invariants

aiobotocore_session = pytest.importorskip(
    "aiobotocore.session", reason="aiobotocore has an environment of its own: .ci/run --all"
)

import botocore.exceptions  # noqa: E402
from aiobotocore.config import AioConfig  # noqa: E402
from aiobotocore.httpsession import AIOHTTPSession  # noqa: E402
from aiobotocore.httpxsession import HttpxSession  # noqa: E402

SESSION = aiobotocore_session.get_session()
ASKED: dict[str, Any] = {
    "modelId": CLAUDE,
    "messages": [{"role": "user", "content": [{"text": "hi"}]}],
}
INVOKED: dict[str, Any] = {
    "modelId": CLAUDE,
    "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": []}),
}
WIRINGS = ("wrap", "instrument", "both")
OPERATIONS = ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream")
LIBRARIES = [AIOHTTPSession, HttpxSession]
WELL = ("completed", 5, 3, "reported", "reported")
NOTHING = ("failed", None, None, "none", "none")

Scenario = Callable[[Any], Coroutine[Any, Any, Any]]
over = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.__name__)


def counts(event: UsageEvent) -> tuple[Any, ...]:
    sides = event.input_provenance, event.output_provenance
    return event.status, event.input_tokens, event.output_tokens, *sides


@contextlib.asynccontextmanager
async def metered(
    server: Bedrock, meter: Meter, wiring: str, library: Any, retries: int = 1, **options: Any
) -> AsyncIterator[Any]:
    config = AioConfig(
        http_session_cls=library,
        retries={"total_max_attempts": retries, "mode": "standard"},
        **options,
    )
    undo = meter.instrument() if wiring in ("instrument", "both") else contextlib.nullcontext()
    with undo:
        async with SESSION.create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="k",
            aws_secret_access_key="s",
            config=config,
        ) as client:
            if wiring in ("wrap", "both"):
                assert meter.wrap(client) is client
            yield client


def play(
    scenario: Scenario,
    *script: Reply,
    wiring: str = "wrap",
    library: Any = LIBRARIES[0],
    **more: Any,
) -> tuple[Any, list[UsageEvent]]:
    """Run a scenario with a client; give what came of it and the events."""
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)

    async def run(server: Bedrock) -> Any:
        with attribute(user="ada"):
            async with metered(server, meter, wiring, library, **more) as client:
                return await scenario(client)

    with Bedrock() as server:
        server.script += script
        seen = asyncio.run(run(server))
    gc.collect()
    assert meter.flush()
    assert meter.stats()["guard"] == {}
    assert meter.open_calls == set()
    for event in events:
        check_invariants(event)
    meter.shutdown()
    return seen, events


async def call(client: Any, operation: str) -> Any:
    """Call an operation and read its answer as most programs do."""
    if operation == "converse":
        answer = await client.converse(**ASKED)
        return answer["output"], answer["usage"]
    if operation == "converse_stream":
        return [event async for event in (await client.converse_stream(**ASKED))["stream"]]
    if operation == "invoke_model":
        async with (await client.invoke_model(**INVOKED))["body"] as body:
            return await body.read()
    answer = await client.invoke_model_with_response_stream(**INVOKED)
    return [event async for event in answer["body"]]


def supported(library: Any, operation: str) -> None:
    if library is HttpxSession and "stream" in operation:
        pytest.skip("aiobotocore reads no event streams over httpx")


@over
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_is_seen_once_and_looks_as_ever(operation: str, wiring: str, library: Any) -> None:
    supported(library, operation)
    bare, none = play(lambda client: call(client, operation), wiring="bare", library=library)
    seen, events = play(lambda client: call(client, operation), wiring=wiring, library=library)
    assert (seen, none) == (bare, [])
    (event,) = events
    assert counts(event) == WELL
    assert (event.provider, event.operation, event.source) == ("aws.bedrock", "chat", "wire")
    assert (event.request_model, event.attempt, event.user) == (CLAUDE, 0, "ada")
    assert (event.stream, event.http_status) == ("stream" in operation, 200)


@over
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_attempt_that_was_throttled_is_a_failed_event_of_its_own(
    operation: str, library: Any
) -> None:
    supported(library, operation)
    _, events = play(
        lambda client: call(client, operation), throttled(), library=library, retries=2
    )
    assert [counts(event) for event in events] == [NOTHING, WELL]
    assert [(event.attempt, event.http_status) for event in events] == [(0, 429), (1, 200)]
    assert events[0].error_type == "ThrottlingException"


# how a stream is left

HELD = {
    "converse_stream": converse_events()[:1],
    "invoke_model_with_response_stream": [chunk(claude_events()[0])],
}


async def break_and_drop(stream: Any) -> None:
    async for _ in stream:
        break


async def break_and_close(stream: Any) -> None:
    await break_and_drop(stream)
    stream.close()
    stream.close()


async def raise_in_the_loop(stream: Any) -> None:
    with contextlib.suppress(RuntimeError):
        async for _ in stream:
            raise RuntimeError("boom")


async def close(stream: Any) -> None:
    stream.close()


async def drop(stream: Any) -> None:
    """Do nothing with it."""


async def cancel_in_a_read(stream: Any) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_exhaust(stream), 0.1)


async def _exhaust(stream: Any) -> None:
    async for _ in stream:
        pass


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")  # with and without us
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "leave",
    [break_and_drop, break_and_close, raise_in_the_loop, close, drop, cancel_in_a_read],
)
@pytest.mark.parametrize("operation", HELD)
def test_a_stream_that_is_left_is_one_abandoned_call(
    operation: str, leave: Callable[[Any], Awaitable[None]]
) -> None:
    async def scenario(client: Any) -> None:
        asked = ASKED if operation == "converse_stream" else INVOKED
        answer = await getattr(client, operation)(**asked)
        await leave(answer["stream" if operation == "converse_stream" else "body"])

    held = Reply(200, HELD[operation], {}, EVENT_STREAM, chunked=True, stalls=True)
    _, (event,) = play(scenario, held)
    assert event.status == "abandoned"
    if event.response_model == "claude-sonnet-4-5-20250929":
        assert counts(event)[1:] == (5, 1, "reported", "partial")
    else:
        assert counts(event)[1:] == (None, None, "unknown", "unknown")


def test_a_stream_that_breaks_with_an_exception_has_failed_by_its_type() -> None:
    async def scenario(client: Any) -> None:
        stream = (await client.converse_stream(**ASKED))["stream"]
        with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
            await _exhaust(stream)
        stream.close()

    parts = [*converse_events()[:2], failure("throttlingException")]
    _, (event,) = play(scenario, Reply(200, parts, {}, EVENT_STREAM, chunked=True))
    assert (event.status, event.error_type) == ("failed", "throttlingException")


# how the body of InvokeModel is read


async def read_some(body: Any) -> bytes:
    found = b""
    while data := await body.read(7):
        found += data
    return found


async def iterate(chunks: Any) -> bytes:
    return b"".join([data async for data in chunks])


READS: dict[str, Callable[[Any], Awaitable[bytes]]] = {
    "read": lambda body: body.read(),
    "in pieces": read_some,
    "iter_chunks": lambda body: iterate(body.iter_chunks(10)),
    "iter_lines": lambda body: iterate(body.iter_lines(10)),
    "iterated": iterate,
}


@over
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_body_is_counted_however_it_is_read(
    read: Callable[[Any], Awaitable[bytes]], library: Any
) -> None:
    async def scenario(client: Any) -> bytes:
        return await read((await client.invoke_model(**INVOKED))["body"])

    seen, (event,) = play(scenario, library=library)
    assert seen == compact(claude())
    assert counts(event) == WELL


@pytest.mark.parametrize(
    "read",
    [
        lambda content: iterate(content.iter_any()),
        lambda content: iterate(content.iter_chunked(10)),
        iterate,
        lambda content: content.readline(),
    ],
)
def test_a_body_is_counted_when_the_stream_of_aiohttp_is_read(
    read: Callable[[Any], Awaitable[bytes]],
) -> None:
    async def scenario(client: Any) -> bytes:
        return await read((await client.invoke_model(**INVOKED))["body"].raw_stream.content)

    seen, (event,) = play(scenario)
    assert seen == compact(claude())
    assert counts(event) == WELL


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")  # with and without us
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@over
def test_a_body_that_is_never_read_has_its_counts_from_the_headers(library: Any) -> None:
    async def scenario(client: Any) -> None:
        await client.invoke_model(**INVOKED)

    reply = Reply(body=[compact(claude())], headers=MEASURED, chunked=True, stalls=True)
    _, (event,) = play(scenario, reply, library=library)
    assert counts(event) == ("abandoned", *WELL[1:])


# failures


@over
@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(hangs_up=True), None), (Reply(stalls=True, short=100), "ReadTimeoutError")],
)
def test_an_answer_that_never_came_is_unknown(
    reply: Reply, error: str | None, library: Any
) -> None:
    async def scenario(client: Any) -> str:
        with pytest.raises(botocore.exceptions.BotoCoreError) as caught:
            await client.converse(**ASKED)
        return type(caught.value).__name__

    raised, (event,) = play(scenario, reply, library=library, read_timeout=0.2)
    assert raised == error or error is None
    assert counts(event) == ("failed", None, None, "unknown", "unknown")
    assert event.error_type == raised


def test_a_task_that_is_cancelled_in_its_request_abandons_the_call() -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.converse(**ASKED), 0.2)

    _, (event,) = play(scenario, Reply(stalls=True, short=100))
    assert (event.status, event.output_provenance) == ("abandoned", "unknown")


def test_unwrapping_restores_the_client() -> None:
    async def scenario(client: Any) -> dict[str, Any]:
        meter = Meter([])
        meter.wrap(client)
        meter.unwrap(client)
        return dict(client._endpoint.http_session.__dict__)

    seen, _ = play(scenario, wiring="bare")
    assert "send" not in seen
