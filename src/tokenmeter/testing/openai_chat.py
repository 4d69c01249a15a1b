"""OpenAI's chat completions, legacy completions and embeddings, as answered in 2026-11."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

from tokenmeter.event import Usage
from tokenmeter.testing.formats import CREATED, Block, Event, Format, PromptCache
from tokenmeter.testing.replies import (
    REASONING_WORDS,
    Json,
    Prompt,
    Reply,
    Tool,
    call_id,
    count,
    last_said,
    pieces,
    plain_text,
    section,
)

TIERS = {"flex": "flex", "priority": "priority", "scale": "scale"}
"""What a requested service tier is served with; anything else is ``default``."""

_TYPES = {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error"}
_DONE = Event("[DONE]", terminal=True)


def error(status: int) -> Json:
    """Return OpenAI's error body for a status."""
    kind = _TYPES.get(status, "server_error" if status > 500 else "invalid_request_error")
    message = f"The model server was scripted to answer {status}."
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def cached_prompt(request: Json, messages: list[Json], cache: PromptCache) -> Usage:
    """Count a prompt; all but its last message is cached where the request has a cache key.

    OpenAI caches by itself from 1,024 tokens on (read 2026-11); a key makes it testable with few.
    """
    key = request.get("prompt_cache_key")
    blocks = [Block(part) for part in (request.get("tools"), request.get("instructions")) if part]
    blocks += [Block(message, "5m" if key else None) for message in messages[:-1]]
    counted = cache.look_up(f"{request.get('model')}/{key}", [*blocks, Block(messages[-1:])])
    return Usage(input_tokens=counted.input_tokens, cache_read_tokens=counted.cache_read_tokens)


def offered_tool(request: Json, last_is_result: bool) -> Tool | None:
    """Return the function to call: the first one, unless its result was just handed in."""
    functions = [
        t.get("function", t) for t in request.get("tools") or () if t["type"] == "function"
    ]
    if not functions or last_is_result or request.get("tool_choice") == "none":
        return None
    return Tool(functions[0]["name"], functions[0].get("parameters") or {})


def _chat_prompt(request: Json, cache: PromptCache) -> Prompt:
    messages: list[Json] = request["messages"]
    form = section(request, "response_format")
    return Prompt(
        said=last_said(messages),
        input=cached_prompt(request, messages, cache),
        tool=offered_tool(request, messages[-1]["role"] == "tool"),
        schema=section(form, "json_schema").get("schema"),
        limit=request.get("max_completion_tokens") or request.get("max_tokens"),
        choices=request.get("n") or 1,
        reasoning=REASONING_WORDS.get(request.get("reasoning_effort") or "none", 0),
    )


def _chat_head(answer: Reply, request: Json, kind: str) -> Json:
    return {
        "id": f"chatcmpl-{answer.number:08d}",
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "service_tier": TIERS.get(request.get("service_tier") or "", "default"),
        "system_fingerprint": "fp_modelserver",
    }


def _chat_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens or 0,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens or 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish_reason(answer: Reply) -> str:
    if answer.calls:
        return "tool_calls"
    return "length" if answer.truncated else "stop"


def _tool_calls(answer: Reply, index: int) -> list[Json]:
    return [
        {
            "id": call_id(f"call_{answer.number:08d}_{index}", number),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(answer.calls)
    ]


def _chat_choice(answer: Reply, index: int, text: str) -> Json:
    calls = _tool_calls(answer, index)
    content = None if calls else text
    message: Json = {"role": "assistant", "content": content, "refusal": None}
    return {
        "index": index,
        "message": message | ({"tool_calls": calls} if calls else {"annotations": []}),
        "logprobs": None,
        "finish_reason": _finish_reason(answer),
    }


def _chat_body(answer: Reply, request: Json) -> Json:
    head = dict(_chat_head(answer, request, "chat.completion"))
    end = {key: head.pop(key) for key in ("service_tier", "system_fingerprint")}
    choices = [_chat_choice(answer, i, text) for i, text in enumerate(answer.texts)]
    return head | {"choices": choices, "usage": _chat_usage(answer.usage)} | end


def _chat_deltas(answer: Reply, index: int, text: str) -> Iterator[Json]:
    first = {"role": "assistant", "content": None if answer.calls else "", "refusal": None}
    calls = _tool_calls(answer, index)
    if not calls:
        yield first
        yield from ({"content": piece} for piece in pieces(text))
        return
    for number, call in enumerate(calls):
        function = call["function"]
        opened = {"index": number, **call, "function": function | {"arguments": ""}}
        yield (first if number == 0 else {}) | {"tool_calls": [opened]}
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def _wants_usage(request: Json) -> bool:
    return bool(section(request, "stream_options").get("include_usage"))


def _chat_events(answer: Reply, request: Json) -> Iterator[Event]:
    head = _chat_head(answer, request, "chat.completion.chunk")
    wants_usage = _wants_usage(request)
    # Real chunks carry "usage":null until the last one, and a filler against traffic analysis.
    tail = {"usage": None, "obfuscation": "x"} if wants_usage else {"obfuscation": "x"}
    reason = _finish_reason(answer)
    for index, text in enumerate(answer.texts):
        ends: list[tuple[Json, str | None]] = [(d, None) for d in _chat_deltas(answer, index, text)]
        ends.append(({}, reason))
        for delta, finish in ends:
            choice: Json = {
                "index": index,
                "delta": delta,
                "logprobs": None,
                "finish_reason": finish,
            }
            yield Event({**head, "choices": [choice], **tail})
    if wants_usage:
        last: Json = {"choices": [], "usage": _chat_usage(answer.usage), "obfuscation": "x"}
        yield Event({**head, **last}, reports=True)
    yield _DONE


def _completion_prompt(request: Json, _cache: PromptCache) -> Prompt:
    prompt = request["prompt"]
    return Prompt(
        said=plain_text(prompt),
        input=Usage(input_tokens=count(prompt)),
        limit=request.get("max_tokens") or 16,
        choices=request.get("n") or 1,
    )


def _completion_head(answer: Reply, choices: list[Json]) -> Json:
    return {
        "id": f"cmpl-{answer.number:08d}",
        "object": "text_completion",
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
    }


def _completion_choice(text: str, index: int, finish: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _completion_usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


def _completion_body(answer: Reply, _request: Json) -> Json:
    reason = _finish_reason(answer)
    choices = [_completion_choice(text, i, reason) for i, text in enumerate(answer.texts)]
    return {**_completion_head(answer, choices), "usage": _completion_usage(answer.usage)}


def _completion_events(answer: Reply, request: Json) -> Iterator[Event]:
    for index, text in enumerate(answer.texts):
        for piece in pieces(text):
            yield Event(_completion_head(answer, [_completion_choice(piece, index, None)]))
        ended = _completion_choice("", index, _finish_reason(answer))
        yield Event(_completion_head(answer, [ended]))
    if _wants_usage(request):
        usage = {"usage": _completion_usage(answer.usage)}
        yield Event({**_completion_head(answer, []), **usage}, reports=True)
    yield _DONE


def _embedding_prompt(request: Json, _cache: PromptCache) -> Prompt:
    return Prompt(said="", input=Usage(input_tokens=count(request["input"])), choices=0)


def _vector(request: Json) -> list[float] | str:
    vector = [0.5] * (request.get("dimensions") or 8)
    if request.get("encoding_format") != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _embedding_body(answer: Reply, request: Json) -> Json:
    given: str | list[Any] = request["input"]
    # A list of numbers is one text that the client already turned into tokens.
    many = not isinstance(given, str) and not isinstance(given[0], int)
    tokens = answer.usage.input_tokens
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(request)}
            for index in range(len(given) if many else 1)
        ],
        "model": answer.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _no_events(_answer: Reply, _request: Json) -> Iterator[Event]:
    return iter(())


_ERROR_EVENT = Event(error(500))

CHAT = Format(
    name="openai.chat.completions",
    required=("model", "messages"),
    prompt=_chat_prompt,
    body=_chat_body,
    events=_chat_events,
    error=error,
    error_event=_ERROR_EVENT,
)
COMPLETIONS = Format(
    name="openai.completions",
    required=("model", "prompt"),
    prompt=_completion_prompt,
    body=_completion_body,
    events=_completion_events,
    error=error,
    error_event=_ERROR_EVENT,
)
EMBEDDINGS = Format(
    name="openai.embeddings",
    required=("model", "input"),
    prompt=_embedding_prompt,
    body=_embedding_body,
    events=_no_events,
    error=error,
    error_event=_ERROR_EVENT,
)
