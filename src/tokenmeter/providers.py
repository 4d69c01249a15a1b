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
from collections.abc import Iterable, Mapping

import msgspec

from tokenmeter.dialects import Dialect
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Source

_AZURE_OPENAI = "azure.ai.openai"
_AZURE_INFERENCE = "azure.ai.inference"
_CLOUDFLARE_GATEWAY = "cloudflare_ai_gateway"

HOSTS: dict[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
    # vendors with a format of their own
    "api.aleph-alpha.com": "aleph_alpha",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.jina.ai": "jina",
    "api.replicate.com": "replicate",
    "api.voyageai.com": "voyage",
    # Azure
    "openai.azure.com": _AZURE_OPENAI,
    "openai.azure.us": _AZURE_OPENAI,
    "cognitiveservices.azure.com": _AZURE_OPENAI,
    "services.ai.azure.com": _AZURE_INFERENCE,
    "models.ai.azure.com": _AZURE_INFERENCE,
    "inference.ai.azure.com": _AZURE_INFERENCE,
    "models.inference.ai.azure.com": "github",
    # vendors that speak like OpenAI or Anthropic
    "ai-gateway.vercel.sh": "vercel_ai_gateway",
    "api-inference.huggingface.co": "huggingface",
    "api.ai21.com": "ai21",
    "api.avian.io": "avian",
    "api.cerebras.ai": "cerebras",
    "api.cloudflare.com": "cloudflare",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.featherless.ai": "featherless",
    "api.fireworks.ai": "fireworks",
    "api.friendli.ai": "friendli",
    "githubcopilot.com": "github_copilot",
    "api.groq.com": "groq",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.inference.wandb.ai": "wandb",
    "api.lambda.ai": "lambda",
    "api.llama.com": "meta_llama",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.morphllm.com": "morph",
    "api.novita.ai": "novita",
    "api.perplexity.ai": "perplexity",
    "api.poe.com": "poe",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.ai": "nebius",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.v0.dev": "v0",
    "api.writer.com": "writer",
    "api.x.ai": "x_ai",
    "api.z.ai": "zai",
    "codestral.mistral.ai": "mistral_ai",
    "endpoints.huggingface.cloud": "huggingface",
    "gateway.ai.cloudflare.com": _CLOUDFLARE_GATEWAY,
    "inference.api.nscale.com": "nscale",
    "inference.crusoecloud.com": "crusoe",
    "inference.heroku.com": "heroku",
    "integrate.api.nvidia.com": "nvidia",
    "llm.chutes.ai": "chutes",
    "models.github.ai": "github",
    "ollama.com": "ollama",
    "open.bigmodel.cn": "zai",
    "openrouter.ai": "openrouter",
    "router.huggingface.co": "huggingface",
    # workspaces and accounts of one's own
    "azuredatabricks.net": "databricks",
    "cloud.databricks.com": "databricks",
    "gcp.databricks.com": "databricks",
    "snowflakecomputing.com": "snowflake",
    # Google
    "generativelanguage.googleapis.com": "gcp.gemini",
    "generativelanguage.mtls.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "aiplatform.mtls.googleapis.com": "gcp.vertex_ai",
}
"""Host, or the end of one after a dot, to the provider's name."""

_AREA = "(?P<region>[a-z0-9-]+)"
_AMAZON = r"(?:amazonaws\.com(?:\.cn)?|api\.aws)"

REGIONAL: tuple[tuple[str, str], ...] = (
    (r"(?:private\.)?(?P<region>[a-z0-9-]+)\.ml\.cloud\.ibm\.com", "ibm.watsonx.ai"),
    (r"(?P<region>[a-z]{2})\.api\.openai\.com", "openai"),
    (r"(?P<region>[a-z0-9]+)\.api\.cognitive\.microsoft\.com", _AZURE_OPENAI),
    (r"[^.]+\.(?P<region>[a-z0-9]+)\.(?:models|inference)\.ai\.azure\.com", _AZURE_INFERENCE),
    (r"(?P<region>[a-z0-9-]+)\.api\.x\.ai", "x_ai"),
    (r"api\.(?P<region>eu|us)\.mistral\.ai", "mistral_ai"),
    (r"(?P<region>eu|us)\.openrouter\.ai", "openrouter"),
    (r"(?P<region>eu|us)\.inference\.heroku\.com", "heroku"),
    (r"[^.]+\.(?P<region>[a-z0-9-]+)\.[a-z]+\.endpoints\.huggingface\.cloud", "huggingface"),
    (r"(?P<region>[a-z0-9-]+)-aiplatform\.(?:mtls\.)?googleapis\.com", "gcp.vertex_ai"),
    (r"aiplatform\.(?P<region>[a-z0-9-]+)\.rep\.(?:mtls\.)?googleapis\.com", "gcp.vertex_ai"),
    # Amazon Bedrock in its own ways and in those of OpenAI and Anthropic; private endpoints
    (
        rf"(?:.+\.)?bedrock-(?:runtime(?:-fips)?|mantle)\.{_AREA}\.(?:vpce\.)?{_AMAZON}",
        "aws.bedrock",
    ),
)
"""Pattern of a whole host, with the group ``region`` where it names one, and the provider."""

BEHIND: tuple[tuple[str, str, str], ...] = (
    (_AZURE_INFERENCE, "/openai/", _AZURE_OPENAI),
    *(
        (_CLOUDFLARE_GATEWAY, f"/v1/[^/]+/[^/]+/{slug}/", provider)
        for slug, provider in {
            "anthropic": "anthropic",
            "azure-openai": _AZURE_OPENAI,
            "cerebras": "cerebras",
            "cohere": "cohere",
            "deepseek": "deepseek",
            "google-ai-studio": "gcp.gemini",
            "google-vertex-ai": "gcp.vertex_ai",
            "grok": "x_ai",
            "groq": "groq",
            "huggingface": "huggingface",
            "mistral": "mistral_ai",
            "openai": "openai",
            "openrouter": "openrouter",
            "perplexity-ai": "perplexity",
            "workers-ai": "cloudflare",
        }.items()
    ),
)
"""A provider by its host, how paths begin there, and whose models are behind them."""


REPORTING = frozenset(
    {"ai21", "databricks", "deepseek", "groq", "huggingface", "mistral_ai", "openrouter"}
)
"""Providers whose streams of chat completions report usage without being asked, at least often.

Seen in recorded traffic; some of them refuse to be asked: Mistral
(https://github.com/openai/openai-agents-python/issues/442) and Databricks before Bedrock
(https://github.com/anomalyco/opencode/issues/4698). To OpenRouter asking means nothing
(https://openrouter.ai/docs/use-cases/usage-accounting). All read 2026-11-22.
"""


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
        path: The path that is asked for.
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
    path: str = ""
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
            nobody's, or that of the next row that fits.
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
_MEDIA = "openai_media:OpenAIMedia"
_RUNS = "openai_runs:OpenAIRuns"
_DEPLOYMENT = "(?:/openai/deployments/(?P<model>[^/]+))?"

_WATSONX = "ibm.watsonx.ai"
_CONVERSATIONS = "mistral_conversations:MistralConversations"
_VOXTRAL = "mistral_transcriptions:MistralTranscriptions"
_WORKERS_AI = "cloudflare_run:CloudflareRun"

_AZURE_DEPLOYMENT = "/openai/deployments/(?P<model>[^/]+)"

_OWN_FORMATS: tuple[Format, ...] = (
    Format("/v[12]/chat", "cohere:CohereChat", "chat", "cohere", only=("cohere",)),
    Format("/v1/generate", "cohere:CohereChat", "text_completion", "cohere", only=("cohere",)),
    Format("/v[12]/embed", "cohere:CohereEmbed", "embeddings", "cohere", only=("cohere",)),
    Format("/ml/v1[^/]*/(?:.+/)?text/rerank", "watsonx:WatsonxInput", "rerank", _WATSONX),
    Format("/rerank", "rerank:Rerank", "rerank", "cohere_compatible"),
    Format("/api/chat", "ollama:Ollama", "chat", "ollama", only=("ollama",)),
    Format("/api/generate", "ollama:Ollama", "text_completion", "ollama", only=("ollama",)),
    Format("/api/embed", "ollama:OllamaEmbed", "embeddings", "ollama", only=("ollama",)),
    Format("/api/embeddings", "ollama:OllamaEmbed", "embeddings", "ollama", only=("ollama",)),
    *(
        Format(f"/ml/v1[^/]*/(?:.+/)?{path}", dialect, operation, _WATSONX, stream=stream)
        for path, dialect, operation, stream in (
            ("text/generation", "watsonx:WatsonxText", "text_completion", False),
            ("generation/text", "watsonx:WatsonxText", "text_completion", False),
            ("text/generation_stream", "watsonx:WatsonxText", "text_completion", True),
            ("generation/text_stream", "watsonx:WatsonxText", "text_completion", True),
            ("text/chat", "watsonx:WatsonxChat", "chat", False),
            ("text/chat_stream", "watsonx:WatsonxChat", "chat", True),
            ("text/embeddings", "watsonx:WatsonxInput", "embeddings", False),
        )
    ),
    Format("/(?:multimodal|contextualized)?embeddings", "voyage:VoyageEmbeddings", "embeddings",
           only=("voyage",)),
    Format("/generate", "huggingface:TextGeneration", "text_completion", "huggingface",
           only=("huggingface",), stream=False),
    Format("/generate_stream", "huggingface:TextGeneration", "text_completion", "huggingface",
           only=("huggingface",), stream=True),
    Format("/models/(?P<model>[^/]+(?:/[^/]+)?)", "huggingface:TextGeneration", "text_completion",
           only=("huggingface",)),
    *(
        Format(path, "replicate:Replicate", "generate_content", "replicate", only=("replicate",),
               method=method, fetches=fetches)
        for path, method, fetches in (
            ("/models/(?P<model>[^/]+/[^/]+)/predictions", "POST", False),
            ("/deployments/(?P<model>[^/]+/[^/]+)/predictions", "POST", False),
            ("/v1/predictions", "POST", False),
            ("/v1/predictions/[^/]+", "GET", True),
            ("/v1/predictions/[^/]+/cancel", "POST", True),
        )
    ),
    Format("(?<!/v1)/complete", "aleph_alpha:AlephAlpha", "text_completion", "aleph_alpha",
           only=("aleph_alpha",)),
)  # fmt: skip
"""Formats that one vendor alone defined; before the others, because some paths end alike."""

# Google: AI Studio, Vertex AI, and other publishers' models on Vertex AI
_REGION = "/locations/(?P<region>[^/]+)"
_IN_STUDIO = "/(?:models/)?(?P<model>(?:(?:tunedModels|dynamic)/)?[^/:]+)"
_ON_VERTEX = (
    f"(?:{_REGION}(?:/publishers/google)?|/publishers/google)"
    "/(?:models/)?(?P<model>(?:endpoints/)?[^/:]+)"
)


def _google(
    vendor: str, models: str, interactions: str, gemini: str = "gemini:Gemini"
) -> tuple[Format, ...]:
    embeddings = "gemini_embeddings:GeminiEmbeddings"
    stored, made = "gemini_interactions:GeminiInteractions", "generate_content"
    return (
        Format(f"{models}:generateContent", gemini, made, vendor, stream=False),
        Format(f"{models}:streamGenerateContent", gemini, made, vendor, stream=True),
        Format(f"{models}:(?:embedContent|batchEmbedContents)", embeddings, "embeddings", vendor),
        Format(interactions, stored, made, vendor),
        Format(f"{interactions}/[^/]+", stored, made, vendor, method="GET", fetches=True),
        Format(f"{interactions}/[^/]+/cancel", stored, made, vendor, fetches=True),
    )


def _published(publisher: str, dialect: str) -> tuple[Format, ...]:
    models = f"(?:{_REGION})?/publishers/{publisher}/models/(?P<model>(?!count-tokens:)[^/:]+)"
    vendor = "gcp.vertex_ai"
    return (
        Format(f"{models}:rawPredict", dialect, "chat", vendor),
        Format(f"{models}:streamRawPredict", dialect, "chat", vendor, stream=True),
    )


_GOOGLE: tuple[Format, ...] = (
    *_google("gcp.vertex_ai", _ON_VERTEX, f"{_REGION}/interactions", "gemini:GeminiOnVertex"),
    *_google("gcp.gemini", _IN_STUDIO, "/v1[a-z0-9]*/interactions"),
    Format(
        f"(?:{_REGION})?/publishers/google/models/(?P<model>[^/:]*embedding[^/:]*):predict",
        "gemini_embeddings:GeminiEmbeddings",
        "embeddings",
        "gcp.vertex_ai",
    ),
    *_published("anthropic", _MESSAGES),
    *_published("mistralai", _CHAT),
    Format(f"{_REGION}/endpoints/[^/]+/chat/completions", _CHAT, "chat", "gcp.vertex_ai"),
)
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
    *_OWN_FORMATS,
    # what vendors who speak like OpenAI have at paths of their own
    Format(_AZURE_DEPLOYMENT + "(?:/extensions)?/chat/completions", _CHAT, "chat", _AZURE_OPENAI),
    Format(_AZURE_DEPLOYMENT + "/completions", _CHAT, "text_completion", _AZURE_OPENAI),
    Format(_AZURE_DEPLOYMENT + "/embeddings", _EMBEDDINGS, "embeddings", _AZURE_OPENAI),
    Format(_AZURE_DEPLOYMENT + "/responses", _RESPONSES, "chat", _AZURE_OPENAI),
    Format("/serving-endpoints/(?P<model>[^/]+)/invocations", _CHAT, "chat", "databricks"),
    Format("/v1/chat", _CHAT, "chat", only=("writer",)),
    Format("/v1/sonar", _CHAT, "chat", only=("perplexity",)),
    Format("/v1/agent", _RESPONSES, "chat", only=("perplexity",)),
    Format("/cortex/inference:complete", _CHAT, "chat", "snowflake"),
    Format("/ai/run/(?P<model>.+)", _WORKERS_AI, "chat", "cloudflare", only=("cloudflare",)),
    Format("/v1/agents/completions", _CHAT, "chat", "mistral_ai"),
    Format("/v1/fim/completions", _CHAT, "text_completion", "mistral_ai"),
    Format("/v1/conversations", _CONVERSATIONS, "chat", "mistral_ai", only=("mistral_ai",)),
    Format(
        "/v1/conversations/[^/]+(?:/restart)?",
        _CONVERSATIONS,
        "chat",
        "mistral_ai",
        only=("mistral_ai",),
    ),
    Format("/v1/audio/transcriptions", _VOXTRAL, "transcription", only=("mistral_ai",)),
    Format("/v1/ocr", "mistral_ocr:MistralOcr", "ocr", "mistral_ai"),
    *_GOOGLE,
    # what OpenAI and Anthropic defined and many speak
    Format("/chat/completions", _CHAT, "chat", _ANY),
    Format("/completions", _CHAT, "text_completion", _ANY),
    Format("/embeddings", _EMBEDDINGS, "embeddings", _ANY),
    Format("/v1/messages", _MESSAGES, "chat", "anthropic_compatible"),
    Format("/responses", _RESPONSES, "chat", _ANY),
    Format("/responses/compact", _RESPONSES, "chat", _ANY),
    Format("/responses/[^/]+", _RESPONSES, "chat", _ANY, method="GET", fetches=True),
    Format("/responses/[^/]+/cancel", _RESPONSES, "chat", _ANY, fetches=True),
    # the rest of OpenAI, Azure's paths included, and of Anthropic
    Format(_DEPLOYMENT + "/images/generations", _MEDIA, "image_generation", _ANY),
    Format(_DEPLOYMENT + "/images/edits", _MEDIA, "image_edit", _ANY),
    Format("/images/variations", _MEDIA, "image_variation", _ANY),
    Format(_DEPLOYMENT + "/audio/transcriptions", _MEDIA, "transcription", _ANY),
    Format(_DEPLOYMENT + "/audio/translations", _MEDIA, "translation", _ANY),
    Format(_DEPLOYMENT + "/audio/speech", _MEDIA, "speech", _ANY),
    Format("/moderations", "openai_moderations:OpenAIModerations", "moderation", _ANY),
    Format("/threads/(?:[^/]+/)?runs", _RUNS, "invoke_agent", _ANY),
    Format("/threads/[^/]+/runs/[^/]+/submit_tool_outputs", _RUNS, "invoke_agent", _ANY),
    Format("/threads/[^/]+/runs/[^/]+", _RUNS, "invoke_agent", _ANY, method="GET", fetches=True),
    Format("/threads/[^/]+/runs/[^/]+/cancel", _RUNS, "invoke_agent", _ANY, fetches=True),
    Format(
        "/v1/complete",
        "anthropic_complete:AnthropicComplete",
        "text_completion",
        "anthropic_compatible",
    ),
    # Amazon Bedrock
    Format(f"/model/{_BEDROCK}/converse", _CONVERSE, "chat", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/converse-stream", _CONVERSE, "chat", _AWS, stream=True),
    Format(f"/model/(?=.*embed){_BEDROCK}/invoke", _VECTORS, "embeddings", _AWS, stream=False),
    Format(f"/model/(?=.*rerank){_BEDROCK}/invoke", _VECTORS, "rerank", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/invoke", _INVOKE, "chat", _AWS, stream=False),
    Format(f"/model/{_BEDROCK}/invoke-with-response-stream", _INVOKE, "chat", _AWS, stream=True),
)
"""The wire formats by the end of their path; the first that fits is taken."""

_NO_CALLS = re.compile(
    r"[/:](count_?tokens|countTokens|computeTokens|(de)?tokenize|models|files|uploads|batches|batch_"
    r"|cached_?[cC]ontents|fine[-_]tun|vector_stores|assistants|threads|containers|evals|skills"
    r"|conversations|organization|documents|datasets|cancel|operations)",
)
"""What is posted to a provider and asks no model for anything."""

_PLAIN_END = re.compile(r"(?<![\\\w])[\w/:-]+$")
"""What a pattern ends in that stands for itself; a class such as ``\\d`` does not."""

_CACHED_ROUTES = 1024
_REMEMBERED = 100


class Router(dict[tuple[str, str, str], Route | None]):
    """Give the route of a ``(method, host, path)``, or ``None`` when it asks no model for anything.

    A dictionary that finds what it does not hold and remembers the last thousand, so that a look-up
    on the path of every request is one.
    """

    def __init__(
        self, providers: Mapping[str, str] | None = None, dialects: Iterable[Dialect] = ()
    ) -> None:
        """Add hosts and dialects of one's own to the table; they come before ours.

        Raises:
            ConfigurationError: A host or a name is not a non-empty string.
        """
        super().__init__()
        self._own = checked(providers or {})
        self.unrouted: dict[tuple[str, str], None] = {}
        """Hosts of the table and paths that were posted to them, and that no row fits; bounded."""
        self._rows = tuple(
            Format(own.path, own, own.operation, own.provider or own.name) for own in dialects
        )

    def __missing__(self, key: tuple[str, str, str]) -> Route | None:
        if len(self) >= _CACHED_ROUTES:
            self.clear()
        route = self[key] = self._find(*key)
        return route

    def _find(self, method: str, host: str, path: str) -> Route | None:
        path = path.partition("?")[0]
        provider, region = self._provider(host)
        provider = _behind(provider, path)
        row = self._row(method, provider, path)
        if row is not None:
            return _route(row, provider, host, path, region)
        if method == "POST" and provider is not None:
            self._remember(host, path)
        return None

    def row(self, method: str, host: str, path: str) -> Format | None:
        """Give the row of the table that fits a request; ``None``: it asks no model."""
        return self._row(method, _behind(self._provider(host)[0], path), path)

    def _row(self, method: str, provider: str | None, path: str) -> Format | None:
        for row in (*self._rows, *FORMATS):
            if row.method == method and _fit(row.path, path) and _fits(row, provider):
                return row
        return None

    def _remember(self, host: str, path: str) -> None:
        if len(self.unrouted) < _REMEMBERED and not _NO_CALLS.search(path):
            self.unrouted[host, path] = None

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


def _behind(provider: str | None, path: str) -> str | None:
    """Give whose models are behind a path of a provider's host."""
    for front, beginning, behind in BEHIND:
        if provider == front and re.match(beginning, path):
            return behind
    return provider


def _fits(row: Format, provider: str | None) -> bool:
    """Say whether a provider, or where ``None`` an unlisted host, has such a path."""
    if provider is None:
        return row.unlisted is not None
    return not row.only or provider in row.only


def _route(row: Format, provider: str | None, host: str, path: str, region: str | None) -> Route:
    fit = _fit(row.path, path)
    named = {} if fit is None else _named(fit)
    return Route(
        provider=provider or row.unlisted,
        host=host,
        operation=row.operation,
        dialect=_load(row.dialect) if isinstance(row.dialect, str) else row.dialect,
        known_host=provider is not None,
        fetches=row.fetches,
        model=named.get("model"),
        stream=row.stream,
        region=named.get("region", region),
        path=path,
        served=named.get("served"),
    )


def _named(fit: re.Match[str]) -> dict[str, str | None]:
    return {name: found for name, found in fit.groupdict().items() if found}


def _fit(pattern: str, path: str) -> re.Match[str] | None:
    """Match a pattern against the end of a path; most fail at the text that they end in."""
    text, compiled = _ending(pattern)
    return compiled.search(path) if path.endswith(text) else None


@functools.cache
def _ending(pattern: str) -> tuple[str, re.Pattern[str]]:
    plain = None if "|" in pattern else _PLAIN_END.search(pattern)
    return plain[0] if plain else "", re.compile(f"(?:{pattern})$")


@functools.cache
def _load(name: str) -> Dialect:
    dialect: Dialect = pkgutil.resolve_name(f"tokenmeter.dialects.{name}")()
    return dialect


def checked(providers: Mapping[str, str]) -> dict[str, str]:
    """Give hosts and their providers when they are, with hosts in small letters.

    Raises:
        ConfigurationError: A host or a name is not a non-empty string.
    """
    if not isinstance(providers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{_WHAT}; got {providers!r}")
    for host, name in providers.items():
        if not (isinstance(host, str) and host and isinstance(name, str) and name):  # pyright: ignore
            raise ConfigurationError(f"{_WHAT}; got {host!r}: {name!r}")
    return {host.lower(): name for host, name in providers.items()}


_WHAT = (
    "providers maps a host to a provider's name, both non-empty strings, such as "
    "{'llm.corp': 'openai'}"
)
