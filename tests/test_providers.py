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
