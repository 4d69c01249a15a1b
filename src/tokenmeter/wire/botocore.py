"""The seam for botocore, so for boto3, and for aiobotocore: ``send`` of their HTTP sessions.

Each attempt of each client goes through it once, as through ``send`` of an HTTP library; what a
stubber answers does not. botocore's public events could not carry a call: none is emitted when an
attempt ends in a ``KeyboardInterrupt`` or a cancellation, so that a claim would never be given up;
they do not reach clients that exist already; and they hand over no body that is still to be read.
A session serves one client, so it is hooked for `wrap`, and its class for `instrument`. Neither
library is imported here.
"""

from __future__ import annotations

import functools
import re
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from tokenmeter.call import Call
from tokenmeter.wire.botocore_bodies import observe
from tokenmeter.wire.claim import claim
from tokenmeter.wire.layer import Layer, Opener, Send, land, on_import

SESSIONS = {
    "botocore.httpsession": "URLLib3Session",
    "aiobotocore.httpsession": "AIOHTTPSession",
    "aiobotocore.httpxsession": "HttpxSession",
}
"""The classes of HTTP sessions, by the modules that hold them."""

SERVICES = ("bedrock-runtime",)
"""The services, by botocore's names, whose clients can be wrapped."""

_PLACE = "the botocore seam"
_UNSENT = {
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "InvalidProxiesConfigError",
    "ProxyConnectionError",
    "SSLError",
}
"""Exceptions of botocore that mean: no model has seen a whole request."""

_ATTEMPTS = "amz-sdk-request"
"""Request header in which botocore numbers its attempts, from 1: ``attempt=1; max=3``."""

_ATTEMPT = re.compile(r"\battempt=(\d+)")


class _Sends(Layer):
    """A layer on ``send``."""

    def begin(self, request: Any) -> Call | None:
        """Open a call for a request, or ``None`` to pass through.

        No AWS service asks a model by another method, and most requests of S3 go no further.
        """
        if request.method != "POST" or self.passes():
            return None
        url = urlsplit(str(request.url))
        return self.meter.open("POST", url.hostname or "", unquote(url.path))

    def meter_send(self, send: Send, *, is_async: bool) -> Send:
        """Give a ``send`` that meters what goes through it, of the same colour and signature."""
        guard, begin = self.meter.guard, self.begin

        def sync_send(*args: Any, **kwargs: Any) -> Any:
            request: Any = kwargs["request"] if "request" in kwargs else args[-1]
            call = guard.run(_PLACE, begin, request)
            if call is None:
                return send(*args, **kwargs)
            token = claim.set(call)
            try:
                response = send(*args, **kwargs)
            except BaseException as exc:
                land(call, token)
                guard.run(_PLACE, _fail, call, request, exc)
                raise
            land(call, token)
            if not guard.done(_PLACE, _observe, call, request, response):
                guard.run(_PLACE, call.lost, None)
            return response

        async def async_send(*args: Any, **kwargs: Any) -> Any:
            request: Any = kwargs["request"] if "request" in kwargs else args[-1]
            call = guard.run(_PLACE, begin, request)
            if call is None:
                return await send(*args, **kwargs)
            token = claim.set(call)
            try:
                response = await send(*args, **kwargs)
            except BaseException as exc:
                land(call, token)
                guard.run(_PLACE, _fail, call, request, exc)
                raise
            land(call, token)
            if not guard.done(_PLACE, _observe, call, request, response):
                guard.run(_PLACE, call.lost, None)
            return response

        return async_send if is_async else sync_send


def _fail(call: Call, request: Any, exc: BaseException) -> None:
    _ask(call, request)
    call.failed(exc, unsent=type(exc).__name__ in _UNSENT)


def _observe(call: Call, request: Any, response: Any) -> None:
    """Read the response when its body is in memory, else observe the reading of it."""
    _ask(call, request)
    if request.stream_output:
        observe(call, response)
    else:
        body = _at_once(response.content)
        call.answered(response.status_code, response.headers, body, cached=False)


def _at_once(content: Any) -> bytes:
    """Give what is in memory; aiobotocore gives it by a coroutine that has nothing to wait for."""
    if isinstance(content, bytes):
        return content
    try:
        content.send(None)
    except StopIteration as done:
        return bytes(done.value)
    raise TypeError("the body of a response is not in memory")


def _ask(call: Call, request: Any) -> None:
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    in_memory = bytes(body) if isinstance(body, bytes | bytearray) else None
    call.asked(in_memory, _attempt(request.headers.get(_ATTEMPTS)))


def _attempt(said: str | bytes | None) -> str | None:
    """Give the number of an attempt, counted from 0."""
    text = said.decode("latin-1") if isinstance(said, bytes) else said or ""
    found = _ATTEMPT.search(text)
    return str(max(0, int(found[1]) - 1)) if found else None


def is_client(thing: object) -> bool:
    """Say whether a thing is a client of botocore, or of aiobotocore, that asks models."""
    library = sys.modules.get("botocore.client")
    if library is None or not isinstance(thing, library.BaseClient):
        return False
    client: Any = thing
    return client.meta.service_model.service_name in SERVICES


def hook_client(client: Any, meter: Opener) -> _ClientLayer:
    """Hook the session of one client; both are held weakly, so that they die as they would."""
    return _ClientLayer(meter, client._endpoint.http_session)


class _ClientLayer(_Sends):
    def __init__(self, meter: Opener, session: Any) -> None:
        super().__init__(meter)
        self._session = weakref.ref(session)
        self._before: Send | None = session.__dict__.get("send")
        send = self._before or self._class_send
        metered = self.meter_send(send, is_async=_is_async(session.__class__))
        original: Send = self._before or session.__class__.send
        self._hook: Send = functools.wraps(original)(metered)
        session.send = self._hook

    def _class_send(self, *args: Any, **kwargs: Any) -> Any:
        session = self._session()
        if session is None:
            raise ReferenceError("the HTTP session is gone; only its send method was kept")
        send: Send = session.__class__.send
        return send(session, *args, **kwargs)

    def undo(self) -> None:
        """Take the hook off, or leave it passing through when somebody patched over it."""
        self.active = False
        session = self._session()
        if session is None or session.__dict__.get("send") is not self._hook:
            return
        if self._before is None:
            del session.send
        else:
            session.send = self._before


class _ClassLayer(_Sends):
    def __init__(self, meter: Opener, library: ModuleType) -> None:
        super().__init__(meter)
        name = SESSIONS[library.__name__]
        is_async = _is_async(getattr(library, name))
        make = functools.partial(self.meter_send, is_async=is_async)
        self.undo = self.patch(library, f"{name}.send", make)


def _is_async(kind: type) -> bool:
    return any(base.__module__.startswith("aiobotocore.") for base in kind.__mro__)


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the classes of sessions, now or when they are imported; gives the undo."""
    return on_import(meter, tuple(SESSIONS), lambda library: [_ClassLayer(meter, library)])
