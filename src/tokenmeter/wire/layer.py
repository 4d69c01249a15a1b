"""What seams have in common: a layer that can be taken off, hooks on what is imported late."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import Token
from types import ModuleType
from typing import Any, Protocol

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside
from tokenmeter.wire.claim import Claim, claim
from tokenmeter.wire.exact import ExactStreams

Send = Callable[..., Any]


class Opener(Protocol):
    """What a seam needs of a meter."""

    guard: Guard
    exact: ExactStreams | None

    def open(self, method: str, host: str, path: str, aside: Aside | None = None) -> Call | None:
        """Open a call, or give ``None`` for what is not one; what its headers say is the aside."""
        ...


class Removable(Protocol):
    """What can be taken off again."""

    def undo(self) -> None:
        """Take it off."""
        ...


class Layer:
    """One hook on something that sends; passes through once it is switched off."""

    def __init__(self, meter: Opener) -> None:
        self.active = True
        self.meter = meter

    def passes(self) -> bool:
        """Say whether this layer is switched off, or an outer seam has the exchange already."""
        holder = claim.get()
        return not self.active or (holder is not None and holder.in_flight)

    def patch(
        self, owner: ModuleType, path: str, make: Callable[[Send], Send]
    ) -> Callable[[], None]:
        """Replace a method of a class, ``"Client.send"``, by what is made of it; gives the undo.

        The undo restores the method, or leaves ours passing through when somebody patched over it.
        """
        import wrapt

        holder, name, before = wrapt.resolve_path(owner, path)
        hook = functools.wraps(before)(make(before))
        wrapt.apply_patch(holder, name, hook)

        def undo() -> None:
            self.active = False
            if holder.__dict__.get(name) is hook:
                setattr(holder, name, before)

        return undo


def land(holder: Claim, token: Token[Claim | None]) -> None:
    """Say that what holds a claim is no longer in flight, and give up its claim."""
    holder.in_flight = False
    try:  # noqa: SIM105 - contextlib.suppress is three calls more, on the path of every call
        claim.reset(token)
    except ValueError:
        pass  # a coroutine that is finalised runs in another context, with nothing to undo


def on_import(
    meter: Opener, names: Sequence[str], hook: Callable[[ModuleType], Sequence[Removable]]
) -> Callable[[], None]:
    """Hook libraries, now or when they are imported; gives the undo."""
    import wrapt

    layers: list[Removable] = []
    wanted = [(meter, hook)]  # emptied by `undo`, because wrapt never forgets what it was given

    def imported(library: ModuleType) -> None:
        for owner, hooked in wanted:
            new = owner.guard.run(f"the seam of {library.__name__}", hooked, library)
            layers.extend(new or ())

    for name in names:
        wrapt.register_post_import_hook(imported, name)

    def undo() -> None:
        wanted.clear()
        while layers:
            layers.pop().undo()

    return undo
