"""Exact streams over httpx and httpx2: the request that asks is sent in place of the caller's.

The caller's request is not touched: a copy with another body, length and ``accept-encoding`` is
sent, and everything that leads back to it (the response, its history, an exception) is led to the
caller's instead. Authentication and hooks on requests see what is sent, so that what they sign is
what arrives; what they add to its headers is added to the caller's, as it would have been. Hooks on
responses would see the event that is taken out later, so a client that has any is not asked for it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from tokenmeter.wire.cutter import Cutter
from tokenmeter.wire.exact import REFUSALS, ExactStreams
from tokenmeter.wire.httpx import OverStream, library_of
from tokenmeter.wire.sends import Sending
from tokenmeter.wire.steps import Steps

_PLACE = "exact streams"
_OURS = ("accept-encoding", "content-length")
"""Headers in which the request that is sent differs from the caller's."""


def ask(exact: ExactStreams, client: Any, sending: Sending) -> Asked | None:
    """Prepare to send a request that asks for the usage, where that can be."""
    request = sending.request
    if client is None or client.event_hooks["response"]:
        return None
    try:
        content = request.content
    except RuntimeError:  # RequestNotRead: a multipart or streamed upload, not ours to read
        return None
    body = exact.asking(sending.call.route, request.headers, content)
    return None if body is None else Asked(exact, sending, _with_body(request, body))


def _with_body(request: Any, body: bytes) -> Any:
    headers = request.headers.copy()
    headers["accept-encoding"] = "identity"
    headers["content-length"] = str(len(body))
    return library_of(request.__class__).Request(
        request.method, request.url, headers=headers, content=body, extensions=request.extensions
    )


class Asked:
    """One exchange in which the usage is asked for."""

    def __init__(self, exact: ExactStreams, sending: Sending, sent: Any) -> None:
        self._exact = exact
        self._sending = sending
        self._sent = sent
        self._headers = sent.headers.copy()
        self._asks = True
        self._close, self._read = ("aclose", "aread") if sending.is_async else ("close", "read")

    def sending(self, send: Any) -> Steps:
        """Send the request that asks; when it is refused, send the caller's."""
        _, _, args, kwargs, _ = self._sending
        try:
            response = yield functools.partial(send, *self._args(), **self._kwargs())
        except BaseException as exc:
            self._lead_back(exc)
            raise
        if getattr(response, "status_code", None) not in REFUSALS:
            return response
        self._asks = False
        with contextlib.suppress(library_of(response.__class__).TransportError):
            yield getattr(response, self._close)
        response = yield functools.partial(send, *args, **kwargs)
        if getattr(response, "is_success", False):
            self._exact.refused(self._sending.call.route.host)
        return response

    def handing_over(self, response: Any) -> Steps:
        """Give the caller what it would have got, read where it is to be."""
        if not self._asks:
            return response
        guard = self._exact.guard
        guard.run(_PLACE, self._restore, response)
        guard.run(_PLACE, self._cut, response)
        read = getattr(response, self._read, None)
        if read is not None and not self._sending.kwargs.get("stream"):
            try:
                yield read
            except BaseException:
                yield getattr(response, self._close)
                raise
        return response

    def _args(self) -> tuple[Any, ...]:
        return tuple(self._sent if a is self._sending.request else a for a in self._sending.args)

    def _kwargs(self) -> dict[str, Any]:
        given = self._sending.kwargs
        request = {"request": self._sent} if "request" in given else {}
        return given | request | {"stream": True}

    def _lead_back(self, exc: BaseException) -> None:
        """Have an exception name the caller's request."""
        with contextlib.suppress(AttributeError, RuntimeError):
            self._have(exc)

    def _restore(self, response: Any) -> None:
        """Have everything lead to the caller's request, with what was added to its copy."""
        request, sent = self._sending.request, self._sent
        for answer in (*response.history, response):
            self._have(answer)
            if answer.next_request is not None:
                self._as_given(answer.next_request)
        request.extensions = sent.extensions
        if sent.headers != self._headers:
            self._as_given(sent)
            request.headers = sent.headers

    def _have(self, holder: Any) -> None:
        if holder.request is self._sent:
            holder.request = self._sending.request
        else:
            self._as_given(holder.request)

    def _as_given(self, redirected: Any) -> None:
        """Give a request that was made from ours the body that it would have had."""
        request = self._sending.request
        if redirected.stream is self._sent.stream:
            redirected.stream = request.stream
        for name in _OURS:
            if name not in redirected.headers:
                continue
            if name in request.headers:
                redirected.headers[name] = request.headers[name]
            else:
                del redirected.headers[name]

    def _cut(self, response: Any) -> None:
        """Have the event taken out of the answer, whether it is still to come or not."""
        route, encoding = self._sending.call.route, response.headers.get("content-encoding")
        if not response.is_success:
            return
        if encoding is not None and encoding.lower() != "identity":
            self._exact.refused(route.host)
            return
        cutter = self._exact.cutter(route)
        if response.is_stream_consumed:  # somebody below us has read it; only here it can be had
            response._content = cutter.add(response.content) + cutter.rest()
        else:
            kind = _cut_stream(library_of(response.__class__), self._sending.is_async)
            response.stream = kind(response.stream, cutter)


@functools.cache
def _cut_stream(library: ModuleType, is_async: bool) -> type:
    """Give our subclass of a library's stream class."""
    base = library.AsyncByteStream if is_async else library.SyncByteStream
    return type("CutStream", (_AsyncCut if is_async else _SyncCut, base), {})


class _Cut(OverStream):
    def __init__(self, stream: Any, cutter: Cutter) -> None:
        super().__init__(stream)
        self._cutter = cutter


class _SyncCut(_Cut):
    """Pass on what the cutter lets through.

    What it holds when the stream breaks is the beginning of an event, which nobody could read.
    """

    def __iter__(self) -> Iterator[bytes]:
        cutter = self._cutter
        for chunk in self._stream:
            if passed := cutter.add(chunk):
                yield passed
        if rest := cutter.rest():
            yield rest

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._adopt()


class _AsyncCut(_Cut):
    """The same, asynchronously."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncChunks(self._stream, self._cutter)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._adopt()


class _AsyncChunks:
    """A class, because an async generator would need its loop to be finalised."""

    __slots__ = ("_chunks", "_cutter")

    def __init__(self, stream: Any, cutter: Cutter) -> None:
        self._chunks = aiter(stream)
        self._cutter = cutter

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        cutter = self._cutter
        try:
            while not (passed := cutter.add(await anext(self._chunks))):
                pass
        except StopAsyncIteration:
            if rest := cutter.rest():
                return rest
            raise
        return passed

    async def aclose(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
