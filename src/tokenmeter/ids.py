"""Names for events: sortable by time, unique across processes, forks and machines."""

from __future__ import annotations

import hashlib
import itertools
import secrets


class EventIds:
    """Make UUIDs of version 7 (RFC 9562) in hexadecimal: time first, then a random part.

    The random part is drawn once and counts up, so ids of one process never repeat.
    """

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Draw a new random part; a forked child must, or it would repeat its parent's ids."""
        noise = secrets.randbits(61)
        variant_and_noise = 0x8000 | noise >> 47
        self._low = itertools.count(variant_and_noise << 48 | noise & 0x7FFF_FFFF_FFFF)

    def __call__(self, ts_ns: int) -> str:
        """Give the next id for an event that began at this time (nanoseconds since 1970)."""
        ms, below_ms = divmod(ts_ns, 1_000_000)
        high = ms << 16 | 0x7000 | below_ms >> 8
        return (high << 64 | next(self._low)).to_bytes(16).hex()


def derived_id(provider: str, response_id: str, item: str = "") -> str:
    """Give the id of an answer that several processes may fetch: the same in each of them."""
    text = "\0".join((provider, response_id, item)).encode()
    n = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    n = n & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62  # a UUID of version 8
    return f"{n:032x}"


def is_derived(event_id: str) -> bool:
    """Say whether an id was derived from an answer, so that another event may have it too."""
    return event_id[12:13] == "8"
