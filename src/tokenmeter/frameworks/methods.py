"""Runs of frameworks that are the calls of one method, of any colour, also a generator.

The method is replaced on its class, and the undo puts it back. A generator runs inside of its block
step by step, so that its consumer stays outside.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, Self

from tokenmeter.attribution import Stints, attribute
from tokenmeter.functions import decorated, is_generating
from tokenmeter.meter import default

Named = Callable[[Any, tuple[Any, ...], dict[str, Any]], str]
"""Gives the name of the agent for one call: of what the method is called on, with what."""

Patched = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
"""Does what a method is to do: the bound method, what it is bound to, and the arguments."""


def each_call(
    module: ModuleType, path: str, name: Named, *, hands_over: tuple[type[BaseException], ...] = ()
) -> Callable[[], None]:
    """Make each call of a method, ``"Agent.run"``, the run of an agent; gives the undo.

    Args:
        module: Where its class is.
        path: The class and the method.
        name: Gives the name of the agent.
        hands_over: Exceptions by which an agent ends that has not failed.
    """
    where = f"the agents of {module.__name__}.{path}"

    def as_run(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        call = _Call(name(instance, args, kwargs), hands_over, is_generating(wrapped))
        return decorated(path, wrapped, lambda _args, _kwargs: _Run(call))

    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        run = default().guard.run(where, as_run, wrapped, instance, args, kwargs)
        return (run or wrapped)(*args, **kwargs)

    return patched(module, path, around)


def patched(module: ModuleType, path: str, around: Patched) -> Callable[[], None]:
    """Put something around a method of a class; gives the undo.

    The undo restores the method, or leaves ours passing through when somebody patched over it.
    """
    import wrapt

    holder, name, before = wrapt.resolve_path(module, path)
    inherited = name not in holder.__dict__
    active = True

    def while_active(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return around(wrapped, instance, args, kwargs) if active else wrapped(*args, **kwargs)

    hook = wrapt.FunctionWrapper(before, while_active)
    wrapt.apply_patch(holder, name, hook)

    def undo() -> None:
        nonlocal active
        active = False
        if holder.__dict__.get(name) is hook:
            if inherited:
                delattr(holder, name)
            else:
                setattr(holder, name, before)

    return undo


class _Call(NamedTuple):
    """What is known of a call before it begins."""

    name: str
    hands_over: tuple[type[BaseException], ...]
    many: bool


class _Run:
    """A run of an agent whose way to hand over is no failure."""

    def __init__(self, call: _Call) -> None:
        self._stints = Stints(attribute(agent=call.name), call.name, many=call.many)
        self._hands_over = call.hands_over
        self._many = call.many

    def __enter__(self) -> Self:
        self._stints.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if isinstance(exc, self._hands_over):
            exc = StopIteration() if self._many else None
        self._stints.__exit__(kind, exc, trace)

    def took(self, value: Any) -> None:
        self._stints.took(value)

    def dropped(self, *, unread: bool) -> None:
        self._stints.dropped(unread=unread)
