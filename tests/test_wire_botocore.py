"""The seam for botocore, by real boto3 clients against a server that speaks Bedrock."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore.client
import botocore.exceptions
import botocore.stub
import pytest
import urllib3
from anthropic import AnthropicBedrock
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.response import StreamingBody

from amazon import (
    CLAUDE,
    EVENT_STREAM,
    MEASURED,
    USAGE,
    Bedrock,
    Reply,
    chunk,
    claude,
    claude_events,
    compact,
    converse,
    converse_events,
    failure,
    throttled,
)
from tokenmeter import CannotWrapError, Meter, UsageEvent, attribute, check_invariants
from tokenmeter.wire.claim import claimed

SESSION = boto3.session.Session(
    aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1"
)
ASKED: dict[str, Any] = {
    "modelId": CLAUDE,
    "messages": [{"role": "user", "content": [{"text": "hi"}]}],
}
INVOKED: dict[str, Any] = {
    "modelId": CLAUDE,
    "body": json.dumps({"anthropic_version": "bedrock-2023-05-31", "messages": []}),
}
WIRINGS = ("wrap", "instrument", "both")


@pytest.fixture
def server() -> Iterator[Bedrock]:
    with Bedrock() as made:
        yield made


class Stage:
    """A meter whose events are a list, and clients that it meters."""

    def __init__(self, server: Bedrock) -> None:
        self.server = server
        self.events: list[UsageEvent] = []
        self.meter = Meter([self.events.append], estimates=False)
        self._undo: Any = None
        self._clients: list[Any] = []

    def client(self, wiring: str = "wrap", retries: Any = None, **options: Any) -> Any:
        config = Config(retries=retries or {"total_max_attempts": 1}, **options)
        made = SESSION.client("bedrock-runtime", endpoint_url=self.server.url, config=config)
        self._clients.append(made)
        if wiring in ("instrument", "both"):
            self._undo = self._undo or self.meter.instrument()
        if wiring in ("wrap", "both"):
            assert self.meter.wrap(made) is made
        return made

    def event(self) -> UsageEvent:
        """Give the only event."""
        (event,) = self.all_events()
        return event

    def all_events(self) -> list[UsageEvent]:
        assert self.meter.flush()
        assert self.meter.stats()["guard"] == {}
        assert self.meter.open_calls == set()
        for event in self.events:
            check_invariants(event)
        return self.events

    def close(self) -> None:
        if self._undo is not None:
            self._undo()
        for client in self._clients:
            client.close()
        self.meter.shutdown()


@pytest.fixture
def stage(server: Bedrock) -> Iterator[Stage]:
    made = Stage(server)
    yield made
    made.close()


def counts(event: UsageEvent) -> tuple[Any, ...]:
    sides = event.input_provenance, event.output_provenance
    return event.status, event.input_tokens, event.output_tokens, *sides


WELL = ("completed", 5, 3, "reported", "reported")
NOTHING = ("failed", None, None, "none", "none")


# what is called


def call(client: Any, operation: str) -> Any:
    """Call an operation and read its answer as most programs do."""
    if operation == "converse":
        return client.converse(**ASKED)
    if operation == "converse_stream":
        return list(client.converse_stream(**ASKED)["stream"])
    if operation == "invoke_model":
        return client.invoke_model(**INVOKED)["body"].read()
    return list(client.invoke_model_with_response_stream(**INVOKED)["body"])


OPERATIONS = ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream")


def without_time(answer: Any) -> Any:
    if isinstance(answer, dict):
        head = dict(answer.get("ResponseMetadata", {}))
        head["HTTPHeaders"] = {k: v for k, v in head["HTTPHeaders"].items() if k != "date"}
        return {**answer, "ResponseMetadata": head}
    return answer


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_is_seen_once_and_looks_as_ever(stage: Stage, operation: str, wiring: str) -> None:
    bare = call(stage.client("bare"), operation)
    with attribute(user="ada"):
        seen = call(stage.client(wiring), operation)
    assert without_time(seen) == without_time(bare)
    event = stage.event()
    assert counts(event) == WELL
    assert (event.provider, event.operation, event.source) == ("aws.bedrock", "chat", "wire")
    assert (event.request_model, event.attempt, event.user) == (CLAUDE, 0, "ada")
    assert (event.stream, event.http_status) == ("stream" in operation, 200)
    assert event.response_id == ("msg_bdrk_1" if "invoke" in operation else "req-1")
    streamed = operation != "converse"
    assert (event.time_to_first_chunk_s is not None) is streamed


def test_the_callers_objects_are_of_the_same_types(stage: Stage) -> None:
    client = stage.client()
    stream = client.converse_stream(**ASKED)["stream"]
    assert type(stream) is EventStream
    assert all(type(event) is dict for event in stream)
    body = client.invoke_model(**INVOKED)["body"]
    assert type(body) is StreamingBody
    with body as raw:
        assert isinstance(raw, urllib3.HTTPResponse)
        assert io.TextIOWrapper(raw, "utf-8").read() == json.dumps(claude(), separators=(",", ":"))
    assert [counts(event) for event in stage.all_events()] == [WELL, WELL]


def test_a_model_behind_an_arn_is_asked_by_its_arn(stage: Stage) -> None:
    client = stage.client()
    base = "arn:aws:bedrock:us-east-1:123456789012"
    client.converse(**ASKED | {"modelId": f"{base}:application-inference-profile/abc"})
    client.converse(**ASKED | {"modelId": f"{base}:inference-profile/us.amazon.nova-lite-v1:0"})
    assert [(event.request_model, event.response_model) for event in stage.all_events()] == [
        (f"{base}:application-inference-profile/abc", None),
        (f"{base}:inference-profile/us.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    ]
    assert stage.server.requests[0][0].endswith("application-inference-profile%2Fabc/converse")


# how a stream is left


def streams(client: Any, operation: str) -> Any:
    asked = ASKED if operation == "converse_stream" else INVOKED
    return getattr(client, operation)(**asked)[
        "stream" if operation == "converse_stream" else "body"
    ]


STREAMS = ("converse_stream", "invoke_model_with_response_stream")


def break_and_drop(stream: Any) -> None:
    for _ in stream:
        break


def break_and_close(stream: Any) -> None:
    break_and_drop(stream)
    stream.close()
    stream.close()


def raise_in_the_loop(stream: Any) -> None:
    boom = RuntimeError("boom")
    with contextlib.suppress(RuntimeError):
        for _ in stream:
            raise boom
    boom.__traceback__ = None


LEFT: list[Callable[[Any], object]] = [
    break_and_drop,
    break_and_close,
    raise_in_the_loop,
    lambda stream: stream.close(),
    lambda stream: None,
]


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")  # with and without us
@pytest.mark.parametrize("leave", LEFT)
@pytest.mark.parametrize("operation", STREAMS)
def test_a_stream_that_is_left_is_one_abandoned_call(
    stage: Stage, operation: str, leave: Callable[[Any], object]
) -> None:
    client = stage.client()
    events = converse_events() if operation == "converse_stream" else None
    events = events or [chunk(said) for said in claude_events()]
    stage.server.script.append(Reply(200, events[:1], {}, EVENT_STREAM, chunked=True, stalls=True))
    leave(streams(client, operation))
    gc.collect()  # an EventStream is a cycle by itself
    event = stage.event()
    assert event.status == "abandoned"
    if event.response_model == "claude-sonnet-4-5-20250929":
        assert counts(event)[1:] == (5, 1, "reported", "partial")
    else:
        assert counts(event)[1:] == (None, None, "unknown", "unknown")


def test_a_stream_may_be_read_in_another_thread_for_somebody_else(stage: Stage) -> None:
    with attribute(user="ada"):
        stream = streams(stage.client(), "converse_stream")

    def read() -> None:
        with attribute(user="bob"):
            list(stream)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    event = stage.event()
    assert (event.user, *counts(event)) == ("ada", *WELL)


def test_a_stream_that_breaks_with_an_exception_has_failed_by_its_type(stage: Stage) -> None:
    parts = [*converse_events()[:2], failure("throttlingException")]
    stage.server.script.append(Reply(200, parts, {}, EVENT_STREAM, chunked=True))
    stream = streams(stage.client(), "converse_stream")
    with pytest.raises(botocore.exceptions.EventStreamError, match="throttlingException"):
        list(stream)
    stream.close()
    event = stage.event()
    assert (event.status, event.error_type) == ("failed", "throttlingException")
    assert event.http_status == 200


@pytest.mark.parametrize("chunked", [True, False])
def test_a_stream_that_is_cut_off_has_failed(stage: Stage, chunked: bool) -> None:
    reply = Reply(200, converse_events()[:3], {}, EVENT_STREAM, chunked=chunked, short=9)
    stage.server.script += [reply, reply]
    read = []
    for wiring in ("bare", "wrap"):
        with contextlib.suppress(urllib3.exceptions.ProtocolError):
            read.append(list(streams(stage.client(wiring), "converse_stream")))
    assert len(read) == (0 if chunked else 2)
    event = stage.event()
    assert counts(event) == ("failed", None, None, "unknown", "unknown")
    assert event.error_type == ("ProtocolError" if chunked else "IncompleteRead")


# how the body of InvokeModel is read


def read_some(body: Any) -> bytes:
    return b"".join(iter(lambda: body.read(7), b""))


def read_into(body: Any) -> bytes:
    found, room = b"", bytearray(11)
    while size := body.readinto(room):
        found += room[:size]
    return found


READS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda body: body.read(),
    "in pieces": read_some,
    "readinto": read_into,
    "iter_chunks": lambda body: b"".join(body.iter_chunks(10)),
    "iter_lines": lambda body: b"\n".join(body.iter_lines(10)),
    "iterated": b"".join,
    "with": lambda body: body.__enter__().read(),
    "readlines": lambda body: b"".join(body.readlines()),
    "parsed at once": lambda body: compact(json.load(body)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_is_counted_however_it_is_read(
    stage: Stage, read: Callable[[Any], bytes], chunked: bool
) -> None:
    whole = compact(claude())
    stage.server.script.append(Reply(body=[whole[:20], whole[20:]], chunked=chunked))
    body = stage.client().invoke_model(**INVOKED)["body"]
    assert read(body) == whole
    assert counts(stage.event()) == WELL


@pytest.mark.parametrize("leave", [lambda body: body.close(), lambda body: body.read(5), id])
def test_a_body_that_is_never_read_has_its_counts_from_the_headers(
    stage: Stage, leave: Callable[[Any], object]
) -> None:
    whole = compact(claude())
    stage.server.script.append(Reply(body=[whole], headers=MEASURED, chunked=True))
    gc.disable()  # dropping is enough: nothing of ours is a cycle
    try:
        leave(stage.client().invoke_model(**INVOKED)["body"])
        event = stage.event()
    finally:
        gc.enable()
    assert counts(event) == ("abandoned", *WELL[1:])


def test_a_body_that_is_too_short_has_failed_and_raises_as_ever(stage: Stage) -> None:
    whole = compact(claude())
    for wiring in ("bare", "wrap"):
        stage.server.script.append(Reply(body=[whole[:20]], short=len(whole)))
        body = stage.client(wiring).invoke_model(**INVOKED)["body"]
        with pytest.raises(botocore.exceptions.IncompleteReadError):
            read_some(body)
    event = stage.event()
    assert (event.status, event.error_type) == ("failed", "IncompleteRead")
    assert (event.input_provenance, event.output_provenance) == ("unknown", "unknown")


# attempts and failures


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_attempt_that_was_throttled_is_a_failed_event_of_its_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, operation: str, mode: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = stage.client(retries={"total_max_attempts": 3, "mode": mode})
    stage.server.script += [throttled(), throttled()]
    call(client, operation)
    events = stage.all_events()
    assert [counts(event) for event in events] == [NOTHING, NOTHING, WELL]
    assert [event.attempt for event in events] == [0, 1, 2]
    assert [event.http_status for event in events] == [429, 429, 200]
    assert [event.error_type for event in events] == ["ThrottlingException"] * 2 + [None]
    assert {event.request_model for event in events} == {CLAUDE}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_is_raised_as_ever_and_is_a_failed_event(stage: Stage, operation: str) -> None:
    raised = []
    for wiring in ("bare", "wrap"):
        said = {"x-amzn-errortype": "ValidationException:http://x/"}
        stage.server.script.append(Reply(400, [compact({"message": "invalid"})], said))
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            call(stage.client(wiring), operation)
        raised.append((type(caught.value).__name__, str(caught.value)))
    assert raised[0] == raised[1]
    event = stage.event()
    assert counts(event) == NOTHING
    assert (event.http_status, event.error_type) == (400, "ValidationException")


def test_a_connection_that_is_refused_has_used_nothing(stage: Stage) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        stage.server.url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            stage.client().converse(**ASKED)
    event = stage.event()
    assert counts(event) == NOTHING
    assert (event.error_type, event.http_status) == ("EndpointConnectionError", None)


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(hangs_up=True), "ConnectionClosedError"), (Reply(stalls=True), "ReadTimeoutError")],
)
def test_an_answer_that_never_came_is_unknown(stage: Stage, reply: Reply, error: str) -> None:
    reply.short = 100
    stage.server.script.append(reply)
    with pytest.raises(getattr(botocore.exceptions, error)):
        stage.client(read_timeout=0.2).converse(**ASKED)
    event = stage.event()
    assert (event.error_type, *counts(event)) == (
        error,
        *("failed", None, None, "unknown", "unknown"),
    )


def test_an_interrupt_abandons_the_call_and_gives_up_the_claim(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def interrupted(*_args: Any, **_kwargs: Any) -> None:
        seen.append(claimed())
        raise KeyboardInterrupt

    client = stage.client()
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.converse(**ASKED)
    assert (seen, claimed()) == ([True], False)  # a seam below passes through
    assert stage.event().status == "abandoned"


# clients


def test_clients_that_exist_and_those_to_come_are_instrumented_and_the_undo_ends_it(
    stage: Stage,
) -> None:
    existing = stage.client("bare")
    with stage.meter.instrument():
        existing.converse(**ASKED)
        stage.client("bare").converse(**ASKED)
        assert len(stage.all_events()) == 2
    existing.converse(**ASKED)
    assert len(stage.all_events()) == 2


def test_wrapping_twice_is_wrapping_once_and_unwrapping_restores(stage: Stage) -> None:
    client = stage.client()
    stage.meter.wrap(client)
    client.converse(**ASKED)
    assert len(stage.all_events()) == 1
    stage.meter.unwrap(client)
    assert "send" not in client._endpoint.http_session.__dict__
    client.converse(**ASKED)
    assert len(stage.all_events()) == 1


def test_what_somebody_patched_before_us_is_called_and_comes_back(stage: Stage) -> None:
    client = stage.client("bare")
    session = client._endpoint.http_session
    seen = []

    def patched(request: Any) -> Any:
        seen.append(request.url)
        return type(session).send(session, request)

    session.send = patched
    stage.meter.wrap(client)
    client.converse(**ASKED)
    stage.meter.unwrap(client)
    assert session.send is patched
    assert (len(seen), len(stage.all_events())) == (1, 1)


def test_a_wrapped_client_that_is_dropped_dies_at_once(server: Bedrock) -> None:
    stage = Stage(server)
    session = weakref.ref(stage.client()._endpoint.http_session)
    (client,) = stage._clients
    client.close()
    held = weakref.ref(client)
    stage._clients.clear()
    gc.collect()  # a client of botocore is a cycle by itself
    gc.disable()
    try:
        del client
        gc.collect()
        assert (held(), session()) == (None, None)
    finally:
        gc.enable()
    stage.close()


def test_a_client_of_another_service_cannot_be_wrapped(stage: Stage) -> None:
    storage = SESSION.client("sts", endpoint_url=stage.server.url)
    with pytest.raises(CannotWrapError):
        stage.meter.wrap(storage)
    storage.close()


def test_other_services_go_straight_through(stage: Stage) -> None:
    storage = SESSION.client("s3", endpoint_url=stage.server.url)
    with stage.meter.instrument():
        for key in range(10):
            stage.server.script.append(Reply(body=[b"x"], content_type="text/plain"))
            assert storage.get_object(Bucket="b", Key=f"model/{key}/invoke")["Body"].read() == b"x"
    storage.close()
    assert stage.all_events() == []
    assert set(stage.meter._router.values()) == {None}  # looked up below, by the seam of urllib3


def test_what_a_stubber_answers_is_no_call(stage: Stage) -> None:
    client = stage.client()
    with botocore.stub.Stubber(client) as stubber:
        stubber.add_response("converse", converse())
        client.converse(**ASKED)
    assert stage.all_events() == []


def test_a_disabled_meter_sees_nothing(stage: Stage) -> None:
    client = stage.client("both")
    stage.meter.disable()
    assert call(client, "invoke_model") == compact(claude())
    assert stage.all_events() == []


# Anthropic's own client for Bedrock, which goes over httpx to the same paths


@pytest.mark.parametrize("streamed", [True, False])
def test_anthropics_client_for_bedrock_is_metered_alike(stage: Stage, streamed: bool) -> None:
    with AnthropicBedrock(
        aws_access_key="k",
        aws_secret_key="s",
        aws_region="us-east-1",
        base_url=stage.server.url,
        max_retries=0,
    ) as client:
        stage.meter.wrap(client)
        asked: Any = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        answer = client.messages.create(model=CLAUDE, stream=streamed, **asked)
        if streamed:
            assert [event.type for event in answer][-1] == "message_stop"
    event = stage.event()
    assert counts(event) == WELL
    assert (event.provider, event.request_model) == ("aws.bedrock", CLAUDE)
    assert (event.stream, event.attempt, event.response_id) == (streamed, 0, "msg_bdrk_1")


# what users of other meters complain about


CACHED = {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}


def test_cache_fields_of_bedrock_are_not_dropped(stage: Stage) -> None:  # C39
    usage = USAGE | CACHED | {"totalTokens": 128}
    stage.server.script.append(Reply(body=[compact(converse(usage=usage))]))
    stage.server.script.append(Reply(200, converse_events(usage), {}, EVENT_STREAM, chunked=True))
    client = stage.client()
    call(client, "converse")
    call(client, "converse_stream")
    for event in stage.all_events():
        assert (event.input_tokens, event.output_tokens) == (125, 3)
        assert (event.cache_read_tokens, event.cache_write_tokens) == (100, 20)


def test_the_same_cached_call_of_claude_counts_the_same_by_every_way(stage: Stage) -> None:  # C40
    message = claude(cache_read_input_tokens=100, cache_creation_input_tokens=20)
    usage = USAGE | CACHED | {"totalTokens": 128}
    stage.server.script += [Reply(body=[compact(converse(usage=usage))])]
    stage.server.script += [Reply(body=[compact(message)])]
    stage.server.script += [
        Reply(
            body=[compact({"odd": 1})],
            headers=MEASURED
            | {
                "x-amzn-bedrock-cache-read-input-token-count": "100",
                "x-amzn-bedrock-cache-write-input-token-count": "20",
            },
        )
    ]
    client = stage.client()
    for operation in ("converse", "invoke_model", "invoke_model"):
        call(client, operation)
    assert {event.usage for event in map(_plain, stage.all_events())} == {stage.events[0].usage}
    assert stage.events[0].input_tokens == 125


def _plain(event: UsageEvent) -> UsageEvent:
    return event


def test_a_geographic_profile_is_answered_by_the_model_without_its_prefix(stage: Stage) -> None:
    """C46: a price is found by the model that answered, not by the profile that was asked."""
    client = stage.client()
    for prefix in ("us.", "eu.", "apac.", "global.", "us-gov.", ""):
        client.converse(**ASKED | {"modelId": f"{prefix}amazon.nova-lite-v1:0"})
    events = stage.all_events()
    assert {event.response_model for event in events} == {"amazon.nova-lite-v1:0"}
    assert [event.request_model for event in events][:2] == [
        "us.amazon.nova-lite-v1:0",
        "eu.amazon.nova-lite-v1:0",
    ]


def test_an_attempt_that_failed_names_no_model_that_answered(stage: Stage) -> None:
    stage.server.script.append(throttled())
    with pytest.raises(botocore.exceptions.ClientError):
        stage.client().converse(**ASKED)
    assert stage.event().response_model is None
