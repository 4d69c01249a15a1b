"""Headers that say whom one call is for: they name it, and none of them leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
import anthropic
import httpx
import openai
import pytest
import requests
import urllib3
from google import genai
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

import tokenmeter
from canned import Asked, Told, serving, told
from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.event import NOBODY, Attribution
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside, named, taken
from wires import LIBRARIES, Wire, chat, chat_events, sse

SAID: Any = [{"role": "user", "content": "hi"}]
BODY: Any = {"model": "m", "messages": SAID}
HEADERS = {
    "x-tokenmeter-user": "Ada%20L%C3%B6w",
    "X-Tokenmeter-Task": "T-1",
    "x-tokenmeter-team": "search",
    "x-tokenmeter-conversation": "c-1",
    "x-tokenmeter-tag-tier": "gold",
}
WHO = ("Ada Löw", "header", "search", "T-1", "c-1", {"tier": "gold"})

MESSAGE = {
    "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "ho"}],
    "usage": {"input_tokens": 5, "output_tokens": 3},
}  # fmt: skip
GEMINI = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "ho"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
}  # fmt: skip


def who(event: UsageEvent) -> tuple[object, ...]:
    return (
        event.user, event.user_origin, event.team, event.task, event.conversation,
        None if event.tags is None else dict(event.tags),
    )  # fmt: skip


class Vendor(NamedTuple):
    """A server of all vendors, and all that arrived there."""

    url: str
    arrived: list[Asked]
    script: list[Told]

    def ours(self) -> list[str]:
        return [name for asked in self.arrived for name in asked.headers if "tokenmeter" in name]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    arrived: list[Asked] = []
    script: list[Told] = []

    def answer(asked: Asked) -> Told:
        arrived.append(asked)
        if script:
            return script.pop(0)
        if asked.path.endswith("/messages"):
            return told(MESSAGE)
        if asked.path.endswith("Content"):
            return told(GEMINI)
        if asked.json.get("stream"):
            return Told(sse(*chat_events()), "text/event-stream")
        return told(chat(object="chat.completion", created=1))

    with serving(answer) as url:
        yield Vendor(url, arrived, script)


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    meter = Meter([events.append], estimates=False)
    yield meter
    meter.shutdown()


def by_openai(vendor: Vendor, meter: Meter) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{vendor.url}/v1") as client:
        meter.wrap(client).chat.completions.create(**BODY, extra_headers=HEADERS)


def by_openai_streamed(vendor: Vendor, meter: Meter) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{vendor.url}/v1") as client:
        create = meter.wrap(client).chat.completions.create
        assert list(create(**BODY, stream=True, extra_headers=HEADERS))


def by_openai_async(vendor: Vendor, meter: Meter) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{vendor.url}/v1") as client:
            await meter.wrap(client).chat.completions.create(**BODY, extra_headers=HEADERS)

    asyncio.run(ask())


def by_openai_client(vendor: Vendor, meter: Meter) -> None:
    url = f"{vendor.url}/v1"
    with openai.OpenAI(api_key="k", base_url=url, default_headers=HEADERS) as client:
        meter.wrap(client).chat.completions.create(**BODY)


def by_anthropic(vendor: Vendor, meter: Meter) -> None:
    with anthropic.Anthropic(api_key="k", base_url=vendor.url) as client:
        meter.wrap(client).messages.create(**BODY, max_tokens=9, extra_headers=HEADERS)


def by_google(vendor: Vendor, meter: Meter) -> None:
    options = genai.types.HttpOptions(base_url=vendor.url)
    with genai.Client(api_key="k", http_options=options) as client:
        meter.wrap(client).models.generate_content(
            model="m",
            contents="hi",
            config=genai.types.GenerateContentConfig(
                http_options=genai.types.HttpOptions(headers=HEADERS)
            ),
        )


def by_requests(vendor: Vendor, meter: Meter) -> None:
    with requests.Session() as session:
        url = f"{vendor.url}/v1/chat/completions"
        meter.wrap(session).post(url, json=BODY, headers=HEADERS).json()


def by_requests_session(vendor: Vendor, meter: Meter) -> None:
    with requests.Session() as session:
        session.headers.update(HEADERS)
        meter.wrap(session).post(f"{vendor.url}/v1/chat/completions", json=BODY).json()


def by_urllib3(vendor: Vendor, meter: Meter) -> None:
    with urllib3.PoolManager() as manager:
        url = f"{vendor.url}/v1/chat/completions"
        meter.wrap(manager).request("POST", url, json=BODY, headers=HEADERS)


def by_urllib3_manager(vendor: Vendor, meter: Meter) -> None:
    with urllib3.PoolManager(headers=HEADERS) as manager:
        url = f"{vendor.url}/v1/chat/completions"
        meter.wrap(manager).request("POST", url, body=b'{"model": "m"}')


def by_urllib3_pool(vendor: Vendor, meter: Meter) -> None:
    with urllib3.connection_from_url(vendor.url) as pool:
        path, body = "/v1/chat/completions", b'{"model": "m"}'
        meter.wrap(pool).urlopen("POST", path, body, urllib3.HTTPHeaderDict(HEADERS))


def by_aiohttp(given: Callable[[], Any] | None) -> Callable[[Vendor, Meter], None]:
    def by(vendor: Vendor, meter: Meter) -> None:
        async def ask() -> None:
            async with aiohttp.ClientSession(headers=HEADERS if given is None else None) as session:
                meter.wrap(session)
                url = f"{vendor.url}/v1/chat/completions"
                headers = None if given is None else given()
                async with session.post(url, json=BODY, headers=headers) as answer:
                    await answer.json()

        asyncio.run(ask())

    return by


WAYS: dict[str, Callable[[Vendor, Meter], None]] = {
    "openai": by_openai,
    "openai, streamed": by_openai_streamed,
    "openai, async": by_openai_async,
    "openai, all calls of a client": by_openai_client,
    "anthropic": by_anthropic,
    "google-genai": by_google,
    "requests": by_requests,
    "requests, all calls of a session": by_requests_session,
    "urllib3": by_urllib3,
    "urllib3, all calls of a manager": by_urllib3_manager,
    "urllib3, by position": by_urllib3_pool,
    "aiohttp": by_aiohttp(lambda: HEADERS),
    "aiohttp, a multidict": by_aiohttp(lambda: CIMultiDict(HEADERS)),
    "aiohttp, a proxy": by_aiohttp(lambda: CIMultiDictProxy(CIMultiDict(HEADERS))),
    "aiohttp, pairs": by_aiohttp(lambda: list(HEADERS.items())),
    "aiohttp, an iterator": by_aiohttp(lambda: iter(HEADERS.items())),
    "aiohttp, all calls of a session": by_aiohttp(None),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_call_is_for_whom_its_headers_say_and_none_of_them_arrives(
    way: Any, vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    before = dict(HEADERS)
    with attribute(user="somebody", task="T-0", agent="planner"):
        way(vendor, meter)
    way(vendor, meter)
    calls = [event for event in events if event.kind == "call"]
    assert [who(event) for event in calls] == [WHO, WHO]
    assert [event.agent for event in calls] == ["planner", None]
    assert (vendor.ours(), len(vendor.arrived)) == ([], 2)
    assert before == HEADERS
    assert meter.stats()["guard"] == {}


def test_without_a_hook_they_would_arrive(vendor: Vendor) -> None:
    with openai.OpenAI(api_key="k", base_url=f"{vendor.url}/v1") as client:
        client.chat.completions.create(**BODY, extra_headers=HEADERS)
    assert sorted(vendor.ours()) == sorted(name.lower() for name in HEADERS)


def off_by_block(_meter: Meter) -> contextlib.AbstractContextManager[None]:
    return tokenmeter.disabled()


def off_by_meter(meter: Meter) -> contextlib.AbstractContextManager[None]:
    meter.disable()
    return contextlib.nullcontext()


@pytest.mark.parametrize("off", [off_by_block, off_by_meter])
def test_none_arrives_where_nothing_is_metered(
    off: Any, way: Any, vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    with off(meter):
        way(vendor, meter)
    assert (vendor.ours(), len(vendor.arrived), events) == ([], 1, [])


def test_none_arrives_through_stacks_on_stacks_and_the_names_are_said_once(
    way: Any, vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    with meter.instrument():
        way(vendor, meter)
    assert [who(event) for event in events] == [WHO]
    assert vendor.ours() == []


def test_every_retry_of_an_sdk_is_for_them(
    vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    vendor.script.append(Told(b"{}", status=500, headers={"retry-after-ms": "1"}))
    by_openai(vendor, meter)
    assert [(event.http_status, who(event)) for event in events] == [(500, WHO), (200, WHO)]
    assert (vendor.ours(), len(vendor.arrived)) == ([], 2)


def test_every_retry_of_urllib3_is_for_them(
    vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    vendor.script.append(Told(b"{}", status=503))
    retries = urllib3.Retry(total=2, status_forcelist=[503], allowed_methods=None)
    with urllib3.PoolManager() as manager:
        url = f"{vendor.url}/v1/chat/completions"
        meter.wrap(manager).request("POST", url, json=BODY, headers=HEADERS, retries=retries)
    assert [(event.http_status, who(event)) for event in events] == [(503, WHO), (200, WHO)]
    assert vendor.ours() == []


@pytest.mark.parametrize(
    "way", [by_openai, by_openai_async, by_requests, by_urllib3, WAYS["aiohttp"]]
)
def test_none_arrives_behind_a_redirect(
    way: Any, vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    path = "/v1/other/chat/completions"
    vendor.script.append(Told(b"", status=307, headers={"location": vendor.url + path}))
    way(vendor, meter)
    assert [who(event) for event in events] == [WHO]
    assert [asked.path for asked in vendor.arrived] == ["/v1/chat/completions", path]
    assert vendor.ours() == []


def test_none_arrives_where_a_stream_is_asked_for_its_usage(
    vendor: Vendor, events: list[UsageEvent]
) -> None:
    meter = Meter([events.append], exact_streams=True)
    by_openai_streamed(vendor, meter)
    (asked,) = vendor.arrived
    assert asked.json["stream_options"] == {"include_usage": True}
    assert ([who(event) for event in events], vendor.ours()) == ([WHO], [])


def test_none_arrives_where_no_model_is_asked(vendor: Vendor, meter: Meter) -> None:
    with httpx.Client() as client:
        meter.wrap(client).get(f"{vendor.url}/status", headers=HEADERS)
    assert (vendor.ours(), len(vendor.arrived)) == ([], 1)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda it: it.__name__)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_request_that_is_sent_again_is_for_them_again(
    library: Any, is_async: bool, meter: Meter, events: list[UsageEvent]
) -> None:
    seen: list[Any] = []
    wire = Wire(library, is_async=is_async)
    answer = wire.answer()
    client = meter.wrap(
        wire.client(lambda request: seen.append(request.headers) or answer(request))
    )
    request = client.build_request(
        "POST", "https://api.openai.com/v1/chat/completions", json=BODY, headers=HEADERS
    )
    for _ in range(2):
        wire.send(client, request)
    wire.close(client)
    wire.finish()
    assert [who(event) for event in events] == [WHO, WHO]
    assert [name for headers in seen for name in headers if "tokenmeter" in name] == []


def test_a_prepared_request_that_is_sent_again_is_for_them_again(
    vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    with requests.Session() as session:
        url = f"{vendor.url}/v1/chat/completions"
        request = requests.Request("POST", url, json=BODY, headers=HEADERS)
        prepared = session.prepare_request(request)
        for _ in range(2):
            meter.wrap(session).send(prepared)
    assert ([who(event) for event in events], vendor.ours()) == ([WHO, WHO], [])


def test_one_that_is_signed_stays_and_is_counted(
    vendor: Vendor, meter: Meter, events: list[UsageEvent]
) -> None:
    signed = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;x-tokenmeter-user",
        "x-tokenmeter-user": "ada",
        "x-tokenmeter-task": "T-1",
    }
    with urllib3.PoolManager() as manager:
        url = f"{vendor.url}/v1/chat/completions"
        meter.wrap(manager).request("POST", url, json=BODY, headers=signed)
    assert vendor.ours() == ["x-tokenmeter-user"]
    assert [(event.user, event.task) for event in events] == [(None, "T-1")]
    assert meter.stats()["guard"] == {"headers of ours that were sent because they are signed": 1}


def read(headers: Mapping[str, object]) -> tuple[Aside | None, dict[str, object], dict[str, int]]:
    guard, left = Guard(), dict(headers)
    aside = taken(left, named(left), guard)
    return aside, left, guard.failures


def test_what_is_malformed_is_taken_out_and_counted() -> None:
    headers = {
        "X-TokenMeter-User": "",
        "x-tokenmeter-team": "%ff",
        "x-tokenmeter-tag-": "gold",
        "x-tokenmeter-task": b"T-%31",
        "accept": "*/*",
    }
    assert read(headers) == (
        Aside({"task": "T-1"}, {}),
        {"accept": "*/*"},
        {"headers of ours that were ignored: malformed": 3},
    )


def test_what_is_unknown_is_taken_out_counted_and_named_once_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        for _ in range(2):
            aside, left, failures = read({"x-tokenmeter-usr": "secret", "x-other": "1"})
            assert (aside, left) == (Aside({}, {}), {"x-other": "1"})
            assert failures == {"headers of ours that were ignored: unknown": 1}
    (record,) = caplog.records
    assert "x-tokenmeter-usr" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_without_one_nothing_is_said() -> None:
    assert read({"accept": "*/*"}) == (None, {"accept": "*/*"}, {})


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text == text.strip(" \t")))
def test_any_text_can_be_said_percent_encoded(text: str) -> None:
    aside, _, failures = read({"x-tokenmeter-user": quote(text, safe="")})
    assert aside is not None
    assert aside.over(NOBODY) == Attribution(user=text, user_origin="header")
    assert failures == {}


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(max_codepoint=127)), st.text() | st.binary()))
def test_whatever_headers_hold_those_of_others_stay_and_nothing_raises(
    headers: dict[str, object],
) -> None:
    aside, left, _ = read(headers)
    ours = {name for name in headers if name.lower().startswith("x-tokenmeter-")}
    assert left == {name: value for name, value in headers.items() if name not in ours}
    assert (aside is None) == (not ours)
