"""OpenAI's Responses API, plain, streamed, in the background and fetched later (read 2026-11)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tokenmeter.event import Usage
from tokenmeter.testing.formats import CREATED, Event, Format, PromptCache
from tokenmeter.testing.openai_chat import TIERS, cached_prompt, error, offered_tool
from tokenmeter.testing.replies import (
    REASONING_WORDS,
    Json,
    Prompt,
    Reply,
    call_id,
    last_said,
    pieces,
    section,
)


def _messages(request: Json) -> list[Json]:
    given: str | list[Json] = request.get("input") or ""
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _prompt(request: Json, cache: PromptCache) -> Prompt:
    messages = _messages(request)
    form = section(section(request, "text"), "format")
    return Prompt(
        said=last_said(messages),
        input=cached_prompt(request, messages, cache),
        tool=offered_tool(request, messages[-1].get("type") == "function_call_output"),
        schema=form.get("schema"),
        limit=request.get("max_output_tokens"),
        reasoning=REASONING_WORDS.get(_effort(request) or "none", 0),
    )


def _effort(request: Json) -> str | None:
    return section(request, "reasoning").get("effort")


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens or 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }


def _response(answer: Reply, request: Json, status: str) -> Json:
    """Return the response object in a state that has neither output nor usage yet."""
    return {
        "id": f"resp_{answer.number:08d}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": bool(request.get("background")),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": answer.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": request.get("previous_response_id"),
        "prompt_cache_key": request.get("prompt_cache_key"),
        "reasoning": {"effort": _effort(request), "summary": None},
        "service_tier": request.get("service_tier") or "auto",
        "store": request.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": request.get("metadata") or {},
    }


def _output(answer: Reply) -> list[Json]:
    items: list[Json] = []
    if answer.thought:
        items.append({"id": f"rs_{answer.number:08d}", "type": "reasoning", "summary": []})
    return [*items, *(_call_items(answer) or [_message_item(answer)])]


def _call_items(answer: Reply) -> list[Json]:
    return [
        {
            "id": call_id(f"fc_{answer.number:08d}", index),
            "type": "function_call",
            "status": "completed",
            "arguments": json.dumps(call.arguments),
            "call_id": call_id(f"call_{answer.number:08d}", index),
            "name": call.name,
        }
        for index, call in enumerate(answer.calls)
    ]


def _message_item(answer: Reply) -> Json:
    return {
        "id": f"msg_{answer.number:08d}",
        "type": "message",
        "status": "incomplete" if answer.truncated else "completed",
        "content": [_text_part(answer.texts[0])],
        "role": "assistant",
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _finished(answer: Reply, request: Json) -> Json:
    status = "incomplete" if answer.truncated else "completed"
    details = {"reason": "max_output_tokens"} if answer.truncated else None
    return _response(answer, request, status) | {
        "completed_at": None if answer.truncated else CREATED + 1,
        "incomplete_details": details,
        "output": _output(answer),
        "service_tier": TIERS.get(request.get("service_tier") or "", "default"),
        "usage": _usage(answer.usage),
    }


def in_state(finished: Json, status: str) -> Json:
    """Return a background response as it looks before it is finished."""
    return {**finished, "status": status, "completed_at": None, "output": [], "usage": None}


def _events(answer: Reply, request: Json) -> Iterator[Event]:
    finished = _finished(answer, request)
    states = ["queued", "in_progress"] if request.get("background") else ["in_progress"]
    payloads: list[Json] = [
        {"type": "response.created", "response": in_state(finished, states[0])},
        *({"type": f"response.{s}", "response": in_state(finished, s)} for s in states),
    ]
    for index, item in enumerate(finished["output"]):
        payloads += _item_events(item, index)
    for number, payload in enumerate(payloads):
        yield Event(payload | {"sequence_number": number}, payload["type"])
    name = f"response.{finished['status']}"
    last = {"type": name, "response": finished, "sequence_number": len(payloads)}
    yield Event(last, name, reports=True, terminal=True)


_NO_CONTENT: dict[str, Json] = {"message": {"content": []}, "function_call": {"arguments": ""}}


def _item_events(item: Json, index: int) -> Iterator[Json]:
    empty: Json = _NO_CONTENT.get(item["type"], {})
    opened = {**item, **empty} | ({"status": "in_progress"} if empty else {})
    at = {"item_id": item["id"], "output_index": index}
    yield {"type": "response.output_item.added", "item": opened, "output_index": index}
    if item["type"] == "function_call":
        yield from _argument_events(item["arguments"], at)
    if item["type"] == "message":
        yield from _text_events(item["content"][0], at | {"content_index": 0})
    yield {"type": "response.output_item.done", "item": item, "output_index": index}


def _argument_events(arguments: str, at: Json) -> Iterator[Json]:
    kind = "response.function_call_arguments"
    for piece in pieces(arguments):
        yield {"type": f"{kind}.delta", "delta": piece, "obfuscation": "x", **at}
    yield {"type": f"{kind}.done", "arguments": arguments, **at}


def _text_events(part: Json, at: Json) -> Iterator[Json]:
    kind = "response.output_text"
    yield {"type": "response.content_part.added", "part": _text_part(""), **at}
    for piece in pieces(part["text"]):
        yield {"type": f"{kind}.delta", "delta": piece, "logprobs": [], "obfuscation": "x", **at}
    yield {"type": f"{kind}.done", "text": part["text"], "logprobs": [], **at}
    yield {"type": "response.content_part.done", "part": part, **at}


_ERROR = {
    "type": "error",
    "code": "server_error",
    "message": "The model server was scripted to fail here.",
    "param": None,
    "sequence_number": 99,
}

RESPONSES = Format(
    name="openai.responses",
    required=("model", "input"),
    prompt=_prompt,
    body=_finished,
    events=_events,
    error=error,
    error_event=Event(_ERROR, "error"),
)


class Background:
    """Keep responses that are fetched later; a background one is finished at its second poll."""

    def __init__(self) -> None:
        self._states: dict[str, list[Json]] = {}

    def keep(self, finished: Json) -> None:
        """Keep a finished response for those who fetch it."""
        self._states[finished["id"]] = [finished]

    def start(self, finished: Json) -> Json:
        """Begin a background response: queued now, in progress at the first poll."""
        self._states[finished["id"]] = [finished, in_state(finished, "in_progress")]
        return in_state(finished, "queued")

    def poll(self, response_id: str) -> Json | None:
        """Return a response's present state, or ``None`` for one that was never kept."""
        states = self._states.get(response_id)
        if states is None:
            return None
        return states.pop() if len(states) > 1 else states[0]
