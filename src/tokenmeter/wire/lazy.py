"""SDK clients that make their HTTP client at the first call: what they make is hooked then."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from tokenmeter.wire import aiohttp
from tokenmeter.wire.layer import Opener

_MAKERS = ("_get_aiohttp_session",)  # google-genai, one session for each event loop
"""Coroutine methods that give an aiohttp session, made when there is none yet."""


def is_client(thing: object) -> bool:
    """Say whether a thing makes its HTTP client later."""
    return _maker(thing) is not None


def hook_client(client: Any, meter: Opener) -> _Maker:
    """Hook what one client makes; the client is held weakly."""
    return _Maker(client, meter)


def hook_libraries(meter: Opener) -> Callable[[], None]:  # noqa: ARG001
    """Do nothing: every session in the process is hooked, whoever makes it."""
    return _nothing


class _Maker:
    """The hook on one client: hooks each session that it gives out, once."""

    def __init__(self, client: Any, meter: Opener) -> None:
        self.active = True
        self._meter = meter
        self._name = _maker(client) or ""
        self._client = weakref.ref(client)
        self._layers: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

        self._make: Any = getattr(client.__class__, self._name)

        @functools.wraps(self._make)
        async def made() -> Any:
            return await self._made()

        self._hook = made
        setattr(client, self._name, made)

    async def _made(self) -> Any:
        session = await self._make(self._client())
        if self.active and aiohttp.is_client(session) and session not in self._layers:
            self._layers[session] = aiohttp.hook_client(session, self._meter)
        return session

    def undo(self) -> None:
        """Take the hook off, and those on all that was made."""
        self.active = False
        client = self._client()
        if client is not None and client.__dict__.get(self._name) is self._hook:
            delattr(client, self._name)
        for layer in self._layers.values():
            layer.undo()


def _maker(thing: object) -> str | None:
    found = (n for n in _MAKERS if inspect.iscoroutinefunction(getattr(type(thing), n, None)))
    return next(found, None)


def _nothing() -> None:
    return None
