"""Which provider and which wire format stand behind a request: one table, matched from the end."""

from __future__ import annotations

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.providers import Route, Router


def found(router: Router, method: str, host: str, path: str) -> tuple[object, ...] | None:
    route = router[method, host, path]
    if route is None:
        return None
    return route.provider, route.dialect.name, route.operation, route.known_host


OPENAI, CLAUDE = "api.openai.com", "api.anthropic.com"


@pytest.mark.parametrize(
    ("method", "host", "path", "expected"),
    [
        ("POST", OPENAI, "/v1/chat/completions", ("openai", "openai_chat", "chat", True)),
        ("POST", OPENAI, "/v1/completions", ("openai", "openai_chat", "text_completion", True)),
        ("POST", OPENAI, "/v1/embeddings", ("openai", "openai_embeddings", "embeddings", True)),
        ("POST", OPENAI, "/v1/responses", ("openai", "openai_responses", "chat", True)),
        ("GET", OPENAI, "/v1/responses/resp_1", ("openai", "openai_responses", "chat", True)),
        ("POST", OPENAI, "/v1/responses/r/cancel", ("openai", "openai_responses", "chat", True)),
        ("POST", CLAUDE, "/v1/messages", ("anthropic", "anthropic_messages", "chat", True)),
        ("POST", CLAUDE.upper(), "/v1/messages", ("anthropic", "anthropic_messages", "chat", True)),
        ("POST", "eu." + OPENAI, "/v1/responses", ("openai", "openai_responses", "chat", True)),
        ("POST", "localhost", "/v1/chat/completions",
         ("openai_compatible", "openai_chat", "chat", False)),
        ("POST", "gate.way", "/p/x/v1/messages",
         ("anthropic_compatible", "anthropic_messages", "chat", False)),
        ("POST", "res.azure.com", "/models/chat/completions",
         ("openai_compatible", "openai_chat", "chat", False)),
        ("POST", "api.openai.com.evil.org", "/v1/chat/completions",
         ("openai_compatible", "openai_chat", "chat", False)),
        ("POST", "notapi.openai.com.", "/x", None),
        ("GET", OPENAI, "/v1/chat/completions", None),
        ("GET", OPENAI, "/v1/models", None),
        ("POST", OPENAI, "/v1/files", None),
        ("POST", OPENAI, "/v1/batches", None),
        ("DELETE", OPENAI, "/v1/responses/resp_1", None),
        ("GET", OPENAI, "/v1/responses/resp_1/input_items", None),
        ("POST", CLAUDE, "/v1/messages/count_tokens", None),
        ("POST", CLAUDE, "/v1/messages/batches", None),
        ("POST", OPENAI, "", None),
    ],
)  # fmt: skip
def test_the_end_of_the_path_and_the_host_decide(
    method: str, host: str, path: str, expected: tuple[object, ...] | None
) -> None:
    assert found(Router(), method, host, path) == expected


def test_only_what_asks_for_an_answer_that_exists_fetches() -> None:
    router = Router()

    def fetches(method: str, path: str) -> bool:
        route = router[method, OPENAI, path]
        assert isinstance(route, Route)
        return route.fetches

    assert fetches("GET", "/v1/responses/resp_1")
    assert fetches("POST", "/v1/responses/resp_1/cancel")
    assert not fetches("POST", "/v1/responses")


def test_a_host_of_ones_own_is_named_and_so_are_those_below_it() -> None:
    router = Router({"LLM.corp": "openai", OPENAI: "mine"})
    path = "/v1/chat/completions"
    assert found(router, "POST", "llm.corp", path) == ("openai", "openai_chat", "chat", True)
    assert found(router, "POST", "eu.llm.corp", path) == ("openai", "openai_chat", "chat", True)
    assert found(router, "POST", OPENAI, path) == ("mine", "openai_chat", "chat", True)


@pytest.mark.parametrize("given", [{"": "x"}, {"h": ""}, {"h": 7}, {7: "x"}, {"h": None}])
def test_a_provider_without_a_name_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="providers maps a host to a provider's name"):
        Router(given)


def test_routes_are_remembered_and_the_memory_is_bounded() -> None:
    router = Router()
    first = router["POST", OPENAI, "/v1/responses"]
    assert router["POST", OPENAI, "/v1/responses"] is first
    for n in range(5_000):
        router["GET", OPENAI, f"/v1/responses/resp_{n}"]
    assert len(router) <= 1024


# Vendors that speak like OpenAI

ME = "mine.services.ai.azure.com"
GATEWAY = "gateway.ai.cloudflare.com"
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("host", "path", "provider", "region"),
    [
        ("mine.openai.azure.com", "/openai/v1/responses", "azure.ai.openai", None),
        ("mine.cognitiveservices.azure.com", "/openai/v1/responses", "azure.ai.openai", None),
        ("eastus.api.cognitive.microsoft.com", "/openai/deployments/d/chat/completions",
         "azure.ai.openai", "eastus"),
        (ME, "/openai/v1/chat/completions", "azure.ai.openai", None),
        (ME, "/openai/deployments/d/embeddings", "azure.ai.openai", None),
        (ME, "/models/chat/completions", "azure.ai.inference", None),
        (ME, "/anthropic/v1/messages", "azure.ai.inference", None),
        ("x.eastus2.models.ai.azure.com", CHAT, "azure.ai.inference", "eastus2"),
        ("x.eastus2.inference.ai.azure.com", CHAT, "azure.ai.inference", "eastus2"),
        ("models.inference.ai.azure.com", "/chat/completions", "github", None),
        ("eu.api.openai.com", CHAT, "openai", "eu"),
        ("us-east-1.api.x.ai", CHAT, "x_ai", "us-east-1"),
        ("api.eu.mistral.ai", CHAT, "mistral_ai", "eu"),
        ("us.inference.heroku.com", CHAT, "heroku", "us"),
        ("eu.openrouter.ai", "/api" + CHAT, "openrouter", "eu"),
        ("x1.us-east-1.aws.endpoints.huggingface.cloud", CHAT, "huggingface", "us-east-1"),
        ("router.huggingface.co", "/together" + CHAT, "huggingface", None),
        ("router.huggingface.co", "/novita/v3/openai/chat/completions", "huggingface", None),
        ("adb-1.2.azuredatabricks.net", "/serving-endpoints/chat/completions", "databricks", None),
        ("org-acct.snowflakecomputing.com", "/api/v2/cortex" + CHAT, "snowflake", None),
        ("api.inference.crusoecloud.com", CHAT, "crusoe", None),
        (GATEWAY, "/v1/acct/gw/compat/chat/completions", "cloudflare_ai_gateway", None),
        (GATEWAY, "/v1/acct/gw/openai/chat/completions", "openai", None),
        (GATEWAY, "/v1/acct/gw/anthropic/v1/messages", "anthropic", None),
        (GATEWAY, "/v1/acct/gw/grok" + CHAT, "x_ai", None),
        (GATEWAY, "/v1/acct/gw/workers-ai/v1/chat/completions", "cloudflare", None),
        ("llm.corp", "/openai/deployments/d/chat/completions", "azure.ai.openai", None),
    ],
)  # fmt: skip
def test_a_host_of_a_vendor_names_it_and_its_region(
    host: str, path: str, provider: str, region: str | None
) -> None:
    route = Router()["POST", host, path]
    assert route is not None
    assert (route.provider, route.region) == (provider, region)


def test_a_deployment_is_the_model_that_was_asked_for() -> None:  # C47
    route = Router()["POST", "mine.openai.azure.com", "/openai/deployments/my-gpt/chat/completions"]
    assert route is not None
    assert route.model == "my-gpt"


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", OPENAI, "/v1/conversations"),
        ("POST", OPENAI, "/v1/chat"),
        ("POST", "llm.corp", "/v1/agent"),
        ("GET", "api.mistral.ai", "/v1/conversations/conv_1/history"),
        ("GET", "api.mistral.ai", "/v1/conversations/conv_1"),
        ("POST", "api.mistral.ai", "/v1/agents"),
        ("POST", "api.mistral.ai", "/v1/files"),
        ("GET", "openrouter.ai", "/api/v1/generation"),
    ],
)
def test_what_only_one_vendor_has_is_nobody_elses(method: str, host: str, path: str) -> None:
    assert Router()[method, host, path] is None
