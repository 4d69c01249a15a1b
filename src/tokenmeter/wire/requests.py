"""The seam for requests: the public method ``Session.send``, one call each.

Redirects, and what an authentication sends in between, belong to the call; each time urllib3 tries
again, because an adapter was told to retry, is a further call, with its number. A body that is
still to come is observed where requests reads it: on ``raw``, by what observes urllib3's responses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside, Remembered, named
from tokenmeter.wire.exchange import Request
from tokenmeter.wire.layer import Opener, on_import
from tokenmeter.wire.urllib3 import ClassLayer, ClientLayer, Way
from tokenmeter.wire.urllib3_bodies import Head, encoding_left, follow, take

LIBRARY = "requests"


def _ask(_session: Any, request: Any, **_: Any) -> Request:
    parts = urlsplit(str(request.url))
    return Request(request.method, parts.hostname or "", parts.path, request.body, request.headers)


_remembered = Remembered()


def _aside(_session: Any, args: list[Any], kwargs: dict[str, Any], guard: Guard) -> Aside | None:
    """Take what is meant for us out of a prepared request, whose headers are a copy."""
    request = args[0] if args else kwargs["request"]
    return _remembered.of(request, request.headers, named(request.headers), guard)


def _answer(call: Call, session: Any, response: Any, kwargs: dict[str, Any], guard: Guard) -> None:
    raw = response.raw
    cached = getattr(response, "from_cache", False)  # of requests-cache and CacheControl
    head = Head(response.status_code, response.headers, bool(cached))
    if _is_in_memory(response, streamed=kwargs.get("stream", session.stream)):
        left = encoding_left(raw, decoded=True) if hasattr(raw, "CONTENT_DECODERS") else None
        take(call, head, _content(response), left)
    else:
        follow(call, head, raw, guard)


def _is_in_memory(response: Any, *, streamed: bool) -> bool:
    """Say whether the body was read: it is unless streamed, and then a hook may have read it.

    Only requests' private flag says the latter: to ask for the content is to read it.
    """
    return bool(getattr(response, "_content_consumed", not streamed))


def _content(response: Any) -> bytes:
    try:
        return response.content or b""
    except RuntimeError:  # a hook iterated over it, and nobody has it
        return b""


_WAY = Way("Session", "send", _ask, _answer, _aside)


def is_client(thing: object) -> bool:
    """Say whether a thing is a session."""
    return isinstance(thing, getattr(sys.modules.get(LIBRARY), _WAY.owner, ()))


def hook_client(client: Any, meter: Opener) -> ClientLayer:
    """Hook one session."""
    return ClientLayer(meter, _WAY, client)


def hook_libraries(meter: Opener) -> Callable[[], None]:
    """Hook the class, now or when it is imported; gives the undo."""
    return on_import(meter, (LIBRARY,), lambda library: [ClassLayer(meter, _WAY, library)])
