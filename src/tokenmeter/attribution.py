"""Who the current call is for: kept in a context variable, so that it follows tasks and threads.

Each ``attribute`` block lays its names over those of the block around it. What is in force where a
call is made belongs to that call, whoever reads its answer later.

A block that names an agent is a run of it, the child of the run around it.

The blocks in force are a chain of immutable links, so a task or thread that copied the context
keeps what it copied. Nothing here holds a token of the context variable: a generator may be left
suspended inside a block, and closed much later, in another context.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, TypeGuard, TypeVar

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import NOBODY, Attribution, Tags, TagValue
from tokenmeter.runs import InTree, Run, begin, left_elsewhere
from tokenmeter.surroundings import RemoteSpan

F = TypeVar("F", bound=Callable[..., Any])


class Names(Protocol):
    """What a block says."""

    @property
    def span(self) -> RemoteSpan | None:
        """The span from which this was called, where that is another thread or process."""
        ...

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:
        """Give what is in force inside; ``in_tree`` is where its own run stands."""
        ...


class Block(msgspec.Struct):
    """A link of the chain of blocks in force; none of them changes, but for the outermost.

    Attributes:
        attribution: Whom calls are for that are made here.
        owner: Who laid it, and who alone takes it away.
        names: What it says.
        run: The run that began with it.
        stays: Whether a generator's own ``with`` laid it, so that it may outlast those below it.
        outer: The block around it.
        span: The span of another thread or process from which this was called.
    """

    attribution: Attribution
    owner: object
    names: Names | None
    run: Run | None
    stays: bool
    outer: Block | None
    span: RemoteSpan | None = None


OUTERMOST = Block(NOBODY, None, None, None, stays=False, outer=None)
"""Where no block is in force: nobody, or whom the whole process is for."""

block: ContextVar[Block] = ContextVar("tokenmeter_block", default=OUTERMOST)
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
        agent: The agent that calls. Entering the block begins a run of it, which ends with the
            block and is an event of its own; nested ones form a tree, and their names a path,
            ``planner/researcher``.
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

    __slots__ = ("_agent", "_conversation", "_tags", "_task", "_team", "_user")

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
        self._user = user if user is None else _text("user", user)
        self._team = team if team is None else _text("team", team)
        self._task = task if task is None else _text("task", task)
        self._agent = agent if agent is None else _text("agent", agent)
        self._conversation = (
            conversation if conversation is None else _text("conversation", conversation)
        )
        self._tags = _tags(tags) if tags else None

    def __enter__(self) -> Self:
        stays = sys._getframe(1).f_code.co_flags & _GENERATES != 0  # pyright: ignore[reportPrivateUsage]
        outer = block.get()
        run = None
        if self._agent is not None:
            run = begin(self._agent, outer.attribution, outer.span, owner=self, in_generator=stays)
        block.set(_laid(self, self, run, outer, stays=stays))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        here = block.get()
        left, run = (here.outer, here.run) if here.owner is self else _without(self, here)
        block.set(left or OUTERMOST)
        if run is not None:
            run.left(exc)
        elif self._agent is not None:
            left_elsewhere(self, exc)

    @property
    def span(self) -> None:
        """Nothing: a block is where it is."""

    def over(
        self,
        outer: Attribution,
        in_tree: InTree | tuple[str | None, str | None, str | None, int | None] | None,
    ) -> Attribution:
        """Give what is in force inside; by position, in the order of the schema, for speed."""
        user, origin = outer.user, outer.user_origin
        if self._user is not None:
            user, origin = self._user, "explicit"
        if in_tree is None:
            in_tree = (outer.agent, outer.run_id, outer.parent_run_id, outer.depth)
        return Attribution(
            user,
            origin,
            outer.team if self._team is None else self._team,
            outer.task if self._task is None else self._task,
            *in_tree,
            outer.conversation if self._conversation is None else self._conversation,
            outer.tags if self._tags is None else _merged(outer.tags, self._tags),
        )

    def __call__(self, function: F) -> F:
        """Decorate a function so that its body runs inside the block.

        Each call of it is a run of the agent, if one is named; a generator is one run from its
        creation to its end, unless nobody reads it.

        Raises:
            ConfigurationError: It is not a function; of a class, decorate the methods.
        """
        return inside("attribute(...)", function, self, self._agent)


def inside(decorator: str, function: F, names: Names, agent: str | None = None) -> F:
    """Decorate a function so that its body runs inside a block, one for each call.

    Args:
        decorator: What an error is to call this.
        function: The function, of any kind.
        names: What the block says.
        agent: Whose run each call is, if it is one.

    Raises:
        ConfigurationError: It is not a function.
    """
    from tokenmeter.functions import decorated, is_generating

    many = is_generating(function)
    return decorated(decorator, function, lambda _args, _kwargs: Stints(names, agent, many=many))


class Stints:
    """A block that a function enters for each stretch of its run, a generator for each step.

    Blocks that the function itself opened and that are still open when it is left are taken along,
    and laid again when it goes on; so its consumer never sees them.
    """

    __slots__ = ("_laid", "_many", "_run")

    def __init__(self, names: Names, agent: str | None, *, many: bool) -> None:
        self._run = None
        if agent is not None:
            outer = block.get()
            self._run = begin(agent, outer.attribution, outer.span, owner=self, in_generator=many)
        self._laid: tuple[Block, ...] = (
            Block(NOBODY, self, names, self._run, stays=False, outer=None),
        )
        self._many = many

    def __enter__(self) -> Self:
        here = block.get()
        for laid in self._laid:
            here = _again(laid, here)
        block.set(here)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        found = _down_to(self, block.get())
        if found:
            self._laid = tuple(reversed(found))
            block.set(found[-1].outer or OUTERMOST)
        if self._run is not None:
            self._left(self._run, exc)

    def _left(self, run: Run, exc: BaseException | None) -> None:
        if self._many and isinstance(exc, StopIteration | StopAsyncIteration):
            run.left(None)
        elif exc is not None or not self._many:
            run.left(exc)

    def took(self, value: Any) -> None:
        """See what the function returned or yielded."""

    def dropped(self, *, unread: bool) -> None:
        """See that nobody reads a generator any further, or at all; safe in a finaliser."""
        if self._run is not None and unread:
            self._run.forget()
        elif self._run is not None:
            self._run.dropped()


_GENERATES = 0x20 | 0x200  # inspect.CO_GENERATOR and CO_ASYNC_GENERATOR, without importing inspect


def lay(names: Names, owner: object) -> None:
    """Lay a block here, for a context manager that is not `attribute`; called by its enter."""
    stays = sys._getframe(2).f_code.co_flags & _GENERATES != 0  # pyright: ignore[reportPrivateUsage]
    block.set(_laid(names, owner, None, block.get(), stays=stays))


def lift(owner: object) -> None:
    """Take the owner's innermost block away; without one, in another context, nothing."""
    block.set(_without(owner, block.get())[0])


def _laid(names: Names, owner: object, run: Run | None, outer: Block, *, stays: bool) -> Block:
    attribution = names.over(outer.attribution, None if run is None else run.in_tree)
    if run is not None and run.attribution is NOBODY:
        run.is_for(attribution)
    return Block(attribution, owner, names, run, stays, outer, names.span or outer.span)


def _again(laid: Block, outer: Block) -> Block:
    """Lay a block over another one than that it was laid over."""
    if laid.names is None:
        return outer
    return _laid(laid.names, laid.owner, laid.run, outer, stays=laid.stays)


def _down_to(owner: object, here: Block | None) -> list[Block]:
    """Give the blocks from the innermost to the owner's; none when it has none here."""
    found: list[Block] = []
    while here is not None:
        found.append(here)
        if here.owner is owner:
            return found
        here = here.outer
    return []


def _without(owner: object, here: Block) -> tuple[Block, Run | None]:
    """Take the owner's innermost block away; without one, in another context, nothing.

    What stands above it was opened later and not closed. If that was by a generator that is
    suspended now, it must not outlast this block. If this block is the one a generator left behind,
    what was opened since is no part of it and stays. Gives what is left and the run of the block.
    """
    found = _down_to(owner, here)
    if not found:
        return here, None
    gone = found.pop()
    left = gone.outer or OUTERMOST
    for above in reversed(found):
        if gone.stays or not above.stays:
            left = _again(above, left)
    return left, gone.run


def _text(name: str, value: object) -> str:
    if is_text(value) and value:
        return value
    raise ConfigurationError(f"attribute({name}=…) takes a non-empty string, got {value!r}")


def _tags(tags: dict[str, TagValue]) -> dict[str, TagValue]:
    for name, tag in tags.items():
        if not (is_text(tag) or isinstance(tag, int | float)):
            raise ConfigurationError(
                f"attribute({name}=…) is a tag and takes a string, a number or a boolean, "
                f"got {tag!r}"
            )
    return tags


def _merged(outer: Mapping[str, TagValue] | None, inner: Mapping[str, TagValue]) -> Tags:
    return Tags({**outer, **inner} if outer else inner)


def is_text(value: object) -> TypeGuard[str]:
    """Say whether a value is a string that can be written: one without lone surrogates."""
    try:
        return isinstance(value, str) and (value.isascii() or bool(value.encode()))
    except UnicodeEncodeError:
        return False
