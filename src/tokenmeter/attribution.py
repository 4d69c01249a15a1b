"""Who the current call is for: kept in a context variable, so that it follows tasks and threads.

Each ``attribute`` block lays its names over those of the block around it. What is in force where a
call is made belongs to that call, whoever reads its answer later.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import NOBODY, Attribution, Tags, TagValue

F = TypeVar("F", bound=Callable[..., Any])


class _Block(NamedTuple):
    attribution: Attribution
    owner: object
    outer: _Block | None


block: ContextVar[_Block] = ContextVar("tokenmeter_block", default=_Block(NOBODY, None, None))
"""The innermost block here; ``block.get().attribution`` is whom calls are for."""


def current() -> Attribution:
    """Give the attribution in force here."""
    return block.get().attribution


class attribute:  # noqa: N801 - reads as a verb, in `with` and as a decorator
    """Say whom and what the calls inside are for; inner blocks win over outer ones.

    A context manager and a decorator: of functions, coroutine functions, generators and
    asynchronous generators, whose consumers stay outside of the block.

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
        outer = block.get()
        block.set(_Block(self._over(outer.attribution), self, outer))
        return self

    def __exit__(self, *_exc: object) -> None:
        # No token: a generator may be closed in a context that never entered the block, and an
        # inner block may still be open in a generator that was left suspended.
        here = block.get()
        while here.outer is not None:
            if here.owner is self:
                block.set(here.outer)
                return
            here = here.outer

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
        """Decorate a function so that its body runs inside the block."""
        from tokenmeter.functions import inside

        return inside(self, function)
