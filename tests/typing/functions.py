"""Checked by type checkers, never run: decorators keep signatures, `wrap` keeps types."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import assert_type

import openai

from tokenmeter import Meter, Usage, attribute, metered, wrap


@metered
def bare(question: str, /, *, hot: bool = False) -> int:
    return len(question) if hot else 0


@metered(
    model="m",
    provider="mine",
    operation="chat",
    usage=lambda answer: Usage(output_tokens=len(answer)),
    prompt=len,
    completion=str,
    meter=Meter(),
)
async def coroutine(question: str) -> str:
    return question


@attribute(user="ada", tier=1)
def generator(n: int) -> Generator[str, int, bool]:
    yield str(n)
    return True


@attribute(task="T")
@metered(usage=lambda items: {"output_tokens": len(items)})
async def async_generator(n: int) -> AsyncGenerator[str, None]:
    yield str(n)


class Agent:
    @metered
    def ask(self, question: str) -> str:
        return question

    @classmethod
    @attribute(agent="a")
    def make(cls) -> Agent:
        return cls()

    @staticmethod
    @metered
    def count(text: str) -> int:
        return len(text)


def checks(client: openai.OpenAI, meter: Meter) -> None:
    assert_type(bare("?", hot=True), int)
    assert_type(generator(1), Generator[str, int, bool])
    assert_type(async_generator(1), AsyncGenerator[str, None])
    assert_type(Agent().ask("?"), str)
    assert_type(Agent.make(), Agent)
    assert_type(Agent.count("?"), int)
    assert_type(wrap(client), openai.OpenAI)
    assert_type(meter.wrap(client), openai.OpenAI)
    named: Callable[[str], str] = metered(Agent().ask)
    assert_type(named("?"), str)
    with attribute(user="ada") as block:
        assert_type(block, attribute)


async def waits() -> None:
    assert_type(await coroutine("?"), str)
    async for item in async_generator(1):
        assert_type(item, str)


def mistakes() -> None:
    bare(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bare("?", cold=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    metered("llama")  # type: ignore[call-overload]  # pyright: ignore
    attribute(user=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    attribute(tier=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
