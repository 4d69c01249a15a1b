"""The seam for aiohttp's client: every request of a session goes through one method, ``_request``.

All public ways end there (``session.post`` and its sisters, ``session.request``,
``aiohttp.request``, sessions of a subclass), and what aiohttp does inside of it belongs to the one
exchange: redirects, resent requests, middlewares. No public place is passed by all of them.
On a response nothing is replaced but ``content``, by a view of the very stream that aiohttp feeds.
Neither aiohttp nor asyncio is imported here.
"""

from __future__ import annotations

import functools
import operator
import sys
import weakref
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside, Remembered, both, named, taken_from_copy
from tokenmeter.wire.body import BATCH, StreamReader
from tokenmeter.wire.claim import claim
from tokenmeter.wire.layer import Layer, Opener, Send, land, on_import

LIBRARY = "aiohttp"

_PLACE = "the aiohttp seam"
_METHOD = "_request"
_UNSENT = {
    "ClientConnectorError",
    "ClientHttpProxyError",
    "ConnectionTimeoutError",
    "InvalidURL",
    "NonHttpUrlClientError",
    "RedirectClientError",
    "ServerFingerprintMismatch",
    "TooManyRedirects",
}
"""Exceptions that mean, they and what derives from them: no model has seen a whole request."""

_IN_MEMORY = (bytes, bytearray, memoryview)
_RETRY_COUNT = "x-stainless-retry-count"
"""Request header in which openai's and anthropic's SDKs number their attempts from 0."""


class _Sends(Layer):
    """A layer on ``_request``."""

    def begin(self, args: tuple[Any, ...], options: dict[str, Any]) -> _Exchange | None:
        """Open a call for a request, or ``None`` to pass through."""
        return self.open(args[0], args[1:], options)

    def open(
        self, session: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> _Exchange | None:
        """Open a call for what a session is asked to request."""
        aside = _aside(session, options, self.meter.guard)
        target = None if self.passes() else _target(session, *args, **options)
        call = None if target is None else self.meter.open(*target, aside)
        return None if call is None else _Exchange(self.meter, call, session, options)

    def meter_send(self, send: Send) -> Send:
        """Give a ``_request`` that meters what goes through it."""
        guard = self.meter.guard

        async def _request(*args: Any, **options: Any) -> Any:
            exchange = guard.run(_PLACE, self.begin, args, options)
            if exchange is None:
                return await send(*args, **options)
            call = exchange.call
            token = claim.set(call)
            try:
                response = await send(*args, **exchange.options())
            except BaseException as exc:
                land(call, token)
                guard.run(_PLACE, exchange.failed, exc)
                raise
            land(call, token)
            exchange.observe(response)
            return response

        return _request


_sessions = Remembered()


def _aside(session: Any, options: dict[str, Any], guard: Guard) -> Aside | None:
    """Take what is meant for us out of the headers that a request is given.

    The caller's stay as they are: the options get a copy. Those of the session, which are its own,
    are taken out for good, and remembered.
    """
    defaults, given = session.headers, options.get("headers")
    aside = _sessions.of(session, defaults, named(defaults) if defaults else (), guard)
    if not given:
        return aside
    if not hasattr(given, "keys"):  # pairs, perhaps of an iterator: what aiohttp makes of them
        given = options["headers"] = sys.modules["multidict"].CIMultiDict(given)
    options["headers"], here = taken_from_copy(given, guard)
    return both(aside, here)


class _Target(NamedTuple):
    method: str
    host: str
    path: str


def _target(
    session: Any, method: Any = None, str_or_url: Any = None, **_options: object
) -> _Target | None:
    """Say what is asked of whom; nothing where aiohttp will refuse the method or the URL."""
    build_url = session._build_url
    try:
        url = build_url(str_or_url)
        return _Target(method.upper(), url.host or "", url.path)
    except (AttributeError, TypeError, ValueError):
        return None


class _Exchange:
    """One request under way: the call, and how the session was asked to make it."""

    def __init__(self, meter: Opener, call: Call, session: Any, options: dict[str, Any]) -> None:
        self.call = call
        self._guard = meter.guard
        self._options = options
        self._judge = _said(session, options, "raise_for_status")
        self._decompressed = _said(session, options, "auto_decompress")
        self._closed: bool = session.closed
        self._observed = False

    def options(self) -> dict[str, Any]:
        """Give the options to send with: the caller's, who judges a response after our look."""
        judge: Callable[[Any], Awaitable[None]] = self._judge
        if not callable(judge):
            return self._options

        async def judged(response: Any) -> None:
            self.call.in_flight = False  # what the judgement asks for is an exchange of its own
            self.observe(response)
            try:
                await judge(response)
            except BaseException as exc:
                self._guard.run(_PLACE, self.call.interrupted, exc)
                raise

        return self._options | {"raise_for_status": judged}

    def failed(self, exc: BaseException) -> None:
        """Close the call of a request that raised."""
        if self._observed:
            self.call.failed(exc, unsent=False)
            return
        self._ask()
        status = _refusal(exc)
        if status is not None:
            self.call.streaming(status, {}, None, cached=False)
            self.call.interrupted(exc)
            return
        kinds = {kind.__name__ for kind in exc.__class__.__mro__}
        self.call.failed(exc, unsent=self._closed or not kinds.isdisjoint(_UNSENT))

    def observe(self, response: Any) -> None:
        """Observe the body of a response, once."""
        if not self._observed:
            self._observed = True
            if not self._guard.done(_PLACE, self._observe, response):
                self._guard.run(_PLACE, self.call.lost, None)

    def _ask(self) -> None:
        headers: Any = self._options.get("headers")
        find = getattr(headers, "get", None)
        self.call.asked(_body_in_memory(self._options), find and find(_RETRY_COUNT))

    def _observe(self, response: Any) -> None:
        self._ask()
        content, body = response.content, getattr(response, "_body", None)
        if body is None and not isinstance(content, sys.modules[LIBRARY].StreamReader):
            self.call.lost(response.status)
            return
        reader = self.call.streaming(
            response.status,
            response.headers,
            self._encoding(response.headers),
            cached=bool(getattr(response, "from_cache", False)),  # aiohttp-client-cache says so
        )
        if body is None and not content.at_eof():
            response.content = _observer(content.__class__)(content, _Tap(self.call, reader))
            return
        reader.chunks.append(body or b"")  # a middleware or a trace has read it, or there is none
        self.call.exhausted()

    def _encoding(self, headers: Mapping[str, str]) -> str | None:
        """Give the content encoding that the bytes of the stream still have."""
        encoding = headers.get("content-encoding")
        undone = self._decompressed and encoding and encoding.lower() in _undone()
        return None if undone else encoding


def _said(session: Any, options: Mapping[str, Any], name: str) -> Any:
    """Give an option of the request, or else of its session."""
    said = options.get(name)
    return getattr(session, name, None) if said is None else said


def _refusal(exc: BaseException) -> int | None:
    """Give the status of an answer that aiohttp itself made an exception of."""
    if type(exc).__name__ != "ClientResponseError" or exc.__cause__ is not None:
        return None  # with a cause, the server did not speak HTTP and the status is made up
    status: int | None = getattr(exc, "status", None)
    return status


def _body_in_memory(options: Mapping[str, Any]) -> bytes | None:
    json, body = options.get("json"), options.get("data")
    if json is not None:
        return _encoded(json)
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    return bytes(options["data"]) if isinstance(body, _IN_MEMORY) else None


def _encoded(json: object) -> bytes | None:
    try:
        return msgspec.json.encode(json, enc_hook=lambda _: None)
    except (TypeError, ValueError, RecursionError):
        return None  # the caller's own encoder knows how


@functools.cache
def _undone() -> frozenset[str]:
    """Give the content encodings that this aiohttp undoes before its stream."""
    known = {"gzip", "deflate", "br"}
    compression = sys.modules.get("aiohttp.compression_utils")
    return frozenset(known | {"zstd"} if hasattr(compression, "HAS_ZSTD") else known)


class _Tap:
    """Take what was read of a stream."""

    __slots__ = ("_append", "_reader", "_room", "call", "reads")

    def __init__(self, call: Call, reader: StreamReader) -> None:
        self.call = call
        self.reads = 0  # that are waiting
        self._reader = reader
        self._append = reader.chunks.append
        self._room = 0  # so that the first chunk takes the longer way

    def take(self, chunk: bytes) -> None:
        self._append(chunk)
        self._room -= len(chunk)
        if self._room < 0:
            self.call.first()
            self._reader.scan()
            self._room = BATCH

    def end(self, stream: Any) -> None:
        """Close the call when nothing is left to read."""
        if stream.at_eof():
            self.call.exhausted()

    def broken(self, exc: BaseException) -> None:
        """Close the call when the stream cannot be read any more.

        It can after a read that was cancelled (``wait_for`` does that), and after one that got in
        the way of another; then whoever lets go of the response ends the call.
        """
        if isinstance(exc, Exception) and not self.reads:
            self.call.interrupted(exc)


class _Observer:
    """A view of a stream: its state is that stream's, and what is read through the view is taken.

    aiohttp feeds the stream, the reader of the response has the view. When the view is dropped,
    nobody can read on.
    """

    _stream: Any
    _tap: _Tap

    def __init__(self, stream: Any, tap: _Tap) -> None:
        self.__dict__.update(_stream=stream, _tap=tap)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_stream"), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._stream, name, value)

    async def readany(self) -> bytes:
        return self._taken(await self._reading(self._stream.readany()))

    async def readuntil(self, *args: Any, **options: Any) -> bytes:
        return self._taken(await self._reading(self._stream.readuntil(*args, **options)))

    async def readchunk(self) -> tuple[bytes, bool]:
        chunk, ends = await self._reading(self._stream.readchunk())
        return self._taken(chunk), ends

    async def read(self, n: int = -1) -> bytes:
        if n < 0:
            stream: Any = super()
            whole: bytes = await stream.read(n)  # which reads by `readany`
            return whole
        return self._taken(await self._reading(self._stream.read(n)))

    def read_nowait(self, n: int = -1) -> bytes:
        try:
            return self._taken(self._stream.read_nowait(n))
        except BaseException as exc:
            self._tap.broken(exc)
            raise

    async def _reading(self, read: Awaitable[Any]) -> Any:
        tap = self._tap
        tap.reads += 1
        try:
            got = await read
        except BaseException as exc:
            tap.reads -= 1
            tap.broken(exc)
            raise
        tap.reads -= 1
        return got

    def _taken(self, chunk: bytes) -> bytes:
        if chunk:
            self._tap.take(chunk)
        else:
            self._tap.end(self._stream)
        return chunk

    def set_exception(self, *args: Any) -> None:
        """Refuse further reads: what a response does that is closed or released."""
        self._stream.set_exception(*args)
        self._tap.end(self._stream)
        self._tap.call.released()

    def __del__(self) -> None:
        self._tap.call.dropped()


@functools.cache
def _observer(stream_class: type) -> type[_Observer]:
    """Give the view of a class of streams, as a subclass of it."""
    names = {
        name
        for base in stream_class.__mro__
        for name, value in vars(base).items()
        if not callable(value) and not name.startswith("__")
    }
    views = {name: property(operator.attrgetter(f"_stream.{name}")) for name in names}
    return type(stream_class.__name__, (_Observer, stream_class), views)


def is_client(thing: object) -> bool:
    """Say whether a thing is a session of aiohttp."""
    library = sys.modules.get(LIBRARY)
    return library is not None and isinstance(thing, library.ClientSession)


def hook_client(client: Any, meter: Opener) -> _SessionLayer:
    """Hook one session; it is held weakly, so that it dies as it would without the hook."""
    return _SessionLayer(meter, client)


class _SessionLayer(_Sends):
    def __init__(self, meter: Opener, session: Any) -> None:
        super().__init__(meter)
        self._session = weakref.ref(session)
        own = _own(session)
        before = self._before = own.get(_METHOD)
        original: Send = before or session.__class__._request
        self._hook = functools.wraps(original)(self.meter_send(before or self._class_send))
        own[_METHOD] = self._hook

    def begin(self, args: tuple[Any, ...], options: dict[str, Any]) -> _Exchange | None:
        return self.open(self._living(), args, options)

    def _living(self) -> Any:
        session = self._session()
        if session is None:
            raise ReferenceError("the session is gone; only its method was kept")
        return session

    def _class_send(self, *args: Any, **options: Any) -> Any:
        session = self._living()
        return session.__class__._request(session, *args, **options)

    def undo(self) -> None:
        """Take the hook off, or leave it passing through when somebody patched over it."""
        self.active = False
        session = self._session()
        own = {} if session is None else _own(session)
        if own.get(_METHOD) is not self._hook:
            return
        if self._before is None:
            del own[_METHOD]
        else:
            own[_METHOD] = self._before


def _own(session: Any) -> dict[str, Send]:
    """Give the attributes of a session; aiohttp frowns at those that are set the usual way."""
    own: dict[str, Send] = session.__dict__
    return own


class _ClassLayer(_Sends):
    def __init__(self, meter: Opener, library: ModuleType) -> None:
        super().__init__(meter)
        self.undo = self.patch(library, f"ClientSession.{_METHOD}", self.meter_send)


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the class of sessions, now or when aiohttp is imported; gives the undo."""
    return on_import(meter, (LIBRARY,), lambda library: [_ClassLayer(meter, library)])
