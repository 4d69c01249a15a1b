"""The seam for urllib3: the public method ``urlopen`` of its pools and of its pool managers.

One ``urlopen`` of a caller is one call, redirects included; each time urllib3 tries again inside it
is a further call, with its number. The layers here also carry the seam for requests.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside, taken_from_copy
from tokenmeter.wire.claim import claim
from tokenmeter.wire.exchange import Exchange, Request
from tokenmeter.wire.layer import Layer, Opener, Send, land, on_import
from tokenmeter.wire.urllib3_bodies import (
    HOOKS,
    LIBRARY,
    PLACE,
    Head,
    encoding_left,
    follow,
    take,
)


class Way(NamedTuple):
    """A public method by which requests are sent, and how its requests and responses are read.

    Args:
        owner: The class that has the method.
        method: Its name.
        ask: Reads a request.
        answer: Reads a response, or begins to observe it.
        aside: Takes the headers that are meant for us out of the arguments, which it may change.
    """

    owner: str
    method: str
    ask: Callable[..., Request]
    answer: Callable[[Call, Any, Any, dict[str, Any], Guard], None]
    aside: Callable[[Any, list[Any], dict[str, Any], Guard], Aside | None]


class Sends(Layer):
    """A layer on a method that sends."""

    def __init__(self, meter: Opener, way: Way) -> None:
        super().__init__(meter)
        self.way = way
        HOOKS.stand_for(self)

    def metered(self, send: Send) -> Send:
        """Give a function that meters what goes through it; its first argument is the owner."""
        guard, begin, observe = self.meter.guard, self._begin, self._observe

        def hook(owner: Any, *given: Any, **kwargs: Any) -> Any:
            args = list(given)  # out of which what is meant for us is taken
            exchange = guard.run(PLACE, begin, owner, args, kwargs)
            if exchange is None:
                return send(owner, *args, **kwargs)
            token = claim.set(exchange)
            try:
                response = send(owner, *args, **kwargs)
            except BaseException as exc:
                land(exchange, token)
                guard.run(PLACE, exchange.failed, exc)
                raise
            land(exchange, token)
            if not guard.done(PLACE, observe, exchange, owner, response, kwargs):
                guard.run(PLACE, exchange.call.lost, None)
            return response

        return hook

    def _begin(self, owner: Any, args: list[Any], kwargs: Any) -> Exchange | None:
        aside = self.way.aside(owner, args, kwargs, self.meter.guard)
        if self.passes():
            return None
        request = self.way.ask(owner, *args, **kwargs)._replace(aside=aside)
        call = self.meter.open(request.method, request.host, request.path, aside)
        return None if call is None else Exchange(self.meter, request, call)

    def _observe(self, exchange: Exchange, owner: Any, response: Any, kwargs: Any) -> None:
        self.way.answer(exchange.asked(), owner, response, kwargs, self.meter.guard)

    def pass_through(self) -> None:
        """Meter nothing from now on."""
        self.active = False
        HOOKS.fall_for(self)


class ClientLayer(Sends):
    """A layer on one client, which is held weakly, so that it dies as it would without."""

    def __init__(self, meter: Opener, way: Way, client: Any) -> None:
        super().__init__(meter, way)
        self._client = weakref.ref(client, lambda _: HOOKS.fall_for(self))
        self._before = client.__dict__.get(way.method)
        send = self.metered(self._send)

        @functools.wraps(self._before or getattr(client.__class__, way.method))
        def hook(*args: Any, **kwargs: Any) -> Any:
            return send(self._alive(), *args, **kwargs)

        self._hook = hook
        setattr(client, way.method, hook)

    def _alive(self) -> Any:
        client = self._client()
        if client is None:
            raise ReferenceError(
                f"the HTTP client is gone; only its {self.way.method} method was kept"
            )
        return client

    def _send(self, client: Any, *args: Any, **kwargs: Any) -> Any:
        if self._before is not None:
            return self._before(*args, **kwargs)
        return getattr(client.__class__, self.way.method)(client, *args, **kwargs)

    def undo(self) -> None:
        """Take the hook off, or leave it passing through when somebody patched over it."""
        self.pass_through()
        client, method = self._client(), self.way.method
        if client is None or client.__dict__.get(method) is not self._hook:
            return
        if self._before is None:
            delattr(client, method)
        else:
            setattr(client, method, self._before)


class ClassLayer(Sends):
    """A layer on a class of a library."""

    def __init__(self, meter: Opener, way: Way, library: ModuleType) -> None:
        super().__init__(meter, way)
        self._restore = self.patch(library, f"{way.owner}.{way.method}", self.metered)

    def undo(self) -> None:
        """Take the hook off, or leave it passing through when somebody patched over it."""
        self._restore()
        self.pass_through()


def _trying(urlopen: Send) -> Send:
    """Hook what urllib3 calls for each attempt."""

    def hook(pool: Any, *args: Any, **kwargs: Any) -> Any:
        exchange = claim.get()
        if isinstance(exchange, Exchange) and exchange.in_flight:
            retries = args[4] if len(args) > 4 else kwargs.get("retries")
            exchange.meter.guard.run(PLACE, exchange.tried, retries)
        return urlopen(pool, *args, **kwargs)

    return hook


HOOKS.places["HTTPConnectionPool", "urlopen"] = _trying


def _of_manager(
    manager: Any, method: str, url: str, *_: Any, body: Any = None, headers: Any = None, **__: Any
) -> Request:
    parts = urlsplit(url)
    said = manager.headers if headers is None else headers
    return Request(method, parts.hostname or "", parts.path, body, said)


def _of_pool(
    pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *_: Any, **__: Any
) -> Request:
    parts = urlsplit(url)  # a path, or a whole address for a proxy
    said = pool.headers if headers is None else headers
    return Request(method, parts.hostname or pool.host, parts.path, body, said)


def _aside(owner: Any, args: list[Any], kwargs: dict[str, Any], guard: Guard) -> Aside | None:
    """Take what is meant for us out of the headers, by a copy: the caller's stay as they are."""
    given = args[_HEADERS] if len(args) > _HEADERS else kwargs.get("headers")
    headers = owner.headers if given is None else given
    left, aside = taken_from_copy(headers, guard) if headers else (headers, None)
    if left is headers:
        return None
    if len(args) > _HEADERS:
        args[_HEADERS] = left
    else:
        kwargs["headers"] = left
    return aside


_HEADERS = 3
"""Where a pool may be given headers by position; a manager never is."""


def _answer(call: Call, _owner: Any, response: Any, kwargs: dict[str, Any], guard: Guard) -> None:
    head = Head(response.status, response.headers)
    if kwargs.get("preload_content", True) and response.closed:
        left = encoding_left(response, decoded=response.decode_content)
        take(call, head, response.data or b"", left)
    else:
        follow(call, head, response, guard)


_WAYS = (
    Way("PoolManager", "urlopen", _of_manager, _answer, _aside),
    Way("HTTPConnectionPool", "urlopen", _of_pool, _answer, _aside),
)


def is_client(thing: object) -> bool:
    """Say whether a thing is a pool manager or a pool."""
    return bool(_ways(thing))


def _ways(thing: object) -> list[Way]:
    library = sys.modules.get(LIBRARY)
    return [way for way in _WAYS if isinstance(thing, getattr(library, way.owner, ()))]


def hook_client(client: Any, meter: Opener) -> ClientLayer:
    """Hook one pool manager or pool."""
    return ClientLayer(meter, _ways(client)[0], client)


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the classes, now or when they are imported; gives the undo."""
    return on_import(
        meter, (LIBRARY,), lambda library: [ClassLayer(meter, way, library) for way in _WAYS]
    )
