"""How a call or a run ended, and what an exception that leaves it says about that."""

from __future__ import annotations

from typing import NamedTuple

from tokenmeter.event import Status


class End(NamedTuple):
    """How something that was metered ended, as its seam saw it."""

    status: Status
    error_type: str | None = None
    unsent: bool = False  # nothing reached the provider, so nothing can have been used


COMPLETED = End("completed")
ABANDONED = End("abandoned")
_LEAVING = {"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt", "SystemExit"}
"""Exceptions by which a caller leaves, by name: asyncio and trio are not imported for them."""


def end_by(exc: BaseException) -> End:
    """Say how something ended that an exception left: abandoned by its caller, or failed."""
    name = type(exc).__name__
    return ABANDONED if name in _LEAVING else End("failed", name)
