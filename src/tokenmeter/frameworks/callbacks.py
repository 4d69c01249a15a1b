"""Runs of frameworks that say when an agent starts and when it ends, in two calls.

A callback has to come in the context in which the agent works: a context variable that is set
elsewhere reaches none of its calls. Whether it does is proved for each framework in its tests.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Hashable
from typing import Any

from tokenmeter.attribution import attribute
from tokenmeter.meter import default

LIMIT = 10_000
"""Agents of one framework that may be at work at once; the oldest is given up for one more."""


def named(name: object, unnamed: str) -> str:
    """Give the name of an agent, or that of its class where it has none that can be written.

    A slash becomes a dash, because a slash parts the path of agents.

    >>> named("planner", "Agent"), named("", "Agent"), named("I/O", "Agent")
    ('planner', 'Agent', 'I-O')
    """
    if isinstance(name, str) and name and name.encode(errors="replace").decode() == name:
        return name.replace("/", "-")
    return unnamed


class Agents:
    """The agents of one framework that are at work, each a block that is open.

    Nothing here raises: what goes wrong is counted in the guard of the default meter.

    Args:
        framework: Its name, for the guard.
    """

    def __init__(self, framework: str) -> None:
        self._place = f"the agents of {framework}"
        self._open: dict[Hashable, attribute] = {}

    def start(self, key: Hashable, name: object, unnamed: str = "Agent") -> None:
        """Begin the run of an agent here; called in the context in which it works.

        Args:
            key: The framework's own id of this run.
            name: The name of the agent.
            unnamed: What it is called where it has no name: its class.
        """
        self._guarded(self._start, key, named(name, unnamed))

    def end(self, key: Hashable, error: BaseException | str | None = None) -> None:
        """End a run: completed, or by an exception or by the name of one; not known is nothing."""
        self._guarded(self._end, key, error)

    def give_up(self) -> None:
        """End all that are open as abandoned: nobody will say when they do."""
        for key in reversed(list(self._open)):
            self.end(key, CancelledError())

    def _start(self, key: Hashable, name: str) -> None:
        if key in self._open:
            return
        while len(self._open) >= LIMIT:
            self._end(next(iter(self._open)), CancelledError())
        block = attribute(agent=name)
        block.__enter__()
        self._open[key] = block

    def _end(self, key: Hashable, error: BaseException | str | None) -> None:
        block = self._open.pop(key, None)
        if block is None:
            return
        exc = type(error, (Exception,), {})() if isinstance(error, str) else error
        block.__exit__(None if exc is None else type(exc), exc, None)

    def _guarded(self, piece: Callable[..., object], *args: Any) -> None:
        default().guard.run(self._place, piece, *args)
