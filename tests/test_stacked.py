"""Stacks lie on each other: whichever of them are metered, and however, an answer is one event."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import aiohttp
import boto3
import httpx
import httpx2
import pytest
import requests
import urllib3
from botocore.config import Config

from amazon import CLAUDE, converse
from canned import Asked, Told, serving, told
from test_wire_aiohttp import AiohttpTransport
from tokenmeter import Meter, UsageEvent
from wires import chat, chat_events, sse

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAMED = ASKED | {"stream": True, "stream_options": {"include_usage": True}}


class Pair(NamedTuple):
    """A client of one stack that sends through a client of another."""

    upper: Any
    lower: Any
    ask: Callable[[bool], Any]


def only_pool(manager: urllib3.PoolManager) -> Any:
    """Give the pool that a manager has made: what lies on it asks for pools, not for requests."""
    (key,) = manager.pools.keys()
    return manager.pools[key]


def over_requests(url: str) -> Iterator[Pair]:
    with requests.Session() as session:

        def ask(stream: bool) -> None:
            body = STREAMED if stream else ASKED
            answer = session.post(f"{url}/v1/chat/completions", json=body, stream=stream)
            assert b"".join(answer.iter_content(7))

        ask(False)
        yield Pair(session, only_pool(session.get_adapter(url).poolmanager), ask)


def over_pool(url: str) -> Iterator[Pair]:
    with urllib3.PoolManager() as manager:

        def ask(stream: bool) -> None:
            body = json.dumps(STREAMED if stream else ASKED)
            answer = manager.request(
                "POST", f"{url}/v1/chat/completions", body=body, preload_content=not stream
            )
            assert answer.data

        yield Pair(manager, manager.connection_from_url(url), ask)


def over_boto3(url: str) -> Iterator[Pair]:
    client = boto3.session.Session("k", "s", region_name="us-east-1").client(
        "bedrock-runtime", endpoint_url=url, config=Config(retries={"max_attempts": 0})
    )

    def ask(stream: bool) -> None:
        said = [{"role": "user", "content": [{"text": "hi"}]}]
        client.converse(modelId=CLAUDE, messages=said)

    ask(False)
    yield Pair(client, only_pool(client._endpoint.http_session._manager), ask)
    client.close()


def over_aiohttp(library: Any) -> Callable[[str], Iterator[Pair]]:
    def pair(url: str) -> Iterator[Pair]:
        with asyncio.Runner() as runner:

            async def made() -> tuple[Any, Any]:
                session = aiohttp.ClientSession()
                transport = AiohttpTransport(library, session)
                return library.AsyncClient(transport=transport), session

            client, session = runner.run(made())

            async def post(stream: bool) -> None:
                body = STREAMED if stream else ASKED
                target = f"{url}/v1/chat/completions"
                async with client.stream("POST", target, json=body) as answer:
                    assert await answer.aread()

            yield Pair(client, session, lambda stream: runner.run(post(stream)))
            runner.run(client.aclose())
            runner.run(session.close())

    return pair


PAIRS = {
    "requests on urllib3": over_requests,
    "a pool manager on its pools": over_pool,
    "botocore on urllib3": over_boto3,
    "httpx on aiohttp": over_aiohttp(httpx),
    "httpx2 on aiohttp": over_aiohttp(httpx2),
}
PARTS = ("the upper", "the lower", "the process")
WIRINGS = [
    wiring for size in (1, 2, 3) for wiring in itertools.permutations(PARTS, size)
]  # in every order, because later hooks lie on earlier ones


def answer(asked: Asked) -> Told:
    if asked.path.startswith("/model/"):
        return told(json.loads(json.dumps(converse())))
    if asked.json.get("stream"):
        return Told(sse(*chat_events()), "text/event-stream")
    return told(chat())


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with (
        serving(answer) as url,
        contextlib.contextmanager(PAIRS[request.param])(url) as made,
    ):
        yield made


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("wiring", WIRINGS, ids=" + ".join)
def test_an_answer_that_passes_two_stacks_is_one_event(
    pair: Pair, wiring: tuple[str, ...], stream: bool
) -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    with contextlib.ExitStack() as undo:
        for part in wiring:
            if part == "the process":
                undo.enter_context(meter.instrument())
            else:
                meter.wrap(pair.upper if part == "the upper" else pair.lower)
        pair.ask(stream)
        pair.ask(stream)
    assert meter.flush()
    assert [event.input_tokens is not None for event in events] == [True, True]
    assert meter.guard.failures == {}
    for client in (pair.upper, pair.lower):
        meter.unwrap(client)
    pair.ask(stream)
    assert len(events) == 2
