"""The bodies that botocore and aiobotocore leave to their callers, observed where they are read.

A StreamingBody or an EventStream stays what it is: what lies under it is observed, a response of
urllib3, the stream of a response of aiohttp, or a response of httpx.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from http.client import IncompleteRead
from typing import Any

from tokenmeter.call import Call
from tokenmeter.wire.body import BATCH, StreamReader
from tokenmeter.wire.httpx import observe_stream


def observe(call: Call, response: Any) -> None:
    """Observe the body of an AWSResponse, whatever library its ``raw`` is of."""
    raw: Any = response.raw
    follow = next((follow for kind, follow in _FOLLOW.items() if _is(raw, kind)), None)
    if follow is None:
        call.lost(response.status_code)
        return
    encoding = response.headers.get("content-encoding")
    reader = call.streaming(response.status_code, response.headers, encoding, cached=False)
    follow(raw, call, reader)


def _is(raw: object, kind: str) -> bool:
    library, _, name = kind.partition(".")
    return isinstance(raw, getattr(sys.modules.get(library), name, ()))


class _Tap:
    """Take what was read."""

    def __init__(self, call: Call, reader: StreamReader) -> None:
        self.call = call
        self.busy = False  # what closes the body now is not its reader
        self._reader = reader
        self._room = 0  # so that the first chunk takes the longer way

    def take(self, chunk: bytes) -> None:
        self._reader.chunks.append(chunk)
        self._room -= len(chunk)
        if self._room < 0:
            self.call.first()
            self._reader.scan()
            self._room = BATCH

    def let_go(self) -> None:
        """Close the call of a body that was closed."""
        if not self.busy:
            self.call.released()


def _follow_urllib3(raw: Any, call: Call, reader: StreamReader) -> None:
    """Put a class under the response that tells what is read of it.

    Hooks in the response's own dictionary would be a cycle, and keep a connection open that was
    dropped; a wrapper would be another thing for ``with body as raw``.
    """
    raw._tap = _Tap(call, reader)
    raw.__class__ = _observed(raw.__class__)


@functools.cache
def _observed(kind: Any) -> type:
    names = ("read", "read1")  # read1 came with urllib3 2
    reads = {name: _reading(getattr(kind, name)) for name in names if hasattr(kind, name)}
    told = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (_Response, kind), reads | told)


def _reading(read: Callable[..., bytes]) -> Callable[..., bytes]:
    whole = read.__name__ == "read"  # without an amount, it reads to the end

    @functools.wraps(read)
    def hook(response: Any, amt: int | None = None, *args: Any, **kwargs: Any) -> bytes:
        tap: _Tap = response._tap
        data: bytes = _read(response, tap, read, response, amt, *args, **kwargs)
        if data:
            tap.take(data)
        last = (whole and (amt is None or amt < 0)) or (not data and amt != 0)
        if last or response.closed:
            _end(tap.call, response)
        return data

    return hook


def _read(response: Any, tap: _Tap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Read for the caller; an exception that leaves something to read ends nothing."""
    tap.busy = True
    try:
        return read(*args, **kwargs)
    except StopIteration:
        raise
    except BaseException as exc:
        if response.closed:
            tap.call.interrupted(exc)
        raise
    finally:
        tap.busy = False


def _end(call: Call, response: Any) -> None:
    """Close the call of a body that was read to its end; botocore has urllib3 check no length."""
    missing = response.length_remaining
    if missing:
        call.interrupted(IncompleteRead(b"", missing))
    else:
        call.exhausted()


class _Response:
    """What a response of urllib3 does otherwise; its ``stream`` reads by ``read`` or in chunks."""

    _tap: _Tap

    def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        base: Any = super()
        tap, chunks = self._tap, base.read_chunked(*args, **kwargs)
        while True:
            try:
                chunk = _read(self, tap, next, chunks)
            except StopIteration:
                break
            tap.take(chunk)
            yield chunk
        tap.call.exhausted()

    def close(self) -> None:
        base: Any = super()
        try:
            base.close()
        finally:
            self._tap.let_go()

    def __del__(self) -> None:
        base: Any = super()
        self._tap.busy = True
        self._tap.call.dropped()
        base.__del__()


def _follow_aiohttp(raw: Any, call: Call, reader: StreamReader) -> None:
    raw.content = _Content(raw.content, _Tap(call, reader))


_READS = {"read", "readany", "readchunk", "readexactly", "readline", "readuntil"}


class _Content:
    """A view of the stream of aiohttp's response, which goes on to be fed; what is read is taken.

    When it is dropped, nobody can read on.
    """

    def __init__(self, stream: Any, tap: _Tap) -> None:
        self._stream: Any = stream
        self._kind: Any = type(stream)
        self._tap = tap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if name in _READS:
            return functools.partial(self._read, found)
        if name.startswith("iter_"):  # iterates by one of the methods above, here
            return functools.partial(getattr(self._kind, name), self)
        return found

    def __aiter__(self) -> Any:
        return self._kind.__aiter__(self)

    async def _read(self, read: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        try:
            data: Any = await read(*args, **kwargs)
        except BaseException as exc:
            if isinstance(exc, Exception):  # after a read that was cancelled, one may read on
                self._tap.call.interrupted(exc)
            raise
        chunk: bytes = data[0] if read.__name__ == "readchunk" else data
        if chunk:
            self._tap.take(chunk)
        if self._stream.at_eof():
            self._tap.call.exhausted()
        return data

    def set_exception(self, *args: Any) -> None:
        """Refuse further reads: what a response does that is closed or released."""
        self._stream.set_exception(*args)
        self._tap.let_go()

    def __del__(self) -> None:
        self._tap.call.dropped()


_FOLLOW: dict[str, Callable[[Any, Call, StreamReader], None]] = {
    "urllib3.HTTPResponse": _follow_urllib3,
    "aiohttp.ClientResponse": _follow_aiohttp,
    "httpx.Response": observe_stream,
    "httpx2.Response": observe_stream,
}
