"""Names for events: sortable by time, unique across processes, forks and machines."""

from __future__ import annotations

import hashlib
import itertools
import secrets


class EventIds:
    """Make UUIDs of version 7 (RFC 9562): time first, then a random start that counts up."""

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Draw a new random part; a forked child must, or it would repeat its parent's ids."""
        noise = secrets.randbits(62)
        self._high = f"{0x8000 | noise >> 48:04x}"
        self._low = itertools.count(noise & 0x7FFF_FFFF_FFFF)

    def __call__(self, ts_ns: int) -> str:
        """Give the next id for an event that began at this time (nanoseconds since 1970)."""
        ms, fraction = divmod(ts_ns, 1_000_000)
        h = f"{ms:012x}7{fraction * 4096 // 1_000_000:03x}{next(self._low):012x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{self._high}-{h[16:]}"


def derived_id(provider: str, response_id: str, item: str = "") -> str:
    """Give the id of an answer that several processes may fetch: the same in each of them."""
    text = "\0".join((provider, response_id, item)).encode()
    n = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    n = n & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62  # a UUID of version 8
    h = f"{n:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
