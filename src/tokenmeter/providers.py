"""Which provider and which wire format stand behind a method, a host and a path: one table.

The only place that names a host. Paths are matched from their end, so gateways that put a prefix
before them work. A host that is not listed is named after its wire format, ``openai_compatible``
for a server of one's own; ``configure(providers={"llm.corp": "openai"})`` names one.
Names are those of the OpenTelemetry GenAI conventions where they have one.
"""

from __future__ import annotations

import functools
import pkgutil
import re
from collections.abc import Mapping

import msgspec

from tokenmeter.dialects import Dialect
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Source

HOSTS: dict[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
}
"""Host, or the end of one after a dot, to the provider's name."""

_REGION = "(?P<region>[a-z0-9-]+)"
_AMAZON = r"(?:amazonaws\.com(?:\.cn)?|api\.aws)"

REGIONAL: tuple[tuple[str, str], ...] = (
    # Amazon Bedrock in its own ways and in those of OpenAI and Anthropic; private endpoints
    (
        rf"(?:.+\.)?bedrock-(?:runtime(?:-fips)?|mantle)\.{_REGION}\.(?:vpce\.)?{_AMAZON}",
        "aws.bedrock",
    ),
)
"""Pattern of a whole host, with the group ``region`` where it names one, and the provider."""


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
        model: The model that the path names.
        stream: Whether the path asks for a stream, where it says.
        region: The region that the host or the path names.
        served: The model that answers, where the path says that and the body does not.
    """

    provider: str | None
    host: str | None
    operation: str
    dialect: Dialect
    known_host: bool
    fetches: bool = False
    source: Source = "wire"
    model: str | None = None
    stream: bool | None = None
    region: str | None = None
    served: str | None = None


class Format(msgspec.Struct, frozen=True):
    """One row: what a request to a model looks like, and how its answer is read.

    Args:
        path: Pattern that fits the end of the path, with the groups ``model``, ``region`` and
            ``served`` where it names them.
        dialect: The wire format, or where it is: ``"openai_chat:OpenAIChat"`` is the class
            ``OpenAIChat`` of ``dialects/openai_chat.py``, which is imported at the first request.
        operation: The OpenTelemetry name of the operation.
        unlisted: The provider's name where the host is not in the table; ``None``: there it is
            nobody's.
        only: The listed providers that alone have such a path; empty: all of them.
        method: The HTTP method.
        stream: Whether such a request asks for a stream; ``None``: its body says.
        fetches: It asks for an answer that exists already.
    """

    path: str
    dialect: Dialect | str
    operation: str
    unlisted: str | None = None
    only: tuple[str, ...] = ()
    method: str = "POST"
    stream: bool | None = None
    fetches: bool = False


_ANY = "openai_compatible"
_CHAT = "openai_chat:OpenAIChat"
_RESPONSES = "openai_responses:OpenAIResponses"
_EMBEDDINGS = "openai_embeddings:OpenAIEmbeddings"
_MESSAGES = "anthropic_messages:AnthropicMessages"
_CONVERSE = "bedrock_converse:BedrockConverse"
_INVOKE = "bedrock_invoke:BedrockInvoke"
_VECTORS = "bedrock_invoke:BedrockVectors"
_AWS = "aws.bedrock"

_BEDROCK = (
    r"(?P<model>(?:arn:[^/]+:(?:inference-profile|foundation-model)/)?"
    r"(?:(?:[a-z]{2}(?:-gov)?|apac|global)\.)?(?P<served>(?!arn:)[^/]+)|arn:[^/]+/.+)"
)
"""A model of Amazon Bedrock: its id, with a geography before it where several regions answer, or an
ARN; that of a profile or an endpoint of one's own does not say which model is behind it."""

FORMATS: tuple[Format, ...] = (
    # what OpenAI and Anthropic defined and many speak
    Format("/chat/completions", _CHAT, "chat", _ANY),
    Format("/completions", _CHAT, "text_completion", _ANY),
    Format("/embeddings", _EMBEDDINGS, "embeddings", _ANY),
    Format("/v1/messages", _MESSAGES, "chat", "anthropic_compatible"),
    Format("/responses", _RESPONSES, "chat", _ANY),
    Format("/responses/compact", _RESPONSES, "chat", _ANY),
    Format("/responses/[^/]+", _RESPONSES, "chat", _ANY, method="GET", fetches=True),
    Format("/responses/[^/]+/cancel", _RESPONSES, "chat", _ANY, fetches=True),
    # Amazon Bedrock
    Format(f"/model/{_BEDROCK}/converse", _CONVERSE, "chat", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/converse-stream", _CONVERSE, "chat", _AWS, stream=True),
    Format(f"/model/(?=.*embed){_BEDROCK}/invoke", _VECTORS, "embeddings", _AWS, stream=False),
    Format(f"/model/(?=.*rerank){_BEDROCK}/invoke", _VECTORS, "rerank", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/invoke", _INVOKE, "chat", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/invoke-with-response-stream", _INVOKE, "chat", _AWS, stream=True),
)
"""The wire formats by the end of their path; the first that fits is taken."""

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
        self._own = _checked(providers or {})

    def __missing__(self, key: tuple[str, str, str]) -> Route | None:
        if len(self) >= _CACHED_ROUTES:
            self.clear()
        route = self[key] = self._find(*key)
        return route

    def _find(self, method: str, host: str, path: str) -> Route | None:
        path = path.partition("?")[0]
        for row in FORMATS:
            if row.method == method and (fit := _ending(row.path).search(path)):
                provider, region = self._provider(host)
                if provider is None or not row.only or provider in row.only:
                    return _route(row, host, provider, {"region": region} | _named(fit))
        return None

    def _provider(self, host: str) -> tuple[str | None, str | None]:
        """Give the provider's name and the region of a host, as far as the tables know."""
        host = host.lower()
        name = _below(self._own, host) or _below(HOSTS, host)
        for pattern, provider in REGIONAL:
            if fit := re.fullmatch(pattern, host):
                return name or provider, _named(fit).get("region")
        return name, None


def _below(hosts: Mapping[str, str], host: str) -> str | None:
    while host:
        if host in hosts:
            return hosts[host]
        host = host.partition(".")[2]
    return None


def _route(
    row: Format, host: str, provider: str | None, named: Mapping[str, str | None]
) -> Route | None:
    name = provider or row.unlisted
    if name is None:
        return None
    return Route(
        provider=name,
        host=host,
        operation=row.operation,
        dialect=_load(row.dialect) if isinstance(row.dialect, str) else row.dialect,
        known_host=provider is not None,
        fetches=row.fetches,
        model=named.get("model"),
        stream=row.stream,
        region=named.get("region"),
        served=named.get("served"),
    )


def _named(fit: re.Match[str]) -> dict[str, str | None]:
    return {name: found for name, found in fit.groupdict().items() if found}


@functools.cache
def _ending(path: str) -> re.Pattern[str]:
    return re.compile(f"(?:{path})$")


@functools.cache
def _load(name: str) -> Dialect:
    dialect: Dialect = pkgutil.resolve_name(f"tokenmeter.dialects.{name}")()
    return dialect


def _checked(providers: Mapping[str, str]) -> dict[str, str]:
    for host, name in providers.items():
        if not (isinstance(host, str) and host and isinstance(name, str) and name):  # pyright: ignore
            raise ConfigurationError(
                f"providers maps a host to a provider's name, both non-empty strings, such as "
                f"{{'llm.corp': 'openai'}}; got {host!r}: {name!r}"
            )
    return {host.lower(): name for host, name in providers.items()}
