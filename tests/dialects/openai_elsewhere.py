"""OpenAI's formats at paths that one vendor has, or that ask for an answer that exists already."""

from decimal import Decimal
from typing import Any

from dialects import Exchange, compact, sse
from tokenmeter import Cost

AZURE = "https://mine.openai.azure.com/openai"
DATABRICKS = "https://adb-1.2.azuredatabricks.net/serving-endpoints/my-claude/invocations"
PERPLEXITY = "https://api.perplexity.ai/v1"
SNOWFLAKE = "https://org-acct.snowflakecomputing.com/api/v2/cortex/inference:complete"
VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/endpoints"

CHAT: dict[str, Any] = {
    "recognised": True,
    "model": "served",
    "response_id": "c1",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
RESPONSE: dict[str, Any] = CHAT | {"response_id": "r1", "finish_reasons": ("completed",)}
NO_END: dict[str, Any] = {"recognised": True, "model": "served", "response_id": "r1"}
PENDING = NO_END | {"pending": True, "background": True}
REFUSED = {"message": "no", "type": "invalid_request_error", "param": None}


def dollars(amount: str) -> Cost:
    return Cost(amount=Decimal(amount), currency="USD", price_source="provider")


def said(finish: str | None = "stop", **members: object) -> dict[str, Any]:
    """Give a chat completion; without a reason to end, a chunk of one."""
    part = "message" if finish else "delta"
    choice = {"index": 0, part: {"role": "assistant", "content": "hi"}, "finish_reason": finish}
    return {"id": "c1", "model": "served", "choices": [choice], **members}


def called(name: str) -> dict[str, Any]:
    call = {"id": "t1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    choice = {"message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    return {"id": "c1", "model": "served", "choices": [choice]}


def written(finish: str | None, **members: object) -> dict[str, Any]:
    """Give a text completion."""
    choice = {"index": 0, "text": "hi", "logprobs": None, "finish_reason": finish}
    head = {"id": "c1", "object": "text_completion", "model": "served"}
    return {**head, "choices": [choice], **members}


def made(status: str = "completed", **members: object) -> dict[str, Any]:
    """Give a response."""
    return {"id": "r1", "object": "response", "model": "served", "status": status, **members}


def exchange(vendor: str, name: str, url: str, body: bytes, **more: Any) -> Exchange:
    return Exchange(f"{vendor}: {name}", url, body, **({"usage": {}, "reading": {}} | more))


def answered(vendor: str, url: str, **asked: Any) -> list[Exchange]:
    """Give responses as a vendor answers them, in six shapes."""
    cached = {"input_tokens": 40, "input_tokens_details": {"cached_tokens": 30},
              "output_tokens": 12, "output_tokens_details": {"reasoning_tokens": 8}}  # fmt: skip
    nulls = {"input_tokens": 21, "output_tokens": 6, "total_tokens": 27,
             "input_tokens_details": None, "output_tokens_details": None}  # fmt: skip
    function = {"type": "function_call", "call_id": "t1", "name": "weather", "arguments": "{}"}
    started = {"type": "response.created", "response": made("in_progress", usage=None)}
    failed = made("failed", error={"code": "server_error", "message": "no"}, usage=None)
    return [
        exchange(
            vendor,
            "a response that read its cache and reasoned",
            url,
            compact(made(usage=cached)),
            usage={"input_tokens": 40, "output_tokens": 12, "cache_read_tokens": 30,
                   "reasoning_tokens": 8},
            reading=RESPONSE,
            **asked,
        ),
        exchange(
            vendor,
            "a response that calls a function, in a stream, with details that are null",
            url,
            sse(
                started,
                {"type": "response.output_item.done", "item": function},
                {"type": "response.completed", "response": made(usage=nulls, output=[function])},
            ),
            usage={"input_tokens": 21, "output_tokens": 6},
            reading=RESPONSE,
            **asked,
        ),
        exchange(
            vendor,
            "a response that a limit cut short, in a stream",
            url,
            sse(
                started,
                {"type": "response.incomplete",
                 "response": made("incomplete", usage={"input_tokens": 9, "output_tokens": 16},
                                  incomplete_details={"reason": "max_output_tokens"})},
            ),
            usage={"input_tokens": 9, "output_tokens": 16},
            reading=RESPONSE | {"finish_reasons": ("max_output_tokens",)},
            **asked,
        ),
        exchange(
            vendor,
            "a response whose usage is null",
            url,
            compact(made(usage=None, error=None, incomplete_details=None)),
            reading=RESPONSE | {"final": False},
            **asked,
        ),
        exchange(
            vendor,
            "a response that failed in its stream",
            url,
            sse(started, {"type": "response.failed", "response": failed}),
            reading=NO_END | {"status": "failed", "error_type": "server_error"},
            **asked,
        ),
        exchange(
            vendor,
            "a request for a response that was refused",
            url,
            compact({"error": {**REFUSED, "code": "unsupported_parameter"}}),
            reading={"status": "failed", "error_type": "unsupported_parameter"},
            **asked,
        ),
    ]  # fmt: skip


def chatted(vendor: str, url: str, **asked: Any) -> list[Exchange]:
    """Give chat completions as a vendor answers them, in five shapes."""
    usage = {"prompt_tokens": 31, "completion_tokens": 4, "total_tokens": 35}
    reasoned = {"prompt_tokens": 31, "completion_tokens": 64, "total_tokens": 95,
                "completion_tokens_details": {"reasoning_tokens": 60}}  # fmt: skip
    return [
        exchange(
            vendor,
            "a call of a tool, with input from the cache",
            url,
            compact({**called("weather"),
                     "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 16}}}),
            usage={"input_tokens": 31, "output_tokens": 4, "cache_read_tokens": 16},
            reading=CHAT | {"finish_reasons": ("tool_calls",)},
            **asked,
        ),
        exchange(
            vendor,
            "a stream whose usage is null until its last chunk",
            url,
            sse(said(None, usage=None), said("stop", usage=None),
                {"id": "c1", "model": "served", "choices": [], "usage": usage}, b"[DONE]"),
            usage={"input_tokens": 31, "output_tokens": 4},
            reading=CHAT,
            **asked,
        ),
        exchange(
            vendor,
            "reasoning that a limit cut short",
            url,
            compact(said("length", usage={**reasoned, "prompt_tokens_details": None})),
            usage={"input_tokens": 31, "output_tokens": 64, "reasoning_tokens": 60},
            reading=CHAT | {"finish_reasons": ("length",)},
            **asked,
        ),
        exchange(
            vendor,
            "an answer whose usage is null",
            url,
            compact(said(usage=None, service_tier=None)),
            reading=CHAT,
            **asked,
        ),
        exchange(
            vendor,
            "a stream that nobody asked for its usage",
            url,
            sse(said(None), {**said("stop"), "usage": None}, b"[DONE]"),
            reading=CHAT,
            **asked,
        ),
    ]  # fmt: skip


def azure_completion(name: str, body: bytes, **more: Any) -> Exchange:
    url = f"{AZURE}/deployments/my-instruct/completions?api-version=2024-10-21"
    asked = {"request": {"prompt": "hi"}, "request_model": "my-instruct",
             "provider": "azure.ai.openai", "operation": "text_completion"}  # fmt: skip
    return exchange("Azure", name, url, body, **({"reading": CHAT} | asked | more))


SAFE = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}

COMPLETIONS = [
    azure_completion(
        "two texts, one of which a limit cut short",
        compact(
            {
                **written("stop"),
                "choices": [*written("length")["choices"], *written("stop")["choices"]],
                "prompt_filter_results": [SAFE],
                "usage": {"prompt_tokens": 6, "completion_tokens": 32, "total_tokens": 38},
            }
        ),
        usage={"input_tokens": 6, "output_tokens": 32},
        reading=CHAT | {"finish_reasons": ("length", "stop")},
    ),
    azure_completion(
        "a text in a stream that ends in its usage",
        sse(
            {"id": "", "model": "", "choices": [], "prompt_filter_results": [SAFE]},
            written(None),
            written("stop"),
            {
                "id": "c1",
                "choices": [],
                "usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
            },
            b"[DONE]",
        ),
        usage={"input_tokens": 6, "output_tokens": 2},
    ),
    azure_completion(
        "a text in a stream without usage",
        sse(written(None), written("stop"), b"[DONE]"),
    ),
    azure_completion(
        "a text that the filter left out, and so no completion tokens",
        compact(written("content_filter", usage={"prompt_tokens": 6, "total_tokens": 6})),
        usage={"input_tokens": 6},
        reading=CHAT | {"finish_reasons": ("content_filter",)},
    ),
    azure_completion("a text whose usage is null", compact(written("stop", usage=None))),
    azure_completion(
        "a deployment that is none for texts",
        compact({"error": {"code": "OperationNotSupported", "message": "The completion fails"}}),
        reading={"status": "failed", "error_type": "OperationNotSupported"},
    ),
]


def databricks(name: str, body: bytes, **more: Any) -> Exchange:
    asked = {"request": {"messages": []}, "request_model": "my-claude", "provider": "databricks"}
    return exchange("Databricks", name, DATABRICKS, body, **asked, **more)


def sonar(name: str, body: bytes, **more: Any) -> Exchange:
    asked = {"request": {"model": "sonar"}, "request_model": "sonar", "provider": "perplexity"}
    given = {"reading": CHAT} | more
    return exchange("Perplexity", name, f"{PERPLEXITY}/sonar", body, **asked, **given)


def agent(name: str, body: bytes, **more: Any) -> Exchange:
    asked = {"request": {"preset": "pro-search", "input": "hi"}, "provider": "perplexity"}
    return exchange("Perplexity", name, f"{PERPLEXITY}/agent", body, **asked, **more)


def snowflake(name: str, body: bytes, **more: Any) -> Exchange:
    asked = {"request": {"model": "claude-4-sonnet"}, "request_model": "claude-4-sonnet"}
    return exchange("Snowflake", name, SNOWFLAKE, body, provider="snowflake", **asked, **more)


VENDORS = [
    *answered("Azure", f"{AZURE}/deployments/my-gpt/responses?api-version=2025-04-01-preview",
              provider="azure.ai.openai", request={"input": "hi"}, request_model="my-gpt"),
    *chatted("Databricks", DATABRICKS, provider="databricks", request={"messages": []},
             request_model="my-claude"),
    databricks(
        "Claude, whose cache is counted beside the totals",
        compact(said(usage={"prompt_tokens": 90, "completion_tokens": 7, "total_tokens": 97,
                            "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30})),
        usage={"input_tokens": 90, "output_tokens": 7, "cache_read_tokens": 50,
               "cache_write_tokens": 30},
        reading=CHAT,
    ),
    databricks(
        "an error that has no member of its own",
        compact({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Exceeded the rate limit"}),
    ),
    *chatted("Vertex AI", f"{VERTEX}/openapi/chat/completions", provider="gcp.vertex_ai",
             request={"model": "google/gemini-2.5-flash"},
             request_model="google/gemini-2.5-flash"),
    exchange(
        "Vertex AI",
        "an endpoint of one's own, with Google's properties in the usage",
        f"{VERTEX}/4711/chat/completions",
        compact(said(usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14,
                            "extra_properties": {"google": {"traffic_type": "ON_DEMAND"}}})),
        usage={"input_tokens": 11, "output_tokens": 3},
        reading=CHAT,
        provider="gcp.vertex_ai",
        request={"messages": []},
    ),
    exchange(
        "Vertex AI",
        "an error in a list",
        f"{VERTEX}/openapi/chat/completions",
        compact([{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}]),
        reading={"status": "failed", "error_type": "INVALID_ARGUMENT"},
        provider="gcp.vertex_ai",
        request={"model": "google/none"},
        request_model="google/none",
    ),
    sonar(
        "an answer that searched, and what it cost",
        compact(said(
            usage={"prompt_tokens": 14, "completion_tokens": 120, "total_tokens": 134,
                   "search_context_size": "low",
                   "cost": {"input_tokens_cost": 0.000014, "output_tokens_cost": 0.00012,
                            "request_cost": 0.005, "total_cost": 0.005134}},
            citations=["https://one.example"], search_results=[{"title": "One"}])),
        usage={"input_tokens": 14, "output_tokens": 120},
        reading=CHAT | {"cost": dollars("0.005134")},
    ),
    sonar(
        "a stream whose usage grows from chunk to chunk",
        sse(
            said(None, usage={"prompt_tokens": 14, "completion_tokens": 1, "total_tokens": 15}),
            said(None, usage={"prompt_tokens": 14, "completion_tokens": 2, "total_tokens": 16}),
            said(usage={"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17,
                        "cost": {"total_cost": 0.006}}),
            b"[DONE]",
        ),
        usage={"input_tokens": 14, "output_tokens": 3},
        reading=CHAT | {"cost": dollars("0.006")},
    ),
    sonar(
        "a concise stream, which reasons, searches and then answers",
        sse(
            said(None, object="chat.reasoning"),
            said(None, object="chat.reasoning.done", search_results=[{"title": "One"}],
                 usage={"prompt_tokens": 14, "completion_tokens": 8, "total_tokens": 22}),
            said(None, object="chat.completion.chunk"),
            said(object="chat.completion.done",
                 usage={"prompt_tokens": 14, "completion_tokens": 20, "total_tokens": 34,
                        "num_search_queries": 3, "cost": {"total_cost": 0.014}}),
            b"[DONE]",
        ),
        usage={"input_tokens": 14, "output_tokens": 20,
               "other_counts": {"num_search_queries": 3}},
        reading=CHAT | {"cost": dollars("0.014")},
    ),
    sonar(
        "an answer that a limit cut short, with members that are null",
        compact(said("length", usage={
            "prompt_tokens": 14, "completion_tokens": 50, "total_tokens": 64, "cost": None,
            "citation_tokens": None, "num_search_queries": None, "reasoning_tokens": None})),
        usage={"input_tokens": 14, "output_tokens": 50},
        reading=CHAT | {"finish_reasons": ("length",)},
    ),
    sonar("an answer without usage", compact(said())),
    sonar(
        "a model that it does not have",
        compact({"error": {"message": "Invalid model", "type": "invalid_model", "code": 400}}),
        reading={"status": "failed", "error_type": "invalid_model"},
    ),
    agent(
        "an agent's answer in a stream",
        sse(
            {"type": "response.created", "response": made("in_progress")},
            {"type": "response.reasoning.search_queries", "queries": ["hi"]},
            {"type": "response.output_text.delta", "delta": "hi"},
            {"type": "response.completed", "response": made(usage={
                "input_tokens": 300, "output_tokens": 70, "total_tokens": 370,
                "tool_calls_details": {"search_web": {"invocation": 1}},
                "cost": {"currency": "USD", "input_cost": 0.001, "output_cost": 0.002,
                         "tool_calls_cost": 0.005, "total_cost": 0.008}})},
        ),
        usage={"input_tokens": 300, "output_tokens": 70,
               "other_counts": {"search_web.invocation": 1}},
        reading=RESPONSE | {"cost": dollars("0.008")},
    ),
    agent(
        "an agent that asks for a function, with members that are null",
        compact(made(
            output=[{"type": "function_call", "name": "weather", "arguments": "{}"}],
            usage={"input_tokens": 30, "output_tokens": 7, "total_tokens": 37, "cost": None,
                   "input_tokens_details": None, "tool_calls_details": None})),
        usage={"input_tokens": 30, "output_tokens": 7},
        reading=RESPONSE,
    ),
    agent(
        "an agent that failed in its stream, in an event without the response",
        sse(
            {"type": "response.created", "response": made("in_progress")},
            {"type": "response.failed", "error": {"message": "no", "type": "server_error"}},
        ),
        reading=NO_END | {"status": "failed", "error_type": "server_error"},
    ),
    agent("an agent's answer without usage", compact(made()), reading=RESPONSE | {"final": False}),
    agent(
        "an agent whose request was refused",
        compact({"error": {**REFUSED, "code": 400}}),
        reading={"status": "failed", "error_type": "invalid_request_error"},
    ),
    snowflake(
        "a stream that has usage in each event, and no end of its own",
        sse(
            said(None, usage={"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}),
            said(None, usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
        ),
        usage={"input_tokens": 9, "output_tokens": 2},
        reading=NO_END | {"response_id": "c1"},
    ),
    snowflake(
        "a call of a tool",
        compact({
            "choices": [{"message": {"content": "", "content_list": [
                {"type": "tool_use", "tool_use": {"tool_use_id": "t1", "name": "weather",
                                                  "input": {"city": "Rome"}}}]}}],
            "usage": {"prompt_tokens": 400, "completion_tokens": 51, "total_tokens": 451}}),
        usage={"input_tokens": 400, "output_tokens": 51},
        reading={"recognised": True, "status": "completed", "final": True},
    ),
    snowflake(
        "a stream that a limit cut short, and whose usage is empty until its end",
        sse(said(None, usage={}),
            said("length", usage={"prompt_tokens": 9, "completion_tokens": 64}),
            b"[DONE]"),
        usage={"input_tokens": 9, "output_tokens": 64},
        reading=CHAT | {"finish_reasons": ("length",)},
    ),
    snowflake(
        "an answer that a guard read, too",
        compact(said(usage={"prompt_tokens": 9, "completion_tokens": 3, "guard_tokens": 84,
                            "total_tokens": 96})),
        usage={"input_tokens": 9, "output_tokens": 3, "other_counts": {"guard_tokens": 84}},
        reading=CHAT,
    ),
    snowflake("an answer whose usage is null", compact(said(usage=None)), reading=CHAT),
    snowflake(
        "an error that has no member of its own",
        compact({"message": "unknown model", "request_id": "q1", "error_code": "390142"}),
    ),
]  # fmt: skip


def fetched(name: str, body: bytes, **more: Any) -> Exchange:
    given = {"url": "https://api.openai.com/v1/responses/r1", "provider": "openai"} | more
    return exchange("retrieved", name, body=body, method="GET", **given)


def cancelled(name: str, body: bytes, **more: Any) -> Exchange:
    given = {"url": "https://api.openai.com/v1/responses/r1/cancel", "provider": "openai"} | more
    return exchange("cancelled", name, body=body, **given)


USED = {
    "input_tokens": 70,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens": 400,
    "output_tokens_details": {"reasoning_tokens": 320},
    "total_tokens": 470,
}
COUNTS = {
    "input_tokens": 70,
    "output_tokens": 400,
    "cache_read_tokens": 64,
    "reasoning_tokens": 320,
}

STORED = [
    fetched(
        "a response that ended in the background",
        compact(made(background=True, usage=USED)),
        usage=COUNTS,
        reading=RESPONSE | {"background": True},
    ),
    fetched(
        "a response that is not done",
        compact(made("in_progress", background=True, usage=None)),
        url=f"{AZURE}/v1/responses/r1?api-version=preview",
        provider="azure.ai.openai",
        reading=PENDING,
    ),
    fetched(
        "the rest of a stream that was resumed",
        sse(
            {"type": "response.output_text.delta", "sequence_number": 43, "delta": "hi"},
            {
                "type": "response.completed",
                "sequence_number": 44,
                "response": made(background=True, usage=USED),
            },
        ),
        url="https://api.openai.com/v1/responses/r1?stream=true&starting_after=42",
        usage=COUNTS,
        reading=RESPONSE | {"background": True},
    ),
    fetched(
        "a response that the filter cut short, in the foreground",
        compact(
            made(
                "incomplete",
                background=False,
                incomplete_details={"reason": "content_filter"},
                usage={"input_tokens": 70, "output_tokens": 5, "output_tokens_details": None},
            )
        ),
        usage={"input_tokens": 70, "output_tokens": 5},
        reading=RESPONSE | {"finish_reasons": ("content_filter",)},
    ),
    fetched(
        "a response that failed",
        compact(
            made(
                "failed",
                background=True,
                usage=None,
                error={"code": "rate_limit_exceeded", "message": "Slow down"},
            )
        ),
        reading=NO_END
        | {"status": "failed", "error_type": "rate_limit_exceeded", "background": True},
    ),
    fetched(
        "a response that there is not, on a host that is not listed",
        compact({"error": {**REFUSED, "code": None}}),
        url="https://llm.corp/v1/responses/r2",
        provider="openai_compatible",
        reading={"status": "failed", "error_type": "invalid_request_error"},
    ),
    cancelled(
        "a response that had not begun",
        compact(made("cancelled", background=True, usage=None, error=None)),
        reading=NO_END | {"status": "abandoned", "background": True},
    ),
    cancelled(
        "a response that had written, and counts it",
        compact(made("cancelled", background=True, usage=USED)),
        usage=COUNTS,
        reading=NO_END | {"status": "abandoned", "background": True, "final": True},
    ),
    cancelled(
        "a response that had ended before",
        compact(made(background=True, usage={**USED, "input_tokens_details": None})),
        usage={name: n for name, n in COUNTS.items() if name != "cache_read_tokens"},
        reading=RESPONSE | {"background": True},
    ),
    cancelled(
        "a response that goes on for a while",
        compact(made("in_progress", background=True)),
        url=f"{AZURE}/v1/responses/r1/cancel",
        provider="azure.ai.openai",
        reading=PENDING,
    ),
    cancelled(
        "a response in the foreground, which cannot be",
        compact({"error": {**REFUSED, "code": None}}),
        reading={"status": "failed", "error_type": "invalid_request_error"},
    ),
]

EXCHANGES = [*COMPLETIONS, *VENDORS, *STORED]
