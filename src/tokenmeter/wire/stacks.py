"""The HTTP stacks that are metered, one module each, and where SDK clients keep their clients."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

from tokenmeter.wire import aiohttp, botocore, httpx, lazy, requests, urllib3
from tokenmeter.wire.layer import Opener


class Hook(Protocol):
    """A hook on one client."""

    active: bool

    def undo(self) -> None:
        """Take the hook off."""
        ...


class Stack(Protocol):
    """A seam; a module of this package is one. It imports its library nowhere."""

    def is_client(self, thing: object, /) -> bool:
        """Say whether a thing is a client of this stack."""
        ...

    def hook_client(self, client: Any, meter: Opener, /) -> Hook:
        """Hook one client, which is held weakly."""
        ...

    def hook_libraries(self, meter: Opener, /) -> Callable[[], None]:
        """Hook every client in the process, those that are still to come too; gives the undo."""
        ...


STACKS: tuple[Stack, ...] = (httpx, aiohttp, botocore, requests, urllib3, lazy)

_PLACES = (
    "_client",  # openai, anthropic, groq, together
    "_client_wrapper.httpx_client.httpx_client",  # cohere
    "sdk_configuration.async_client",  # mistralai
    "sdk_configuration.client",
    "_api_client._httpx_client",  # google-genai
    "_api_client._async_httpx_client",
    "_api_client",
)
"""Attributes of SDK clients that hold their HTTP clients, as dotted paths."""


def clients_in(thing: object) -> list[tuple[Any, Stack]]:
    """Give the HTTP clients that a thing is or holds, each with its stack."""
    return _known(thing) or [pair for place in _PLACES for pair in _known(_at(thing, place))]


def _known(thing: object) -> list[tuple[Any, Stack]]:
    return [(thing, stack) for stack in STACKS if stack.is_client(thing)]


def _at(thing: object, place: str) -> object:
    try:
        return operator.attrgetter(place)(thing)
    except AttributeError:
        return None
