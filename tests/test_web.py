"""Requests of web services: each in the run that asked, and none in that of another."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import fastapi
import httpx
import openai
import pytest
import uvicorn
from fastapi.responses import StreamingResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.background import BackgroundTask
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from websockets.sync.client import connect

import tokenmeter
from tokenmeter import Attribution, UsageEvent, attribute, inject
from tokenmeter.attribution import block, current
from tokenmeter.testing import ModelServer
from tokenmeter.trees import tree
from tokenmeter.web import ASGIMiddleware, WSGIMiddleware, current_scope, identity, principal

MANY = 50
LONG = 60.0
RUN = "0" * 31 + "1"
HEADERS = {"baggage": f"theirs=1,tokenmeter.run={RUN},tokenmeter.agent=a,tokenmeter.task=T"}
THERE = Attribution(task="T", agent="a", run_id=RUN, depth=0)


@pytest.fixture(autouse=True)
def meter() -> Iterator[tokenmeter.Meter]:
    meter = tokenmeter.configure(baggage=[])
    before = dict(meter.guard.failures)
    meter.guard.failures.clear()
    yield meter
    meter.guard.failures.clear()
    meter.guard.failures.update(before)
    meter.configure(baggage=[])
    assert current() == Attribution()
    assert current_scope.get() is None


@pytest.fixture
def events(meter: tokenmeter.Meter) -> Iterator[list[UsageEvent]]:
    seen: list[UsageEvent] = []
    with meter.attach(seen.append):
        yield seen


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


# -- a service of FastAPI, behind uvicorn ---------------------------------------------------------


class Service:
    """Asks the model ``m-N`` for the request N, in whichever way is wanted."""

    def __init__(self, model: ModelServer) -> None:
        self.sync = tokenmeter.wrap(
            openai.OpenAI(base_url=model.openai_url, api_key="k", max_retries=0)
        )
        self.later = tokenmeter.wrap(
            openai.AsyncOpenAI(base_url=model.openai_url, api_key="k", max_retries=0)
        )
        self.lived: list[str] = []
        self.app = fastapi.FastAPI(lifespan=self._life)
        self.app.add_api_route("/async/{n}", self.ask_later)
        self.app.add_api_route("/sync/{n}", self.ask)
        self.app.add_api_route("/stream/{n}", self.stream)
        self.app.add_api_route("/background/{n}", self.background)
        self.app.add_api_websocket_route("/socket/{n}", self.socket)
        self.app.add_middleware(BaseHTTPMiddleware, dispatch=self._pass)
        self.app.add_middleware(ASGIMiddleware)

    @asynccontextmanager
    async def _life(self, _app: object) -> Any:
        self.lived.append("began")
        yield
        await self.later.close()
        self.sync.close()
        self.lived.append("ended")

    async def _pass(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)

    def ask(self, n: int) -> str:
        self.sync.responses.create(model=f"m-{n}", input="hello")
        return str(current().task)

    async def ask_later(self, n: int) -> str:
        with attribute(agent="searcher"):
            await self.later.responses.create(model=f"m-{n}", input="hello")
        return str(current().task)

    async def stream(self, n: int) -> StreamingResponse:
        async def words() -> Any:
            asked = await self.later.responses.create(model=f"m-{n}", input="hello", stream=True)
            async for each in asked:
                yield each.type
            await self.ask_later(n)

        return StreamingResponse(words())

    async def background(self, n: int) -> Any:
        return fastapi.responses.PlainTextResponse("", background=BackgroundTask(self.ask, n))

    async def socket(self, websocket: fastapi.WebSocket, n: int) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            await websocket.send_text(await self.ask_later(n))


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an ASGI application in a thread, and end only when all of it has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", ws="websockets-sansio", loop="asyncio")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def asked_at_once(url: str, path: str) -> list[str]:
    """Ask many times at once, each time for another task, in a run of its own."""

    def asked(n: int) -> str:
        with attribute(task=f"T-{n}", agent="planner"):
            return client.get(f"{url}/{path}/{n}", headers=inject({})).text

    limits = httpx.Limits(max_connections=MANY)
    with httpx.Client(timeout=LONG, limits=limits) as client, ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(asked, range(MANY)))


def belongings(events: Iterable[UsageEvent]) -> list[tuple[str | None, str | None]]:
    calls = [e for e in events if e.kind == "call"]
    return sorted((e.request_model, e.task) for e in calls)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("path", "calls"), [("async", 1), ("sync", 1), ("stream", 2), ("background", 1)]
)
def test_each_of_many_requests_at_once_is_in_the_run_that_asked(
    model: ModelServer, events: list[UsageEvent], path: str, calls: int
) -> None:
    service = Service(model)
    with served(service.app) as url:
        asked_at_once(url, path)
    assert belongings(events) == sorted(
        (f"m-{n}", f"T-{n}") for n in range(MANY) for _ in range(calls)
    )
    assert service.lived == ["began", "ended"]
    planners = {e.run_id: e.task for e in events if e.kind == "run" and e.agent == "planner"}
    assert len(planners) == MANY
    for root in tree(events).roots:
        assert (root.agent, root.subtree.calls) == ("planner", calls)
    for event in events:
        here = event.run_id if event.agent == "planner" else event.parent_run_id
        assert planners[here] == event.task


def test_a_websocket_is_in_the_run_that_opened_it(
    model: ModelServer, events: list[UsageEvent]
) -> None:
    with served(Service(model).app) as url, attribute(task="T-1", agent="planner"):
        there = f"ws{url.removeprefix('http')}/socket/1"
        with connect(there, additional_headers=inject({}), proxy=None) as websocket:
            for _ in range(2):
                websocket.send("ask")
                assert websocket.recv(timeout=LONG) == "T-1"
    assert belongings(events) == [("m-1", "T-1")] * 2
    assert [(n.agent, n.own.calls) for n in tree(events).walk()] == [
        ("planner", 0), ("planner/searcher", 1), ("planner/searcher", 1)
    ]  # fmt: skip


# -- ASGI, by hand --------------------------------------------------------------------------------


async def nothing() -> Any: ...
async def nowhere(_message: Any) -> None: ...


def scope(headers: dict[str, str], **more: Any) -> dict[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "headers": [(b"accept", b"*/*"), *pairs], **more}


def requested(said: dict[str, Any], app: Callable[[], Any] = current, **options: Any) -> Any:
    """Give what the application sees in a request."""
    seen: list[Any] = []

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(app())

    asyncio.run(ASGIMiddleware(application, **options)(said, nothing, nowhere))
    assert current() == Attribution()
    assert current_scope.get() is None
    return seen[0]


def test_a_request_is_in_the_run_that_its_headers_name() -> None:
    assert requested(scope(HEADERS)) == THERE
    assert requested(scope({})) == Attribution()
    assert requested(scope(HEADERS) | {"type": "websocket"}) == THERE
    assert requested(scope(HEADERS) | {"type": "lifespan"}) == Attribution()


def test_a_header_that_comes_twice_is_one() -> None:
    said = scope({})
    said["headers"] += [
        (b"baggage", b"tokenmeter.task=T"),
        (b"baggage", b"tokenmeter.conversation=c"),
    ]
    assert requested(said) == Attribution(task="T", conversation="c")


def test_what_an_application_raises_is_the_same_and_leaves_nothing_behind() -> None:
    error = ValueError("theirs")

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        attribute(user="left open").__enter__()
        raise error

    async def main() -> None:
        with pytest.raises(ValueError, match="theirs") as raised:
            await ASGIMiddleware(application)(scope(HEADERS), nothing, nowhere)
        assert raised.value is error
        assert current() == Attribution()

    asyncio.run(main())


def test_a_request_that_is_cancelled_leaves_nothing_behind() -> None:
    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async def request() -> Attribution:
            try:
                await ASGIMiddleware(application)(scope(HEADERS), nothing, nowhere)
            except asyncio.CancelledError:
                return current()
            raise AssertionError

        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        task.cancel()
        assert await task == Attribution()

    asyncio.run(main())


@pytest.mark.parametrize("headers", [
    {"baggage": "tokenmeter.run=x,tokenmeter.agent=a"},
    {"baggage": "\xff\xfe"},
    {"baggage": "tokenmeter.task=" + "x" * 9000},
    {"traceparent": "no"},
])  # fmt: skip
def test_headers_that_cannot_be_used_are_no_trouble(headers: dict[str, str]) -> None:
    assert requested(scope(headers)) == Attribution()


def test_headers_are_taken_of_those_who_are_trusted(meter: tokenmeter.Meter) -> None:
    def ours(said: Any) -> bool:
        return bool(said["client"][0] == "10.0.0.1")

    assert requested(scope(HEADERS, client=("10.0.0.1", 1)), trusted=ours) == THERE
    assert requested(scope(HEADERS, client=("6.6.6.6", 1)), trusted=ours) == Attribution()
    assert requested(scope({}, client=("6.6.6.6", 1)), trusted=ours) == Attribution()
    assert meter.stats()["guard"] == {"baggage that was ignored: not trusted": 1}


def test_what_trusted_raises_is_counted_and_trusts_nobody(meter: tokenmeter.Meter) -> None:
    assert requested(scope(HEADERS), trusted=lambda said: said["absent"]) == Attribution()
    assert meter.stats()["guard"] == {"trusted": 1, "baggage that was ignored: not trusted": 1}


# -- who asks -------------------------------------------------------------------------------------


def test_the_user_of_a_request_is_that_of_its_calls(meter: tokenmeter.Meter) -> None:
    def user(said: Any) -> Any:
        return said["state"]["user"]

    ada = Attribution(user="ada", user_origin="asgi")
    assert requested(scope({}, state={"user": "ada"}), user=user) == ada
    assert requested(scope({}, state={"user": None}), user=user) == Attribution()
    assert meter.stats()["guard"] == {}
    for state in ({}, {"user": ""}, {"user": 7}, {"user": "\ud800"}):
        assert requested(scope(HEADERS, state=state), user=user) == THERE
    assert meter.stats()["guard"] == {"the user of a request": 4}


def test_who_is_known_here_is_before_who_is_said_elsewhere(meter: tokenmeter.Meter) -> None:
    meter.configure(baggage=["user"])
    said = scope({"baggage": "tokenmeter.user=eve"})
    assert requested(said) == Attribution(user="eve", user_origin="baggage")
    assert requested(said, user=lambda _: None) == Attribution(user="eve", user_origin="baggage")
    assert requested(said, user=lambda _: "ada") == Attribution(user="ada", user_origin="asgi")


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> Any:
        name = conn.headers.get("x-name")
        return name and (AuthCredentials(["authenticated"]), SimpleUser(name))


def test_the_principal_of_starlette_is_known_wherever_its_middleware_stands() -> None:
    seen: list[Any] = []

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append((principal(), current().user))

    def ask(app: Any, *names: str) -> None:
        for name in names:
            asyncio.run(app(scope({"x-name": name}), nothing, nowhere))
        asyncio.run(app(scope({}), nothing, nowhere))

    ask(ASGIMiddleware(AuthenticationMiddleware(application, Backend()), user=identity), "ada")
    ask(AuthenticationMiddleware(ASGIMiddleware(application, user=identity), Backend()), "bob")
    ask(AuthenticationMiddleware(ASGIMiddleware(application), Backend()), "eve")
    assert seen == [
        ("ada", None),
        (None, None),
        ("bob", "bob"),
        (None, None),
        ("eve", None),
        (None, None),
    ]


def test_a_user_whom_a_middleware_inside_finds_out_is_asked_for_at_the_call() -> None:
    events: list[UsageEvent] = []
    meter = tokenmeter.Meter([events.append], user="asgi")
    ask = tokenmeter.metered(lambda: {"input_tokens": 1, "output_tokens": 1}, meter=meter)

    async def application(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.to_thread(ask)

    app = ASGIMiddleware(AuthenticationMiddleware(application, Backend()))
    for headers in ({"x-name": "ada"}, {}, {"x-name": "bob", **HEADERS}):
        asyncio.run(app(scope(headers), nothing, nowhere))
    whose = [(e.user, e.user_origin, e.task) for e in events if e.kind == "call"]
    assert whose == [("ada", "asgi", None), (None, None, None), ("bob", "asgi", "T")]


def test_without_a_request_nobody_asks(meter: tokenmeter.Meter) -> None:
    assert principal() is None
    assert requested(scope({}), principal, user=lambda _: "ada") == "ada"
    assert requested(scope({}), principal, user=lambda said: said["absent"]) is None
    assert meter.stats()["guard"] == {"the user of a request": 2}


class Person:
    def __init__(self, authenticated: object, **names: object) -> None:
        self.is_authenticated = authenticated
        vars(self).update(names)


@pytest.mark.parametrize(("said", "name"), [
    ({}, None),
    ({"REMOTE_USER": "ada"}, "ada"),
    ({"REMOTE_USER": ""}, None),
    ({"user": Person(True, identity="ada", username="a")}, "ada"),
    ({"user": Person(True, identity="", username="ada")}, "ada"),
    ({"user": Person(True, identity=7, display_name="Ada")}, "Ada"),
    ({"user": Person(True)}, None),
    ({"user": Person(False, identity="ada"), "REMOTE_USER": "eve"}, None),
    ({"user": SimpleUser("ada")}, "ada"),
    ({"user": "ada"}, None),
])  # fmt: skip
def test_the_identity_is_that_of_an_authenticated_user(said: Any, name: str | None) -> None:
    assert identity(said) == name


# -- WSGI -----------------------------------------------------------------------------------------


def environ(headers: dict[str, str], **more: Any) -> dict[str, Any]:
    said = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    said.update(more)
    setup_testing_defaults(said)
    return said


def started(*_said: Any) -> Callable[[bytes], object]:
    return lambda _: None


def test_the_application_and_each_step_of_its_answer_are_in_the_run() -> None:
    seen: list[Attribution] = []

    def application(_environ: Any, start_response: Any) -> Iterable[bytes]:
        seen.append(current())
        start_response("200 OK", [("content-type", "text/plain")])
        return steps()

    def steps() -> Iterator[bytes]:
        try:
            for step in (b"a", b"b"):
                seen.append(current())
                yield step
        finally:
            seen.append(current())

    answer = iter(WSGIMiddleware(application)(environ(HEADERS), started))
    for step in (b"a", b"b"):
        assert (next(answer), current(), current_scope.get()) == (step, Attribution(), None)
    answer.close()  # type: ignore[attr-defined]
    assert seen == [THERE] * 4


def test_a_block_that_an_answer_has_open_is_its_own_between_its_steps() -> None:
    seen: list[str | None] = []

    def application(_environ: Any, _start: Any) -> Iterator[bytes]:
        with attribute(user="ada"):
            yield b"a"
            seen.append(current().user)
            yield b"b"
        seen.append(current().user)

    answer = iter(WSGIMiddleware(application)(environ(HEADERS), started))
    assert next(answer) == b"a"
    assert current() == Attribution()
    with attribute(user="the server"):
        assert list(answer) == [b"b"]
    assert seen == ["ada", "the server"]


def test_an_answer_that_is_dropped_leaves_nothing_behind() -> None:
    def application(_environ: Any, _start: Any) -> Iterator[bytes]:
        with attribute(user="ada"):
            yield b"a"

    before = block.get()
    answer = iter(WSGIMiddleware(application)(environ(HEADERS), started))
    del answer
    answer = iter(WSGIMiddleware(application)(environ(HEADERS), started))
    next(answer)
    del answer
    assert block.get() is before


def test_what_a_wsgi_application_raises_is_the_same_and_leaves_nothing_behind() -> None:
    error = ValueError("theirs")

    def application(environ: Any, _start: Any) -> Iterable[bytes]:
        attribute(user="left open").__enter__()
        if environ["PATH_INFO"] == "/late":
            return late()
        raise error

    def late() -> Iterator[bytes]:
        attribute(user="left open, too").__enter__()
        yield b"a"
        raise error

    middleware = WSGIMiddleware(application)
    with pytest.raises(ValueError, match="theirs") as raised:
        middleware(environ(HEADERS, PATH_INFO="/"), started)
    assert (raised.value, current()) == (error, Attribution())
    answer = iter(middleware(environ(HEADERS, PATH_INFO="/late"), started))
    assert (next(answer), current()) == (b"a", Attribution())
    with pytest.raises(ValueError, match="theirs") as raised:
        next(answer)
    assert (raised.value, current()) == (error, Attribution())


def test_start_response_is_the_servers_own() -> None:
    given: list[Any] = []

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        try:
            raise KeyError
        except KeyError as exc:
            start_response("500 Oh", [], (KeyError, exc, exc.__traceback__))
        return [b"no"]

    def start_response(*said: Any) -> Any:
        given.extend(said)

    assert WSGIMiddleware(application)(environ({}), start_response) == [b"no"]
    assert given[:2] == ["500 Oh", []]
    assert given[2][0] is KeyError


@pytest.mark.parametrize("body", [
    [b"a"], (b"a",), io.BytesIO(b"a"), FileWrapper(io.BytesIO(b"a")),
])  # fmt: skip
def test_an_answer_that_is_at_hand_is_the_very_same_object(body: Any) -> None:
    middleware = WSGIMiddleware(lambda _environ, _start: body)
    assert middleware(environ(HEADERS), started) is body


def test_a_file_is_still_one_for_a_server_that_looks_at_its_type() -> None:
    class Wrapper:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

    middleware = WSGIMiddleware(lambda environ, _start: environ["wsgi.file_wrapper"]())
    body = middleware(environ(HEADERS, **{"wsgi.file_wrapper": Wrapper}), started)
    assert type(body) is Wrapper


def test_an_answer_keeps_what_it_is_closed_by_and_what_else_it_has() -> None:
    closed: list[Attribution] = []

    class Answer:
        status_code = 200

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

        def close(self) -> None:
            closed.append(current())

    body: Any = WSGIMiddleware(lambda _environ, _start: Answer())(environ(HEADERS), started)
    assert (list(body), body.status_code) == ([b"a"], 200)
    body.close()
    assert closed == [THERE]
    iter(WSGIMiddleware(lambda _environ, _start: iter([b"a"]))(environ({}), started)).close()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="absent"):
        _ = body.absent


def test_it_is_a_valid_application_and_a_valid_server() -> None:
    def application(_environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield str(current().task).encode()

    said = environ(HEADERS, QUERY_STRING="")
    body = validator(WSGIMiddleware(validator(application)))(said, started)
    assert list(body) == [b"T"]
    body.close()


def test_who_asks_is_known_of_a_wsgi_request_too(meter: tokenmeter.Meter) -> None:
    seen: list[Any] = []

    def application(_environ: Any, _start: Any) -> Iterator[bytes]:
        seen.append((current().user, current().user_origin, principal()))
        yield b""

    for options in ({}, {"user": identity}, {"user": lambda _: "bob"}):
        list(WSGIMiddleware(application, **options)(environ({}, REMOTE_USER="ada"), started))  # type: ignore[arg-type]
    assert seen == [(None, None, "ada"), ("ada", "wsgi", "ada"), ("bob", "wsgi", "bob")]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_answers_that_one_thread_takes_in_turns_never_mix(turns: list[int]) -> None:
    def application(environ: Any, _start: Any) -> Iterator[bytes]:
        with attribute(user=environ["PATH_INFO"]):
            while True:
                here = current()
                yield f"{here.task} {here.user}".encode()

    middleware = WSGIMiddleware(application)
    answers = [
        iter(middleware(environ({"baggage": f"tokenmeter.task=T-{n}"}, PATH_INFO=f"/{n}"), started))
        for n in range(4)
    ]
    for n in turns:
        assert next(answers[n]) == f"T-{n} /{n}".encode()
        assert current() == Attribution()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_said: Any) -> None: ...


class Threaded(WSGIServer):
    """A thread for each of a few connections, which serves many requests one after the other."""

    request_queue_size = MANY

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pool = ThreadPoolExecutor(8)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.pool.submit(self._answer, request, client_address)

    def _answer(self, request: Any, client_address: Any) -> None:
        self.finish_request(request, client_address)
        self.shutdown_request(request)
        assert current() == Attribution()


@contextmanager
def served_by_threads(app: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.pool.shutdown()  # type: ignore[attr-defined]


def test_of_many_requests_to_few_threads_each_is_in_the_run_that_asked(
    model: ModelServer, events: list[UsageEvent]
) -> None:
    client = tokenmeter.wrap(openai.OpenAI(base_url=model.openai_url, api_key="k", max_retries=0))

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        number = environ["PATH_INFO"].rpartition("/")[2]
        with attribute(agent="searcher"):
            for chunk in client.responses.create(model=f"m-{number}", input="hello", stream=True):
                if chunk.type == "response.created":
                    start_response("200 OK", [("Content-Type", "text/plain")])
                yield chunk.type.encode()
        client.responses.create(model=f"m-{number}", input="hello")

    with client, served_by_threads(WSGIMiddleware(application)) as url:
        said = asked_at_once(url, "ask")
    assert {"response.completed" in each for each in said} == {True}
    assert belongings(events) == sorted((f"m-{n}", f"T-{n}") for n in range(MANY) for _ in range(2))
    shape = [[(n.agent, n.own.calls, n.status) for n in root.walk()] for root in tree(events).roots]
    assert shape == [[("planner", 1, "completed"), ("planner/searcher", 1, "completed")]] * MANY
