"""What an author hands in, and the two ways in which a check says that it did not pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter

Outage = Callable[[Literal["fails", "hangs"]], AbstractContextManager[object]]


class Rig(NamedTuple):
    """An exporter to be checked, and a look at where its events go.

    Attributes:
        make: Makes a new exporter on the same sink.
        arrived: Gives what is at the sink now, in its order: whole events, which are compared
            column by column, or their ``event_id`` alone. What is there from elsewhere is ignored.
        outage: Gives a context in which the sink ``"fails"`` (it refuses at once) or ``"hangs"``
            (it does not answer); ``None``: there is no such thing, or it cannot be had.
        shared: Whether other processes reach the same sink; not so for a list.
        idempotent: Whether what is handed over twice arrives once, by its ``event_id``; not so for
            a file.
    """

    make: Callable[[], Exporter]
    arrived: Callable[[], Iterable[UsageEvent | str]]
    outage: Outage | None = None
    shared: bool = True
    idempotent: bool = True


Check = Callable[[Rig], None]


class BrokenError(AssertionError):
    """Say which promise an exporter does not keep: what it did, what was expected, what to do."""


class CannotCheckError(Exception):
    """Say why a promise cannot be checked with this rig."""


def promise(kept: object, did: str, expected: str, do: str) -> None:
    """Go on where a promise is kept.

    Raises:
        BrokenError: It is not.
    """
    if not kept:
        raise BrokenError(f"the exporter {did}\nexpected: {expected}\nto do:    {do}")


def needs(there: object, why: str) -> None:
    """Go on where a rig has what a check needs.

    Raises:
        CannotCheckError: It has not.
    """
    if not there:
        raise CannotCheckError(why)


def needs_shared(rig: Rig) -> None:
    """Go on where another process reaches the sink."""
    needs(rig.shared, "shared=False: another process does not reach this sink")


def needs_idempotent(rig: Rig) -> None:
    """Go on where what is handed over twice arrives once."""
    needs(rig.idempotent, "idempotent=False: what is handed over twice is at this sink twice")
