"""The seam for botocore, so for boto3, and for aiobotocore: ``send`` of their HTTP sessions.

Each attempt of each client goes through it once, as through ``send`` of an HTTP library; what a
stubber answers does not. botocore's public events could not carry a call: none is emitted when an
attempt ends in a ``KeyboardInterrupt`` or a cancellation, so that a claim would never be given up;
they do not reach clients that exist already; and they hand over no body that is still to be read.
A session serves one client, so it is hooked for `wrap`, and its class for `instrument`. Neither
library is imported here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from tokenmeter.call import Call
from tokenmeter.wire.botocore_bodies import observe
from tokenmeter.wire.layer import Opener, on_import
from tokenmeter.wire.sends import ClassSends, ClientSends, Way

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


def _target(request: Any) -> tuple[str, str, str] | None:
    """Say where a request goes.

    No AWS service asks a model by another method, and most requests of S3 go no further.
    """
    if request.method != "POST":
        return None
    url = urlsplit(str(request.url))
    return "POST", url.hostname or "", unquote(url.path)


def _fail(call: Call, request: Any, exc: BaseException) -> None:
    _ask(call, request)
    call.failed(exc, unsent=type(exc).__name__ in _UNSENT)


def _observe(call: Call, request: Any, response: Any, _is_async: bool) -> None:
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


_WAY = Way(_PLACE, _target, _fail, _observe)


def hook_client(client: Any, meter: Opener) -> ClientSends:
    """Hook the session of one client; both are held weakly, so that they die as they would."""
    session = client._endpoint.http_session
    return ClientSends(meter, _WAY, session, is_async=_is_async(session.__class__))


def _is_async(kind: type) -> bool:
    return any(base.__module__.startswith("aiobotocore.") for base in kind.__mro__)


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the classes of sessions, now or when they are imported; gives the undo."""

    def hook(library: ModuleType) -> list[ClassSends]:
        name = SESSIONS[library.__name__]
        is_async = _is_async(getattr(library, name))
        return [ClassSends(meter, _WAY, library, name, is_async=is_async)]

    return on_import(meter, tuple(SESSIONS), hook)
