"""Claude Agent SDK: a session is a run, each sub-agent one in it, and each answer an event.

The SDK starts Claude Code, and that asks the model; so no seam of this process sees the requests.
What can be seen are the messages that the SDK hands to the program, through its public ``query``
and ``ClaudeSDKClient`` (claude-agent-sdk 0.2.187 with Claude Code 2.1.330, read 2026-11-23). They
are looked at and handed on as they are; no option and no hook is added, no variable set.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tokenmeter.attribution import lay, lift
from tokenmeter.frameworks.claude_sessions import Session
from tokenmeter.frameworks.methods import patched
from tokenmeter.functions import decorated
from tokenmeter.meter import default

_PLACE = "the agents of claude-agent-sdk"


def hook(module: Any) -> Callable[[], None]:
    """Follow the sessions that begin from now on; gives the undo."""
    clients: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()

    def query(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        session = default().guard.run(_PLACE, Session, kwargs.get("options"))
        return _in(_Whole, session, wrapped)(*args, **kwargs)

    def connect(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        session = default().guard.run(_PLACE, _connected, clients, client)
        return _in(_Start, session, wrapped)(*args, **kwargs)

    def receive(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        return _in(_Part, clients.get(client), wrapped)(*args, **kwargs)

    def disconnect(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
        return _in(_End, clients.pop(client, None), wrapped)(*args, **kwargs)

    undos = [
        patched(module, "query", query),
        patched(module, "ClaudeSDKClient.connect", connect),
        patched(module, "ClaudeSDKClient.receive_messages", receive),
        patched(module, "ClaudeSDKClient.disconnect", disconnect),
    ]

    def undo() -> None:
        for take_back in reversed(undos):
            take_back()
        for session in list(clients.values()):
            default().guard.run(_PLACE, session.left, GeneratorExit())
        clients.clear()

    return undo


def _in(part: Callable[[Session], Any], session: Session | None, function: Any) -> Any:
    """Give a function that runs in a part of a session; itself where none is followed."""
    if session is None:
        return function

    def begin(_args: Any, _kwargs: Any) -> Any:
        return part(session)

    return decorated("follow(...)", function, begin)


def _connected(clients: Any, client: Any) -> Session:
    before = clients.pop(client, None)
    if before is not None:
        before.left(GeneratorExit())
    session = clients[client] = Session(client.options)
    lost = weakref.finalize(client, session.left, GeneratorExit())  # never disconnected
    lost.atexit = False  # then the meter ends what is open
    return session


class _Part:
    """Looks at what a generator of messages gives."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def took(self, value: Any) -> None:
        default().guard.run(_PLACE, self._session.saw, value)

    def dropped(self, *, unread: bool) -> None: ...


class _Start(_Part):
    """Connects in the run of the session, so that tools of the program are at work in it."""

    def __enter__(self) -> Self:
        lay(self._session, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        lift(self)
        if exc is not None:
            default().guard.run(_PLACE, self._session.left, exc)

    def took(self, value: Any) -> None: ...


class _Whole(_Start):
    """Is a session from its first message to its last."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        ended = None if isinstance(exc, StopAsyncIteration) else exc
        lift(self)
        if exc is not None:
            default().guard.run(_PLACE, self._session.left, ended)

    def took(self, value: Any) -> None:
        default().guard.run(_PLACE, self._session.saw, value)

    def dropped(self, *, unread: bool) -> None:
        if unread:
            self._session.forget()
        else:
            default().guard.run(_PLACE, self._session.left, GeneratorExit())


class _End(_Part):
    """Ends a session when its client has disconnected, by the exception that is under way."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._exc = sys.exception()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        default().guard.run(_PLACE, self._session.left, exc or self._exc)

    def took(self, value: Any) -> None: ...
