"""Where the clients of SDKs keep their HTTP clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tokenmeter
from tokenmeter.exporters.memory import Memory
from tokenmeter.testing import ModelServer
from tokenmeter.wire.stacks import clients_in

PLACES = [
    ("openai", "OpenAI", ["Client"]),
    ("openai", "AsyncOpenAI", ["AsyncClient"]),
    ("anthropic", "Anthropic", ["Client"]),
    ("groq", "Groq", ["Client"]),
    ("groq", "AsyncGroq", ["AsyncClient"]),
    ("together", "Together", ["Client"]),
    ("together", "AsyncTogether", ["AsyncClient"]),
    ("mistralai.client", "Mistral", ["AsyncClient", "Client"]),
    ("cohere", "Client", ["Client"]),
    ("cohere", "ClientV2", ["Client"]),
    ("cohere", "AsyncClient", ["AsyncClient"]),
    ("cohere", "AsyncClientV2", ["AsyncClient"]),
]


@pytest.mark.parametrize(("module", "name", "found"), PLACES)
def test_the_http_clients_of_an_sdk_are_found(module: str, name: str, found: list[str]) -> None:
    client = getattr(pytest.importorskip(module), name)(api_key="none")
    bases = [{base.__name__ for base in type(http).__mro__} for http, _ in clients_in(client)]
    assert len(bases) == len(found)
    for wanted, names in zip(found, bases, strict=True):
        assert wanted in names


def test_what_holds_no_http_client_is_not_guessed_at() -> None:
    class Odd:
        sdk_configuration = None
        _client = 7

    assert clients_in(Odd()) == []


@pytest.fixture
def memory() -> Iterator[Memory]:
    memory = Memory()
    yield memory
    tokenmeter.configure(exporters=[])


ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "good morning"}]}


def sdk(module: str, name: str, **given: str) -> Any:
    make = getattr(pytest.importorskip(module), name)
    return tokenmeter.wrap(make(api_key="none", **given))


def mistral(url: str) -> Any:
    return sdk("mistralai.client", "Mistral", server_url=url.removesuffix("/v1"))


def mistral_plain(url: str) -> None:
    with mistral(url) as client:
        client.chat.complete(**ASKED)


def mistral_stream(url: str) -> None:
    with mistral(url) as client, client.chat.stream(**ASKED) as events:
        assert list(events)


def mistral_async(url: str) -> None:
    async def ask() -> None:
        async with mistral(url) as client:
            await client.chat.complete_async(**ASKED)

    asyncio.run(ask())


def mistral_async_stream(url: str) -> None:
    async def ask() -> None:
        async with mistral(url) as client, await client.chat.stream_async(**ASKED) as events:
            assert [event async for event in events]

    asyncio.run(ask())


def groq(url: str) -> None:
    with sdk("groq", "Groq", base_url=url.removesuffix("/v1")) as client:
        client.chat.completions.create(**ASKED)


def groq_async(url: str) -> None:
    async def ask() -> None:
        async with sdk("groq", "AsyncGroq", base_url=url.removesuffix("/v1")) as client:
            await client.chat.completions.create(**ASKED)

    asyncio.run(ask())


def together(url: str) -> None:
    with sdk("together", "Together", base_url=url) as client:
        client.chat.completions.create(**ASKED)


def together_async(url: str) -> None:
    async def ask() -> None:
        async with sdk("together", "AsyncTogether", base_url=url) as client:
            await client.chat.completions.create(**ASKED)

    asyncio.run(ask())


CALLS: tuple[Callable[[str], None], ...] = (
    *(mistral_plain, mistral_stream, mistral_async, mistral_async_stream),
    *(groq, groq_async, together, together_async),
)


@pytest.mark.parametrize("call", CALLS)
def test_a_wrapped_client_says_one_event_with_what_the_server_counted(
    call: Callable[[str], None], memory: Memory
) -> None:
    tokenmeter.configure(exporters=[memory], estimates=False)
    with ModelServer() as server:
        call(server.openai_url)
        tokenmeter.flush()
        account = server.account[0]
    [event] = memory.events
    counted = (account.input_tokens, account.output_tokens)
    assert event.status == "completed"
    assert (event.input_tokens, event.output_tokens) == (
        (None, None) if event.stream else counted  # a stream says them only when it is asked to
    )
