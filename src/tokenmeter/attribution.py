"""Who the current call is for: kept in a context variable, so that it follows tasks and threads.

Each ``attribute`` block lays its names over those of the block around it. What is in force where a
call is made belongs to that call, whoever reads its answer later.

The blocks in force are a chain of immutable links, so a task or thread that copied the context
keeps what it copied. Nothing here holds a token of the context variable: a generator may be left
suspended inside a block, and closed much later, in another context.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import NOBODY, Attribution, Tags, TagValue

F = TypeVar("F", bound=Callable[..., Any])


class _Block(NamedTuple):
    attribution: Attribution
    owner: object  # who opened it, and who alone takes it away
    names: attribute | None
    stays: bool  # opened by a generator's own `with`, so it may outlast blocks that are below it
    outer: _Block | None


_OUTERMOST = _Block(NOBODY, None, None, stays=False, outer=None)

block: ContextVar[_Block] = ContextVar("tokenmeter_block", default=_OUTERMOST)
"""The innermost block here; ``block.get().attribution`` is whom calls are for."""


def current() -> Attribution:
    """Give the attribution in force here."""
    return block.get().attribution


class attribute:  # noqa: N801 - reads as a verb, in `with` and as a decorator
    """Say whom and what the calls inside are for; inner blocks win over outer ones.

    A context manager and a decorator: of functions, coroutine functions, generators and
    asynchronous generators, whose consumers stay outside of the block. (A ``with`` block around a
    ``yield`` shows to the consumer, as every context variable does; decorate the generator.)
    One instance may be used any number of times, also at once.

    Args:
        user: The person behind the calls.
        team: The group that answers for the cost.
        task: The piece of work, for example a ticket number.
        agent: The agent that calls; nested agents form a path, ``planner/researcher``.
        conversation: The conversation or session.
        tags: Anything else: strings, numbers or booleans.

    Raises:
        ConfigurationError: A name is not a non-empty string, or a tag is not a plain value.

    >>> with attribute(user="ada", task="T-1", tier="gold"):
    ...     with attribute(task="T-2"):
    ...         a = current()
    >>> a.user, a.task, dict(a.tags)
    ('ada', 'T-2', {'tier': 'gold'})
    """

    __slots__ = ("_names", "_tags")

    def __init__(
        self,
        *,
        user: str | None = None,
        team: str | None = None,
        task: str | None = None,
        agent: str | None = None,
        conversation: str | None = None,
        **tags: TagValue,
    ) -> None:
        names = {
            "user": user,
            "team": team,
            "task": task,
            "agent": agent,
            "conversation": conversation,
        }
        self._names = {name: value for name, value in names.items() if value is not None}
        self._tags = tags
        for name, value in self._names.items():
            if not isinstance(value, str) or not value:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(
                    f"attribute({name}=…) takes a non-empty string, got {value!r}"
                )
        for name, tag in tags.items():
            if not isinstance(tag, str | int | float | bool):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(
                    f"attribute({name}=…) is a tag and takes a string, a number or a boolean, "
                    f"got {tag!r}"
                )

    def __enter__(self) -> Self:
        stays = bool(sys._getframe(1).f_code.co_flags & _GENERATES)  # pyright: ignore[reportPrivateUsage]
        block.set(_laid(self, self, block.get(), stays=stays))
        return self

    def __exit__(self, *_exc: object) -> None:
        block.set(_without(self, block.get()))

    def _over(self, outer: Attribution) -> Attribution:
        changes: dict[str, Any] = dict(self._names)
        if "user" in changes:
            changes["user_origin"] = "explicit"
        if outer.agent is not None and "agent" in changes:
            changes["agent"] = f"{outer.agent}/{changes['agent']}"
        if self._tags:
            changes["tags"] = Tags({**(outer.tags or {}), **self._tags})
        return msgspec.structs.replace(outer, **changes)

    def __call__(self, function: F) -> F:
        """Decorate a function so that its body runs inside the block.

        Raises:
            ConfigurationError: It is not a function; of a class, decorate the methods.
        """
        from tokenmeter.functions import inside

        return inside(lambda: _Stints(self), function)


class _Stints:
    """A block that a function enters for each stretch of its run, a generator for each step.

    Blocks that the function itself opened and that are still open when it is left are taken along,
    and laid again when it goes on; so its consumer never sees them.
    """

    __slots__ = ("_laid",)

    def __init__(self, names: attribute) -> None:
        self._laid: tuple[tuple[attribute, object, bool], ...] = ((names, self, False),)

    def __enter__(self) -> None:
        here = block.get()
        for names, owner, stays in self._laid:
            here = _laid(names, owner, here, stays=stays)
        block.set(here)

    def __exit__(self, *_exc: object) -> None:
        found = _down_to(self, block.get())
        if found:
            self._laid = tuple((b.names, b.owner, b.stays) for b in reversed(found) if b.names)
            block.set(found[-1].outer or _OUTERMOST)


_GENERATES = 0x20 | 0x200  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR, without importing inspect


def _laid(names: attribute, owner: object, outer: _Block, *, stays: bool) -> _Block:
    merged = names._over(outer.attribution)  # pyright: ignore[reportPrivateUsage]
    return _Block(merged, owner, names, stays, outer)


def _down_to(owner: object, here: _Block | None) -> list[_Block]:
    """Give the blocks from the innermost to the owner's; none when it has none here."""
    found: list[_Block] = []
    while here is not None:
        found.append(here)
        if here.owner is owner:
            return found
        here = here.outer
    return []


def _without(owner: object, here: _Block) -> _Block:
    """Take the owner's innermost block away; without one, in another context, nothing.

    What stands above it was opened later and not closed. If that was by a generator that is
    suspended now, it must not outlast this block. If this block is the one a generator left behind,
    what was opened since is no part of it and stays.
    """
    found = _down_to(owner, here)
    if not found:
        return here
    gone = found.pop()
    left = gone.outer or _OUTERMOST
    for above in reversed(found):
        if above.names is not None and (gone.stays or not above.stays):
            left = _laid(above.names, above.owner, left, stays=above.stays)
    return left
