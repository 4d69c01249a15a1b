"""The one place that catches broadly: what goes wrong in the meter stays in the meter.

A failure is logged once per place, without the exception's text (it may hold what a user wrote;
that of a `DeliveryError` holds nothing such), and counted. A dialect that fails a hundred times is
switched off.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable, Generator
from typing import ParamSpec, TypeVar

from tokenmeter.errors import ConfigurationError, DeliveryError, TokenmeterError

P = ParamSpec("P")
R = TypeVar("R")

LIMIT = 100
"""Failures after which a dialect is switched off."""

logger = logging.getLogger("tokenmeter")


class Guard:
    """Run pieces of the meter so that none of them can harm the user's call."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}
        """Failures by place; read it to see what went wrong."""

    def run(self, place: str, piece: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call the piece and give its result, or ``None`` when it raised."""
        try:
            return piece(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - this is what the guard is for
            self.note(place, exc)
            return None

    def done(
        self, place: str, piece: Callable[P, object], *args: P.args, **kwargs: P.kwargs
    ) -> bool:
        """Call the piece and say whether it returned."""
        try:
            piece(*args, **kwargs)
        except Exception as exc:  # noqa: BLE001 - this is what the guard is for
            self.note(place, exc)
            return False
        return True

    def note(self, place: str, exc: BaseException) -> None:
        """Count a failure; log the first one of a place, and the one that trips it."""
        count = self.failures[place] = self.failures.get(place, 0) + 1
        if count == 1:
            logger.warning(
                "%s failed with %s at %s; your call is not affected, "
                "further failures are only counted",
                place,
                _kind(exc),
                _where(exc),
            )
        elif count == LIMIT:
            logger.warning(
                "%s failed %d times; a wire format that does is switched off, others go on",
                place,
                LIMIT,
            )

    def count(self, place: str, times: int = 1) -> None:
        """Count what went wrong outside of us: bytes that nobody can read, and the like."""
        self.failures[place] = self.failures.get(place, 0) + times


@contextlib.contextmanager
def blaming(what: str) -> Generator[None]:
    """Say of what somebody else's code raises while it is configured whose it is.

    Raises:
        ConfigurationError: Says ``what``, and the kind and the line of what was raised.
    """
    try:
        yield
    except TokenmeterError:
        raise
    except Exception as exc:
        raise ConfigurationError(f"{what}: {_kind(exc)} at {_where(exc)}") from exc


def _kind(exc: BaseException) -> str:
    if isinstance(exc, DeliveryError):
        return f"{type(exc).__name__} ({exc})"
    number = exc.errno if isinstance(exc, OSError) else None
    name = type(exc).__name__
    return f"{name} ({errno.errorcode.get(number, number)})" if number is not None else name


def _where(exc: BaseException) -> str:
    trace = exc.__traceback__
    if trace is None:
        return "an unknown line"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
