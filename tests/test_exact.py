"""Which requests are changed to ask for their usage, how, and which hosts are asked no more."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.guard import Guard
from tokenmeter.providers import HOSTS, Route, Router
from tokenmeter.wire.exact import ExactStreams

ASK = {"include_usage": True}
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = CHAT | {"stream": True}
JSON = {"content-type": "application/json"}


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


def asking(body: object) -> Any:
    changed = OpenAIChat().asking(encoded(body))
    return None if changed is None else json.loads(changed)


def route(host: str = "api.openai.com", path: str = "/v1/chat/completions") -> Route:
    found = Router()["POST", host, path]
    assert found is not None
    return found


@pytest.fixture
def exact() -> ExactStreams:
    return ExactStreams(Guard())


# The body


def test_a_stream_that_does_not_ask_is_made_to_ask() -> None:
    for given in ({}, {"stream_options": None}, {"stream_options": {}}):
        assert asking(STREAM | given) == STREAM | {"stream_options": ASK}


def test_what_else_is_in_the_options_stays() -> None:
    options = {"include_obfuscation": False, "include_usage": False}
    assert asking(STREAM | {"stream_options": options}) == STREAM | {
        "stream_options": options | ASK
    }


def test_a_request_that_asks_or_does_not_stream_is_left_alone() -> None:
    for body in (CHAT, CHAT | {"stream": False}, STREAM | {"stream_options": ASK}):
        assert asking(body) is None


def test_the_values_of_all_other_members_keep_their_bytes() -> None:
    given = rb'{"a": 1.10, "stream": true, "n":123456789012345678901, "b":  {"x" : "\ud83d\ude00"}}'
    changed = OpenAIChat().asking(given)
    assert changed is not None
    raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
    values = {name: bytes(value) for name, value in raw.decode(changed).items()}
    assert values.pop("stream_options") == b'{"include_usage":true}'
    assert values == {name: bytes(value) for name, value in raw.decode(given).items()}


def test_what_is_no_json_object_is_sent_as_it_is(exact: ExactStreams) -> None:
    for body in (b"", b"[]", b"{", b"--x\r\n", b'{"stream":true,"stream_options":[]}', b"\xff"):
        assert exact.asking(route(), JSON, body) is None
    assert exact.guard.failures == {}


# The request


def test_json_of_a_known_or_an_unknown_host_is_changed(exact: ExactStreams) -> None:
    for host in ("api.openai.com", "x.openai.azure.com", "127.0.0.1"):
        for path in ("/v1/chat/completions", "/v1/completions"):
            for headers in (JSON, JSON | {"authorization": "Bearer k", "api-key": "k"}):
                assert exact.asking(route(host, path), headers, encoded(STREAM)) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"content-md5": "x"},
        {"digest": "x"},
        {"Content-Digest": "x"},
        {"signature": "x"},
        {"signature-input": "x"},
        {"x-amz-date": "x"},
        {"x-amz-content-sha256": "x"},
        {"x-hub-signature-256": "x"},
        {"authorization": "AWS4-HMAC-SHA256 Credential=x"},
        {"authorization": "Signature keyId=x"},
        {"content-encoding": "gzip"},
        {"transfer-encoding": "chunked"},
        {"idempotency-key": "x"},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
    ids=str,
)
def test_a_request_whose_bytes_somebody_vouches_for_is_sent_as_it_is(
    exact: ExactStreams, headers: dict[str, str]
) -> None:
    assert exact.asking(route(), JSON | headers, encoded(STREAM)) is None


def test_a_request_without_a_content_type_is_sent_as_it_is(exact: ExactStreams) -> None:
    assert exact.asking(route(), {}, encoded(STREAM)) is None


def test_a_trace_id_of_amazon_is_no_signature(exact: ExactStreams) -> None:
    headers = JSON | {"x-amzn-trace-id": "Root=1"}
    assert exact.asking(route(), headers, encoded(STREAM)) is not None


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings", "/v1/messages"])
def test_other_wire_formats_are_sent_as_they_are(exact: ExactStreams, path: str) -> None:
    assert exact.asking(route(path=path), JSON, encoded(STREAM)) is None


# The host


def test_providers_that_report_without_being_asked_are_not_asked(exact: ExactStreams) -> None:
    hosts = {name: host for host, name in HOSTS.items()}
    for provider in ("mistral_ai", "openrouter", "deepseek"):
        assert exact.asking(route(hosts[provider]), JSON, encoded(STREAM)) is None


def test_a_host_that_refused_is_asked_no_more(exact: ExactStreams) -> None:
    exact.refused("one.example")
    assert exact.asking(route("one.example"), JSON, encoded(STREAM)) is None
    assert exact.asking(route("two.example"), JSON, encoded(STREAM)) is not None


def test_what_is_remembered_of_hosts_is_bounded(exact: ExactStreams) -> None:
    for number in range(2000):
        exact.refused(f"{number}.example")
    assert exact.asking(route("5.example"), JSON, encoded(STREAM)) is None
    assert exact.asking(route("1999.example"), JSON, encoded(STREAM)) is not None
