"""Events by HTTP POST, to a real server on loopback that answers as it is told."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenmeter import ConfigurationError, Meter, MissingExtraError, UsageEvent
from tokenmeter.errors import BusyError, RejectedError
from tokenmeter.event import Tags
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.webhook import Webhook, idempotency_key
from tokenmeter.sinks import Account

TS = datetime(2026, 11, 22, 9, 8, 7, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SEALED = "https://ada:hunter2@usage.example.com/hook/hunter3?key=hunter4"


def event(number: int = 0, **more: Any) -> UsageEvent:
    return UsageEvent(kind="call", event_id=f"{number:032x}", schema=1, ts=TS, **more)


class Post(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def ids(self) -> list[int]:
        return [int(each["event_id"], 16) for each in json.loads(self.body)]


Answer = int | tuple[int, dict[str, str]] | None
"""A status, with headers or without; ``None`` is silence until the receiver ends."""


class Receiver:
    """A server that takes posts: ``answers`` in order, then 200."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.limit = 1_000_000
        """The longest body that is taken; a longer one is answered with 413, and not kept."""
        self.posts: list[Post] = []
        self.connections: set[Any] = set()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two kinds of self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) > receiver.limit:
                    self._say(413, {})
                    return
                receiver.posts.append(Post(self.path, dict(self.headers), body))
                receiver.connections.add(self.client_address)
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if answer is None:
                    receiver._over.wait(60)
                    self.close_connection = True
                else:
                    self._say(*((answer, {}) if isinstance(answer, int) else answer))

            def _say(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, said in ({"Content-Length": "2"} | headers).items():
                    self.send_header(name, said)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None: ...

        return Handler


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*answers: Answer) -> Receiver:
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def webhook(receivers: Callable[..., Receiver]) -> Iterator[Webhook]:
    hook = Webhook(receivers().url)
    yield hook
    hook.close()


# what is sent


def test_a_batch_is_one_post_of_a_json_array(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url + "?a=b", token="t", headers={"X-Team": "core"})
    hook.batch([event(1, user="ada", input_tokens=0), event(2, tags=Tags({"build": 7}))])
    hook.close()
    (post,) = receiver.posts
    identity = {"kind": "call", "schema": 1, "ts": "2026-11-22T09:08:07Z"}
    assert json.loads(post.body) == [
        {**identity, "event_id": f"{1:032x}", "user": "ada", "input_tokens": 0},
        {**identity, "event_id": f"{2:032x}", "tags": {"build": 7}},
    ]
    headers = post.headers
    assert post.path == "/events?a=b"
    assert headers.pop("User-Agent").startswith("tokenmeter/")
    assert headers == {
        "Host": receiver.url.split("/")[2],
        "Accept-Encoding": "identity",
        "Content-Length": str(len(post.body)),
        "Content-Type": "application/json",
        "Authorization": "Bearer t",
        "Idempotency-Key": f'"{idempotency_key([event(1), event(2)])}"',
        "X-Team": "core",
    }


def test_half_a_pair_of_surrogates_becomes_a_replacement_character(
    receivers: Callable[..., Receiver],
) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url)
    hook(event(1, user="\ud800 🐘 \0", tags=Tags({"t": "\udfff"}), finish_reasons=("\ud800",)))
    hook.close()
    (said,) = json.loads(receiver.posts[0].body)
    assert (said["user"], said["tags"]) == ("\ufffd 🐘 \0", {"t": "\ufffd"})
    assert said["finish_reasons"] == ["\ufffd"]


def test_what_json_does_not_know_is_rejected_before_anything_is_sent(webhook: Webhook) -> None:
    with pytest.raises(RejectedError, match="cannot be written as JSON: TypeError"):
        webhook(event(1, tags={"t": object()}))


@example(ids=["", "\n"], more="")
@given(ids=st.lists(st.text(max_size=8), unique=True), more=st.text(max_size=8))
def test_the_key_is_that_of_these_events_in_this_order(ids: list[str], more: str) -> None:
    batch = [UsageEvent(kind="call", event_id=each, schema=1, ts=TS) for each in ids]
    one = UsageEvent(kind="call", event_id=more + ".", schema=1, ts=TS)
    assert idempotency_key(batch) == idempotency_key(list(batch))
    assert idempotency_key(batch) != idempotency_key([*batch, one])
    assert len(batch) < 2 or idempotency_key(batch) != idempotency_key(batch[::-1])


def test_one_connection_serves_batch_after_batch(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers(200, 500, 204, 429)
    hook = Webhook(receiver.url)
    for number in range(8):
        try:
            hook(event(number))
        except BusyError:
            continue
    hook.close()
    assert (len(receiver.posts), len(receiver.connections)) == (8, 2)  # a 204 has no body to send


# what is made of the answer


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_says_that_the_events_have_arrived(
    receivers: Callable[..., Receiver], status: int
) -> None:
    hook = Webhook(receivers(status).url)
    hook(event(1))
    hook.close()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_some_answers_say_that_this_body_will_never_be_taken(
    receivers: Callable[..., Receiver], status: int
) -> None:
    hook = Webhook(receivers(status).url)
    with pytest.raises(RejectedError) as caught:
        hook(event(1))
    assert (str(caught.value), caught.value.events) == (f"127.0.0.1 answered {status}", None)
    hook.close()


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 410, 425, 429, 500, 503])
def test_any_other_answer_is_worth_another_attempt(
    receivers: Callable[..., Receiver], status: int
) -> None:
    hook = Webhook(receivers(status).url)
    with pytest.raises(BusyError) as caught:
        hook(event(1))
    assert (str(caught.value), caught.value.retry_after_s) == (f"127.0.0.1 answered {status}", None)
    hook(event(1))
    hook.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_the_error_says_so(
    receivers: Callable[..., Receiver], status: int
) -> None:
    elsewhere = receivers()
    hook = Webhook(receivers((status, {"Location": elsewhere.url})).url)
    with pytest.raises(BusyError, match="redirects are not followed: configure the address"):
        hook(event(1))
    hook.close()
    assert elsewhere.posts == []


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (format_datetime(NOW.replace(minute=2), usegmt=True), 120.0),
        (format_datetime(NOW.replace(hour=1), usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    receivers: Callable[..., Receiver], said: str, expected: float | None
) -> None:
    hook = Webhook(receivers((503, {"Retry-After": said})).url, now_s=NOW.timestamp)
    with pytest.raises(BusyError) as caught:
        hook(event(1))
    assert caught.value.retry_after_s == expected
    hook.close()


def test_who_is_silent_is_not_waited_for(receivers: Callable[..., Receiver]) -> None:
    hook = Webhook(receivers(None).url, timeout_s=0.1)
    with pytest.raises(BusyError) as caught:
        hook(event(1))
    assert str(caught.value) == "127.0.0.1 did not answer: ReadTimeoutError"
    hook.close()


def test_who_is_not_there_may_come_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hook = Webhook(f"http://127.0.0.1:{port}/")
    with pytest.raises(BusyError, match="did not answer: NewConnectionError"):
        hook(event(1))
    hook.close()


def test_an_answer_that_breaks_off_behind_its_status_is_an_answer(
    receivers: Callable[..., Receiver],
) -> None:
    hook = Webhook(receivers((200, {"Content-Length": "500"})).url, timeout_s=0.1)
    hook(event(1))
    hook(event(2))
    hook.close()


# every event once


def test_a_receiver_that_fails_then_hangs_then_accepts_has_every_event_once(
    receivers: Callable[..., Receiver],
) -> None:
    # The one that hangs has taken the events before: it sees them again, under the same key.
    receiver = receivers(500, None, 200)
    background = Background(Webhook(receiver.url, timeout_s=0.1), batch=50)
    for number in range(120):
        background(event(number))
    assert background.flush(60)
    background.close()
    assert background.account() == Account(captured=120, exported=120)
    first, second, *rest = receiver.posts
    assert first == second == rest[0]
    once = {post.headers["Idempotency-Key"]: post.ids for post in receiver.posts}
    assert [number for ids in once.values() for number in ids] == list(range(120))
    assert [len(post.ids) for post in receiver.posts] == [50, 50, 50, 50, 20]


def test_an_event_that_is_too_large_costs_itself_alone(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    receiver.limit = 2_000
    background = Background(Webhook(receiver.url))
    for number in range(10):
        background(event(number, user="x" * (5_000 if number == 3 else 50)))
    background.close()
    assert background.account() == Account(captured=10, exported=9, failed=1)
    arrived = [number for post in receiver.posts for number in post.ids]
    assert arrived == [0, 1, 2, 4, 5, 6, 7, 8, 9]


# signed, and kept to itself


def test_the_signature_is_that_of_standard_webhooks(receivers: Callable[..., Receiver]) -> None:
    from openai import OpenAI

    receiver = receivers()
    hook = Webhook(receiver.url, secret=SECRET)
    hook(event(1))
    hook.close()
    (post,) = receiver.posts
    key = idempotency_key([event(1)])
    assert post.headers["webhook-id"] == key
    with OpenAI(api_key="none", webhook_secret=SECRET) as openai:  # which verifies such signatures
        openai.webhooks.verify_signature(post.body, post.headers)
        with pytest.raises(ValueError, match="signature"):
            openai.webhooks.verify_signature(post.body + b" ", post.headers)


def test_basic_authentication_comes_from_the_url(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url.replace("://", "://ada:p%40ss@") + "#part")
    hook(event(1))
    hook.close()
    (post,) = receiver.posts
    assert base64.b64decode(post.headers["Authorization"].removeprefix("Basic ")) == b"ada:p@ss"
    assert (post.path, post.headers["Host"]) == ("/events", receiver.url.split("/")[2])


def test_headers_of_ones_own_win_in_any_spelling(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url, token="t", headers={"authorization": "Key k"})
    hook(event(1))
    hook.close()
    (post,) = receiver.posts
    assert {k: v for k, v in post.headers.items() if k.lower() == "authorization"} == {
        "authorization": "Key k"
    }


def test_no_secret_is_in_any_text() -> None:
    hook = Webhook(SEALED.replace("usage.example.com", "127.0.0.1:1"), secret=SECRET)
    with pytest.raises(BusyError) as caught:
        hook(event(1))
    hook.close()
    said = f"{hook!r} {caught.value!r} {caught.value.__cause__!r}"
    assert "hunter" not in said
    assert SECRET[6:] not in said
    assert repr(hook) == "<Webhook 127.0.0.1>"


@pytest.mark.parametrize(
    "given",
    [
        {"url": ""},
        {"url": "ftp://hunter2@host/"},
        {"url": "https://"},
        {"url": "hunter2.example.com/events"},
        {"url": "https://host:hunter2/"},
        {"url": "https://[hunter2/"},
        {"url": "https://host/\nhunter2"},
        {"url": SEALED, "token": "hunter5"},
        {"url": "https://host/", "token": "hunter2\r\nX: y"},
        {"url": "https://host/", "token": "hunter2ü"},
        {"url": "https://host/", "secret": "hunter2"},
        {"url": "https://host/", "secret": "whsec_" + base64.b64encode(b"hunter2").decode()},
        {"url": "https://host/", "headers": {"": "hunter2"}},
        {"url": "https://host/", "timeout_s": 0},
    ],
)
def test_what_cannot_be_used_is_refused_at_once_and_not_repeated(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Webhook(**given)
    chain = [caught.value, caught.value.__cause__]
    assert "hunter" not in "".join(map(str, chain))


def test_without_urllib3_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[webhook\]'"):
        Webhook("https://host/")


# around it


def test_the_proxy_of_the_environment_is_asked_unless_it_is_not_for_this_host(
    receivers: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, receiver = receivers(), receivers()
    monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://ada:pw@"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in (receiver.url, "http://usage.example.com/events"):
        hook = Webhook(url)
        hook(event(1))
        hook.close()
    assert [post.path for post in receiver.posts] == ["/events"]
    (post,) = proxy.posts
    assert post.path == "http://usage.example.com/events"
    assert base64.b64decode(post.headers["proxy-authorization"].split()[1]) == b"ada:pw"


def test_what_an_exporter_sends_is_not_metered(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    url = receiver.url.replace("/events", "/v1/chat/completions")  # as a model would be asked
    metered: list[UsageEvent] = []
    meter = Meter([metered.append, Webhook(url), Background(Webhook(url))])
    with meter.instrument():
        meter.record(event(1))
        assert meter.flush()
    meter.shutdown()
    assert metered == [event(1)]
    assert [post.ids for post in receiver.posts] == [[1], [1]]


def test_threads_may_send_at_the_same_time(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hook, [event(n) for n in range(40)]))
    hook.close()
    assert sorted(number for post in receiver.posts for number in post.ids) == list(range(40))
    assert len(receiver.connections) <= 4


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads, from 3.12 on
def test_a_forked_child_has_connections_of_its_own(receivers: Callable[..., Receiver]) -> None:
    receiver = receivers()
    hook = Webhook(receiver.url)
    hook(event(1))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            hook.after_fork()
            hook(event(2))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    hook(event(3))
    hook.close()
    assert [post.ids for post in receiver.posts] == [[1], [2], [3]]
    assert len(receiver.connections) == 2
