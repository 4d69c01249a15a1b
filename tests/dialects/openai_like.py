"""Vendors that speak like OpenAI and count, charge or fail in ways of their own."""

from decimal import Decimal
from typing import Any

from dialects import Exchange, compact, sse
from tokenmeter import Cost

STOP = [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]
ASKED = {"model": "asked"}
READING: dict[str, Any] = {
    "recognised": True,
    "model": "served",
    "response_id": "c1",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
FILTERED = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}


def chat(**members: object) -> bytes:
    return compact({"id": "c1", "model": "served", "choices": STOP, **members})


def response(**members: object) -> dict[str, object]:
    return {"id": "r1", "object": "response", "model": "served", "status": "completed", **members}


def dollars(amount: str) -> Cost:
    return Cost(amount=Decimal(amount), currency="USD", price_source="provider")


RESPONSE = READING | {"response_id": "r1", "finish_reasons": ("completed",)}

AZURE = [
    Exchange(
        "Azure: a stream that begins with what its filters found, with nulls everywhere",
        "https://mine.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=1",
        sse(
            {"id": "", "model": "", "choices": [], "prompt_filter_results": [FILTERED]},
            {"id": "c1", "model": "served", "choices": [{"delta": None, "finish_reason": None}]},
            {"id": "c1", "model": "served", "choices": None, "usage": None},
            {"id": "c1", "model": "served", "choices": [{"delta": {}, "finish_reason": "stop"}]},
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 5,
                    "completion_tokens": None,
                    "prompt_tokens_details": {"cached_tokens": None},
                    "completion_tokens_details": None,
                },
            },
            {"choices": [], "usage": {"completion_tokens": 3}},
            b"[DONE]",
        ),
        {"input_tokens": 5, "output_tokens": 3},
        "azure.ai.openai",
        READING,
        request={"messages": [], "stream": True},
        request_model="my-gpt",
    ),
    Exchange(
        "Azure: an answer that the filter cut off",
        "https://mine.cognitiveservices.azure.com/openai/deployments/my-gpt/chat/completions",
        chat(choices=[{"finish_reason": "content_filter"}], usage={"prompt_tokens": 5}),
        {"input_tokens": 5},
        "azure.ai.openai",
        READING | {"finish_reasons": ("content_filter",)},
        request_model="my-gpt",
    ),
    Exchange(
        "Azure: a prompt that the filter refused",
        "https://mine.openai.azure.com/openai/deployments/my-gpt/chat/completions",
        compact(
            {"error": {"code": "content_filter", "message": "no", "innererror": {"code": "x"}}}
        ),
        {},
        "azure.ai.openai",
        {"status": "failed", "error_type": "content_filter"},
        request_model="my-gpt",
    ),
    Exchange(
        "Azure: embeddings of a deployment",
        "https://mine.openai.azure.com/openai/deployments/my-ada/embeddings",
        compact({"object": "list", "model": "ada", "usage": {"prompt_tokens": 5}}),
        {"input_tokens": 5},
        "azure.ai.openai",
        {"recognised": True, "model": "ada", "status": "completed", "final": True},
        operation="embeddings",
        request_model="my-ada",
    ),
    Exchange(
        "Azure: a model behind the inference endpoint",
        "https://mine.services.ai.azure.com/models/chat/completions",
        chat(usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}),
        {"input_tokens": 5, "output_tokens": 3},
        "azure.ai.inference",
        READING,
        request=ASKED,
        request_model="asked",
    ),
]

OPENROUTER = [
    Exchange(
        "OpenRouter: comments, and a stream that says what it cost",
        "https://openrouter.ai/api/v1/chat/completions",
        b": OPENROUTER PROCESSING\n\n"
        + sse({"id": "c1", "model": "served", "provider": "P",
               "choices": [{"delta": {"content": "hi"}, "finish_reason": None}]})
        + b": OPENROUTER PROCESSING\n\n"
        + sse({"id": "c1", "model": "served", "choices": [{"delta": {}, "finish_reason": "stop"}]},
              {"id": "c1", "model": "served", "choices": [],
               "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
                         "cost": 5e-05, "is_byok": False,
                         "cost_details": {"upstream_inference_cost": None},
                         "server_tool_use_details": {"web_search_requests": 2}}},
              b"[DONE]"),
        {"input_tokens": 5, "output_tokens": 3, "other_counts": {"web_search_requests": 2}},
        "openrouter",
        READING | {"cost": dollars("0.00005")},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "OpenRouter: with a key of one's own the cost is the fee and what the upstream charged",
        "https://openrouter.ai/api/v1/chat/completions",
        chat(usage={"prompt_tokens": 5, "completion_tokens": 3, "cost": 0.00001, "is_byok": True,
                    "cost_details": {"upstream_inference_cost": 0.0002}}),
        {"input_tokens": 5, "output_tokens": 3},
        "openrouter",
        READING | {"cost": dollars("0.00021")},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "OpenRouter: an upstream that fails in the middle of a stream",
        "https://openrouter.ai/api/v1/chat/completions",
        sse(
            {"id": "c1", "model": "served", "choices": [{"delta": {"content": "h"}}]},
            {"id": "c1", "model": "served",
             "error": {"code": "server_error", "message": "Provider disconnected"},
             "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        ),
        {},
        "openrouter",
        READING | {"finish_reasons": ("error",), "status": "failed", "final": False,
                   "error_type": "server_error"},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "OpenRouter: a choice that failed in a plain answer",
        "https://openrouter.ai/api/v1/chat/completions",
        chat(choices=[{"finish_reason": "error", "error": {"code": 502, "message": "no"}}]),
        {},
        "openrouter",
        READING | {"finish_reasons": ("error",), "status": "failed", "error_type": "error"},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "OpenRouter: embeddings that say what they cost",
        "https://openrouter.ai/api/v1/embeddings",
        compact({"object": "list", "model": "e",
                 "usage": {"prompt_tokens": 7, "cost": 1.4e-07, "is_byok": False}}),
        {"input_tokens": 7},
        "openrouter",
        {"recognised": True, "model": "e", "status": "completed", "final": True,
         "cost": dollars("1.4E-7")},
        operation="embeddings",
    ),
]  # fmt: skip

PERPLEXITY = [
    Exchange(
        "Perplexity: deep research counts reasoning, citations and searches apart",
        "https://api.perplexity.ai/chat/completions",
        chat(usage={"prompt_tokens": 33, "completion_tokens": 700, "total_tokens": 733,
                    "citation_tokens": 1600, "num_search_queries": 18, "reasoning_tokens": 9000,
                    "cost": {"reasoning_tokens_cost": 0.027, "total_cost": 0.126}}),
        {"input_tokens": 33, "output_tokens": 9700, "reasoning_tokens": 9000,
         "other_counts": {"citation_tokens": 1600, "num_search_queries": 18}},
        "perplexity",
        READING | {"cost": dollars("0.126")},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "Perplexity: an agent's answer",
        "https://api.perplexity.ai/v1/agent",
        compact(response(usage={
            "input_tokens": 50, "output_tokens": 9, "total_tokens": 59,
            "input_tokens_details": {"cache_read_input_tokens": 20,
                                     "cache_creation_input_tokens": 10},
            "tool_calls_details": {"search_web": {"invocation": 2}, "fetch_url": None},
            "cost": {"currency": "USD", "total_cost": 0.0304}})),
        {"input_tokens": 50, "output_tokens": 9, "cache_read_tokens": 20, "cache_write_tokens": 10,
         "other_counts": {"search_web.invocation": 2}},
        "perplexity",
        RESPONSE | {"cost": dollars("0.0304")},
        request=ASKED,
        request_model="asked",
    ),
]  # fmt: skip

XAI = [
    Exchange(
        "xAI: reasoning is outside the completion, and the cost is in ticks",
        "https://us.api.x.ai/v1/chat/completions",
        chat(usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 18,
                    "completion_tokens_details": {"reasoning_tokens": 10},
                    "num_sources_used": 4, "cost_in_usd_ticks": 37756000}),
        {"input_tokens": 5, "output_tokens": 13, "reasoning_tokens": 10,
         "other_counts": {"num_sources_used": 4}},
        "x_ai",
        READING | {"cost": dollars("0.0037756000")},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "xAI: tools that ran on the server",
        "https://api.x.ai/v1/responses",
        sse({"type": "response.completed", "response": response(usage={
            "input_tokens": 5, "output_tokens": 3, "num_sources_used": 0,
            "server_side_tool_usage_details": {"web_search_calls": 2, "mcp_calls": 0},
            "context_details": {"input_tokens": 4, "output_tokens": 3},
            "cost_in_usd_ticks": 10_000_000_000})}),
        {"input_tokens": 5, "output_tokens": 3, "other_counts": {"web_search_calls": 2}},
        "x_ai",
        RESPONSE | {"cost": dollars("1.0000000000")},
        request=ASKED,
        request_model="asked",
    ),
]  # fmt: skip

OTHERS = [
    Exchange(
        "Groq: the usage of a stream is in x_groq, beside times that are no counts",
        "https://api.groq.com/openai/v1/chat/completions",
        sse(
            {"id": "c1", "model": "served", "choices": [{"delta": {}}], "x_groq": {"id": "req_1"}},
            {"id": "c1", "model": "served", "choices": [{"delta": {}, "finish_reason": "stop"}],
             "x_groq": {"usage": {"queue_time": 0.05, "prompt_tokens": 5, "prompt_time": 0.01,
                                  "completion_tokens": 3, "total_tokens": 8}}},
            b"[DONE]",
        ),
        {"input_tokens": 5, "output_tokens": 3},
        "groq",
        READING,
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "Moonshot: the usage of a stream is in its last choice",
        "https://api.moonshot.ai/v1/chat/completions",
        sse(
            {"id": "c1", "model": "served", "choices": [{"delta": {"content": "hi"}}]},
            {"id": "c1", "model": "served",
             "choices": [{"delta": {}, "finish_reason": "stop",
                          "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
                                    "cached_tokens": 2}}]},
            b"[DONE]",
        ),
        {"input_tokens": 5, "output_tokens": 3, "cache_read_tokens": 2},
        "moonshot_ai",
        READING,
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "DeepSeek: hits and misses of the cache are inside the input",
        "https://api.deepseek.com/chat/completions",
        chat(usage={"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23,
                    "prompt_cache_hit_tokens": 14, "prompt_cache_miss_tokens": 6}),
        {"input_tokens": 20, "output_tokens": 3, "cache_read_tokens": 14},
        "deepseek",
        READING,
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "Writer: a path and names of details of its own",
        "https://api.writer.com/v1/chat",
        chat(usage={"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
                    "prompt_token_details": {"cached_tokens": 4},
                    "completion_token_details": {"reasoning_tokens": 2}}),
        {"input_tokens": 20, "output_tokens": 9, "cache_read_tokens": 4, "reasoning_tokens": 2},
        "writer",
        READING,
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "Databricks: a serving endpoint names the model in its path",
        "https://adb-1.2.azuredatabricks.net/serving-endpoints/my-llama/invocations",
        chat(usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}),
        {"input_tokens": 5, "output_tokens": 3},
        "databricks",
        READING,
        request={"messages": []},
        request_model="my-llama",
    ),
    Exchange(
        "Snowflake: its own path for inference",
        "https://org-acct.snowflakecomputing.com/api/v2/cortex/inference:complete",
        compact({"choices": [{"message": {"content": "hi"}}],
                 "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}),
        {"input_tokens": 5, "output_tokens": 3},
        "snowflake",
        {"recognised": True, "status": "completed", "final": True},
        request=ASKED,
        request_model="asked",
    ),
    Exchange(
        "a server that sends usage and no choices",
        "https://llm.corp/v1/chat/completions",
        compact({"id": "c1", "model": "served", "choices": None,
                 "usage": {"prompt_tokens": 5, "completion_tokens": 3, "reasoning_tokens": 2}}),
        {"input_tokens": 5, "output_tokens": 3, "reasoning_tokens": 2},
        "openai_compatible",
        READING | {"finish_reasons": None},
        request=ASKED,
        request_model="asked",
    ),
]  # fmt: skip

EXCHANGES = [*AZURE, *OPENROUTER, *PERPLEXITY, *XAI, *OTHERS]
