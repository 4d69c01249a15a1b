"""Saying whom calls are for to other programs, and taking over what other programs say.

The functions for a program's author; what travels, and how it is checked, is in `baggage`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, TypeVar

from tokenmeter import baggage
from tokenmeter.attribution import inside, lay, lift
from tokenmeter.baggage import HEADER, TRACE, Carried
from tokenmeter.meter import default

C = TypeVar("C", bound=MutableMapping[str, str])
F = TypeVar("F", bound=Callable[..., Any])


def inject(headers: C) -> C:
    """Add to headers in which run, and for which task, a service is asked; gives the same object.

    Adds members to ``baggage`` (https://www.w3.org/TR/baggage/) and, where OpenTelemetry has a
    current span, ``traceparent``, unless it is there. Names of people and teams, and tags, only
    where ``configure(baggage=[…])`` allows them.

    >>> inject({})
    {}
    """
    settings = default().settings
    return baggage.injected(headers, settings.baggage, settings.pseudonyms)


def environ_for_child(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment for a process that is to go on in the run that is in force here.

    A copy of the variables, those of this process where none are given, with ``BAGGAGE`` and
    ``TRACEPARENT`` as OpenTelemetry defines them for processes. `configure` reads them there.

    >>> environ_for_child({"PATH": "/bin"})
    {'PATH': '/bin'}
    """
    copy = dict(os.environ if environ is None else environ)
    settings = default().settings
    names = HEADER.upper(), TRACE.upper()
    return baggage.injected(copy, settings.baggage, settings.pseudonyms, *names)


class extract:  # noqa: N801 - reads as a verb, in `with` and as a decorator
    """Go on in the run that somebody's headers name: a context manager, and a decorator.

    What is not as it should be is ignored and counted in ``meter.stats()["guard"]``, never an
    exception. Only ids are taken; names of people and teams, and tags, only where
    ``configure(baggage=[…])`` allows them.

    Args:
        headers: Any mapping of headers, or the environment of a process.

    >>> with extract({"baggage": "tokenmeter.task=T-1"}) as carried:
    ...     carried.names
    {'task': 'T-1'}
    """

    __slots__ = ("_carried",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._carried = default().taken(headers)

    def __enter__(self) -> Carried:
        lay(self._carried, self)
        return self._carried

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        lift(self)

    def __call__(self, function: F) -> F:
        """Decorate a function so that its body runs in what the headers say.

        Raises:
            ConfigurationError: It is not a function.
        """
        return inside("extract(...)", function, self._carried)
