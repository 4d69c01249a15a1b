"""Which seam an exchange belongs to: the outermost one; those below it pass through.

Seams lie on each other (a wrapped client in an instrumented process, httpx over aiohttp). The
outermost one claims the exchange in a context variable for as long as its request is in flight.
The claim says itself when it is over, so that a background task that copied the context in the
middle of a request is not deaf for ever.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Protocol


class Claim(Protocol):
    """Whatever holds an exchange."""

    in_flight: bool


class _Always:
    in_flight = True


claim: ContextVar[Claim | None] = ContextVar("tokenmeter_claim", default=None)
"""What holds an exchange here. Setting `PASS_THROUGH` makes every seam pass through."""

PASS_THROUGH = _Always()


def claimed() -> bool:
    """Say whether an outer seam, or `passing_through`, holds what happens here."""
    holder = claim.get()
    return holder is not None and holder.in_flight


@contextmanager
def passing_through() -> Generator[None]:
    """Make every seam pass through in this context."""
    token = claim.set(PASS_THROUGH)
    try:
        yield
    finally:
        # A generator that is finalised runs in another context, where there is nothing to undo.
        with suppress(ValueError):
            claim.reset(token)
