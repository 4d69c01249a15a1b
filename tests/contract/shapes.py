"""The shapes of a call: everything a user of the SDKs can write, by vendor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from contract.colour import do, each, opened
from contract.stage import NONE, UNKNOWN, WELL, Case, Expect, Stage, closed_port
from tokenmeter import attribute
from tokenmeter.testing import Answer, Gate

SAID: Any = [{"role": "user", "content": "one two three"}]
WEATHER: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
USAGE: Any = {"include_usage": True}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
RESPONSE_TOOL: Any = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
MESSAGE_TOOL: Any = {"name": "weather", "input_schema": WEATHER}
CACHED: Any = [{"type": "text", "text": "a b c", "cache_control": {"type": "ephemeral"}}]

CHAT: Any = {"model": "m", "messages": SAID}
COMPLETION: Any = {"model": "m", "prompt": "one two three"}
RESPONSE: Any = {"model": "m", "input": "one two three"}
MESSAGE: Any = {"model": "c", "messages": SAID, "max_tokens": 50}


class City(BaseModel):
    city: str
    people: int


Call = Callable[..., Any]


def returning(path: str, asked: Any, **more: Any) -> Call:
    """Call and give the SDK's own object."""

    async def call(stage: Stage) -> Any:
        return await do(stage.at(path)(**asked, **more))

    return call


def iterating(path: str, asked: Any, **more: Any) -> Call:
    """Call, and read the stream that comes to its end."""

    async def call(stage: Stage) -> Any:
        stream = await do(stage.at(path)(**asked, stream=True, **more))
        return [type(stream), *[item async for item in each(stream)]]

    return call


def raw(path: str, asked: Any, **more: Any) -> Call:
    """Call for the raw response, and parse it twice."""
    resource, _, method = path.rpartition(".")

    async def call(stage: Stage) -> Any:
        create = stage.at(f"{resource}.with_raw_response.{method}")
        response = await do(create(**asked, **more))
        parsed = [await do(response.parse()) for _ in range(2)]
        if not more.get("stream"):
            return [response, *parsed]
        return [response, *[item async for item in each(parsed[0])]]

    return call


def streaming(path: str, asked: Any, *reads: str, **more: Any) -> Call:
    """Call for a response that is read when its user reads it."""
    resource, _, method = path.rpartition(".")

    async def call(stage: Stage) -> Any:
        create = stage.at(f"{resource}.with_streaming_response.{method}")
        async with opened(create(**asked, **more)) as response:
            return [response, *[await do(getattr(response, read)()) for read in reads]]

    return call


def streaming_lines(path: str, asked: Any, **more: Any) -> Call:
    """Read such a response line by line."""
    resource, _, method = path.rpartition(".")

    async def call(stage: Stage) -> Any:
        create = stage.at(f"{resource}.with_streaming_response.{method}")
        async with opened(create(**asked, **more)) as response:
            return [line async for line in each(response.iter_lines())]

    return call


def streaming_parsed(path: str, asked: Any, **more: Any) -> Call:
    """Parse such a response into a stream, and read that."""
    resource, _, method = path.rpartition(".")

    async def call(stage: Stage) -> Any:
        create = stage.at(f"{resource}.with_streaming_response.{method}")
        async with opened(create(**asked, stream=True, **more)) as response:
            stream = await do(response.parse())
            return [type(stream), *[item async for item in each(stream)]]

    return call


def helping(path: str, asked: Any, *final: str, over: str | None = None, **more: Any) -> Call:
    """Use a stream helper: read its events (or what is ``over`` them), then ask for its results."""

    async def call(stage: Stage) -> Any:
        async with opened(stage.at(path)(**asked, **more)) as stream:
            read = stream if over is None else getattr(stream, over)
            seen = [item async for item in each(read)] if over or not final else []
            results = [await do(getattr(stream, name)()) for name in final]
            return [type(stream), *seen, *(r for r in results if r is not stream)]

    return call


def with_options(call: Call, **options: Any) -> Call:
    """Make the call on a copy of the client."""

    async def copied(stage: Stage) -> Any:
        return await call(stage.copied(**options))

    return copied


def impatient(call: Call, read_s: float) -> Call:
    """Make the call with a read timeout."""

    async def hurried(stage: Stage) -> Any:
        return await call(stage.saying(timeout=stage.sdk.Timeout(10, read=read_s)))

    return hurried


def nowhere(call: Call) -> Call:
    """Make the call to a port on which nobody listens."""

    async def refused(stage: Stage) -> Any:
        with closed_port() as port:
            return await call(stage.copied(base_url=f"http://127.0.0.1:{port}/v1"))

    return refused


def at_once(path: str, asked: Any, items: int) -> Call:
    """Read items while the server stands still after as many; only then let it go on."""

    async def call(stage: Stage) -> Any:
        patient = stage.saying(timeout=5)
        seen = []
        async for item in each(await do(patient.at(path)(**asked, stream=True))):
            seen.append(item)
            if len(seen) == items:
                stage.gates[0].open()
        return seen

    return call


async def poll(stage: Stage) -> Any:
    """Start a response in the background; somebody else fetches it until it is there, and again."""
    queued = await do(stage.client.responses.create(**RESPONSE, background=True))
    with attribute(user="somebody else"):
        fetched = [await do(stage.client.responses.retrieve(queued.id)) for _ in range(3)]
    states = [answer.status for answer in (queued, *fetched)]
    assert states == ["queued", "in_progress", "completed", "completed"]
    return [queued, *fetched]


async def start_only(stage: Stage) -> Any:
    """Start a response in the background and never come back."""
    return await do(stage.client.responses.create(**RESPONSE, background=True))


async def stream_then_fetch(stage: Stage) -> Any:
    """Stream a response that is made in the background, and fetch it afterwards."""
    stream = await do(stage.client.responses.create(**RESPONSE, background=True, stream=True))
    seen = [item async for item in each(stream)]
    return [*seen, await do(stage.client.responses.retrieve(seen[0].response.id))]


async def leave_then_fetch(stage: Stage) -> Any:
    """Leave such a stream early, and fetch the answer afterwards."""
    stream = await do(stage.client.responses.create(**RESPONSE, background=True, stream=True))
    async with opened(stream):
        async for item in each(stream):
            answer_id = item.response.id
            break
    return [await do(stage.client.responses.retrieve(answer_id)) for _ in range(2)]


async def retrieve(stage: Stage) -> Any:
    """Fetch a response that was answered when it was made."""
    made = await do(stage.client.responses.create(**RESPONSE))
    return [made, await do(stage.client.responses.retrieve(made.id))]


async def models(stage: Stage) -> Any:
    return [model.id async for model in each(await do(stage.client.models.list()))]


async def twice_cached(stage: Stage) -> Any:
    create = stage.client.messages.create
    return [await do(create(**MESSAGE, system=CACHED)) for _ in range(2)]


FAILED_NOWHERE = Expect(
    status="failed", http_status=None, error_type="ConnectError", served=None, **NONE
)
LATE = Expect(status="failed", http_status=None, error_type="ReadTimeout", served=None, **UNKNOWN)
HUNG_UP = Expect(status="failed", http_status=None, error_type="RemoteProtocolError", **UNKNOWN)
CUT = Expect(status="failed", error_type="RemoteProtocolError", **UNKNOWN)
LATE_IN_STREAM = Expect(status="failed", error_type="ReadTimeout", **UNKNOWN)
SECOND = Expect(attempt=1, served=1)
REFUSING = Answer(status=429, headers={"retry-after-ms": "1"})


def refused(status: int, error_type: str, **more: Any) -> Expect:
    return Expect(status="failed", http_status=status, error_type=error_type, **NONE, **more)


UNREAD_REFUSAL = refused(429, "429")
"""The SDKs retry a stream without reading why it was refused, so nobody knows the vendor's code."""


def failed_inside(error_type: str, **more: Any) -> Expect:
    return Expect(status="failed", error_type=error_type, **more)


def openai(name: str, call: Call, *events: Expect, **more: Any) -> Case:
    return _case("openai", name, call, events, more)


def anthropic(name: str, call: Call, *events: Expect, **more: Any) -> Case:
    return _case("anthropic", name, call, events, more)


def _case(vendor: str, name: str, call: Call, events: tuple[Expect, ...], more: Any) -> Case:
    return Case(**{"events": events or (WELL,)} | more, vendor=vendor, name=name, call=call)


NO_USAGE = Expect(**UNKNOWN)
LEGACY = Expect(unsaid=("reasoning_tokens",))
UNREAD = Expect(status="abandoned", **UNKNOWN)


_CHAT, _LEGACY, _EMBED = "chat.completions.create", "completions.create", "embeddings.create"
_CHAT_HELPER, _RESP, _RESP_HELPER = (
    "chat.completions.stream",
    "responses.create",
    "responses.stream",
)
_MSG, _MSG_HELPER = "messages.create", "messages.stream"
_BETA, _BETA_HELPER = "beta.messages.create", "beta.messages.stream"

OPENAI = (
    openai("chat", returning(_CHAT, CHAT)),
    openai("chat with three choices", returning(_CHAT, CHAT, n=3)),
    openai("chat with a tool", returning(_CHAT, CHAT, tools=[TOOL])),
    openai("chat that reasons", returning(_CHAT, CHAT, reasoning_effort="low")),
    openai(
        "chat parsed",
        returning("chat.completions.parse", CHAT, response_format=City),
    ),
    openai(
        "beta chat parsed",
        returning("beta.chat.completions.parse", CHAT, response_format=City),
    ),
    openai("chat raw", raw(_CHAT, CHAT)),
    openai("chat streaming response parsed", streaming(_CHAT, CHAT, "parse")),
    openai("chat streaming response as text and JSON", streaming(_CHAT, CHAT, "text", "json")),
    openai("chat streaming response by lines", streaming_lines(_CHAT, CHAT)),
    openai("chat streaming response never read", streaming(_CHAT, CHAT), UNREAD),
    openai("chat stream", iterating(_CHAT, CHAT, stream_options=USAGE)),
    openai(
        "chat stream that goes on when its first items were read",
        at_once(_CHAT, CHAT | {"stream_options": USAGE}, items=3),
        script=(Answer(gate=Gate(after=3)),),
    ),
    openai(
        "response stream that goes on when its first items were read",
        at_once(_RESP, RESPONSE, items=5),
        script=(Answer(gate=Gate(after=5), encoding="gzip"),),
    ),
    openai("chat stream of two choices", iterating(_CHAT, CHAT, stream_options=USAGE, n=2)),
    openai("chat stream of a tool", iterating(_CHAT, CHAT, stream_options=USAGE, tools=[TOOL])),
    openai("chat stream without usage", iterating(_CHAT, CHAT), NO_USAGE),
    openai("chat raw stream", raw(_CHAT, CHAT, stream=True, stream_options=USAGE)),
    openai("chat raw stream without usage", raw(_CHAT, CHAT, stream=True), NO_USAGE),
    openai(
        "chat streaming response parsed into a stream",
        streaming_parsed(_CHAT, CHAT, stream_options=USAGE),
    ),
    openai(
        "chat streaming response of a stream by lines",
        streaming_lines(_CHAT, CHAT, stream=True, stream_options=USAGE),
    ),
    openai("chat helper", helping(_CHAT_HELPER, CHAT, stream_options=USAGE)),
    openai("chat helper without usage", helping(_CHAT_HELPER, CHAT), NO_USAGE),
    openai(
        "chat helper asked for its final completion",
        helping(_CHAT_HELPER, CHAT, "get_final_completion", stream_options=USAGE),
    ),
    openai(
        "chat helper parsing what it reads",
        helping(
            _CHAT_HELPER,
            CHAT,
            "until_done",
            "get_final_completion",
            stream_options=USAGE,
            response_format=City,
        ),
    ),
    openai(
        "beta chat helper",
        helping("beta.chat.completions.stream", CHAT, stream_options=USAGE),
    ),
    openai("chat with options", with_options(returning(_CHAT, CHAT), timeout=30)),
    openai(
        "chat stream with options",
        with_options(iterating(_CHAT, CHAT, stream_options=USAGE), max_retries=2),
    ),
    openai("legacy completion", returning(_LEGACY, COMPLETION), LEGACY),
    openai("legacy completion of three", returning(_LEGACY, COMPLETION, n=3), LEGACY),
    openai("legacy completion raw", raw(_LEGACY, COMPLETION), LEGACY),
    openai(
        "legacy completion stream", iterating(_LEGACY, COMPLETION, stream_options=USAGE), LEGACY
    ),
    openai("legacy completion stream without usage", iterating(_LEGACY, COMPLETION), NO_USAGE),
    openai("embeddings", returning(_EMBED, {"model": "e", "input": "a b"}), Expect(output="none")),
    openai(
        "embeddings of many, raw",
        raw(_EMBED, {"model": "e", "input": ["a b", "c"], "encoding_format": "float"}),
        Expect(output="none"),
    ),
    openai("response", returning(_RESP, RESPONSE)),
    openai("response with a tool", returning(_RESP, RESPONSE, tools=[RESPONSE_TOOL])),
    openai(
        "response parsed",
        returning("responses.parse", RESPONSE, text_format=City),
    ),
    openai("response raw", raw(_RESP, RESPONSE)),
    openai("response streaming parsed", streaming(_RESP, RESPONSE, "parse")),
    openai("response streaming never read", streaming(_RESP, RESPONSE), UNREAD),
    openai("response stream", iterating(_RESP, RESPONSE)),
    openai("response raw stream", raw(_RESP, RESPONSE, stream=True)),
    openai("response helper", helping(_RESP_HELPER, RESPONSE)),
    openai(
        "response helper asked for its final response",
        helping(_RESP_HELPER, RESPONSE, "get_final_response", tools=[RESPONSE_TOOL]),
    ),
    openai("response cut short", returning(_RESP, RESPONSE, max_output_tokens=2)),
    openai("response stream cut short", iterating(_RESP, RESPONSE, max_output_tokens=2)),
    openai("response in the background, polled", poll, Expect(served=1)),
    openai("response in the background, never fetched", start_only, events=()),
    openai("response in the background, streamed, then fetched", stream_then_fetch),
    openai("response in the background, stream left, then fetched", leave_then_fetch),
    openai("response fetched again", retrieve),
    openai("list of models", models, events=()),
    openai(
        "chat refused, then answered",
        with_options(returning(_CHAT, CHAT), max_retries=1),
        refused(429, "rate_limit_error"),
        SECOND,
        script=(REFUSING,),
    ),
    openai(
        "chat stream refused, then answered",
        with_options(iterating(_CHAT, CHAT, stream_options=USAGE), max_retries=1),
        UNREAD_REFUSAL,
        SECOND,
        script=(REFUSING,),
    ),
    openai(
        "chat answered with 400",
        returning(_CHAT, CHAT),
        refused(400, "invalid_request_error"),
        script=(Answer(status=400),),
    ),
    openai(
        "chat stream answered with 500",
        iterating(_CHAT, CHAT),
        refused(500, "server_error"),
        script=(Answer(status=500),),
    ),
    openai(
        "chat streaming response answered with 500",
        streaming(_CHAT, CHAT, "parse"),
        refused(500, "server_error"),
        script=(Answer(status=500),),
    ),
    openai(
        "embeddings answered with 500 that is no JSON",
        returning(_EMBED, {"model": "e", "input": "a b"}),
        refused(500, "500"),
        script=(Answer(status=500, body=b"<html>"),),
    ),
    openai(
        "chat stream with an error inside",
        iterating(_CHAT, CHAT, stream_options=USAGE),
        failed_inside("server_error", **UNKNOWN),
        script=(Answer(ending="error", stop_after=3),),
    ),
    openai(
        "chat helper with an error inside",
        helping(_CHAT_HELPER, CHAT, stream_options=USAGE),
        failed_inside("server_error", **UNKNOWN),
        script=(Answer(ending="error", stop_after=3),),
    ),
    openai(
        "response stream with an error inside",
        iterating(_RESP, RESPONSE),
        failed_inside("server_error", **UNKNOWN),
        script=(Answer(ending="error", stop_after=4),),
    ),
    openai(
        "chat stream whose last marker alone is missing",
        iterating(_CHAT, CHAT, stream_options=USAGE),
        script=(Answer(ending="unfinished"),),
    ),
    openai(
        "chat stream that ends too early",
        iterating(_CHAT, CHAT, stream_options=USAGE),
        failed_inside("stream_ended_early", **UNKNOWN),
        script=(Answer(ending="unfinished", stop_after=3),),
    ),
    openai(
        "chat cut off in its body", returning(_CHAT, CHAT), HUNG_UP, script=(Answer(ending="cut"),)
    ),
    openai(
        "chat stream cut off",
        iterating(_CHAT, CHAT),
        CUT,
        script=(Answer(ending="cut", stop_after=3),),
    ),
    openai("chat hung up on", returning(_CHAT, CHAT), HUNG_UP, script=(Answer(ending="hangup"),)),
    openai("chat to a closed port", nowhere(returning(_CHAT, CHAT)), FAILED_NOWHERE),
    openai("chat stream to a closed port", nowhere(iterating(_CHAT, CHAT)), FAILED_NOWHERE),
    openai(
        "chat that waits too long",
        impatient(returning(_CHAT, CHAT), 0.03),
        LATE,
        script=(Answer(gate=Gate()),),
    ),
    openai(
        "chat stream that waits too long",
        impatient(iterating(_CHAT, CHAT), 0.03),
        LATE,
        script=(Answer(gate=Gate()),),
    ),
    openai(
        "chat stream that stalls",
        impatient(iterating(_CHAT, CHAT), 0.8),
        LATE_IN_STREAM,
        script=(Answer(gate=Gate(after=3)),),
    ),
)

_STARTED = {"input": "reported", "output": "partial"}

ANTHROPIC = (
    anthropic("message", returning(_MSG, MESSAGE)),
    anthropic("message with a tool", returning(_MSG, MESSAGE, tools=[MESSAGE_TOOL])),
    anthropic(
        "message that thinks",
        returning(_MSG, MESSAGE, thinking={"type": "adaptive"}),
    ),
    anthropic("message twice with a cached system", twice_cached, WELL, Expect(served=1)),
    anthropic(
        "message parsed",
        returning("messages.parse", MESSAGE, output_format=City),
    ),
    anthropic("message cut short", returning(_MSG, MESSAGE | {"max_tokens": 2})),
    anthropic("message raw", raw(_MSG, MESSAGE)),
    anthropic("message streaming response parsed", streaming(_MSG, MESSAGE, "parse")),
    anthropic(
        "message streaming response as text and JSON", streaming(_MSG, MESSAGE, "text", "json")
    ),
    anthropic("message streaming response never read", streaming(_MSG, MESSAGE), UNREAD),
    anthropic("message stream", iterating(_MSG, MESSAGE)),
    anthropic(
        "message stream that goes on when its first items were read",
        at_once(_MSG, MESSAGE, items=3),
        script=(Answer(gate=Gate(after=4)),),  # the third event is a ping, which the SDK keeps
    ),
    anthropic("message stream of a tool", iterating(_MSG, MESSAGE, tools=[MESSAGE_TOOL])),
    anthropic("message raw stream", raw(_MSG, MESSAGE, stream=True)),
    anthropic("message streaming response parsed into a stream", streaming_parsed(_MSG, MESSAGE)),
    anthropic(
        "message streaming response of a stream by lines",
        streaming_lines(_MSG, MESSAGE, stream=True),
    ),
    anthropic("message helper", helping(_MSG_HELPER, MESSAGE)),
    anthropic(
        "message helper read as text",
        helping(_MSG_HELPER, MESSAGE, "get_final_text", "get_final_message", over="text_stream"),
    ),
    anthropic(
        "message helper asked for its final message",
        helping(_MSG_HELPER, MESSAGE, "get_final_message", tools=[MESSAGE_TOOL]),
    ),
    anthropic("message helper read until it is done", helping(_MSG_HELPER, MESSAGE, "until_done")),
    anthropic("message with options", with_options(returning(_MSG, MESSAGE), timeout=30)),
    anthropic("beta message", returning(_BETA, MESSAGE, betas=["x"])),
    anthropic("beta message stream", iterating(_BETA, MESSAGE)),
    anthropic("beta message helper", helping(_BETA_HELPER, MESSAGE, over="text_stream")),
    anthropic(
        "count of tokens",
        returning("messages.count_tokens", {"model": "c", "messages": SAID}),
        events=(),
    ),
    anthropic("list of models", models, events=()),
    anthropic(
        "message refused, then answered",
        with_options(returning(_MSG, MESSAGE), max_retries=1),
        refused(429, "rate_limit_error"),
        SECOND,
        script=(REFUSING,),
    ),
    anthropic(
        "message helper refused, then answered",
        with_options(helping(_MSG_HELPER, MESSAGE), max_retries=1),
        UNREAD_REFUSAL,
        SECOND,
        script=(REFUSING,),
    ),
    anthropic(
        "message answered with 400",
        returning(_MSG, MESSAGE),
        refused(400, "invalid_request_error"),
        script=(Answer(status=400),),
    ),
    anthropic(
        "message helper answered with 529",
        helping(_MSG_HELPER, MESSAGE),
        refused(529, "overloaded_error"),
        script=(Answer(status=529),),
    ),
    anthropic(
        "message stream with an error inside",
        iterating(_MSG, MESSAGE),
        failed_inside("overloaded_error", **_STARTED),
        script=(Answer(ending="error", stop_after=4),),
    ),
    anthropic(
        "message helper with an error inside",
        helping(_MSG_HELPER, MESSAGE, over="text_stream"),
        failed_inside("overloaded_error", **_STARTED),
        script=(Answer(ending="error", stop_after=4),),
    ),
    anthropic(
        "message stream whose last marker alone is missing",
        iterating(_MSG, MESSAGE),
        script=(Answer(ending="unfinished"),),
    ),
    anthropic(
        "message stream that ends too early",
        iterating(_MSG, MESSAGE),
        failed_inside("stream_ended_early", **_STARTED),
        script=(Answer(ending="unfinished", stop_after=4),),
    ),
    anthropic(
        "message stream cut off",
        iterating(_MSG, MESSAGE),
        failed_inside("RemoteProtocolError", **_STARTED),
        script=(Answer(ending="cut", stop_after=4),),
    ),
    anthropic(
        "message hung up on", returning(_MSG, MESSAGE), HUNG_UP, script=(Answer(ending="hangup"),)
    ),
    anthropic("message to a closed port", nowhere(returning(_MSG, MESSAGE)), FAILED_NOWHERE),
    anthropic(
        "message that waits too long",
        impatient(returning(_MSG, MESSAGE), 0.03),
        LATE,
        script=(Answer(gate=Gate()),),
    ),
    anthropic(
        "message stream that stalls",
        impatient(iterating(_MSG, MESSAGE), 0.8),
        failed_inside("ReadTimeout", **_STARTED),
        script=(Answer(gate=Gate(after=4)),),
    ),
)

SHAPES = OPENAI + ANTHROPIC
