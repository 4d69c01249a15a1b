"""Middleware of web services: each request goes on in the run that its headers name.

For the whole of the request: an ASGI application with its streams and background tasks, a WSGI
application with what the server still takes from its answer. A program asks with `inject`; what
arrives is checked as by `extract`.

ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html; WSGI: PEP 3333 (read 2026-11-23).
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple

from msgspec.structs import replace

from tokenmeter.attribution import Stints, attribute
from tokenmeter.baggage import HEADER, PREFIX, TRACE, Carried
from tokenmeter.event import Attribution
from tokenmeter.meter import Meter, default
from tokenmeter.runs import InTree
from tokenmeter.surroundings import RemoteSpan

Scope = MutableMapping[str, Any]
"""What an ASGI server says of a connection, or a WSGI server of a request: its environ."""

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

WSGIApp = Callable[[dict[str, Any], Any], Iterable[Any]]
"""A WSGI application."""

Trusted = Callable[[Any], bool]
User = Callable[[Any], str | None]

current_scope: ContextVar[Scope | None] = ContextVar("tokenmeter_scope", default=None)
"""The request that is being answered here, if a middleware of this module lets it in."""

_naming: ContextVar[User | None] = ContextVar("tokenmeter_naming", default=None)


class ASGIMiddleware:
    """Have each request of an ASGI application go on in the run that its headers name.

    Requests of HTTP and websockets, with the streams and the background tasks of their answers.

    Args:
        app: The application. ``app.add_middleware(ASGIMiddleware)`` gives it in Starlette and
            FastAPI.
        trusted: Says by the scope whose headers are taken; everybody's, unless it is given.
        user: Says by the scope who asks, or ``None``: the user of the calls, with the origin
            ``asgi``. It is asked as the request arrives here, so what it reads is set by a
            middleware around this one; `principal` asks it later.
    """

    def __init__(
        self, app: ASGIApp, *, trusted: Trusted | None = None, user: User | None = None
    ) -> None:
        self._app = app
        self._door = _Door("asgi", _of_scope, trusted, user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; what is none, such as the lifespan, passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with self._door.let_in(scope):
            await self._app(scope, receive, send)


class WSGIMiddleware:
    """Have each request of a WSGI application go on in the run that its headers name.

    Also while the server takes the answer from an iterable; between two of its steps, and after the
    request, nothing of it is left in the thread.

    Args:
        app: The application.
        trusted: Says by the environ whose headers are taken; everybody's, unless it is given.
        user: Says by the environ who asks, or ``None``: the user of the calls, with the origin
            ``wsgi``. For example ``lambda environ: environ.get("REMOTE_USER")``.
    """

    def __init__(
        self, app: WSGIApp, *, trusted: Trusted | None = None, user: User | None = None
    ) -> None:
        self._app = app
        self._door = _Door("wsgi", _of_environ, trusted, user)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        """Answer a request."""
        stay = self._door.let_in(environ)
        with stay:
            body = self._app(environ, start_response)
        return body if _is_ready(body, environ) else _Body(body, stay)


def principal() -> str | None:
    """Say who asks in the request that is being answered here; ``None`` where nobody knows.

    Asks the middleware's ``user``, or else `identity`; now, when also a middleware that is inside
    of ours has said who it is. What it raises is counted in ``meter.stats()["guard"]``.
    """
    scope = current_scope.get()
    if scope is None:
        return None
    return _name(default(), _naming.get() or identity, scope)


def identity(scope: Mapping[str, Any]) -> str | None:
    """Give the name of whom a framework or a server has authenticated; ``None``: nobody.

    Of Starlette's and Django's user in ``scope["user"]`` the first of ``identity``, ``username``
    and ``display_name``; else ``REMOTE_USER``, which is the server's (RFC 3875, 4.1.11).

    >>> identity({"REMOTE_USER": "ada"})
    'ada'
    """
    user = scope.get("user")
    if user is None:
        return scope.get("REMOTE_USER") or None
    for name in ("identity", "username", "display_name") if _is_authenticated(user) else ():
        # the abstract ones of starlette.authentication.BaseUser raise NotImplementedError
        with suppress(AttributeError, NotImplementedError):
            said = getattr(user, name)
            if isinstance(said, str) and said:
                return said
    return None


def _is_authenticated(user: object) -> bool:
    return getattr(user, "is_authenticated", False) is True


def _name(meter: Meter, naming: User, scope: Scope) -> str | None:
    said = meter.guard.run("the user of a request", naming, scope)
    if said is None or not meter.guard.done("the user of a request", attribute, user=said):
        return None
    return said


class _Request(NamedTuple):
    """What a request says, laid over what is around like a block."""

    carried: Carried = Carried()
    user: str | None = None
    origin: str | None = None

    @property
    def span(self) -> RemoteSpan | None:
        return self.carried.span

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:
        who = self.carried.over(outer, in_tree)
        if self.user is None:
            return who
        return replace(who, user=self.user, user_origin=self.origin)


class _Stay:
    """A request that is being answered; entered for each stretch of that."""

    __slots__ = ("_before", "_naming", "_scope", "_stints")

    def __init__(self, scope: Scope, naming: User | None, request: _Request) -> None:
        self._scope = scope
        self._naming = naming
        self._before: tuple[Scope | None, User | None] = None, None
        self._stints = Stints(request, None, many=False)

    def __enter__(self) -> None:
        self._before = current_scope.get(), _naming.get()
        current_scope.set(self._scope)
        _naming.set(self._naming)
        self._stints.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stints.__exit__(kind, exc, trace)
        if current_scope.get() is self._scope:  # a coroutine may be closed in another context
            current_scope.set(self._before[0])
            _naming.set(self._before[1])


class _Door:
    """Where requests come in."""

    def __init__(
        self,
        origin: str,
        headers: Callable[[Scope], Mapping[str, str]],
        trusted: Trusted | None,
        user: User | None,
    ) -> None:
        self._origin = origin
        self._headers = headers
        self._trusted = trusted
        self._user = user

    def let_in(self, scope: Scope) -> _Stay:
        meter = default()
        request = meter.guard.run("a request", self._request, meter, scope)
        return _Stay(scope, self._user, request or _NOTHING_SAID)

    def _request(self, meter: Meter, scope: Scope) -> _Request:
        headers = self._headers(scope)
        if not headers and self._user is None:
            return _NOTHING_SAID
        user = None if self._user is None else _name(meter, self._user, scope)
        if not headers or not self._trusts(meter, scope, headers):
            return _Request(user=user, origin=self._origin)
        return _Request(meter.taken(headers), user, self._origin)

    def _trusts(self, meter: Meter, scope: Scope, headers: Mapping[str, str]) -> bool:
        if self._trusted is None or meter.guard.run("trusted", self._trusted, scope):
            return True
        if PREFIX in headers.get(HEADER, ""):
            meter.guard.count("baggage that was ignored: not trusted")
        return False


_NOTHING_SAID = _Request()

_CARRYING = {HEADER.encode(): HEADER, TRACE.encode(): TRACE}


def _of_scope(scope: Scope) -> Mapping[str, str]:
    """Give the headers that we read; one that comes twice is one (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _CARRYING:
            text, known = value.decode("latin-1"), found.get(_CARRYING[name])
            found[_CARRYING[name]] = text if known is None else f"{known},{text}"
    return found


def _of_environ(environ: Scope) -> Mapping[str, str]:
    found = {HEADER: environ.get("HTTP_BAGGAGE"), TRACE: environ.get("HTTP_TRACEPARENT")}
    return {name: value for name, value in found.items() if value}


def _is_ready(body: object, environ: Mapping[str, Any]) -> bool:
    """Say whether an answer is at hand, and the server may look at its type; see PEP 3333."""
    wrapper = environ.get("wsgi.file_wrapper")
    if type(body) in (list, tuple) or isinstance(body, io.IOBase) or hasattr(body, "filelike"):
        return True
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _Body:
    """The answer of an application, taken step by step in its request."""

    def __init__(self, body: Iterable[Any], stay: _Stay) -> None:
        self._body = body
        self._stay = stay
        self._steps: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._stay:
            if self._steps is None:
                self._steps = iter(self._body)
            return next(self._steps)

    def close(self) -> None:
        with self._stay:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
