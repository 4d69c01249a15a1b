"""Undoing a content encoding on a private copy of a stream's bytes.

The caller's bytes stay as they are; the HTTP library decodes them on its own.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

Undo = Callable[[bytes], bytes]


def undo(content_encoding: str | None) -> Undo | None:
    """Give a function that decodes successive chunks, or ``None`` when that cannot be done.

    Several encodings are undone in the reverse order of the header (RFC 9110, 8.4).
    """
    names = [n.strip().lower() for n in (content_encoding or "").split(",")]
    steps = [_STEPS.get(name, _unknown)() for name in reversed(names) if name not in _NONE]
    known = [step for step in steps if step is not None]
    return _chain(known) if len(known) == len(steps) else None


def _chain(steps: list[Undo]) -> Undo:
    def decode(data: bytes) -> bytes:
        for step in steps:
            data = step(data)
        return data

    return decode


def _unknown() -> None:
    return None


def _gzip() -> Undo:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress


def _deflate() -> Undo:
    """Decode zlib's format, or the bare deflate stream that some servers send under its name."""
    decoder: Any = None
    head = b""

    def decode(data: bytes) -> bytes:
        nonlocal decoder, head
        if decoder is None:
            head = data = head + data
            if len(head) < 2:  # zlib's header, which the bare stream does not have
                return b""
            decoder = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib(head) else -zlib.MAX_WBITS)
        return bytes(decoder.decompress(data))

    return decode


def _is_zlib(head: bytes) -> bool:
    """Say whether a body begins with zlib's header (RFC 1950, 2.2)."""
    return head[0] & 15 == 8 and (head[0] << 8 | head[1]) % 31 == 0


def _brotli() -> Undo | None:
    for name, method in (("brotli", "process"), ("brotlicffi", "decompress")):
        try:
            decoder = importlib.import_module(name).Decompressor()
        except ImportError:
            continue
        return getattr(decoder, method)  # type: ignore[no-any-return]
    return None


def _zstd() -> Undo | None:
    """Decode zstd with what is installed: httpx uses one of these packages, httpx2 another."""
    for name in ("zstandard", "compression.zstd", "backports.zstd"):
        try:
            decoder = importlib.import_module(name).ZstdDecompressor()
        except ImportError:
            continue
        if hasattr(decoder, "decompressobj"):
            decoder = decoder.decompressobj(read_across_frames=True)
        return decoder.decompress  # type: ignore[no-any-return]
    return None


_NONE = ("", "identity")
_STEPS: dict[str, Callable[[], Undo | None]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
