"""What programs say to each other: ids by default, and nothing that is not as it should be."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.baggage import get_all
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import tokenmeter
from tokenmeter import (
    Attribution,
    ConfigurationError,
    attribute,
    environ_for_child,
    extract,
    inject,
)
from tokenmeter.attribution import current
from tokenmeter.ledger import read

RUN, PARENT = "0" * 31 + "1", "0" * 31 + "2"


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


def ignored(meter: tokenmeter.Meter) -> dict[str, int]:
    prefix = "baggage that was ignored: "
    stats = meter.stats()["guard"]
    return {n.removeprefix(prefix): count for n, count in stats.items() if n.startswith(prefix)}


def test_a_service_goes_on_in_the_run_that_asked_it() -> None:
    with attribute(user="ada", team="t", task="T", conversation="c", agent="planner", tier="gold"):
        here, headers = current(), inject({})
    with extract(headers):
        there = current()
        with attribute(agent="child"):
            child = current()
    assert there == Attribution(
        task="T", agent="planner", run_id=here.run_id, depth=0, conversation="c"
    )
    assert (child.agent, child.parent_run_id, child.depth) == ("planner/child", here.run_id, 1)


def test_names_of_people_do_not_leave_the_process_unless_they_are_allowed() -> None:
    with attribute(user="Ada Lovelace", team="engines", secret="tag", agent="a"):
        headers = inject({})
        assert "Ada" not in str(headers)
        assert "engines" not in str(headers)
        assert "secret" not in str(headers)
        tokenmeter.configure(baggage=["user", "team", "tags"])
        headers = inject({})
    with extract(headers):
        there = current()
    assert (there.user, there.user_origin, there.team) == ("Ada Lovelace", "baggage", "engines")
    assert there.tags == {"secret": "tag"}


def test_a_name_that_arrives_is_taken_only_where_it_is_allowed(meter: tokenmeter.Meter) -> None:
    with extract({"baggage": "tokenmeter.user=ada,tokenmeter.task=T,tokenmeter.tag.a=b"}):
        assert current() == Attribution(task="T")
    assert ignored(meter) == {"not allowed": 2}


def test_what_other_programs_put_into_the_header_stays_there() -> None:
    with attribute(task="T-2"):
        headers = inject({"baggage": "a=1;p=2,tokenmeter.task=T-1,b=%20", "accept": "*/*"})
    assert headers == {"baggage": "a=1;p=2,b=%20,tokenmeter.task=T-2", "accept": "*/*"}
    assert inject({"baggage": "tokenmeter.task=T-1"}) == {}
    assert inject({}) == {}


def test_opentelemetry_reads_what_is_written_and_is_read() -> None:
    task = "T-1,2;3=ä%+"  # a space it writes as +, which in this header is a plus
    with attribute(task=task):
        context = W3CBaggagePropagator().extract(inject({}))
    assert get_all(context) == {"tokenmeter.task": task}
    written: dict[str, str] = {}
    W3CBaggagePropagator().inject(written, context)
    with extract(written):
        assert current().task == task


def test_the_current_span_is_said_and_is_that_of_calls_which_have_no_other(
    meter: tokenmeter.Meter,
) -> None:
    events: list[Any] = []
    ask = tokenmeter.metered(lambda: {"input_tokens": 1, "output_tokens": 1})
    tracer = TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("outer") as span:
        headers = inject({})
    remote = TraceContextTextMapPropagator().extract(headers)
    assert (
        trace.get_current_span(remote).get_span_context().span_id == span.get_span_context().span_id
    )
    with meter.attach(events.append), extract(headers):
        ask()
        with tracer.start_as_current_span("inner") as inner:
            ask()
    trace_ids = [span.get_span_context().trace_id, inner.get_span_context().trace_id]
    assert [event.trace_id for event in events] == [f"{trace_id:032x}" for trace_id in trace_ids]
    assert inject({"traceparent": "theirs"}) == {"traceparent": "theirs"}


def test_headers_of_another_spelling_are_found() -> None:
    for name in ("baggage", "Baggage", "BAGGAGE"):
        with extract({name: "tokenmeter.task=T"}):
            assert current().task == "T"


def test_it_is_a_decorator_too() -> None:
    @extract({"baggage": "tokenmeter.task=T"})
    def steps() -> Iterator[str | None]:
        yield current().task

    assert [(task, current().task) for task in steps()] == [("T", None)]


def test_one_instance_may_be_used_by_several_at_once() -> None:
    block, both = extract({"baggage": "tokenmeter.task=T"}), threading.Barrier(2)
    seen: list[Any] = []

    def use() -> None:
        with block:
            both.wait()
            seen.append(current().task)
        both.wait()
        seen.append(current().task)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["T", "T", None, None]


# --- what cannot be trusted -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "reasons"),
    [
        ("tokenmeter.run=" + "g" * 32, {"malformed": 1}),
        ("tokenmeter.run=" + "A" * 32, {"malformed": 1}),
        (f"tokenmeter.run={RUN}0,tokenmeter.depth=-1", {"malformed": 2}),
        ("tokenmeter.depth=1001,tokenmeter.depth=99999999999999999999", {"malformed": 2}),
        ("tokenmeter.depth=%D9%A1", {"malformed": 1}),  # a digit, but not of ASCII
        ("tokenmeter.task=", {"malformed": 1}),
        ("tokenmeter.task", {"malformed": 1}),
        ("tokenmeter.task=%ff", {"malformed": 1}),
        ("tokenmeter.task=a%0ab", {"malformed": 1}),
        ("tokenmeter.task=a%00", {"malformed": 1}),
        ("tokenmeter.task=%E2%80%AE", {"malformed": 1}),  # turns the direction of text
        ("tokenmeter.task=" + "x" * 257, {"malformed": 1}),
        ("tokenmeter.agent=" + "x" * 1025, {"malformed": 1}),
        ("tokenmeter.task=" + "x" * 9000, {"too long": 1}),
        ("tokenmeter.admin=1", {"unknown": 1}),
        ("tokenmeter.=1", {"unknown": 1}),
        ("," * 5000, {}),
        (f"tokenmeter.run={RUN}", {}),  # half of a run
        (f"tokenmeter.parent={RUN},tokenmeter.depth=3", {}),
    ],
)
def test_what_is_not_as_it_should_be_is_ignored_and_counted(
    header: str, reasons: dict[str, int], meter: tokenmeter.Meter
) -> None:
    with extract({"baggage": header}):
        assert current() == Attribution()
    assert ignored(meter) == reasons


def test_of_repeated_members_the_first_stands(meter: tokenmeter.Meter) -> None:
    with extract({"baggage": "tokenmeter.task=a,tokenmeter.task=b"}):
        assert current().task == "a"
    assert ignored(meter) == {"repeated": 1}


def test_tags_are_bounded(meter: tokenmeter.Meter) -> None:
    tokenmeter.configure(baggage=["tags"])
    with extract({"baggage": ",".join(f"tokenmeter.tag.t{n}=x" for n in range(20))}):
        assert len(current().tags or {}) == 16
    with extract({"baggage": "tokenmeter.tag.=x,tokenmeter.tag.a=,tokenmeter.tag.%0a=b"}):
        assert current().tags is None
    assert ignored(meter) == {"too many": 4, "malformed": 3}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{'1' * 16}-01",
        f"00-{'G' * 32}-{'1' * 16}-01",
        "0" * 9000,
    ],
)
def test_a_span_that_is_none_is_ignored(parent: str) -> None:
    with extract({"traceparent": parent}) as carried:
        assert carried.span is None


HEADERS = st.one_of(
    st.text(),
    st.lists(
        st.builds(
            "tokenmeter.{}={}".format,
            st.sampled_from(["run", "depth", "agent", "task", "user", "tag.x", "", "%"]),
            st.text() | st.text().map(quote) | st.just(RUN),
        )
    ).map(",".join),
)


@settings(deadline=None)
@given(HEADERS, st.text(), st.sets(st.sampled_from(["user", "team", "tags"])))
def test_whatever_arrives_never_raises_and_never_leaves_anything_behind(
    header: str, parent: str, allowed: set[str]
) -> None:
    tokenmeter.configure(baggage=allowed)
    with attribute(user="ada"), extract({"baggage": header, "traceparent": parent}):
        here = current()
        for value in (here.task, here.agent, here.conversation, here.team):
            assert value is None or (value.isprintable() and 0 < len(value) <= 1024)
        inject({})
    assert current() == Attribution()


NAMES = st.text(min_size=1, max_size=400)


@settings(deadline=None)
@given(NAMES, NAMES, st.dictionaries(NAMES, NAMES | st.integers() | st.booleans(), max_size=30))
def test_what_is_sent_can_be_taken_whatever_it_is_called(
    task: str, agent: str, tags: dict[str, Any]
) -> None:
    meter = tokenmeter.configure(baggage=["user", "team", "tags"])
    before = ignored(meter)
    tags = {name: tag for name, tag in tags.items() if name not in ("user", "team", "self")}
    try:
        block = attribute(user=task, task=task, agent=agent)
    except ConfigurationError:
        return
    with block:
        headers = inject({})
        assert len(headers["baggage"]) <= 8192
        assert headers["baggage"].isascii()
        here = current()
    with extract(headers):
        assert current().task in (task, None)
        assert current().run_id in (here.run_id, None)
    assert ignored(meter) == before


# --- processes ------------------------------------------------------------------------------------


def test_a_child_process_goes_on_in_the_run_that_started_it_in_all_of_its_threads(
    tmp_path: Path,
) -> None:
    program = """
import threading, tokenmeter
tokenmeter.configure(exporters=["jsonl:usage.jsonl"])
ask = tokenmeter.metered(lambda: {"input_tokens": 1, "output_tokens": 1})
ask()
with tokenmeter.attribute(agent="child"):
    ask()
thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""
    with attribute(user="ada", task="T-1", agent="planner"):
        here = current()
        environ = environ_for_child({**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environ, check=True)
    events = list(read(tmp_path / "usage.jsonl"))
    run = next(event for event in events if event.kind == "run")
    assert [(e.kind, e.task, e.user, e.agent, e.run_id, e.parent_run_id) for e in events] == [
        ("call", "T-1", None, "planner", here.run_id, None),
        ("call", "T-1", None, "planner/child", run.run_id, here.run_id),
        ("run", "T-1", None, "planner/child", run.run_id, here.run_id),
        ("call", "T-1", None, "planner", here.run_id, None),
    ]


def test_the_environment_is_a_copy_in_which_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BAGGAGE", "a=1")
    with attribute(task="T"):
        assert environ_for_child() == {**os.environ, "BAGGAGE": "a=1,tokenmeter.task=T"}
    assert os.environ["BAGGAGE"] == "a=1"
    assert environ_for_child({"A": "b"}) == {"A": "b"}


def test_hostile_variables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAGGAGE", "tokenmeter.run=x,tokenmeter.task=%0a,tokenmeter.user=eve")
    tokenmeter.configure()
    assert current() == Attribution()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("user", r"baggage is a list, such as \['team'\]; got 'user'"),
        (["users"], r"baggage: 'users' cannot be allowed; did you mean 'user'\?"),
    ],
)
def test_what_cannot_be_allowed_is_refused_at_once(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tokenmeter.configure(baggage=given)


# --- at the door of a real service ----------------------------------------------------------------


class Service(threading.Thread):
    """A service that goes on in the run of whoever asks, and says whom it would be for."""

    def __init__(self) -> None:
        super().__init__()
        outer = self
        self.taken: list[Attribution] = []
        self.raised: list[BaseException] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    with extract(self.headers), attribute(agent="service"):  # type: ignore[arg-type]
                        outer.taken.append(current())
                except BaseException as exc:
                    outer.raised.append(exc)
                assert current() == Attribution()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_args: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.start()

    def run(self) -> None:
        self._http.serve_forever(0.01)

    def ask(self, lines: list[bytes]) -> int:
        """Send lines of a header as they are; give the status, which the server may refuse with."""
        with socket.create_connection(("127.0.0.1", self._http.server_port)) as connection:
            head = [b"GET / HTTP/1.0", *lines, b"", b""]
            with contextlib.suppress(ConnectionError):  # it may refuse before it has read all
                connection.sendall(b"\r\n".join(head))
            with contextlib.suppress(ConnectionError):
                return int((connection.makefile("rb").readline().split() or [b"0", b"0"])[1])
        return 0

    def close(self) -> None:
        self._http.shutdown()
        self.join()
        self._http.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


RAW_LINES = st.binary(max_size=300).map(lambda raw: re.sub(rb"[\r\n]", b"", raw))
MEMBERS = st.builds(
    b"tokenmeter.%b=%b".__mod__,
    st.tuples(
        st.sampled_from([b"run", b"parent", b"depth", b"agent", b"task", b"user", b"%74ask"]),
        RAW_LINES | st.sampled_from([RUN.encode(), b"%00", b"%E2%80%AE", b"%ED%A0%80", b"7"]),
    ),
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"baggage", b"Baggage", b"BAGGAGE", b"traceparent", b"tracestate"]),
            RAW_LINES | st.lists(MEMBERS, max_size=6).map(b",".join),
        ),
        max_size=4,
    )
)
def test_whatever_bytes_reach_a_real_service_it_answers_and_takes_only_what_is_sound(
    service: Service, lines: list[tuple[bytes, bytes]]
) -> None:
    service.taken.clear()
    status = service.ask([b"%b: %b" % line for line in lines])
    assert service.raised == []
    for here in service.taken:
        assert (here.user, here.team, here.tags) == (None, None, None)
        for text in (here.task, here.agent, here.conversation):
            assert text is None or (text.isprintable() and 0 < len(text) <= 1024 + len("/service"))
        assert here.parent_run_id is None or re.fullmatch("[0-9a-f]{32}", here.parent_run_id)
        assert here.depth is not None
        assert 0 <= here.depth <= 1001
    assert status == 204 or not service.taken


@pytest.mark.parametrize("size", [8_192, 16_000, 65_000, 70_000, 200_000])
def test_a_header_as_long_as_a_server_lets_through_is_ignored_in_no_time(
    service: Service, meter: tokenmeter.Meter, size: int
) -> None:
    service.taken.clear()
    status = service.ask([b"baggage: tokenmeter.task=T," + b"tokenmeter.task=x," * (size // 18)])
    assert (status, [here.task for here in service.taken]) in [(204, [None]), (431, [])]
    assert ignored(meter) == ({"too long": 1} if status == 204 else {})


def test_of_repeated_lines_the_server_gives_the_first_and_nothing_breaks(service: Service) -> None:
    service.taken.clear()
    lines = [b"baggage: tokenmeter.task=T-%d" % n for n in range(50)]
    assert service.ask(lines) == 204
    assert [here.task for here in service.taken] == ["T-0"]


HOSTILE = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.characters(categories=["Cs"]),
    max_size=200,
)


@settings(deadline=None)
@given(HOSTILE | HEADERS.filter(lambda text: "\0" not in text), HOSTILE)
def test_whatever_stands_in_the_environment_configuring_takes_only_what_is_sound(
    header: str, parent: str
) -> None:
    with pytest.MonkeyPatch.context() as environment:
        with contextlib.suppress(UnicodeEncodeError):  # what no environment can hold
            environment.setenv("BAGGAGE", header)
            environment.setenv("TRACEPARENT", parent)
        tokenmeter.configure()
        here = current()
        environment.delenv("BAGGAGE", raising=False)
        environment.delenv("TRACEPARENT", raising=False)
        tokenmeter.configure()
    assert (here.user, here.team, here.tags) == (None, None, None)
    for text in (here.task, here.agent, here.conversation):
        assert text is None or (text.isprintable() and 0 < len(text) <= 1024)
    assert current() == Attribution()


NOT_HEADERS: list[Any] = [
    {"baggage": b"tokenmeter.task=T"},
    {"baggage": 7},
    {"baggage": ["tokenmeter.task=T"]},
    {b"baggage": "tokenmeter.task=T"},
    {None: None},
    {"baggage": "\ud800tokenmeter.task=T"},
    [("baggage", "tokenmeter.task=T")],
    None,
    7,
]


@pytest.mark.parametrize("headers", NOT_HEADERS)
def test_headers_that_are_none_are_never_an_exception(headers: Any) -> None:
    with extract(headers):
        assert current() == Attribution()
