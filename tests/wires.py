"""Both HTTP libraries in both colours, behind one face: a test is written once and proves four."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from types import ModuleType
from typing import Any

import httpx
import httpx2

LIBRARIES: tuple[ModuleType, ...] = (httpx, httpx2)
CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages"
ASKED: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": "hi"}]}


def chat(read: int = 5, made: int = 3, **more: Any) -> dict[str, Any]:
    """Give a small chat completion."""
    usage = {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}
    choice = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
    return {"id": "c1", "model": "served", "choices": [choice], "usage": usage} | more


def sse(*datas: object, end: str = "\n") -> bytes:
    """Render the data of events: text as it is, all else as compact JSON."""
    texts = (d if isinstance(d, str) else json.dumps(d, separators=(",", ":")) for d in datas)
    return "".join(f"data: {text}{end}{end}" for text in texts).encode()


def chat_events(read: int = 5, made: int = 3) -> list[object]:
    """Give the data of a small chat stream, one item an event."""
    head = {"id": "c1", "model": "served"}
    said = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in "ab"]
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return [
        *({**head, "choices": [choice], "usage": None} for choice in [*said, stop]),
        {**head, "choices": [], "usage": {"prompt_tokens": read, "completion_tokens": made}},
        "[DONE]",
    ]


class Wire:
    """One library in one colour; asynchronous calls run to their end in a loop of its own."""

    def __init__(self, library: ModuleType, *, is_async: bool) -> None:
        self.library = library
        self.is_async = is_async
        self._runner = asyncio.Runner() if is_async else None

    def finish(self) -> None:
        if self._runner is not None:
            self._runner.close()

    def do(self, result: Any) -> Any:
        """Give what a method of the library gave, awaited where it is asynchronous."""
        return (
            result
            if self._runner is None
            else self._runner.run(_awaited(result), context=copy_context())
        )

    @property
    def client_class(self) -> Any:
        return self.library.AsyncClient if self.is_async else self.library.Client

    @property
    def stream_class(self) -> Any:
        return self.library.AsyncByteStream if self.is_async else self.library.SyncByteStream

    def client(self, answer: Callable[[Any], Any] | None = None, **options: Any) -> Any:
        """Make a client; with a function that answers, it needs no network."""
        if answer is not None:
            options["transport"] = self.library.MockTransport(answer)
        return self.client_class(**options)

    def send(self, client: Any, request: Any = None, **options: Any) -> Any:
        """Send a request, by default a chat."""
        request = request or client.build_request("POST", CHAT, json=ASKED)
        return self.do(client.send(request, **options))

    def read(self, response: Any) -> bytes:
        return self.do(response.aread() if self.is_async else response.read())

    def close(self, thing: Any) -> None:
        self.do(thing.aclose() if self.is_async else thing.close())

    def some(self, response: Any, count: int) -> list[bytes]:
        """Read some chunks and close."""
        chunks = response.aiter_raw() if self.is_async else response.iter_raw()
        found = [self.do(anext(chunks) if self.is_async else next(chunks)) for _ in range(count)]
        self.close(response)
        self.close(chunks)
        return found

    def body(self, chunks: Iterable[bytes]) -> Any:
        """Make a stream of the library's own kind."""
        kind = _AsyncBody if self.is_async else _SyncBody
        return type(kind.__name__, (kind, self.stream_class), {})(chunks)

    def answer(self, body: object = None, **options: Any) -> Callable[[Any], Any]:
        """Give a function that answers every request with a body: JSON, or chunks of a stream."""

        def respond(_request: Any) -> Any:
            if isinstance(body, list):
                return self.library.Response(200, stream=self.body(body), **options)
            return self.library.Response(200, json=chat() if body is None else body, **options)

        return respond


async def _awaited(result: Any) -> Any:
    return await result


class _SyncBody:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    def close(self) -> None:
        self.closed = True


class _AsyncBody:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


def cut(body: bytes, size: int) -> list[bytes]:
    """Cut bytes into chunks."""
    return [body[at : at + size] for at in range(0, len(body), size)]
