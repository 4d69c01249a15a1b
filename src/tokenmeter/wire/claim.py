"""Which seam an exchange belongs to: the outermost one; those below it pass through.

Seams lie on each other (a wrapped client in an instrumented process, httpx over aiohttp). The
outermost one claims the exchange in a context variable for as long as its request is in flight.
The claim says itself when it is over, so that a background task that copied the context in the
middle of a request is not deaf for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Protocol


class Claim(Protocol):
    """Whatever holds an exchange."""

    in_flight: bool


class _Always:
    in_flight = True


_claim: ContextVar[Claim | None] = ContextVar("tokenmeter_claim", default=None)
_PASS_THROUGH = _Always()


def claimed() -> bool:
    """Say whether an outer seam, or `passing_through`, holds what happens here."""
    claim = _claim.get()
    return claim is not None and claim.in_flight


def hold(claim: Claim) -> Token[Claim | None]:
    """Claim what happens from here on in this context."""
    return _claim.set(claim)


def release(token: Token[Claim | None]) -> None:
    """Give the claim back."""
    try:
        _claim.reset(token)
    except ValueError:
        # A coroutine that is finalised runs in another context, where there is nothing to undo.
        pass


@contextmanager
def passing_through() -> Iterator[None]:
    """Make every seam pass through in this context: used by ``disabled`` and around exporters."""
    token = hold(_PASS_THROUGH)
    try:
        yield
    finally:
        release(token)


def hold_exporting() -> Token[Claim | None]:
    """Begin to pass through while exporters run: `passing_through` without its generator."""
    return _claim.set(_PASS_THROUGH)
