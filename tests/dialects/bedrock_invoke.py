"""Amazon Bedrock's InvokeModel, with and without a stream."""

from typing import Any

from amazon import chunk, claude, claude_events, failure
from dialects import Exchange, compact

HOST = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"
SMALL = {"input_tokens": 5, "output_tokens": 3}
MEASURED = {"X-Amzn-Bedrock-Input-Token-Count": "5", "X-Amzn-Bedrock-Output-Token-Count": "3"}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 3}}
DONE = {"recognised": True, "status": "completed", "final": True}
CLAUDE = DONE | {
    "model": "claude-sonnet-4-5-20250929",
    "response_id": "msg_bdrk_1",
    "finish_reasons": ("end_turn",),
}


def asked(model: str, operation: str = "chat") -> dict[str, Any]:
    return {"provider": "aws.bedrock", "request_model": model, "operation": operation}


def plain(  # noqa: PLR0917 - one line a model
    name: str, model: str, body: Any, usage: Any, reading: Any, operation: str = "chat", **more: Any
) -> Exchange:
    url = f"{HOST}/model/{model.replace(':', '%3A').replace('/', '%2F')}/invoke"
    return Exchange(
        name, url, compact(body), usage, reading=reading, **asked(model, operation), **more
    )


def stream(  # noqa: PLR0917
    name: str, model: str, events: list[Any], usage: Any, reading: Any, last: bytes = b""
) -> Exchange:
    url = f"{HOST}/model/{model}/invoke-with-response-stream"
    body = b"".join(chunk(said) for said in events) + last
    return Exchange(name, url, body, usage, reading=reading, **asked(model))


def why(*reasons: str, **more: Any) -> dict[str, Any]:
    return DONE | {"finish_reasons": reasons} | more


EMBED = "embeddings"
NOVA = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
CLAUDE_ID = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
OPENAI = {"id": "c1", "model": "m", "choices": [{"message": {}, "finish_reason": "stop"}]}

EXCHANGES = [
    plain(
        "Claude, partly cached, measured too",
        CLAUDE_ID,
        claude(cache_read_input_tokens=7, cache_creation_input_tokens=0),
        {"input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 7, "cache_write_tokens": 0},
        CLAUDE,
        headers=MEASURED | {"X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "7"},
    ),
    plain(
        "the older Claude, which is measured only",
        "anthropic.claude-v2:1",
        {"type": "completion", "completion": "hi", "stop_reason": "stop_sequence", "stop": "x"},
        SMALL,
        why("stop_sequence"),
        headers=MEASURED,
    ),
    plain(
        "Nova",
        "us.amazon.nova-lite-v1:0",
        {
            "output": {"message": {"role": "assistant", "content": []}},
            "stopReason": "end_turn",
            "usage": NOVA | {"cacheReadInputTokenCount": 0, "cacheWriteInputTokenCount": 0},
        },
        SMALL | {"cache_read_tokens": 0, "cache_write_tokens": 0},
        why("end_turn"),
    ),
    plain(
        "Nova, whose output only the headers say, behind a guardrail",
        "amazon.nova-lite-v1:0",
        {
            "output": {"message": {"role": "assistant", "content": []}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 5},
            "amazon-bedrock-guardrailAction": "INTERVENED",
        },
        SMALL,
        why("end_turn", service_tier="priority"),
        headers=MEASURED | {"X-Amzn-Bedrock-Service-Tier": "priority"},
    ),
    plain(
        "Titan, with numbers that a guardrail touched",
        "amazon.titan-text-express-v1",
        {
            "inputTextTokenCount": 5.0,
            "results": [{"tokenCount": 3.0, "outputText": "hi", "completionReason": "FINISH"}],
        },
        SMALL,
        why("FINISH"),
    ),
    plain(
        "Llama",
        "meta.llama3-70b-instruct-v1:0",
        {
            "generation": "hi",
            "prompt_token_count": 5,
            "generation_token_count": 3,
            "stop_reason": "stop",
        },
        SMALL,
        why("stop"),
    ),
    plain(
        "Mistral, in its older format",
        "mistral.mistral-7b-instruct-v0:2",
        {"outputs": [{"text": "hi", "stop_reason": "stop"}]},
        SMALL,
        why("stop"),
        headers=MEASURED,
    ),
    plain(
        "Mistral, as OpenAI speaks",
        "mistral.pixtral-large-2502-v1:0",
        OPENAI | {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}},
        SMALL,
        why("stop", model="m", response_id="c1"),
    ),
    plain(
        "Jamba, without a usage",
        "ai21.jamba-1-5-mini-v1:0",
        OPENAI,
        SMALL,
        why("stop", model="m", response_id="c1"),
        headers=MEASURED,
    ),
    plain(
        "Jurassic",
        "ai21.j2-mid-v1",
        {"id": 1234, "prompt": {}, "completions": [{"finishReason": {"reason": "endoftext"}}]},
        SMALL,
        why("endoftext"),
        headers=MEASURED,
    ),
    plain(
        "Cohere",
        "cohere.command-text-v14",
        {"id": "g1", "generations": [{"id": "g2", "text": "hi", "finish_reason": "COMPLETE"}]},
        SMALL,
        why("COMPLETE", response_id="g1"),
        headers=MEASURED,
    ),
    plain(
        "an answer that is measured and in nobody's format",
        "arn:aws:bedrock:us-east-1:1:imported-model/mine",
        {"odd": [1, {"type": None}]},
        SMALL | {"cache_read_tokens": 2, "input_tokens": 7},
        {"recognised": True, "final": True},
        headers=MEASURED | {"X-Amzn-Bedrock-Cache-Read-Input-Token-Count": "2"},
    ),
    plain(
        "nothing is measured and nothing is said",
        "stability.stable-image-core-v1:1",
        {"images": ["abc"], "finish_reasons": [None]},
        {},
        {},
    ),
    plain(
        "vectors of Titan",
        "amazon.titan-embed-text-v2:0",
        {"embedding": [0.1], "embeddingsByType": {"float": [0.1]}, "inputTextTokenCount": 5},
        {"input_tokens": 5},
        DONE,
        EMBED,
    ),
    plain(
        "vectors of Cohere",
        "us.cohere.embed-v4:0",
        {"id": "e1", "embeddings": {"float": [[0.1]]}, "response_type": "embeddings_by_type"},
        {"input_tokens": 5},
        {"recognised": True, "final": True, "response_id": "e1"},
        EMBED,
        headers={"X-Amzn-Bedrock-Input-Token-Count": "5", "X-Amzn-RequestId": "r"},
    ),
    plain(
        "an order of documents",
        "cohere.rerank-v3-5:0",
        {"results": [{"index": 0, "relevance_score": 0.9}]},
        {},
        {},
        "rerank",
    ),
    plain(
        "an order of documents that Bedrock measured",
        "amazon.rerank-v1:0",
        {"results": [{"index": 1, "relevance_score": 0.75}, {"index": 2, "relevance_score": 0.5}]},
        {"input_tokens": 5},
        {"final": True, "recognised": True, "response_id": "req-1"},
        "rerank",
        headers={"X-Amzn-Bedrock-Input-Token-Count": "5", "X-Amzn-RequestId": "req-1"},
    ),
    plain(
        "an order of documents in another region, with an id and null members",
        "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/cohere.rerank-v3-5:0",
        {"id": "rr-1", "results": [{"index": 1, "relevance_score": None}], "meta": None},
        {},
        {"response_id": "rr-1"},
        "rerank",
    ),
    plain(
        "an order of documents that was refused",
        "amazon.rerank-v1:0",
        {"message": "Too many requests, please wait before trying again."},
        {},
        {"error_type": "ThrottlingException"},
        "rerank",
        headers={"X-Amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/"},
    ),
    plain(
        "an order of no documents, of which a header is no number",
        "cohere.rerank-v3-5:0",
        {"results": []},
        {},
        {"response_id": "req-2"},
        "rerank",
        headers={"X-Amzn-Bedrock-Input-Token-Count": "many", "X-Amzn-RequestId": "req-2"},
    ),
    plain(
        "an error",
        "amazon.nova-micro-v1:0",
        {"message": "You don't have access to the model with the specified model ID."},
        {},
        {"error_type": "AccessDeniedException"},
        headers={"X-Amzn-ErrorType": "com.amazon.coral.service#AccessDeniedException"},
    ),
    stream("a stream of Claude", CLAUDE_ID, claude_events(), SMALL, CLAUDE),
    stream(
        "a stream of Claude that breaks with an exception",
        CLAUDE_ID,
        claude_events()[:3],
        {"input_tokens": 5, "output_tokens": 1},
        CLAUDE
        | {
            "finish_reasons": None,
            "status": "failed",
            "error_type": "modelTimeoutException",
            "final": False,
        },
        failure("modelTimeoutException"),
    ),
    stream(
        "a stream of the older Claude",
        "anthropic.claude-v2",
        [
            {"completion": " The", "stop_reason": None, "stop": None},
            {"completion": "", "stop_reason": "stop_sequence", "stop": "x"} | METRICS,
        ],
        SMALL,
        why("stop_sequence"),
    ),
    stream(
        "a stream of Nova",
        "amazon.nova-lite-v1:0",
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "hi"}, "contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {"metadata": {"usage": NOVA, "metrics": {}}} | METRICS,
        ],
        SMALL,
        why("end_turn"),
    ),
    stream(
        "a stream of Llama, cut off",
        "meta.llama3-70b-instruct-v1:0",
        [
            {"generation": "a", "prompt_token_count": 5, "generation_token_count": 1},
            {"generation": "b", "prompt_token_count": None, "generation_token_count": 2},
        ],
        {"input_tokens": 5, "output_tokens": 2},
        {"recognised": True},
    ),
    stream(
        "a stream of Titan",
        "amazon.titan-text-express-v1",
        [
            {"outputText": "a", "index": 0.0, "inputTextTokenCount": 5.0},
            {"outputText": "b", "index": 0.0} | METRICS,
        ],
        SMALL,
        DONE,
    ),
    stream(
        "a stream of Titan that a guardrail blocked",
        "amazon.titan-text-express-v1",
        [{"outputText": "Blocked", "totalOutputTextTokenCount": 3.0, "inputTextTokenCount": 5.0}],
        SMALL,
        DONE,
    ),
    stream(
        "a stream of Cohere",
        "cohere.command-r-v1:0",
        [
            {"event_type": "text-generation", "is_finished": False, "text": "hi"},
            {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE"}
            | METRICS,
        ],
        SMALL,
        why("COMPLETE"),
    ),
    stream(
        "a stream as OpenAI's, without its [DONE]",
        "openai.gpt-oss-120b-1:0",
        [
            {"id": "c1", "model": "m", "choices": [{"delta": {"content": "hi"}}]},
            {"id": "c1", "model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]}
            | METRICS,
        ],
        SMALL,
        why("stop", model="m", response_id="c1"),
    ),
]
