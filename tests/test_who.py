"""Resolvers: whose a call is where no block says it."""

from __future__ import annotations

import contextvars
import functools
import getpass
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import tokenmeter
from tokenmeter import ConfigurationError, Meter, UsageEvent, attribute, outcome
from tokenmeter.settings import Settings
from tokenmeter.who import CI_VARIABLES, NAMED
from wires import ASKED, CHAT, chat


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be in no job, no hub, no repository, and nobody's home."""
    for _, variable in CI_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


def client_of(meter: Meter) -> httpx.Client:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=chat()))
    return meter.wrap(httpx.Client(transport=answer))


def ask(meter: Meter, **more: Any) -> None:
    client_of(meter).post(CHAT, json=ASKED | more).raise_for_status()


def whose(events: list[UsageEvent]) -> list[tuple[str | None, str | None]]:
    return [(event.user, event.user_origin) for event in events]


def ada() -> str:
    return "ada"


def nobody() -> None:
    return None


def broken() -> str:
    raise RuntimeError("the secret of the resolver")


def test_a_function_says_whose_a_call_is_and_a_block_is_before_it(
    events: list[UsageEvent],
) -> None:
    meter = Meter([events.append], user=ada)
    ask(meter)
    with attribute(user="grace"):
        ask(meter)
    with attribute(task="T-1"):
        ask(meter)
    assert whose(events) == [
        ("ada", "resolver:ada"),
        ("grace", "explicit"),
        ("ada", "resolver:ada"),
    ]
    assert events[2].task == "T-1"


def test_they_are_tried_in_order_and_the_next_is_not_asked_once_one_knows(
    events: list[UsageEvent],
) -> None:
    asked: list[str] = []

    def first() -> None:
        asked.append("first")

    def second() -> str:
        asked.append("second")
        return "grace"

    def third() -> str:
        asked.append("third")
        return "never"

    meter = Meter([events.append], user=[first, second, third])
    with attribute(user="ada"):
        ask(meter)
    assert asked == []
    ask(meter)
    assert (asked, whose(events)) == (
        ["first", "second"],
        [("ada", "explicit"), ("grace", "resolver:second")],
    )


def test_one_is_asked_in_the_context_of_the_call(events: list[UsageEvent]) -> None:
    current: contextvars.ContextVar[str | None] = contextvars.ContextVar("current", default=None)
    meter = Meter([events.append], user=current.get)

    def serve(name: str) -> None:
        current.set(name)
        ask(meter)

    for name in ("ada", "grace"):
        contextvars.copy_context().run(serve, name)
    ask(meter)
    assert [event.user for event in events] == ["ada", "grace", None]


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        (functools.partial(getattr, "ada", "nothing", "ada"), "resolver:getattr"),
        (lambda: "ada", "resolver:<lambda>"),
        (type("Session", (), {"__call__": lambda _self: "ada"})(), "resolver:Session"),
    ],
)
def test_its_name_is_said_as_the_origin(given: Any, origin: str, events: list[UsageEvent]) -> None:
    ask(Meter([events.append], user=given))
    assert whose(events) == [("ada", origin)]


@pytest.mark.parametrize("said", ["", 7, b"ada", object(), "\ud800"])
def test_what_is_no_name_is_ignored_and_counted(said: Any, events: list[UsageEvent]) -> None:
    def wrong() -> Any:
        return said

    meter = Meter([events.append], user=[wrong, ada])
    ask(meter)
    assert whose(events) == [("ada", "resolver:ada")]
    assert meter.stats()["guard"] == {"users that were no text: resolver:wrong": 1}


def test_one_that_raises_harms_nothing_and_is_counted(
    events: list[UsageEvent], caplog: pytest.LogCaptureFixture
) -> None:
    meter = Meter([events.append], user=[broken, ada])
    ask(meter)
    ask(meter)
    assert whose(events) == [("ada", "resolver:ada")] * 2
    assert meter.stats()["guard"] == {"the user of resolver:broken": 2}
    assert "secret" not in caplog.text


def test_what_one_asks_itself_is_not_metered_and_does_not_ask_it_again(
    events: list[UsageEvent],
) -> None:
    asked: list[int] = []

    def curious() -> str:
        asked.append(1)
        with attribute(agent="finder"):
            client.post(CHAT, json=ASKED)
        return "ada"

    meter = Meter([events.append], user=curious)
    client = client_of(meter)
    client.post(CHAT, json=ASKED)
    assert (whose(events), asked) == ([("ada", "resolver:curious")], [1])


def test_runs_and_outcomes_have_the_user_too(events: list[UsageEvent]) -> None:
    meter = tokenmeter.configure(exporters=[events.append], user=ada)
    try:
        with attribute(agent="planner"):
            ask(meter)
        with attribute(user="grace", agent="planner"):
            pass
        outcome("T-1", "accepted")
    finally:
        meter.configure(exporters=[], user=[])
    assert [(event.kind, event.user, event.user_origin) for event in events] == [
        ("call", "ada", "resolver:ada"),
        ("run", "ada", "resolver:ada"),
        ("run", "grace", "explicit"),
        ("outcome", "ada", "resolver:ada"),
    ]


def test_the_user_of_a_run_is_found_where_it_begins_and_by_each_meter_for_itself() -> None:
    current = ["ada"]
    first: list[UsageEvent] = []
    second: list[UsageEvent] = []
    third: list[UsageEvent] = []
    kept = [
        Meter([first.append], user=lambda: current[0]),
        Meter([second.append], user=lambda: "grace"),
        Meter([third.append]),
    ]
    block = attribute(agent="planner")
    block.__enter__()
    current[0] = "somebody else"
    block.__exit__()
    assert [[event.user for event in events] for events in (first, second, third)] == [
        ["ada"],
        ["grace"],
        [None],
    ]
    assert len(kept) == 3


def test_functions_that_are_model_calls_have_the_user_too(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], user=ada)

    @tokenmeter.metered(meter=meter)
    def model() -> dict[str, int]:
        return {"input_tokens": 1, "output_tokens": 1}

    model()
    assert whose(events) == [("ada", "resolver:ada")]


def test_replacing_one_takes_effect_at_once(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], user=ada)
    ask(meter)
    meter.configure(user=[])
    ask(meter)
    assert whose(events) == [("ada", "resolver:ada"), (None, None)]


# -- those that are had by name -------------------------------------------------------------------


def found(name: str) -> tuple[str | None, str | None]:
    events: list[UsageEvent] = []
    ask(Meter([events.append], user=name))
    return whose(events)[0]


def test_os_is_the_login_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("os") == (getpass.getuser(), "os")
    monkeypatch.setenv("LOGNAME", "ada")
    assert found("os") == ("ada", "os")


@pytest.mark.parametrize(("system", "variable"), CI_VARIABLES, ids=[s for s, _ in CI_VARIABLES])
def test_ci_is_who_started_the_job(
    system: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("ci") == (None, None), system
    monkeypatch.setenv(variable, "ada")
    assert found("ci") == ("ada", "ci")


def test_jupyter_is_the_user_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found("jupyter") == (None, None)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert found("jupyter") == ("ada", "jupyter")


git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")


@git
def test_git_is_the_email_of_the_repository_or_else_of_its_user(tmp_path: Path) -> None:
    assert found("git") == (None, None)
    subprocess.run(["git", "config", "--global", "user.email", "ada@home"], check=True)
    assert found("git") == ("ada@home", "git")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "config", "user.email", "ada@work"], check=True)
    assert found("git") == ("ada@work", "git")


@git
def test_git_is_asked_when_it_is_configured_and_never_by_a_call(
    events: list[UsageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "config", "--global", "user.email", "ada@home"], check=True)
    meter = Meter([events.append], user="git")
    monkeypatch.setenv("PATH", "")
    ask(meter)
    assert whose(events) == [("ada@home", "git")]


def test_without_git_there_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert found("git") == (None, None)


def test_asgi_is_the_principal_of_the_request(
    monkeypatch: pytest.MonkeyPatch, events: list[UsageEvent]
) -> None:
    monkeypatch.delitem(sys.modules, "tokenmeter.web", raising=False)
    meter = Meter([events.append], user="asgi")
    ask(meter)
    web: Any = ModuleType("tokenmeter.web")
    web.principal = lambda: "ada"
    monkeypatch.setitem(sys.modules, "tokenmeter.web", web)
    ask(meter)
    assert whose(events) == [(None, None), ("ada", "asgi")]


def test_each_is_had_by_its_name() -> None:
    assert sorted(NAMED) == ["asgi", "ci", "git", "jupyter", "os"]


# -- what the request says ------------------------------------------------------------------------

METADATA = {"user_id": "u-1", "team": "search", "task": "T-1", "conversation": "c-1", "n": 7}


def test_what_the_request_says_fills_what_is_not_known(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], user="request")
    ask(meter, metadata=METADATA)
    with attribute(user="ada", task="T-2"):
        ask(meter, metadata=METADATA)
    ask(meter)
    assert [
        (event.user, event.user_origin, event.team, event.task, event.conversation)
        for event in events
    ] == [
        ("u-1", "request", "search", "T-1", "c-1"),
        ("ada", "explicit", "search", "T-2", "c-1"),
        (None, None, None, None, None),
    ]


def test_what_the_request_says_is_not_read_unless_it_is_wanted(events: list[UsageEvent]) -> None:
    ask(Meter([events.append]), user="ada", metadata=METADATA)
    ask(Meter([events.append], user=nobody), user="ada")
    assert whose(events) == [(None, None)] * 2


def test_the_request_has_its_place_in_the_order(events: list[UsageEvent]) -> None:
    ask(Meter([events.append], user=["request", ada]), user="u-1")
    ask(Meter([events.append], user=[ada, "request"]), user="u-1")
    ask(Meter([events.append], user=[nobody, "request", ada]))
    assert whose(events) == [("u-1", "request"), ("ada", "resolver:ada"), ("ada", "resolver:ada")]


def test_a_request_that_is_no_json_says_nothing(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], user="request")
    for body in (b"no json", b"--boundary\r\n", b'{"user": 7, "metadata": [1]}', b'{"user": ""}'):
        client_of(meter).post(CHAT, content=body)
    assert whose(events) == [(None, None)] * 4
    assert meter.stats()["guard"] == {}


# -- configuring ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gti", r"^user: there is no resolver 'gti'; did you mean 'git'\?"),
        (["git", "nobody"], r"^user\[1\]: there is no resolver 'nobody'"),
        (7, "^user takes a function, a name such as 'git', or a list; got 7"),
        ([7], r"^user\[0\]: a resolver is a plain function of nothing"),
        (str, "^user: a resolver is a plain function"),
        ({"git": 1}, "^user takes a function"),
    ],
)
def test_what_is_no_resolver_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Meter(user=given)


async def coroutine() -> str:
    return "ada"


def test_a_coroutine_function_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a resolver is a plain function"):
        Meter(user=coroutine)  # type: ignore[arg-type]


def test_they_are_read_from_the_environment_and_from_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tokenmeter.toml").write_text('user = ["ci", "os"]\ntrace_unattributed = true\n')
    settings = Settings().read()
    assert (settings.user, settings.trace_unattributed) == (("ci", "os"), True)
    monkeypatch.setenv("TOKENMETER_USER", "ci, git,os")
    assert Settings().read().user == ("ci", "git", "os")
    described = {s.name: s.value for s in Settings().given({"user": [ada, "os"]}).described()}
    assert described["user"] == "ada, os"


# -- processes ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_finds_out_anew_who_it_belongs_to() -> None:
    program = textwrap.dedent("""
        import json, os
        from tokenmeter import Meter
        events = []
        meter = Meter([events.append], user=["jupyter", "os"])
        from tokenmeter import metered
        ask = metered(meter=meter)(lambda: {"input_tokens": 1})
        ask()
        os.environ["LOGNAME"] = "grace"
        ask()
        if os.fork() == 0:
            ask()
            print(json.dumps([e.user for e in events]), flush=True)
            os._exit(0)
        os.wait()
    """)
    environ = os.environ | {"LOGNAME": "ada"}
    said = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == ["ada", "ada", "grace"]


def test_nothing_is_looked_up_where_nothing_is_configured() -> None:
    meter = Meter()
    assert (meter.who, meter.traces) == (None, False)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    assert tokenmeter.configure(exporters=[], user=[]).who is None
