"""Amazon Bedrock's hosts and models, and the ways in which others count it wrong."""

from __future__ import annotations

import pytest

from amazon import converse_events
from tokenmeter import Usage
from tokenmeter.dialects.bedrock_invoke import BedrockVectors
from tokenmeter.providers import Route, Router
from tokenmeter.wire.body import read
from wires import sse

RUNTIME = "bedrock-runtime.us-east-1.amazonaws.com"
MANTLE = "bedrock-mantle.eu-west-1.api.aws"
ARN = "arn:aws:bedrock:us-east-1:123456789012"


def route(host: str, path: str) -> Route:
    found = Router()["POST", host, path]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (RUNTIME, "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-runtime.eu-west-1.api.aws", "eu-west-1"),
        ("vpce-0ab-c1d.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        (MANTLE, "eu-west-1"),
    ],
)
def test_a_host_of_bedrock_names_its_region(host: str, region: str) -> None:
    for path in ("/model/m/converse", "/openai/v1/chat/completions", "/anthropic/v1/messages"):
        found = route(host, path)
        assert (found.provider, found.region, found.known_host) == ("aws.bedrock", region, True)


@pytest.mark.parametrize("host", ["bedrock-runtime.us-east-1.amazonaws.com.evil.org", "127.0.0.1"])
def test_on_another_host_bedrock_must_be_recognised(host: str) -> None:
    found = route(host, "/gateway/model/m/converse-stream")
    assert (found.provider, found.region, found.known_host) == ("aws.bedrock", None, False)
    assert (found.model, found.stream) == ("m", True)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("zai.glm-4.7-flash", "zai.glm-4.7-flash"),
        ("us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("us-gov.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("jp.anthropic.claude-haiku-4-5-v1:0", "anthropic.claude-haiku-4-5-v1:0"),
        ("global.anthropic.claude-sonnet-4-6", "anthropic.claude-sonnet-4-6"),
        (f"{ARN}:inference-profile/apac.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b", "meta.llama3-8b"),
        (f"{ARN}:application-inference-profile/mi1dadi0g15f", None),
        (f"{ARN}:provisioned-model/abc", None),
        (f"{ARN}:default-prompt-router/anthropic.claude:1", None),
        ("arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine", None),
    ],
)  # fmt: skip
def test_the_id_of_a_model_says_which_one_serves(asked: str, served: str | None) -> None:
    for operation in ("converse", "converse-stream", "invoke", "invoke-with-response-stream"):
        found = route(RUNTIME, f"/model/{asked}/{operation}")
        assert (found.model, found.served) == (asked, served)
        assert found.stream == ("stream" in operation)


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("amazon.titan-embed-text-v2:0", "embeddings"),
        ("amazon.nova-2-multimodal-embeddings-v1:0", "embeddings"),
        ("us.cohere.embed-v4:0", "embeddings"),
        ("cohere.rerank-v3-5:0", "rerank"),
        ("arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0", "rerank"),
    ],
)
def test_a_model_that_makes_no_text_has_no_output_tokens(model: str, operation: str) -> None:
    found = route(RUNTIME, f"/model/{model}/invoke")
    assert (found.operation, found.dialect.counts_output) == (operation, False)
    assert isinstance(found.dialect, BedrockVectors)


@pytest.mark.parametrize(
    "path",
    ["/model/m/count-tokens", "/async-invoke", "/guardrail/g/version/1/apply", "/model/converse"],
)
def test_what_asks_no_model_has_no_route(path: str) -> None:
    assert Router()["POST", RUNTIME, path] is None


def test_a_cached_stream_of_openais_models_on_bedrock_is_not_counted_twice() -> None:
    """C24: there the input contains what was cached already."""
    usage = {
        "prompt_tokens": 120,
        "completion_tokens": 3,
        "total_tokens": 123,
        "prompt_tokens_details": {"cached_tokens": 100},
    }
    stream = sse({"id": "c1", "model": "m", "choices": [], "usage": usage}, "[DONE]")
    chat = read(route(MANTLE, "/v1/chat/completions").dialect, stream)
    assert chat.usage == Usage(input_tokens=120, output_tokens=3, cache_read_tokens=100)

    said = {"inputTokens": 120, "outputTokens": 3, "totalTokens": 123, "cacheReadInputTokens": 100}
    converse = route(RUNTIME, "/model/openai.gpt-oss-120b-1:0/converse-stream").dialect
    assert read(converse, b"".join(converse_events(said))).usage == chat.usage
