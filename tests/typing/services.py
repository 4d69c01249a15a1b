"""Checked by type checkers, never run: applications go into middleware as they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, assert_type
from wsgiref.types import StartResponse, WSGIEnvironment

from tokenmeter.celery import follow
from tokenmeter.meter import Undo
from tokenmeter.web import ASGIMiddleware, WSGIMiddleware, identity, principal

Message = MutableMapping[str, Any]


async def asgi(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None: ...


def wsgi(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return []


ASGIMiddleware(ASGIMiddleware(asgi), trusted=lambda scope: "client" in scope, user=identity)
WSGIMiddleware(WSGIMiddleware(wsgi), user=lambda environ: environ.get("REMOTE_USER"))
assert_type(principal(), str | None)
assert_type(follow(agents=True), Undo)
