"""Frameworks name their agents already: their runs become runs of our tree.

One file for each framework, imported when the user's own program imports the framework, and never
before. This file knows their names alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from tokenmeter.errors import ConfigurationError
from tokenmeter.meter import Undo, default
from tokenmeter.near import meant


class Place(NamedTuple):
    """Where a framework is met.

    Attributes:
        file: The file of this package that has the ``hook`` for it.
        module: The module of the framework that the hook is for; it waits for its import.
    """

    file: str
    module: str


FRAMEWORKS = {
    "claude-agent-sdk": Place("claude_agent_sdk", "claude_agent_sdk"),
    "crewai": Place("crewai", "crewai"),
    "langgraph": Place("langgraph", "langgraph.pregel"),
    "openai-agents": Place("openai_agents", "agents.tracing"),
    "pydantic-ai": Place("pydantic_ai", "pydantic_ai"),
    "smolagents": Place("smolagents", "smolagents"),
}
"""The frameworks that can be followed, by the names of their packages."""


def follow(*names: str) -> Undo:
    """Have the agents of frameworks become runs of the tree, now and when they are imported.

    Each run of an agent is then what a block ``attribute(agent=…)`` around it would be: it has an
    id, a parent, an event of its own when it ends, and the calls inside belong to it. Nothing is
    metered by this: that is what `wrap` and `instrument` do. Following twice is following once.

    Args:
        names: Packages, for example ``"langgraph"``; all that are known, where none is named.

    Returns:
        The undo, also a context manager; runs are seen until everybody who followed has undone it.

    Raises:
        ConfigurationError: A name is not known; the message names what is.

    >>> with follow("langgraph"):
    ...     pass
    """
    for name in names:
        if name not in FRAMEWORKS:
            raise ConfigurationError(
                f"follow({name!r}) names no framework that is known: {meant(name, FRAMEWORKS)}"
            )
    chosen = [_followed(name) for name in dict.fromkeys(names or FRAMEWORKS)]
    for framework in chosen:
        framework.follow()

    def undo() -> None:
        for framework in reversed(chosen):
            framework.leave()

    return Undo(undo)


class _Followed:
    """One framework in this process, and how many follow it.

    The lock is never held while something is imported: whoever imports holds a lock of Python's.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._followers = 0
        self._module: ModuleType | None = None
        self._waits = False
        self._hooks = False
        self._undo: Callable[[], object] | None = None

    def follow(self) -> None:
        with _lock:
            self._followers += 1
            first, self._waits = not self._waits, True
        if first:  # and never again: wrapt has no undo for it
            import wrapt

            wrapt.register_post_import_hook(self._came, self._place.module)
        else:
            self._hook()

    def leave(self) -> None:
        with _lock:
            self._followers -= 1
        self._unhook()

    def _came(self, module: ModuleType) -> None:
        """See that the framework was imported, or that it had been."""
        self._module = module
        self._hook()

    def _hook(self) -> None:
        with _lock:
            if self._hooks or self._module is None or not self._followers:
                return
            self._hooks = True
        undo = default().guard.run(self._where, self._hooked, self._module)
        with _lock:
            self._undo, self._hooks = undo, undo is not None
        self._unhook()

    def _unhook(self) -> None:
        """Take the hook back if nobody follows any more."""
        with _lock:
            if self._followers or self._undo is None:
                return
            undo, self._undo, self._hooks = self._undo, None, False
        default().guard.run(self._where, undo)

    @property
    def _where(self) -> str:
        return f"the agents of {self._place.module}"

    def _hooked(self, module: ModuleType) -> Callable[[], object]:
        ours: Any = import_module(f"{__name__}.{self._place.file}")
        return ours.hook(module)  # type: ignore[no-any-return]


_lock = threading.Lock()
_all: dict[str, _Followed] = {}


def _followed(name: str) -> _Followed:
    with _lock:
        return _all.setdefault(name, _Followed(FRAMEWORKS[name]))
