"""The ways to leave a stream, and the kinds of streams that can be left."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from contract.colour import do, each, elsewhere, opened
from contract.shapes import (
    CHAT,
    COMPLETION,
    LEGACY,
    MESSAGE,
    RESPONSE,
    UNREAD,
    USAGE,
)
from contract.stage import UNKNOWN, WELL, Case, Expect, Stage
from tokenmeter import attribute
from tokenmeter.testing import Answer, Gate

HELD = Answer(gate=Gate(after=6))
"""Six events, and then nothing until the server closes: a stream that cannot end by itself."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to get a stream.

    Args:
        path: What is called.
        managed: It gives a context manager, and only that gives the stream.
        items: Where on the stream its items are.
        left: What must be said of it when its reader left after some items.
    """

    name: str
    vendor: str
    path: str
    asked: Any
    managed: bool = False
    items: Callable[[Any], Any] = lambda stream: stream
    parsed: bool = False
    well: Expect = WELL
    left: Expect = UNREAD
    unread: Expect = UNREAD

    def manager(self, stage: Stage) -> Any:
        """Give what can be entered: the stream itself, or its manager."""
        return stage.at(self.path)(**self.asked)

    async def start(self, stage: Stage) -> Any:
        """Give the stream, which nobody will leave on the reader's behalf."""
        made = await do(self.manager(stage))
        if self.parsed:
            made = await do(made.parse())
        return await opened(made).__aenter__() if self.managed else made

    async def enter(self, stage: Stage) -> Any:
        """Give the context manager that leaves the stream on the reader's behalf."""
        made = await do(self.manager(stage))
        return opened(await do(made.parse()) if self.parsed else made)


STREAM: Any = {"stream": True}
LEFT_MESSAGE = Expect(status="abandoned", input="reported", output="partial")

KINDS = (
    Kind(
        name="chat stream",
        vendor="openai",
        path="chat.completions.create",
        asked=CHAT | STREAM | {"stream_options": USAGE},
    ),
    Kind(
        name="chat stream without usage",
        vendor="openai",
        path="chat.completions.create",
        asked=CHAT | STREAM,
        well=Expect(**UNKNOWN),
    ),
    Kind(
        name="chat raw stream",
        vendor="openai",
        path="chat.completions.with_raw_response.create",
        asked=CHAT | STREAM | {"stream_options": USAGE},
        parsed=True,
    ),
    Kind(
        name="chat streaming response",
        vendor="openai",
        path="chat.completions.with_streaming_response.create",
        asked=CHAT | STREAM | {"stream_options": USAGE},
        managed=True,
        items=lambda response: response.iter_lines(),
    ),
    Kind(
        name="chat helper",
        vendor="openai",
        path="chat.completions.stream",
        asked=CHAT | {"stream_options": USAGE},
        managed=True,
    ),
    Kind(
        name="legacy completion stream",
        vendor="openai",
        path="completions.create",
        asked=COMPLETION | STREAM | {"stream_options": USAGE},
        well=LEGACY,
    ),
    Kind(
        name="response stream",
        vendor="openai",
        path="responses.create",
        asked=RESPONSE | STREAM,
    ),
    Kind(
        name="response helper",
        vendor="openai",
        path="responses.stream",
        asked=RESPONSE,
        managed=True,
    ),
    Kind(
        name="message stream",
        vendor="anthropic",
        path="messages.create",
        asked=MESSAGE | STREAM,
        left=LEFT_MESSAGE,
    ),
    Kind(
        name="message streaming response",
        vendor="anthropic",
        path="messages.with_streaming_response.create",
        asked=MESSAGE | STREAM,
        managed=True,
        items=lambda response: response.iter_lines(),
        left=LEFT_MESSAGE,
    ),
    Kind(
        name="message helper",
        vendor="anthropic",
        path="messages.stream",
        asked=MESSAGE,
        managed=True,
        left=LEFT_MESSAGE,
    ),
    Kind(
        name="message helper read as text",
        vendor="anthropic",
        path="messages.stream",
        asked=MESSAGE,
        managed=True,
        items=lambda stream: stream.text_stream,
        left=LEFT_MESSAGE,
    ),
    Kind(
        name="beta message helper",
        vendor="anthropic",
        path="beta.messages.stream",
        asked=MESSAGE,
        managed=True,
        left=LEFT_MESSAGE,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Exit:
    """One way to leave a stream.

    Args:
        sees: Which of a kind's expectations holds afterwards: ``well``, ``left`` or ``unread``.
        script: What the server does meanwhile.
    """

    name: str
    leave: Callable[[Kind, Stage], Coroutine[Any, Any, Any]]
    sees: str
    script: tuple[Answer, ...] = ()

    def of(self, kind: Kind) -> Case:
        """Give the case of leaving this kind of stream this way."""
        return Case(
            name=f"{kind.name}, {self.name}",
            vendor=kind.vendor,
            call=lambda stage: self.leave(kind, stage),
            script=self.script,
            events=(getattr(kind, self.sees),),
        )


async def exhaust(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    return [item async for item in each(kind.items(stream))]


async def exhaust_inside_with(kind: Kind, stage: Stage) -> Any:
    async with await kind.enter(stage) as stream:
        return [item async for item in each(kind.items(stream))]


async def exhaust_and_close_twice(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    seen = [item async for item in each(kind.items(stream))]
    return seen + [await do(stream.close()) for _ in range(2)]


async def read_elsewhere(kind: Kind, stage: Stage) -> Any:
    """Read to the end in another thread or task, which works for somebody else."""
    stream, seen = await kind.start(stage), []

    async def read() -> None:
        with attribute(user="somebody else"):
            seen.extend([item async for item in each(kind.items(stream))])

    await elsewhere(stage.mode, read)
    return seen


async def read_some(items: Any) -> list[Any]:
    """Read three items and break off."""
    seen = []
    async for item in each(items):
        seen.append(item)
        if len(seen) == 3:
            break
    return seen


async def break_and_drop(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    return await read_some(kind.items(stream))


async def break_inside_with(kind: Kind, stage: Stage) -> Any:
    async with await kind.enter(stage) as stream:
        return await read_some(kind.items(stream))


async def break_and_close_twice(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    seen = await read_some(kind.items(stream))
    return seen + [await do(stream.close()) for _ in range(2)]


async def raise_while_reading(items: Any, boom: Exception) -> None:
    async for _ in each(items):
        raise boom


async def raise_in_the_loop(kind: Kind, stage: Stage) -> Any:
    boom = RuntimeError("boom")
    with pytest.raises(RuntimeError) as caught:
        await raise_while_reading(kind.items(await kind.start(stage)), boom)
    assert caught.value is boom


async def raise_inside_with(kind: Kind, stage: Stage) -> Any:
    boom = RuntimeError("boom")

    async def read() -> None:
        async with await kind.enter(stage) as stream:
            await raise_while_reading(kind.items(stream), boom)

    with pytest.raises(RuntimeError) as caught:
        await read()
    assert caught.value is boom


async def drop_unread(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    kept = type(stream)
    del stream
    gc.collect()  # the SDKs' streams hold themselves
    return kept


async def close_unread(kind: Kind, stage: Stage) -> Any:
    stream = await kind.start(stage)
    return [await do(stream.close()) for _ in range(2)]


async def leave_with_unread(kind: Kind, stage: Stage) -> Any:
    async with await kind.enter(stage) as stream:
        return type(stream)


@dataclass
class Reader:
    """A task that reads, and says when it has begun and how it ended."""

    pause: bool
    begun: anyio.Event = field(default_factory=anyio.Event)
    ended_by: type[BaseException] | None = None

    async def read(self, items: Any) -> None:
        try:
            async for _ in each(items):
                self.begun.set()
                if self.pause:
                    await anyio.sleep_forever()
        except BaseException as exc:
            self.ended_by = type(exc)
            raise


async def _cancel(kind: Kind, stage: Stage, reader: Reader) -> Any:
    stream = await kind.start(stage)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.read, kind.items(stream))
        await reader.begun.wait()
        tasks.cancel_scope.cancel()
    return reader.ended_by


async def cancel_in_a_read(kind: Kind, stage: Stage) -> Any:
    """Cancel the task that reads; it only ever waits in a read, and the server stands still."""
    return await _cancel(kind, stage, Reader(pause=False))


async def cancel_between_reads(kind: Kind, stage: Stage) -> Any:
    return await _cancel(kind, stage, Reader(pause=True))


async def cancel_inside_with(kind: Kind, stage: Stage) -> Any:
    reader = Reader(pause=False)

    async def read() -> None:
        async with await kind.enter(stage) as stream:
            await reader.read(kind.items(stream))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await reader.begun.wait()
        tasks.cancel_scope.cancel()
    return reader.ended_by


def cancel_before_an_answer(path: str, asked: Any) -> Callable[[Stage], Any]:
    """Cancel a call while the server has not answered it."""

    async def call(stage: Stage) -> Any:
        ask = stage.at(path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: ask(**asked))
            assert await anyio.to_thread.run_sync(stage.gates[0].wait_reached)
            tasks.cancel_scope.cancel()

    return call


EXITS = (
    Exit(name="read to its end", leave=exhaust, sees="well"),
    Exit(name="read to its end inside its with", leave=exhaust_inside_with, sees="well"),
    Exit(name="read to its end and closed twice", leave=exhaust_and_close_twice, sees="well"),
    Exit(name="read in another thread or task", leave=read_elsewhere, sees="well"),
    Exit(name="broken off and dropped", leave=break_and_drop, sees="left"),
    Exit(name="broken off inside its with", leave=break_inside_with, sees="left"),
    Exit(name="broken off and closed twice", leave=break_and_close_twice, sees="left"),
    Exit(name="left by an exception in the loop", leave=raise_in_the_loop, sees="left"),
    Exit(name="left by an exception inside its with", leave=raise_inside_with, sees="left"),
    Exit(name="dropped unread", leave=drop_unread, sees="unread"),
    Exit(name="closed unread, twice", leave=close_unread, sees="unread"),
    Exit(name="unread inside its with", leave=leave_with_unread, sees="unread"),
)
CANCELLATIONS = (
    Exit(name="cancelled in a read", leave=cancel_in_a_read, sees="left", script=(HELD,)),
    Exit(name="cancelled between reads", leave=cancel_between_reads, sees="left", script=(HELD,)),
    Exit(name="cancelled inside its with", leave=cancel_inside_with, sees="left", script=(HELD,)),
)
LEFT = tuple(way.of(kind) for kind in KINDS for way in EXITS)
UNANSWERED = tuple(
    Case(
        name=f"{name} cancelled before its answer",
        vendor=vendor,
        call=cancel_before_an_answer(path, asked),
        script=(Answer(gate=Gate()),),
        events=(Expect(status="abandoned", http_status=None, served=None, **UNKNOWN),),
    )
    for vendor, name, path, asked in (
        ("openai", "chat", "chat.completions.create", CHAT),
        ("openai", "response stream", "responses.create", RESPONSE | STREAM),
        ("anthropic", "message", "messages.create", MESSAGE),
        ("anthropic", "message stream", "messages.create", MESSAGE | STREAM),
    )
)
CANCELLED = (*UNANSWERED, *(way.of(kind) for kind in KINDS for way in CANCELLATIONS))
