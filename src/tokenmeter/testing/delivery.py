"""How an answer travels: its events cut, compressed, held back and ended as the script says."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from tokenmeter.errors import MissingExtraError
from tokenmeter.testing.answers import Answer, Encoding
from tokenmeter.testing.formats import Event, Format

_Compress = Callable[[bytes], bytes]
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")


class ConnectionCutError(Exception):
    """Say that the script wants the connection closed here."""


def events_sent(events: Iterable[Event], answer: Answer, form: Format) -> list[Event]:
    """Return the events that the script lets through."""
    if answer.ending == "whole":
        return list(events)
    begun = [event for event in events if not event.terminal]
    # Without a place to stop, "cut" is after the last event but the terminal one.
    begun = list(islice(begun, answer.stop_after))
    return [*begun, form.error_event] if answer.ending == "error" else begun


def encoded(events: Iterable[Event], answer: Answer) -> list[bytes]:
    """Render events as bytes, with the comments and the filler that the script wants."""
    end = answer.line_end
    comment = f": ping{end}{end}".encode() if answer.comments else b""
    rendered = [comment + event.encode(end) for event in events]
    filler = b": " + b"x" * answer.padding + (end * 2).encode() if answer.padding else b""
    return [filler + rendered[0], *rendered[1:]] if rendered else [filler]


def split_events(body: bytes) -> list[bytes]:
    """Cut the bytes of a recorded stream after each event."""
    return [event for event in _EVENT_END.split(body) if event]


def network_chunks(events: Iterable[bytes], answer: Answer) -> Iterator[bytes]:
    """Yield what is written to the network at once, waiting at the gate on the way.

    Raises:
        ConnectionCutError: The script cuts the connection here.
    """
    compress, finish = compressor(answer.encoding)
    gate, kept = answer.gate, b""
    for index, event in enumerate(events):
        if gate is not None and gate.after == index:
            yield from _cut(kept, answer.chunk_size)
            kept = b""
            gate.wait_open()
        kept += compress(event)
        if answer.chunk_size is None:
            yield kept
            kept = b""
    yield from _cut(kept if answer.ending == "cut" else kept + finish(), answer.chunk_size)
    if answer.ending == "cut":
        raise ConnectionCutError


def _cut(body: bytes, size: int | None) -> Iterator[bytes]:
    step = size or len(body) or 1
    return (body[at : at + step] for at in range(0, len(body), step))


def compressor(encoding: Encoding | None) -> tuple[_Compress, Callable[[], bytes]]:
    """Return how to encode the next bytes, readable at once, and how to end the body."""
    return _COMPRESSORS[encoding]()


def _identity() -> tuple[_Compress, Callable[[], bytes]]:
    return bytes, bytes


def _zlib(window_bits: int) -> tuple[_Compress, Callable[[], bytes]]:
    stream = zlib.compressobj(wbits=window_bits)
    return lambda body: stream.compress(body) + stream.flush(zlib.Z_SYNC_FLUSH), stream.flush


def _brotli() -> tuple[_Compress, Callable[[], bytes]]:
    stream = _package("brotli").Compressor(quality=1)
    return lambda body: stream.process(body) + stream.flush(), stream.finish


def _zstd() -> tuple[_Compress, Callable[[], bytes]]:
    zstandard = _package("zstandard")
    stream = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return lambda body: stream.compress(body) + stream.flush(block), stream.flush


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        raise MissingExtraError(f"the package {name!r}", "demo") from missing


_COMPRESSORS: dict[Encoding | None, Callable[[], tuple[_Compress, Callable[[], bytes]]]] = {
    None: _identity,
    "gzip": lambda: _zlib(31),
    "deflate": lambda: _zlib(15),
    "br": _brotli,
    "zstd": _zstd,
}
