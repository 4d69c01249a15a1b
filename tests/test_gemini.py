"""Google: what holds beyond the contract of all formats, and the places of google-genai."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

import tokenmeter
from canned import Told, serving
from dialects import compact, sse
from dialects.gemini_interactions import DONE, RUNNING, SMALL, STARTED
from tokenmeter import Meter, Usage, UsageEvent
from tokenmeter.dialects.gemini import Gemini
from tokenmeter.guard import Guard
from tokenmeter.ids import derived_id
from tokenmeter.providers import Router
from tokenmeter.wire.body import StreamReader, read
from wires import Wire, cut

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from google import genai
    from google.genai import types

STUDIO = "generativelanguage.googleapis.com"
GLOBAL, REGIONAL = "aiplatform.googleapis.com", "europe-west4-aiplatform.googleapis.com"
PROJECT = "/v1/projects/p/locations"
INTERACTIONS = f"https://{STUDIO}/v1beta/interactions"
ASKED = {"model": "gemini-3.8-flash", "input": "hello"}


# Counting


def test_the_last_report_of_a_stream_stands_as_a_whole_where_the_model_ran_tools() -> None:
    """A field that only chunks before it had is not carried over."""
    reports = [
        {"promptTokenCount": 9, "candidatesTokenCount": 21, "thoughtsTokenCount": 35},
        {"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165},
    ]
    chunks = [{"candidates": [{"index": 0}], "usageMetadata": report} for report in reports]
    chunks[-1]["candidates"] = [{"finishReason": "STOP"}]
    expected = Usage(input_tokens=87, output_tokens=78, reasoning_tokens=78)
    for body in (sse(*chunks), compact(chunks)):
        assert read(Gemini(), body).usage == expected


def test_thoughts_are_not_part_of_candidates() -> None:  # C42
    said = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 100}
    usage = read(Gemini(), compact({"candidates": [], "usageMetadata": said})).usage
    assert (usage.output_tokens, usage.reasoning_tokens) == (105, 100)


def test_the_cached_part_of_the_text_is_inside_it_and_not_added() -> None:  # C22, C43
    said = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 80,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 80}],
    }
    usage = read(Gemini(), compact({"usageMetadata": said})).usage
    assert usage == Usage(input_tokens=100, cache_read_tokens=80, input_text_tokens=100)


def test_the_usage_of_stream_chunks_is_never_added_together() -> None:  # C06
    chunks = [
        {"candidates": [{}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": n}}
        for n in range(1, 6)
    ]
    assert read(Gemini(), sse(*chunks)).usage == Usage(input_tokens=9, output_tokens=5)


def test_a_count_that_the_total_does_not_show_to_be_zero_is_unknown() -> None:
    for total, output in ((9, 0), (8, None), (None, None)):
        said = {"promptTokenCount": 9, "totalTokenCount": total}
        assert read(Gemini(), compact({"usageMetadata": said})).usage.output_tokens == output


def test_a_stream_that_was_left_is_partial_up_to_where_it_came() -> None:  # C09
    reader = StreamReader(Gemini(), None, Guard())
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2}
    reader.chunks.append(sse({"candidates": [{"index": 0}], "usageMetadata": usage}))
    reading = reader.reading()
    assert reading.usage == Usage(input_tokens=9, output_tokens=2)
    assert (reading.status, reading.final) == (None, False)


# Where it goes


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        (STUDIO, "/v1beta/models/m:generateContent", ("gcp.gemini", "m", None)),
        (STUDIO, "/v1beta/models/m:streamGenerateContent?alt=sse", ("gcp.gemini", "m", None)),
        (STUDIO, "/v1beta/dynamic/d:generateContent", ("gcp.gemini", "dynamic/d", None)),
        (GLOBAL, f"{PROJECT}/global/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "global")),
        (REGIONAL, f"{PROJECT}/europe-west4/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "europe-west4")),
        (REGIONAL, "/v1/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "europe-west4")),
        ("aiplatform.eu.rep.googleapis.com", "/v1/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "eu")),
        ("europe-west4-aiplatform.mtls.googleapis.com",
         "/v1/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "europe-west4")),
        ("llm.corp", "/google/v1beta/models/m:generateContent", ("gcp.gemini", "m", None)),
        ("llm.corp", f"/x{PROJECT}/global/publishers/google/models/m:generateContent",
         ("gcp.vertex_ai", "m", "global")),
        ("llm.corp", f"{PROJECT}/global/publishers/anthropic/models/c@1:streamRawPredict",
         ("gcp.vertex_ai", "c@1", "global")),
        (GLOBAL, f"{PROJECT}/global/endpoints/openapi/chat/completions",
         ("gcp.vertex_ai", None, "global")),
    ],
)  # fmt: skip
def test_the_host_and_the_path_name_the_provider_the_model_and_the_region(
    host: str, path: str, expected: tuple[object, ...]
) -> None:
    route = Router()["POST", host, path]
    assert route is not None
    assert (route.provider, route.model, route.region) == expected


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", STUDIO, "/v1beta/models/m:countTokens"),
        ("POST", STUDIO, "/v1beta/models/m:batchGenerateContent"),
        ("POST", STUDIO, "/v1beta/models/imagen-4:predict"),
        ("POST", STUDIO, "/v1beta/cachedContents"),
        ("GET", STUDIO, "/v1beta/models/m"),
        ("DELETE", STUDIO, "/v1beta/interactions/v1_1"),
        ("POST", GLOBAL, f"{PROJECT}/global/publishers/google/models/m:countTokens"),
        ("POST", GLOBAL, f"{PROJECT}/global/publishers/google/models/m:computeTokens"),
        ("POST", GLOBAL, f"{PROJECT}/global/publishers/google/models/imagen-4:predict"),
        ("POST", GLOBAL, f"{PROJECT}/global/publishers/anthropic/models/count-tokens:rawPredict"),
        ("GET", "discord.com", "/interactions/1"),
    ],
)
def test_counting_tokens_and_what_asks_no_model_give_no_event(
    method: str, host: str, path: str
) -> None:
    assert Router()[method, host, path] is None


# Interactions are counted once


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


class Google:
    """Answers requests one by one with what it is given, through a metered client."""

    def __init__(self, events: list[UsageEvent]) -> None:
        self._wire = Wire(httpx2, is_async=False)
        self._meter = Meter([events.append])
        self._bodies: list[bytes] = []
        self._client = self._meter.wrap(self._wire.client(self._answer))

    def _answer(self, _request: object) -> Any:
        body = self._bodies.pop(0)
        whole = body.startswith(b"{")
        return (
            httpx2.Response(200, content=body)
            if whole
            else httpx2.Response(200, stream=self._wire.body(cut(body, 400)))
        )

    def create(self, body: bytes, *, read: int | None = None, **asked: Any) -> None:
        self._send("POST", INTERACTIONS, body, read, json=ASKED | asked)

    def fetch(self, body: bytes, *, read: int | None = None) -> None:
        self._send("GET", f"{INTERACTIONS}/v1_1", body, read)

    def _send(self, method: str, url: str, body: bytes, read: int | None, **more: Any) -> None:
        self._bodies.append(body)
        request = self._client.build_request(method, url, **more)
        response = self._client.send(request, stream=True)
        if read is None:
            response.read()
        else:
            self._wire.some(response, read)
        self._meter.flush()


PART = sse(STARTED, {"event_type": "step.delta", "metadata": {"usage": SMALL}})
STREAM = PART + sse({"event_type": "interaction.completed", "interaction": DONE})
ID = derived_id("gcp.gemini", "v1_1")


def test_an_interaction_that_was_counted_is_not_counted_when_it_is_fetched(
    events: list[UsageEvent],
) -> None:
    google = Google(events)
    google.create(compact(DONE))
    for _ in range(2):
        google.fetch(compact(DONE))
    [event] = events
    assert (event.event_id, event.status, event.input_tokens) == (ID, "completed", 350)


def test_a_background_interaction_is_counted_when_its_end_is_first_fetched(
    events: list[UsageEvent],
) -> None:  # C33
    google = Google(events)
    with tokenmeter.attribute(user="ada"):
        google.create(compact(RUNNING), background=True)
    google.fetch(compact(RUNNING))
    assert events == []
    for _ in range(2):
        google.fetch(compact(DONE))
    [event] = events
    assert (event.event_id, event.user, event.output_tokens) == (ID, "ada", 41)
    assert event.request_model == "gemini-3.8-flash"


def test_a_background_stream_that_was_left_is_counted_when_it_is_resumed(
    events: list[UsageEvent],
) -> None:
    google = Google(events)
    google.create(STREAM, background=True, stream=True, read=1)
    google.fetch(STREAM, read=1)
    assert events == []
    google.fetch(STREAM)
    [event] = events
    assert (event.event_id, event.status, event.output_tokens) == (ID, "completed", 41)


def test_a_stream_that_was_left_is_an_event_and_fetching_its_rest_is_none(
    events: list[UsageEvent],
) -> None:
    google = Google(events)
    google.create(STREAM, stream=True, read=1)
    google.fetch(compact(DONE))
    [event] = events
    assert (event.event_id, event.status) == (ID, "abandoned")
    assert (event.input_tokens, event.output_provenance) == (9, "partial")


# google-genai


def gemini(_request: object) -> httpx2.Response:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    answer = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
    return httpx2.Response(200, json=answer)


def test_wrapping_a_google_client_meters_its_http_clients_sync_and_async(
    events: list[UsageEvent],
) -> None:
    transport = httpx2.MockTransport(gemini)
    options = types.HttpOptions(
        httpx_client=httpx2.Client(transport=transport),
        httpx_async_client=httpx2.AsyncClient(transport=transport),
    )
    meter = Meter([events.append])
    client = genai.Client(api_key="k", http_options=options)
    assert meter.wrap(client) is client
    client.models.generate_content(model="m", contents="hello")
    asyncio.run(client.aio.models.generate_content(model="m", contents="hello"))
    meter.unwrap(client)
    client.models.generate_content(model="m", contents="hello")
    counted = [(e.provider, e.request_model, e.input_tokens, e.output_tokens) for e in events]
    assert counted == [("gcp.gemini", "m", 9, 3)] * 2
    client.close()


@pytest.fixture
def url() -> Iterator[str]:
    """Give a real server, because aiohttp has no mock transport."""
    with serving(lambda _: Told(gemini(None).content)) as server:
        yield server


SUBCLASSING = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
"""What aiohttp says of google-genai's own session."""


@SUBCLASSING
def test_wrapping_a_google_client_meters_the_sessions_that_it_makes_later(
    events: list[UsageEvent], url: str
) -> None:
    meter = Meter([events.append])
    options = types.HttpOptions(base_url=url)
    client = meter.wrap(meter.wrap(genai.Client(api_key="k", http_options=options)))

    async def ask() -> int:
        before = len(events)
        await client.aio.models.generate_content(model="m", contents="hello")
        await client.aio.models.generate_content(model="m", contents="hello")
        await client.aio.aclose()
        return len(events) - before

    assert asyncio.run(ask()) == 2
    assert asyncio.run(ask()) == 2, "each event loop has a session of its own"
    with meter.instrument():
        assert asyncio.run(ask()) == 2
    meter.unwrap(client)
    assert asyncio.run(ask()) == 0
    assert {(e.input_tokens, e.output_tokens) for e in events} == {(9, 3)}
    client.close()


@SUBCLASSING
def test_unwrapping_a_google_client_lets_go_of_a_session_in_use(
    events: list[UsageEvent], url: str
) -> None:
    meter = Meter([events.append])
    client = meter.wrap(genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url)))

    async def ask() -> None:
        await client.aio.models.generate_content(model="m", contents="hello")
        meter.unwrap(client)
        await client.aio.models.generate_content(model="m", contents="hello")
        await client.aio.aclose()

    asyncio.run(ask())
    assert len(events) == 1
    client.close()
