"""Celery: a task goes on in the run in which it was sent, and a worker's processes deliver.

A message says so in its headers ``baggage`` and ``traceparent``, as a request over HTTP does, and
is marked by one of our own. What Celery sends because of a task and not in it, which is a retry,
the next of a chain, the body of a chord, a callback, was sent by whoever sent the first message: it
says what that one said.

Signals and messages: https://docs.celeryq.dev/en/stable/userguide/signals.html and
https://docs.celeryq.dev/en/stable/internals/protocol.html (read 2026-11-23), and the source of
Celery 5.7.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

from tokenmeter.attribution import Block, attribute, block, lay
from tokenmeter.baggage import HEADER, TRACE
from tokenmeter.boundaries import inject
from tokenmeter.endings import end
from tokenmeter.errors import MissingExtraError
from tokenmeter.meter import Undo, default

MARK = "tokenmeter"
"""The header of a message that says whom the task is for, or that it is for nobody."""

_OURS = (MARK, HEADER, TRACE)

Headers = MutableMapping[str, Any]


def follow(*, agents: bool = False) -> Undo:
    """Have the tasks of Celery in this process go on in the run in which they were sent.

    To be called where tasks are sent and where they run: next to the application, so that each
    worker does it as well. A pool of processes delivers what its processes hold before they end,
    also when they are replaced. Gives the undo. It is for every application in the process, because
    the signals of Celery are; calling it again changes nothing.

    Args:
        agents: Whether each task is a run of an agent that is named after it, with an event of its
            own; otherwise what it calls belongs to the run in which it was sent. A retry is a run
            beside the first attempt, and so is the next of a chain, or the body of a chord.

    Raises:
        MissingExtraError: Celery is not installed.
    """
    signals = _signals()
    follower = _Follower(agents=agents)
    receivers: dict[Any, Callable[..., None]] = {
        signals.before_task_publish: _guarded(_sent),
        signals.task_prerun: _guarded(follower.begins),
        signals.task_postrun: _guarded(follower.ended),
        signals.worker_process_shutdown: _guarded(_process_ends),
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver, weak=False)

    def undo() -> None:
        for signal, receiver in receivers.items():
            signal.disconnect(receiver)

    return Undo(undo)


def _signals() -> Any:
    try:
        return import_module("celery.signals")
    except ImportError as exc:
        raise MissingExtraError("Celery", "celery") from exc


def _guarded(receive: Callable[..., None]) -> Callable[..., None]:
    def receiver(**said: Any) -> None:
        default().guard.run("Celery", receive, **said)

    return receiver


# -- where tasks are sent -------------------------------------------------------------------------


def _sent(headers: Headers, body: Any = None, **_said: Any) -> None:
    """Say in a message whom the task is for, and in what it has to send, too."""
    if MARK not in headers:
        inject(headers)
        headers[MARK] = "1"
    if isinstance(body, tuple):  # in the first protocol of messages it is a mapping
        _args, _kwargs, following = cast("tuple[Any, Any, Headers]", body)
        _hand_on(following, {name: headers[name] for name in _OURS if name in headers})


def _hand_on(following: Headers, said: Headers) -> None:
    """Have what Celery sends after a task say the same, in copies of what the user made.

    The next of a chain comes last in the list, and hands it on itself.
    """
    for name in ("callbacks", "errbacks"):
        if following.get(name):
            following[name] = [_saying(signature, said) for signature in following[name]]
    if following.get("chain"):
        *others, following_one = following["chain"]
        following["chain"] = [*others, _saying(following_one, said)]
    if following.get("chord"):
        following["chord"] = _saying(following["chord"], said)


def _saying(signature: Any, said: Headers) -> Any:
    """Give a signature, or several, that say it; of one that is made of others, those."""
    if isinstance(signature, list | tuple):
        return [_saying(each, said) for each in cast("Sequence[Any]", signature)]
    inside = _INSIDE.get(signature.get("subtask_type"))
    if inside is None:
        options: dict[str, Any] = signature.get("options") or {}
        headers: dict[str, Any] = {**(options.get("headers") or {}), **said}
        return {**signature, "options": {**options, "headers": headers}}
    kwargs = signature["kwargs"]
    saying = {name: _saying(kwargs[name], said) for name in inside if kwargs.get(name)}
    return {**signature, "kwargs": {**kwargs, **saying}}


_INSIDE: Mapping[Any, tuple[str, ...]] = {
    "chain": ("tasks",),
    "group": ("tasks",),
    "chord": ("header", "body"),
}


# -- where tasks run ------------------------------------------------------------------------------


class _Begun(NamedTuple):
    """A task at work."""

    before: Block
    agent: attribute | None


_at_work: dict[int, _Begun] = {}
"""By the id of its request, which lives so long."""


class _Follower:
    """Follows tasks from their beginning to their end."""

    def __init__(self, *, agents: bool) -> None:
        self._agents = agents

    def begins(self, task: Any, **_said: Any) -> None:
        """Go on in the run that the message names."""
        request = task.request
        if id(request) in _at_work:
            return
        before = block.get()
        lay(default().taken(request), request)
        agent = None
        if self._agents and not task.name.startswith("celery."):
            agent = attribute(agent=task.name).__enter__()
        _at_work[id(request)] = _Begun(before, agent)

    def ended(self, task: Any, retval: Any = None, state: str | None = None, **_said: Any) -> None:
        """Leave it, and whatever block the task has left open."""
        begun = _at_work.pop(id(task.request), None)
        if begun is None:
            return
        if begun.agent is not None:
            begun.agent.__exit__(None, _raised(retval, state))
        block.set(begun.before)


def _raised(retval: Any, state: str | None) -> BaseException | None:
    """Give what ended a task: of a retry its cause, if it has one."""
    if state is None:  # neither a result nor an error: what ends the process passes through
        return sys.exception()
    if state in ("SUCCESS", "IGNORED") or not isinstance(retval, BaseException):
        return None
    cause = getattr(retval, "exc", None) if state == "RETRY" else None
    return cause if isinstance(cause, BaseException) else retval


def _process_ends(**_said: Any) -> None:
    """Deliver: a process of a pool ends by ``os._exit``, which tells nobody."""
    end()
