"""What agents do: ask models, and write down in words of their own who they were and what became.

Nothing here reads what tokenmeter says. An agent has an id of its own, ``p.7.1`` for the first
sub-agent of ``p.7``, and each of its questions a model of its own, ``p.7.1-2`` for the second one:
so the account that the server keeps says who asked, and needs nobody's attribution for it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

import tokenmeter


class Place(NamedTuple):
    """Where the agents of a process work: the model server, and the folder that they write to."""

    url: str
    folder: str

    def begin(self, ledger: str) -> None:
        """Meter this process into a ledger."""
        path = Path(self.folder) / ledger
        tokenmeter.configure(exporters=[f"jsonl:{path}"], baggage=["user"], estimates=False)
        tokenmeter.instrument()

    def note(self, **said: Any) -> None:
        """Add a line to the diary that all processes share."""
        with (Path(self.folder) / "diary").open("ab", buffering=0) as diary:
            diary.write(json.dumps(said).encode() + b"\n")

    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none")

    def async_openai(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none")

    def anthropic(self) -> Anthropic:
        return Anthropic(base_url=self.url, api_key="none")

    def async_anthropic(self) -> AsyncAnthropic:
        return AsyncAnthropic(base_url=self.url, api_key="none")


class Agent:
    """An agent at work, as the program itself knows it."""

    def __init__(self, place: Place, own_id: str, name: str) -> None:
        self.place, self.id, self.name = place, own_id, name
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended = "completed" if kind is None else "failed"
        if kind in (asyncio.CancelledError, GeneratorExit):
            ended = "abandoned"
        self.place.note(agent=self.id, name=self.name, ended=ended, pid=os.getpid())

    def question(self, *, heard: bool = True) -> str:
        """Name the model for one question, and write down whether its answer is waited for."""
        model = f"{self.id}-{next(self._numbers)}"
        self.place.note(model=model, heard=heard)
        return model

    def chats(self) -> None:
        with self.place.openai() as client:
            client.chat.completions.create(model=self.question(), messages=said(self.name))

    def chats_bit_by_bit(self) -> None:
        with (
            self.place.openai() as client,
            client.chat.completions.create(
                model=self.question(),
                messages=said(self.name),
                stream=True,
                stream_options={"include_usage": True},
            ) as stream,
        ):
            list(stream)

    def responds(self) -> None:
        with self.place.openai() as client:
            client.responses.create(model=self.question(), input=f"{self.name}, please")

    def asks_claude(self) -> None:
        with self.place.anthropic() as client:
            client.messages.create(
                model=self.question(), max_tokens=99, messages=said(self.name, self.id)
            )

    def listens_to_claude(self) -> None:
        with (
            self.place.anthropic() as client,
            client.messages.stream(
                model=self.question(), max_tokens=99, messages=said(self.name)
            ) as stream,
        ):
            stream.get_final_message()

    async def awaits(self) -> None:
        async with self.place.async_openai() as client:
            await client.chat.completions.create(model=self.question(), messages=said(self.name))

    async def awaits_bit_by_bit(self) -> None:
        async with self.place.async_openai() as client:
            stream = await client.responses.create(
                model=self.question(), input="bit by bit", stream=True
            )
            async with stream:
                async for _ in stream:
                    pass

    async def awaits_claude(self) -> None:
        async with (
            self.place.async_anthropic() as client,
            client.messages.stream(
                model=self.question(), max_tokens=99, messages=said(self.name)
            ) as stream,
        ):
            await stream.get_final_message()

    async def is_interrupted(self, begun: asyncio.Event) -> None:
        """Read the beginning of an answer that never ends."""
        async with self.place.async_openai() as client:
            stream = await client.chat.completions.create(
                model=self.question(heard=False), messages=said(self.name), stream=True
            )
            async with stream:
                async for _ in stream:
                    begun.set()


def said(*texts: str) -> Any:
    return [{"role": "user", "content": " ".join(texts)}]
