"""The canary: content is planted wherever there is any, and is found in nothing that anybody reads.

Prompts, completions, tools, keys, headers, URLs, bodies of errors and texts of exceptions go
through every seam, with every exporter on. What a program says on purpose is another matter: the
last tests name the columns that hold it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import io
import json
import logging
import pkgutil
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import httpx
import psycopg
import pytest
import requests
import urllib3
from anthropic import Anthropic, AsyncAnthropic
from botocore.config import Config
from msgspec.structs import asdict
from openai import AsyncOpenAI, OpenAI
from opentelemetry.sdk.trace import TracerProvider

import canaries
import dialects
import pg
import tokenmeter
from amazon import converse, converse_events
from canaries import CANARY, Outlets, found_in, planted
from canned import Asked, Told, serving
from dialects import Exchange
from otlp import receiving
from test_dialect_contract import headed, route_of
from test_webhook import Receiver
from tokenmeter import Meter, UsageEvent, attribute, extract, metered, outcome, tally, task
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.postgres import Postgres
from tokenmeter.testing import Answer, ModelServer
from tokenmeter.wire.body import read

NAME = CANARY.encode()
DATA_URL = "data:image/png;base64," + "enE3Y2FuYXJ5" * 8  # the canary in base64
ERROR = {"error": {"message": planted("an error"), "type": "invalid_request_error",
                   "code": planted("the code of an error"), "param": planted("a parameter")},
         "detail": planted("the detail of an error")}  # fmt: skip
TOOL = {
    "name": "search",
    "description": planted("a tool"),
    "parameters": {
        "type": "object",
        "properties": {"q": {"type": "string", "default": planted("a schema")}},
    },
}


class Set(NamedTuple):
    """What a drive works with."""

    meter: Meter
    server: ModelServer
    parrot: str
    folder: Path
    tracer: Any


def messages() -> list[Any]:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "search", "arguments": json.dumps({"q": planted("arguments")})},
    }
    picture = {"type": "image_url", "image_url": {"url": DATA_URL}}
    return [
        {"role": "system", "content": planted("the system's prompt")},
        {"role": "user", "content": [{"type": "text", "text": planted("a prompt")}, picture]},
        {"role": "assistant", "content": planted("an earlier answer"), "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": planted("the result of a tool")},
        {"role": "user", "content": planted("the last prompt"), "name": CANARY},
    ]  # fmt: skip


def request() -> dict[str, Any]:
    return {
        "messages": messages(),
        "tools": [{"type": "function", "function": TOOL}],
        "stop": [CANARY],
        "user": planted("the user that the vendor is told"),
        "metadata": {"secret": planted("metadata")},
        "extra_headers": {"x-secret": CANARY, "cookie": f"session={CANARY}"},
        "extra_query": {"key": CANARY},
        "extra_body": {"secret": planted("the body")},
    }


def openai_options(at: Set, path: str = "/v1") -> dict[str, Any]:
    address = at.server.url.replace("http://", f"http://{CANARY}:{CANARY}@")
    return {
        "base_url": address + path,
        "api_key": f"sk-{CANARY}",
        "organization": CANARY,
        "default_query": {"q": CANARY},
        "max_retries": 0,
    }


def openai_plain(at: Set) -> None:
    with OpenAI(**openai_options(at)) as client, at.tracer.start_as_current_span("mine"):
        at.meter.wrap(client)
        at.server.script(Answer(), Answer(text=planted("a completion")))
        client.chat.completions.create(model="m", **request())
        client.responses.create(model="m", input=planted("a prompt"), instructions=planted("more"))
        client.embeddings.create(model="m", input=planted("what is embedded"))


def openai_streams(at: Set) -> None:
    endings: Any = ("whole", "unfinished", "error", "cut", "hangup")
    with OpenAI(**openai_options(at)) as client:
        at.meter.wrap(client)
        for ending in endings:
            at.server.script(Answer(text=planted("a stream"), ending=ending, stop_after=3))
            with contextlib.suppress(Exception):
                list(client.chat.completions.create(model="m", stream=True, **request()))
        at.server.script(Answer(text=planted("a stream that is left") * 9))
        stream = client.responses.create(model="m", input=planted("a prompt"), stream=True)
        next(iter(stream))
        stream.close()


def openai_errors(at: Set) -> None:
    with OpenAI(**openai_options(at)) as client:
        at.meter.wrap(client)
        for status in (400, 401, 404, 429, 500, 503):
            at.server.script(Answer(status=status, body=ERROR, headers={"x-secret": CANARY}))
            with pytest.raises(Exception, match=CANARY):
                client.chat.completions.create(model="m", **request())
        at.server.script(Answer(status=502, body=planted("no JSON").encode()))
        with contextlib.suppress(Exception):
            client.chat.completions.create(model="m", **request())
        at.server.script(Answer(body=planted("no JSON, and all is well").encode()))
        with contextlib.suppress(Exception):
            client.chat.completions.create(model="m", **request())
    nowhere: Any = openai_options(at) | {"base_url": f"http://{CANARY}:{CANARY}@127.0.0.1:1/v1"}
    with OpenAI(**nowhere) as client, pytest.raises(Exception, match="Connection error"):
        at.meter.wrap(client).responses.create(model="m", input=planted("a prompt"))


def openai_async(at: Set) -> None:
    async def ask() -> None:
        async with AsyncOpenAI(**openai_options(at)) as client:
            at.meter.wrap(client)
            at.server.script(Answer(), Answer(text=planted("a stream"), ending="cut", stop_after=2))
            await client.chat.completions.create(model="m", **request())
            with contextlib.suppress(Exception):
                async for _ in await client.responses.create(
                    model="m", input=planted("a prompt"), stream=True
                ):
                    pass
            asked = client.chat.completions.create(model="m", **request())
            leaving = asyncio.create_task(asked)
            await asyncio.sleep(0)
            leaving.cancel(planted("the message of a cancellation"))
            await asyncio.gather(leaving, return_exceptions=True)

    asyncio.run(ask())


def claude(at: Set) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": DATA_URL.partition(",")[2]}
    content = [{"type": "text", "text": planted("a prompt")}, {"type": "image", "source": source}]
    used = {"type": "tool_use", "id": "t", "name": "search", "input": {"q": planted("arguments")}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": planted("a result")}
    asked: Any = {
        "model": "m",
        "max_tokens": 99,
        "system": planted("the system's prompt"),
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [result, *content]},
        ],
        "metadata": {"user_id": planted("the user that the vendor is told")},
        "stop_sequences": [CANARY],
        "extra_headers": {"x-secret": CANARY},
    }
    options: Any = {"base_url": at.server.url, "api_key": CANARY, "max_retries": 0}
    with Anthropic(**options) as client:
        at.meter.wrap(client)
        client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            stream.get_final_message()
        for ending in ("error", "cut"):
            at.server.script(Answer(text=planted("a stream"), ending=ending, stop_after=3))
            with contextlib.suppress(Exception), client.messages.stream(**asked) as stream:
                stream.get_final_message()
        at.server.script(Answer(status=400, body=ERROR))
        with pytest.raises(Exception, match=CANARY):
            client.messages.create(**asked)

    async def ask() -> None:
        async with AsyncAnthropic(**options) as client:
            await at.meter.wrap(client).messages.create(**asked)

    asyncio.run(ask())


def other_stacks(at: Set) -> None:
    """Ask by hand, through each HTTP library, of a known and an unknown path."""
    body = {"model": "m", **request()} | {"stream": False}
    headers = {"authorization": f"Bearer {CANARY}", "x-secret": CANARY}
    with at.meter.instrument():
        for path in ("/v1/chat/completions", "/v9/chat/completions/unheard-of", "/v1/images/edits"):
            url = f"{at.server.url}{path}?key={CANARY}"
            requests.post(url, json=body, headers=headers, timeout=30)
            httpx.post(url, json=body, headers=headers)
            with urllib3.PoolManager() as pool:
                pool.request("POST", url, json=body, headers=headers)
            asyncio.run(by_aiohttp(url, body, headers))
        for ask in (requests.post, httpx.post):
            with contextlib.suppress(Exception):
                ask(f"http://127.0.0.1:1/v1/chat/completions?key={CANARY}", json=body)


async def by_aiohttp(url: str, body: Any, headers: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url, json=body) as answer,
    ):
        await answer.read()


def uploads(at: Set) -> None:
    with OpenAI(base_url=f"{at.parrot}/v1", api_key=CANARY, max_retries=0) as client:
        at.meter.wrap(client)
        sound = io.BytesIO(NAME * 99)
        client.audio.transcriptions.create(
            model="whisper-1", file=(f"{CANARY}.mp3", sound), prompt=planted("a prompt")
        )
        with contextlib.suppress(Exception):
            client.files.create(file=(f"{CANARY}.jsonl", NAME), purpose="batch")


def google(at: Set) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from google import genai
        from google.genai import types
    options = types.HttpOptions(base_url=at.parrot, headers={"x-secret": CANARY})
    client = at.meter.wrap(genai.Client(api_key=CANARY, http_options=options))
    system = types.GenerateContentConfig(system_instruction=planted("the system's prompt"))
    for model in ("m", "broken"):
        with contextlib.suppress(Exception):
            client.models.generate_content(model=model, contents=planted("a prompt"), config=system)
            list(client.models.generate_content_stream(model=model, contents=planted("a prompt")))


def bedrock(at: Set) -> None:
    import boto3

    session = boto3.Session("AKIA" + CANARY, CANARY, region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1})
    client: Any = session.client("bedrock-runtime", endpoint_url=at.parrot, config=config)
    at.meter.wrap(client)
    asked = [{"role": "user", "content": [{"text": planted("a prompt")}]}]
    for model in ("m", "broken"):
        with contextlib.suppress(Exception):
            client.converse(modelId=model, messages=asked, system=[{"text": planted("system")}])
            list(client.converse_stream(modelId=model, messages=asked)["stream"])
        with contextlib.suppress(Exception):
            client.invoke_model(modelId=model, body=json.dumps({"prompt": planted("a prompt")}))
    client.close()


def functions(at: Set) -> None:
    """Call functions that are models: what they take, return, yield and raise."""

    def refuses(*_args: Any) -> Any:
        raise ValueError(planted("the exception of a source of usage"))

    def model(prompt: str, *, fails: bool = False) -> dict[str, Any]:
        if fails:
            raise LookupError(planted("the exception of a function"))
        return {"text": planted("a result"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}}

    def steps(prompt: str) -> Iterator[str]:
        yield planted("what is yielded")
        raise LookupError(planted("the exception of a generator"))

    for sources in ({}, {"prompt": lambda p, **_: p, "completion": str}, {"usage": refuses}):
        ask: Any = metered(model="m", meter=at.meter, **sources)(model)
        ask(planted("an argument"))
        with pytest.raises(LookupError, match=CANARY):
            ask(planted("an argument"), fails=True)
    with pytest.raises(LookupError, match=CANARY):
        list(metered(meter=at.meter)(steps)(planted("an argument")))


def blocks(at: Set) -> None:
    """Raise in every kind of block."""
    secret = LookupError(planted("an exception of the program"))
    secret.add_note(planted("a note on an exception"))
    kinds: list[Any] = [
        attribute(agent="a"), attribute(user="u", tier="gold"), task("T"), at.meter.tally(),
        tally(), extract({}),
    ]  # fmt: skip
    for block in kinds:
        with pytest.raises(LookupError), block:
            raise secret

    @attribute(agent="a")
    async def left() -> None:
        raise asyncio.CancelledError(planted("a cancellation"))

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(left())


def baggage(at: Set) -> None:
    """Send headers in which nothing is as it should be."""
    members = [
        f"tokenmeter.user={CANARY}", f"tokenmeter.task=%0a{CANARY}", f"tokenmeter.{CANARY}=1",
        f"tokenmeter.tag.{CANARY}=x", f"tokenmeter.run={CANARY}", f"{CANARY}=1",
    ]  # fmt: skip
    ask = metered(meter=at.meter)(lambda: {"input_tokens": 1, "output_tokens": 1})
    for header in [",".join(members), CANARY * 2_000, quote(planted("baggage"))]:
        with extract({"baggage": header, "traceparent": f"00-{CANARY}"}):
            ask()


def resolvers(at: Set) -> None:
    """Ask who it is, of what does not know; and say it for one call in headers that are wrong."""

    def raises() -> str:
        raise LookupError(planted("the exception of a resolver"))

    at.meter.configure(user=[raises], trace_unattributed=True)
    headers = {"x-tokenmeter-unheard-of": CANARY, "x-tokenmeter-task": f"%ff{CANARY}"}
    with OpenAI(**openai_options(at)) as client:
        asked = request() | {"extra_headers": headers}
        at.meter.wrap(client).chat.completions.create(model="m", **asked)
        in_no_block = contextvars.Context()
        in_no_block.run(client.responses.create, model="m", input=planted("a prompt"))


DRIVES: list[Callable[[Set], None]] = [
    resolvers,
    openai_plain, openai_streams, openai_errors, openai_async, claude, other_stacks, uploads,
    google, bedrock, functions, blocks, baggage,
]  # fmt: skip


def parrot(asked: Asked) -> Told:
    """Answer Bedrock, Google and uploads, with content in all of it."""
    if "broken" in asked.path:
        message = {"message": planted("an error"), "status": "INVALID_ARGUMENT"}
        return Told(json.dumps({"error": message, **message}).encode(), status=400)
    if "converse-stream" in asked.path:
        return Told(b"".join(converse_events()), "application/vnd.amazon.eventstream")
    said = converse()
    said["output"]["message"]["content"] = [{"text": planted("a completion")}]
    candidate = {"content": {"parts": [{"text": planted("a completion")}]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}
    google = {"candidates": [candidate], "usageMetadata": usage}
    heard = {"text": planted("a transcript"), "usage": {"type": "tokens", "input_tokens": 3,
             "output_tokens": 4, "total_tokens": 7}, "filename": CANARY}  # fmt: skip
    body = json.dumps(
        heard if "/audio" in asked.path else said if "/model/" in asked.path else google
    )
    if "stream" in asked.path.lower():
        return Told(f"data: {body}\n\n".encode(), "text/event-stream")
    return Told(body.encode())


def counts(text: str, model: str) -> int:
    raise ValueError(planted("the exception of a tokenizer") + text)


@pytest.fixture
def outlets(tmp_path: Path) -> Iterator[Outlets]:
    webhook = Receiver()
    with receiving() as otlp:
        yield Outlets(tmp_path, webhook, otlp)
    webhook.close()


@pytest.mark.filterwarnings("ignore:.*attribute:UserWarning")
@pytest.mark.parametrize("drive", DRIVES, ids=lambda drive: drive.__name__)
def test_content_is_in_nothing_that_can_be_read(
    drive: Callable[[Set], None],
    outlets: Outlets,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.NOTSET)
    meter = Meter(outlets.exporters(), tokenizers={"*": counts})
    default = tokenmeter.configure(exporters=[outlets.memory])
    with (
        warnings.catch_warnings(record=True) as warned,
        ModelServer() as server,
        serving(parrot) as address,
        attribute(agent="driver", tier="gold"),
    ):
        warnings.simplefilter("always")
        drive(Set(meter, server, address, outlets.folder, outlets.tracer))
    said = outlets.read(meter, capfd)
    said["warnings"] = "\n".join(str(each.message) for each in warned).encode()
    said["stats of the default meter"] = str(default.stats()).encode()
    said["log"] = "\n".join(canaries.logged(caplog.records)).encode()
    tokenmeter.configure(exporters=[])
    meter._losses.clear()  # what fails here on purpose is not said again when the tests end
    assert len(outlets.memory.events) >= 2
    assert b"the exporter _fails failed" in said["log"]
    assert {where: found for where, text in said.items() if (found := found_in(text))} == {}


def test_content_is_in_no_row_of_a_database(tmp_path: Path) -> None:
    traces = TracerProvider()
    with pg.server() as running, ModelServer() as server, serving(parrot) as address:
        dsn = running.database()
        meter = Meter([Background(Postgres(dsn), sigterm=False)])
        for drive in (openai_plain, openai_errors, claude, functions):
            drive(Set(meter, server, address, tmp_path, traces.get_tracer("test")))
        assert meter.shutdown()
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("SELECT tokenmeter_events::text FROM tokenmeter_events")
            said = repr(rows.fetchall()).encode()
    traces.shutdown()
    assert said.count(b"gpt") + said.count(b"anthropic") + said.count(b"metered") > 9
    assert found_in(said) == []


def test_the_search_finds_a_canary_however_it_is_written() -> None:
    word = CANARY.encode()
    for at in range(3):
        assert found_in(b"-" + canaries.base64.b64encode(b"k:"[:at] + word + b"tail"))
    assert found_in(word.hex().upper().encode())
    assert found_in(repr(planted("x")).encode())
    assert found_in(b"a bird") == []


def test_content_is_in_nothing_that_a_process_prints_at_its_end(tmp_path: Path) -> None:
    program = f"""
import logging, tokenmeter, warnings
from tokenmeter.exporters.background import Background
logging.basicConfig(level=0) if {{logs}} else None
def fails(event): raise RuntimeError("{CANARY}")
tokenmeter.configure(exporters=[fails, Background(fails, retry_s=0.01)])
@tokenmeter.metered(usage=fails, prompt=fails)
def ask(prompt): return "{CANARY}"
ask("{CANARY}")
stream = tokenmeter.metered(lambda prompt: (yield "{CANARY}"))
half = stream("{CANARY}")
next(half)
open_run = tokenmeter.attribute(agent="a").__enter__()
"""
    for logs in (True, False):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-c", program.format(logs=logs)],
            cwd=tmp_path, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        assert b"did not deliver all events" in done.stderr
        assert found_in(done.stdout + done.stderr) == []


# -- what a vendor says ---------------------------------------------------------------------------

BODIES = [
    exchange
    for module in pkgutil.iter_modules(dialects.__path__)
    for exchange in importlib.import_module(f"dialects.{module.name}").EXCHANGES
    if exchange.body[:1] == b"{"
]

RAW = {
    "finish_reasons": {
        "blockReason", "completionReason", "done_reason", "finishReason", "finish_reason",
        "reason", "stopReason", "stop_reason",
    },
    "model": {"agent", "invokedModelId", "model", "modelVersion", "model_id", "model_version"},
    "response_id": {"id", "responseId", "response_id"},
    "service_tier": {"latency", "serviceTier", "service_tier", "trafficType", "type"},
    "usage": {"modality", "type"},  # names of what is counted, in `other_counts`
}  # fmt: skip
"""Parts of what was read of an answer, and the vendors' members from which they are taken over."""


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            yield from leaves(part, (*path, key))


def with_canary(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return planted("a member of an answer")
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = with_canary(value[path[0]], path[1:])
    return changed


def raw_members(exchange: Exchange) -> Iterator[tuple[str, str]]:
    """Give the members whose text gets into an event, and into which part of it."""
    try:
        answer = json.loads(exchange.body)
    except ValueError:  # lines of JSON
        return
    dialect = route_of(exchange).dialect
    for path in leaves(answer):
        body = json.dumps(with_canary(answer, path)).encode()
        for part, said in asdict(headed(exchange, read(dialect, body))).items():
            if found_in(repr(said).encode()):
                yield part, next(key for key in reversed(path) if isinstance(key, str))


def test_of_an_answer_only_these_members_get_into_an_event_as_they_are() -> None:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for exchange in BODIES:
        for part, member in raw_members(exchange):
            found[part].add(member)
    assert found == RAW


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://api.cohere.com/v2/chat", {"error_type": planted("a code")}),
        ("https://api.aleph-alpha.com/complete", {"error": "e", "code": planted("a code")}),
        ("https://api.aleph-alpha.com/complete", {"error": planted("an error"), "code": "BUSY"}),
        ("https://x.endpoints.huggingface.cloud/generate", {"error": planted("an error"),
         "error_type": planted("a code")}),
        ("https://api.openai.com/v1/chat/completions", {"error": {"code": planted("a code")}}),
    ],
)  # fmt: skip
def test_a_code_of_an_error_that_is_a_sentence_is_none(url: str, answer: dict[str, Any]) -> None:
    exchange = Exchange("", url, dialects.compact(answer), {}, "", {})
    reading = read(route_of(exchange).dialect, exchange.body)
    assert reading.status == "failed"
    assert reading.error_type in ("error", "BUSY")


# -- what a program says on purpose ---------------------------------------------------------------

ON_PURPOSE = {
    "user", "team", "task", "agent", "conversation", "tags", "provider", "operation",
    "request_model", "evidence", "reference",
}  # fmt: skip


def test_what_a_program_says_on_purpose_is_raw_and_in_these_columns_alone() -> None:
    events: list[UsageEvent] = []
    meter = tokenmeter.configure(exporters=[events.append])
    who = {name: planted(name) for name in ("user", "team", "task", "agent", "conversation")}
    ask = metered(lambda: {"input_tokens": 1}, model=CANARY, provider=CANARY, operation=CANARY)  # type: ignore[call-overload]
    with attribute(**who, tier=planted("a tag")):
        ask()
        outcome(planted("task"), "accepted", evidence=CANARY, reference=CANARY)
    meter.flush()
    tokenmeter.configure(exporters=[])
    assert {event.kind for event in events} == {"call", "run", "outcome"}
    columns = {
        name
        for event in events
        for name in event.__struct_fields__
        if found_in(repr(getattr(event, name)).encode())
    }
    assert columns == ON_PURPOSE
