"""What the benchmarks call: real SDKs over a mock transport, with answers as vendors send them.

Only bodies and clients; nothing here is measured by itself and nothing knows tokenmeter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai

EVENTS = 200
"""Server-sent events of a streamed answer, its ends included."""

QUESTION = [{"role": "user", "content": "Say in one paragraph what a token is."}]
WORDS = (" token", " of", " text", ",", " a", " model", " reads", " and", " writes", ".")
OBFUSCATIONS = ("RFHuN3jhogyRXZ", "idV6s8kKXM29B", "d6N", "614rLgjxg1wb", "x")
ANSWER_TEXT = "A token is a piece of a word, and a model reads and writes nothing else. " * 4


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


# -- OpenAI chat completions ------------------------------------------------------------------

_CHAT_ID = "chatcmpl-D7TjDAEoQbnx4oQQg35fSylzvrlqO"
_CHAT_USAGE = {
    "prompt_tokens": 1024,
    "completion_tokens": 196,
    "total_tokens": 1220,
    "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 64,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
CHAT = {
    "id": _CHAT_ID,
    "object": "chat.completion",
    "created": 1770674943,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": ANSWER_TEXT,
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _CHAT_USAGE,
    "service_tier": "default",
    "system_fingerprint": "fp_ad98c18a04",
}


def chat_events() -> Iterator[bytes]:
    """Yield the events of a chat completion; each but one says ``"usage":null``."""
    yield _chat_event(0, {"role": "assistant", "content": "", "refusal": None})
    for n in range(EVENTS - 4):
        yield _chat_event(n, {"content": WORDS[n % len(WORDS)]})
    yield _chat_event(0, {}, finish_reason="stop")
    yield _chat_event(0, None, usage=_CHAT_USAGE)
    yield b"data: [DONE]\n\n"


def _chat_event(n: int, delta: Any, finish_reason: str | None = None, usage: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    event = {
        "id": _CHAT_ID,
        "object": "chat.completion.chunk",
        "created": 1770674943,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_ad98c18a04",
        "choices": [] if delta is None else [choice],
        "usage": usage,
        "obfuscation": OBFUSCATIONS[n % len(OBFUSCATIONS)],
    }
    return f"data: {_json(event)}\n\n".encode()


# -- OpenAI Responses -------------------------------------------------------------------------

_ITEM_ID = "msg_0f64511bb71aaca700698a5b01ae2c8196b0f1fd3d9c8aaf67"
_PART = {"type": "output_text", "annotations": [], "logprobs": [], "text": ANSWER_TEXT}
_ITEM = {
    "id": _ITEM_ID,
    "type": "message",
    "status": "completed",
    "content": [_PART],
    "role": "assistant",
}
RESPONSE = {
    "id": "resp_0f64511bb71aaca700698a5b019854819684e3b7d4996f0ba2",
    "object": "response",
    "created_at": 1770674945,
    "status": "completed",
    "background": False,
    "completed_at": 1770674949,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "model": "gpt-4o-2024-08-06",
    "output": [_ITEM],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "usage": {
        "input_tokens": 1024,
        "input_tokens_details": {"cached_tokens": 512},
        "output_tokens": 196,
        "output_tokens_details": {"reasoning_tokens": 64},
        "total_tokens": 1220,
    },
    "user": None,
    "metadata": {},
}
_BEGUN = RESPONSE | {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
_PLACE = {"item_id": _ITEM_ID, "output_index": 0, "content_index": 0}


def response_events() -> Iterator[bytes]:
    """Yield the events of a response; its first and its last carry the response object."""
    for number, event in enumerate(_response_events()):
        said = _json({**event, "sequence_number": number})
        yield f"event: {event['type']}\ndata: {said}\n\n".encode()


def _response_events() -> Iterator[dict[str, Any]]:
    empty_item, empty_part = {**_ITEM, "content": []}, {**_PART, "text": ""}
    yield {"type": "response.created", "response": _BEGUN}
    yield {"type": "response.in_progress", "response": _BEGUN}
    yield {"type": "response.output_item.added", "output_index": 0, "item": empty_item}
    yield {"type": "response.content_part.added", **_PLACE, "part": empty_part}
    for n in range(EVENTS - 8):
        yield {
            "type": "response.output_text.delta",
            **_PLACE,
            "delta": WORDS[n % len(WORDS)],
            "logprobs": [],
            "obfuscation": OBFUSCATIONS[n % len(OBFUSCATIONS)],
        }
    yield {"type": "response.output_text.done", **_PLACE, "text": ANSWER_TEXT, "logprobs": []}
    yield {"type": "response.content_part.done", **_PLACE, "part": _PART}
    yield {"type": "response.output_item.done", "output_index": 0, "item": _ITEM}
    yield {"type": "response.completed", "response": RESPONSE}


# -- Anthropic messages -----------------------------------------------------------------------

_MESSAGE_USAGE = {
    "input_tokens": 512,
    "cache_creation_input_tokens": 256,
    "cache_read_input_tokens": 256,
    "cache_creation": {"ephemeral_5m_input_tokens": 256, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 196,
    "service_tier": "standard",
    "inference_geo": "not_available",
}
MESSAGE = {
    "model": "claude-sonnet-5-5",
    "id": "msg_01KoEzb5DsZ7cLWaVCKnxBA7",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": ANSWER_TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _MESSAGE_USAGE,
}


def message_events() -> Iterator[bytes]:
    """Yield the events of a message, with a ping after each fifty."""
    for n, event in enumerate(_message_events()):
        padding = " " * (n % 16)  # before its last brace, as Anthropic sends it
        yield f"event: {event['type']}\ndata: {_json(event)[:-1]}{padding}}}\n\n".encode()


def _message_events() -> Iterator[dict[str, Any]]:
    begun = {**MESSAGE, "content": [], "stop_reason": None}
    begun["usage"] = {**_MESSAGE_USAGE, "output_tokens": 1}
    yield {"type": "message_start", "message": begun}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for n in range(EVENTS - 5):
        if n % 50 == 0:
            yield {"type": "ping"}
        else:
            delta = {"type": "text_delta", "text": WORDS[n % len(WORDS)]}
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {name: n for name, n in _MESSAGE_USAGE.items() if name.endswith("tokens")},
    }
    yield {"type": "message_stop"}


# -- the transport ----------------------------------------------------------------------------

_ANSWERS = {
    "/v1/chat/completions": (_json(CHAT).encode(), list(chat_events())),
    "/v1/responses": (_json(RESPONSE).encode(), list(response_events())),
    "/v1/messages": (_json(MESSAGE).encode(), list(message_events())),
}
STREAM_OF_CHAT = _ANSWERS["/v1/chat/completions"][1]
_JSON = {"content-type": "application/json", "x-request-id": "req_7f3a"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_7f3a"}


class Chunks(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that arrives one event a chunk."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def answer(request: httpx2.Request) -> httpx2.Response:
    """Answer at once."""
    body, events = _ANSWERS[request.url.path]
    if b'"stream":true' in request.content:
        return httpx2.Response(200, headers=_SSE, stream=Chunks(events))
    return httpx2.Response(200, headers=_JSON, content=body)


async def answer_later(request: httpx2.Request) -> httpx2.Response:
    """Answer after everybody else had a turn."""
    await asyncio.sleep(0)
    return answer(request)


# -- the calls --------------------------------------------------------------------------------

Call = Callable[[], Any]
"""Makes one call and reads its answer to the end; what it gives is awaited for the async ones."""


class Case(NamedTuple):
    """One way to call a model.

    Args:
        name: As it stands in the table.
        is_async: What the call gives has to be awaited.
        client: Makes a client.
        call: Gives the call that is made with a client.
    """

    name: str
    is_async: bool
    client: Callable[[], Any]
    call: Callable[[Any], Call]


def http_client(is_async: bool, handler: Callable[..., Any] = answer) -> Any:
    """Make a bare HTTP client."""
    transport = httpx2.MockTransport(handler)
    if is_async:
        return httpx2.AsyncClient(transport=transport)
    return httpx2.Client(transport=transport)


def openai_client(is_async: bool, handler: Callable[..., Any] = answer) -> Any:
    """Make a client of the OpenAI SDK."""
    kind = openai.AsyncOpenAI if is_async else openai.OpenAI
    return kind(api_key="sk-none", http_client=http_client(is_async, handler))


def anthropic_client(is_async: bool) -> Any:
    """Make a client of the Anthropic SDK."""
    kind = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
    return kind(api_key="sk-none", http_client=http_client(is_async))


def post(client: Any) -> Call:
    """Post a chat completion as JSON, without an SDK."""
    body = {"model": "gpt-4o", "messages": QUESTION}
    return lambda: client.post("https://api.openai.com/v1/chat/completions", json=body)


def chat(client: Any, **more: Any) -> Call:
    """Complete a chat."""
    create = client.chat.completions.create
    return lambda: create(model="gpt-4o", messages=QUESTION, **more)


def respond(client: Any, **more: Any) -> Call:
    """Ask for a response."""
    create = client.responses.create
    return lambda: create(model="gpt-4o", input=QUESTION, **more)


def message(client: Any, **more: Any) -> Call:
    """Ask for a message."""
    create = client.messages.create
    return lambda: create(model="claude-sonnet-5-5", max_tokens=512, messages=QUESTION, **more)


def post_stream(client: Any) -> Call:
    """Post a streamed chat completion without an SDK."""
    body = {"model": "gpt-4o", "messages": QUESTION, "stream": True}

    def read() -> None:
        url = "https://api.openai.com/v1/chat/completions"
        with client.stream("POST", url, json=body) as response:
            for _ in response.iter_bytes():
                pass

    return read


def reading(call: Call, is_async: bool) -> Call:
    """Make a call whose streamed answer is read to its end."""

    def read() -> None:
        for _ in call():
            pass

    async def read_async() -> None:
        async for _ in await call():
            pass

    return read_async if is_async else read


_SDK_CALLS = (
    ("OpenAI chat", openai_client, chat),
    ("OpenAI responses", openai_client, respond),
    ("Anthropic messages", anthropic_client, message),
)


def call_cases() -> Iterator[Case]:
    """Give the plain calls, each sync and async."""
    for name, client, call in (("httpx2 POST", http_client, post), *_SDK_CALLS):
        for is_async in (False, True):
            yield Case(_named(name, is_async), is_async, _made(client, is_async), call)


def stream_cases() -> Iterator[Case]:
    """Give the streamed calls, each sync and async."""
    for name, client, call in _SDK_CALLS:
        for is_async in (False, True):
            yield Case(
                _named(name, is_async), is_async, _made(client, is_async), _read(call, is_async)
            )


def _named(name: str, is_async: bool) -> str:
    return f"{name}, {'async' if is_async else 'sync'}"


def _made(client: Callable[[bool], Any], is_async: bool) -> Callable[[], Any]:
    return lambda: client(is_async)


def _read(call: Callable[..., Call], is_async: bool) -> Callable[[Any], Call]:
    return lambda client: reading(call(client, stream=True), is_async)
