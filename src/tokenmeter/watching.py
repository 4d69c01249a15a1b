"""Who watches what happens here: kept in a context variable, as attribution is.

What is metered belongs to those who watched where it began, whoever ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from tokenmeter.event import UsageEvent

Watcher = Callable[[UsageEvent], object]
"""Sees the events of calls and runs. One that has a method ``defer`` is handed the jobs that
estimate them: it returns whether it took one, and runs it later, ``job(concede=True)`` to have no
estimate."""

in_force: ContextVar[tuple[Watcher, ...]] = ContextVar("tokenmeter_watchers", default=())
"""Those who watch here."""


@contextmanager
def watching(watcher: Watcher) -> Generator[None]:
    """Show the events of what begins inside to the watcher."""
    watch(watcher)
    try:
        yield
    finally:
        unwatch(watcher)


def watch(watcher: Watcher) -> None:
    """Begin to show the events of what begins here to the watcher."""
    in_force.set((*in_force.get(), watcher))


def unwatch(watcher: Watcher) -> None:
    """Show what begins from here on to the watcher no more."""
    in_force.set(tuple(w for w in in_force.get() if w is not watcher))


def watchers() -> tuple[Watcher, ...]:
    """Give the watchers in force here."""
    return in_force.get()
