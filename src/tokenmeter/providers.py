"""Which provider and which wire format stand behind a method, a host and a path: one table.

The only place that names a host. Paths are matched from their end, so gateways that put a prefix
before them work. A host that is not listed is named after its wire format, ``openai_compatible``
for a server of one's own; ``configure(providers={"llm.corp": "openai"})`` names one.
Names are those of the OpenTelemetry GenAI conventions where they have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tokenmeter.dialects import Dialect
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Source

HOSTS: dict[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
}
"""Host, or the end of one after a dot, to the provider's name."""


class Route(msgspec.Struct, frozen=True):
    """Where an exchange goes.

    Args:
        provider: The provider's name.
        host: The host that is asked.
        operation: The OpenTelemetry name of the operation.
        dialect: The wire format.
        known_host: The host is in the table; elsewhere the body must be recognised.
        fetches: The request asks for an answer that exists already.
        source: The seam, as the event names it.
    """

    provider: str | None
    host: str | None
    operation: str
    dialect: Dialect
    known_host: bool
    fetches: bool = False
    source: Source = "wire"


class Format(msgspec.Struct, frozen=True):
    """A wire format and what stands at the end of its paths."""

    path: str
    dialect: Dialect
    operation: str
    unlisted: str  # the provider's name where the host is not in the table


_CHAT = OpenAIChat()
_RESPONSES = Format("/responses", OpenAIResponses(), "chat", "openai_compatible")
_COMPACT = Format("/responses/compact", _RESPONSES.dialect, "chat", "openai_compatible")

FORMATS: tuple[Format, ...] = (
    Format("/chat/completions", _CHAT, "chat", "openai_compatible"),
    Format("/completions", _CHAT, "text_completion", "openai_compatible"),
    Format("/embeddings", OpenAIEmbeddings(), "embeddings", "openai_compatible"),
    Format("/v1/messages", AnthropicMessages(), "chat", "anthropic_compatible"),
    _RESPONSES,
    _COMPACT,
)
"""The wire formats by the end of their path; the first that fits is taken."""

_FETCHES = (
    ("GET", re.compile(r"/responses/[^/]+$")),
    ("POST", re.compile(r"/responses/[^/]+/cancel$")),
)
"""What asks for a response that exists already."""

_CACHED_ROUTES = 1024


class Router(dict[tuple[str, str, str], Route | None]):
    """Give the route of a ``(method, host, path)``, or ``None`` when it asks no model for anything.

    A dictionary that finds what it does not hold and remembers the last thousand, so that a look-up
    on the path of every request is one.
    """

    def __init__(self, providers: Mapping[str, str] | None = None) -> None:
        """Add hosts of one's own to the table.

        Raises:
            ConfigurationError: A host or a name is not a non-empty string.
        """
        super().__init__()
        self._hosts = HOSTS | _checked(providers or {})

    def __missing__(self, key: tuple[str, str, str]) -> Route | None:
        if len(self) >= _CACHED_ROUTES:
            self.clear()
        route = self[key] = self._find(*key)
        return route

    def _find(self, method: str, host: str, path: str) -> Route | None:
        path = path.partition("?")[0]
        for verb, pattern in _FETCHES:
            if verb == method and pattern.search(path):
                return self._route(host, _RESPONSES, fetches=True)
        if method == "POST":
            for wire_format in FORMATS:
                if path.endswith(wire_format.path):
                    return self._route(host, wire_format)
        return None

    def _route(self, host: str, wire_format: Format, *, fetches: bool = False) -> Route:
        known = self._provider(host)
        provider = known or wire_format.unlisted
        operation = wire_format.operation
        return Route(provider, host, operation, wire_format.dialect, known is not None, fetches)

    def _provider(self, host: str) -> str | None:
        name = host.lower()
        while name:
            if name in self._hosts:
                return self._hosts[name]
            name = name.partition(".")[2]
        return None


def _checked(providers: Mapping[str, str]) -> dict[str, str]:
    for host, name in providers.items():
        if not (isinstance(host, str) and host and isinstance(name, str) and name):  # pyright: ignore
            raise ConfigurationError(
                f"providers maps a host to a provider's name, both non-empty strings, such as "
                f"{{'llm.corp': 'openai'}}; got {host!r}: {name!r}"
            )
    return {host.lower(): name for host, name in providers.items()}
