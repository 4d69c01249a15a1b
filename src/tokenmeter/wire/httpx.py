"""The seam for httpx and its successor httpx2, sync and async: one public method, ``send``.

Both libraries have the same shape, so one piece of logic serves both; neither is imported here.
What is sync or async is a driver of a few lines. On a response nothing is replaced but ``stream``.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import PREFIX, Aside, Remembered
from tokenmeter.wire.body import BATCH, StreamReader
from tokenmeter.wire.exact import ExactStreams
from tokenmeter.wire.layer import Opener, on_import
from tokenmeter.wire.sends import Asked, ClassSends, ClientSends, Sending, Way

LIBRARIES = ("httpx", "httpx2")
CLIENTS = ("Client", "AsyncClient")

_PLACE = "the httpx seam"
_UNSENT = {
    "ConnectError",
    "ConnectTimeout",
    "InvalidURL",
    "LocalProtocolError",
    "PoolTimeout",
    "ProxyError",
    "TooManyRedirects",
    "UnsupportedProtocol",
    "WriteError",
    "WriteTimeout",
}
"""Exceptions of both libraries that mean: no model has seen a whole request."""

_RETRY_COUNT = "x-stainless-retry-count"
"""Request header in which openai's and anthropic's SDKs number their attempts from 0."""


def _target(request: Any) -> tuple[str, str, str]:
    url = request.url
    return request.method, url.host, url.path


_OURS = PREFIX.encode()
_name = operator.itemgetter(1)
_remembered = Remembered()


def _aside(request: Any, guard: Guard) -> Aside | None:
    """Take what is meant for us out of a request; what was before, where it is sent again.

    The private list is only looked into, and by one pass in C: the public way is thrice the cost.
    """
    headers = request.headers
    listed = getattr(headers, "_list", None)
    ours: list[str] = []
    if listed is None or _OURS in b"".join(map(_name, listed)):
        names = (raw.lower() for raw, _ in headers.raw)
        ours = [name.decode() for name in names if name.startswith(_OURS)]
    return _remembered.of(request, headers, ours, guard)


def _fail(call: Call, request: Any, exc: BaseException) -> None:
    call.asked(_body_in_memory(request), request.headers.get(_RETRY_COUNT))
    call.failed(exc, unsent=type(exc).__name__ in _UNSENT)


def _observe(call: Call, request: Any, response: Any, is_async: bool) -> None:
    """Read the response when its body is in memory, else observe its stream."""
    call.asked(_body_in_memory(request), request.headers.get(_RETRY_COUNT))
    extensions = response.extensions  # marks of hishel 0.x and 1.x: no server answered
    cached = bool(extensions.get("from_cache") or extensions.get("hishel_from_cache"))
    if response.is_stream_consumed:
        call.answered(response.status_code, response.headers, _content(response), cached=cached)
        return
    base, wrapper = _observed(library_of(response.__class__), is_async)
    if not isinstance(response.stream, base):
        call.lost(response.status_code)
        return
    headers = response.headers
    encoding = headers.get("content-encoding")
    reader = call.streaming(response.status_code, headers, encoding, cached=cached)
    response.stream = wrapper(response.stream, call, reader)


def _body_in_memory(request: Any) -> bytes | None:
    try:
        content: bytes = request.content
    except RuntimeError:  # RequestNotRead: a multipart or streamed upload, not ours to read
        return None
    return content


def _content(response: Any) -> bytes:
    try:
        content: bytes = response.content
    except RuntimeError:  # ResponseNotRead: an event hook consumed the raw stream
        return b""
    return content


@functools.cache
def library_of(response_type: type) -> ModuleType:
    """Find the library that a response, or the class it derives from, belongs to."""
    roots = (base.__module__.partition(".")[0] for base in response_type.__mro__)
    return next(sys.modules[root] for root in roots if root in LIBRARIES)


@functools.cache
def _observed(library: ModuleType, is_async: bool) -> tuple[type, type]:
    """Give the stream class of a library, and our subclass of it."""
    base = library.AsyncByteStream if is_async else library.SyncByteStream
    observer = _AsyncObserver if is_async else _SyncObserver
    return base, type("ObservedStream", (observer, base), {})


def observe_stream(response: Any, call: Call, reader: StreamReader) -> None:
    """Observe the stream of a response whose call another seam has opened."""
    is_async = hasattr(response.stream, "__aiter__")
    response.stream = _observed(library_of(response.__class__), is_async)[1](
        response.stream, call, reader
    )


class OverStream:
    """A stream over another one."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._adopt()

    def _adopt(self) -> None:
        """Take over what the library keeps on its stream: httpx2 reads ``elapsed`` from there.

        Copied, because an SDK may ask for a name that is not there at every event (anthropic for
        ``stream_observer``), and a ``__getattr__`` that says no costs 2 us each time.
        """
        for name, value in getattr(self._stream, "__dict__", {}).items():
            if not name.startswith("_") and not hasattr(type(self), name):
                setattr(self, name, value)


class _Observer(OverStream):
    """Keep what both colours need; dropping it unread ends the call."""

    def __init__(self, stream: Any, call: Call, reader: StreamReader) -> None:
        super().__init__(stream)
        self._call = call
        self._reader = reader

    def __del__(self) -> None:
        self._call.dropped()


class _SyncObserver(_Observer):
    def __iter__(self) -> Iterator[bytes]:
        call, reader, room = self._call, self._reader, BATCH
        append = reader.chunks.append
        chunks = iter(self._stream)
        try:
            for chunk in chunks:
                call.first()
                append(chunk)
                yield chunk
                break
            for chunk in chunks:
                append(chunk)
                room -= len(chunk)
                if room < 0:
                    reader.scan()
                    room = BATCH
                yield chunk
        except GeneratorExit:
            raise  # whoever broke off closes the stream, or drops it
        except BaseException as exc:
            call.interrupted(exc)
            raise
        call.exhausted()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._adopt()
            self._call.released()


class _AsyncObserver(_Observer):
    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncChunks(self._stream, self._call, self._reader)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._adopt()
            self._call.released()


class _AsyncChunks:
    """Pass chunks on; a class, because an async generator would need its loop to be finalised."""

    __slots__ = ("_append", "_call", "_chunks", "_next", "_reader", "_room")

    def __init__(self, stream: Any, call: Call, reader: StreamReader) -> None:
        self._chunks = aiter(stream)
        self._next = self._chunks.__anext__
        self._append = reader.chunks.append
        self._call = call
        self._reader = reader
        self._room = 0  # so that the first chunk takes the longer way

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await self._next()
        except StopAsyncIteration:
            self._call.exhausted()
            raise
        except BaseException as exc:
            self._call.interrupted(exc)
            raise
        self._append(chunk)
        self._room -= len(chunk)
        if self._room < 0:
            self._turn()
        return chunk

    def _turn(self) -> None:
        if not self._call.first():
            self._reader.scan()
        self._room = BATCH

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


def is_client(thing: object) -> bool:
    """Say whether a thing is an HTTP client of one of the libraries."""
    return any(isinstance(thing, classes) for classes in _client_classes())


def is_async_client(thing: object) -> bool:
    """Say whether it is an asynchronous one."""
    return any(isinstance(thing, classes[1]) for classes in _client_classes())


def _client_classes() -> Iterator[tuple[type, type]]:
    for name in LIBRARIES:
        library = sys.modules.get(name)
        if library is not None:
            yield library.Client, library.AsyncClient


def _ask(exact: ExactStreams, client: Any, sending: Sending) -> Asked | None:
    from tokenmeter.wire import httpx_exact  # few need it, and it needs this module

    return httpx_exact.ask(exact, client, sending)


_WAY = Way(_PLACE, _target, _fail, _observe, _ask, _aside)


def hook_client(client: Any, meter: Opener) -> ClientSends:
    """Hook one client; it is held weakly, so that it dies as it would without the hook."""
    return ClientSends(meter, _WAY, client, is_async=is_async_client(client))


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the client classes of both libraries, now or when they are imported; gives the undo."""

    def hook(library: ModuleType) -> list[ClassSends]:
        return [
            ClassSends(meter, _WAY, library, name, is_async=name.startswith("Async"))
            for name in CLIENTS
        ]

    return on_import(meter, LIBRARIES, hook)
