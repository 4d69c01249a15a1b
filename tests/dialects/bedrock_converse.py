"""Amazon Bedrock's Converse and ConverseStream."""

from amazon import USAGE, converse, converse_events, event, failure
from dialects import Exchange, compact

HOST = "https://bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ASKED = {"provider": "aws.bedrock", "request_model": MODEL}
PLAIN = f"{HOST}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
STREAM = f"{PLAIN}-stream"
READING = {
    "recognised": True,
    "finish_reasons": ("end_turn",),
    "status": "completed",
    "final": True,
}
CACHED = {
    "inputTokens": 433,
    "outputTokens": 16,
    "totalTokens": 3901,
    "cacheReadInputTokens": 2752,
    "cacheWriteInputTokens": 700,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 500}],
    "serverToolUsage": {"webSearchRequests": 2, "odd": None},
}
COUNTED = {
    "input_tokens": 3885,
    "output_tokens": 16,
    "cache_read_tokens": 2752,
    "cache_write_tokens": 700,
    "cache_write_1h_tokens": 200,
    "cache_write_5m_tokens": 500,
    "other_counts": {"webSearchRequests": 2},
}
SMALL = {"input_tokens": 5, "output_tokens": 3}

EXCHANGES = [
    Exchange(
        "a plain answer, and its request id",
        PLAIN,
        compact(converse()),
        SMALL,
        reading=READING | {"response_id": "req-1"},
        headers={"x-amzn-RequestId": "req-1"},
        **ASKED,
    ),
    Exchange(
        "an answer that was partly cached",
        PLAIN,
        compact(converse(usage=CACHED)),
        COUNTED,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "the lifetimes of what was cached do not add up",
        PLAIN,
        compact(converse(usage=CACHED | {"cacheDetails": [{"ttl": "1h", "inputTokens": 1}]})),
        {name: n for name, n in COUNTED.items() if name[-9:] not in ("1h_tokens", "5m_tokens")},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "an input that contains what was cached, by its own total",
        PLAIN,
        compact(converse(usage=USAGE | {"cacheReadInputTokens": 4, "cacheWriteInputTokens": 0})),
        SMALL | {"cache_read_tokens": 4, "cache_write_tokens": 0},
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a tier, and null members",
        PLAIN,
        compact(
            converse(
                serviceTier={"type": "flex"},
                performanceConfig={"latency": "standard"},
                trace=None,
                usage=USAGE | {"cacheDetails": None, "serverToolUsage": None},
            )
        ),
        SMALL,
        reading=READING | {"service_tier": "flex"},
        **ASKED,
    ),
    Exchange(
        "a prompt router, whose trace names the model, and a latency of its own",
        f"{HOST}/model/arn:aws:bedrock:us-east-1:1:prompt-router%2Fmine/converse",
        compact(
            converse(
                trace={"promptRouter": {"invokedModelId": "anthropic.claude-x-v1:0"}},
                performanceConfig={"latency": "optimized"},
            )
        ),
        SMALL,
        reading=READING | {"model": "anthropic.claude-x-v1:0", "service_tier": "optimized"},
        provider="aws.bedrock",
        request_model="arn:aws:bedrock:us-east-1:1:prompt-router/mine",
    ),
    Exchange(
        "no usage",
        PLAIN,
        compact({"output": {"message": {"role": "assistant"}}, "stopReason": "end_turn"}),
        {},
        reading=READING | {"final": False},
        **ASKED,
    ),
    Exchange(
        "an error",
        PLAIN,
        compact({"message": "The provided model identifier is invalid."}),
        {},
        reading={"error_type": "ValidationException"},
        headers={"x-amzn-ErrorType": "ValidationException:http://internal.amazon.com/coral/"},
        **ASKED,
    ),
    Exchange("a stream", STREAM, b"".join(converse_events()), SMALL, reading=READING, **ASKED),
    Exchange(
        "a stream that was partly cached",
        STREAM,
        b"".join(converse_events(CACHED)),
        COUNTED,
        reading=READING,
        **ASKED,
    ),
    Exchange(
        "a stream that ends before its usage",
        STREAM,
        b"".join(converse_events()[:-1]),
        {},
        reading=READING | {"final": False},
        **ASKED,
    ),
    Exchange(
        "a stream that breaks with an exception",
        STREAM,
        b"".join([*converse_events()[:2], failure("throttlingException")]),
        {},
        reading={"recognised": True, "status": "failed", "error_type": "throttlingException"},
        **ASKED,
    ),
    Exchange(
        "a stream whose text looks like a usage",
        STREAM,
        event("messageStart", {"role": "assistant"})
        + event("contentBlockDelta", {"delta": {"text": '{"usage":{"inputTokens":99}}'}})
        + event("contentBlockDelta", {"delta": {"toolUse": {"usage": {"inputTokens": 99}}}}),
        {},
        reading={"recognised": True},
        **ASKED,
    ),
]
