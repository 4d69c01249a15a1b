"""A server of a few lines that sends exactly what a test says, and aiohttp against it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import uvloop

from tokenmeter import Meter, UsageEvent, attribute

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
PATH = "/v1/chat/completions"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server says to one request.

    Args:
        parts: The body; each is a chunk of HTTP that leaves the server on its own.
        length: Whether the length is said beforehand, instead of the body being chunked.
        then: What follows: the ``end`` of the body, a ``hold`` until the test ends, or a ``cut``.
        pause: The parts that are sent before the test lets the server ``go``.
        silent: Nothing is ever answered.
    """

    parts: tuple[bytes, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = False
    then: str = "end"
    pause: int | None = None
    silent: bool = False


class Request(NamedTuple):
    head: bytes
    body: bytes


class Server:
    """Answer each request with the next reply; the last one again and again."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[Request] = []
        self.url = ""
        self.answered = asyncio.Event()
        self.go = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self.go.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else await _chunked(reader, head)
        self.requests.append(Request(head, body))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if reply.silent:
            if reply.then == "hold":
                await reader.read()
            return False
        headers = {"content-type": "application/json", **reply.headers}
        whole = b"".join(reply.parts)
        headers |= (
            {"content-length": str(len(whole))}
            if reply.length
            else {"transfer-encoding": "chunked"}
        )
        said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} Said\r\n{said}\r\n".encode())
        for at, part in enumerate(reply.parts):
            await writer.drain()
            if at == reply.pause:
                self.answered.set()
                await self.go.wait()
            writer.write(part if reply.length else b"%x\r\n%s\r\n" % (len(part), part))
            await asyncio.sleep(0)
        if reply.then == "end" and not reply.length:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.answered.set()
        if reply.then == "hold":
            await self.go.wait()
            return False
        return reply.then == "end"


async def _chunked(reader: asyncio.StreamReader, head: bytes) -> bytes:
    body = b""
    if b"chunked" in head.lower():
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    return body


@dataclass(frozen=True)
class Scene:
    """What a scenario acts with."""

    server: Server
    session: aiohttp.ClientSession

    def post(self, path: str = PATH, **options: Any) -> Any:
        """Ask for a chat."""
        options = {"json": {"model": "asked"}} | options
        return self.session.post(self.server.url + path, **options)


Act = Callable[[Scene], Awaitable[Any]]


class Played(NamedTuple):
    seen: Any
    requests: list[Request]
    events: list[UsageEvent]


@contextlib.contextmanager
def wired(meter: Meter, wiring: str) -> Iterator[Callable[[Any], Any]]:
    """Give what a session has to go through, in a process that may be instrumented."""
    instrumented = wiring in ("instrument", "both")
    with meter.instrument() if instrumented else contextlib.nullcontext():
        yield meter.wrap if wiring in ("wrap", "both") else lambda session: session


def play(
    act: Act, *replies: Reply, wiring: str = "wrap", loop: str = "asyncio", **options: Any
) -> Played:
    """Have a scenario act with a server, a session and a meter of its own."""
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    server: list[Server] = []

    async def scene() -> Any:
        async with Server(*replies).running() as running:
            server.append(running)
            async with aiohttp.ClientSession(**options) as session:
                assert metered(session) is session
                seen = await _seen(act(Scene(running, session)))
        await asyncio.sleep(0)
        return seen

    try:
        with (
            wired(meter, wiring) as metered,
            attribute(user="ada"),
            asyncio.Runner(loop_factory=LOOPS[loop]) as runner,
        ):
            seen = runner.run(scene())
        gc.collect()
        assert meter.flush()
        assert meter.stats()["guard"] == {}
        assert meter.open_calls == set()
        return Played(seen, server[0].requests, events)
    finally:
        meter.shutdown()


async def _seen(acting: Awaitable[Any]) -> Any:
    try:
        return fact(await acting)
    except AssertionError:
        raise
    except (Exception, asyncio.CancelledError) as exc:
        return fact(exc)


def fact(thing: Any) -> Any:
    """Give what can be compared of what a caller saw, types included."""
    if isinstance(thing, BaseException):
        return type(thing), re.sub(r"127\.0\.0\.1:\d+", "the server", str(thing))
    if isinstance(thing, aiohttp.ClientResponse):
        return type(thing), thing.status, thing.reason, list(thing.headers.items())
    if isinstance(thing, list | tuple):
        return [fact(item) for item in thing]
    return type(thing), thing
