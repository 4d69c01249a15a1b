"""Tasks of Celery: each in the run that sent it, and nothing lost when processes are replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import celery
import pytest
from celery import chain, chord
from celery.signals import before_task_publish, task_postrun, task_prerun

import tokenmeter
from tokenmeter import UsageEvent, attribute
from tokenmeter.attribution import current
from tokenmeter.celery import follow
from tokenmeter.ledger import read
from tokenmeter.testing import ModelServer
from tokenmeter.trees import Node, tree

HERE = Path(__file__).parent
LONG = 120.0

CLIENT = """
from celery import chain, chord, group
from celery_tasks import app, ask, fails, headers, joined, leads, stubborn, whose
import tokenmeter
from tokenmeter import attribute

def got(sent):
    with tokenmeter.disabled():
        return sent.get(timeout=100, interval=0.05, propagate=False)

"""


class Place:
    """Where an application of Celery lives: the folder of its broker, results and ledger."""

    def __init__(self, home: Path, model: ModelServer, agents: str) -> None:
        self.home = home
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
            "HOME_OF_TASKS": str(home),
            "MODEL": model.openai_url,
            "AGENTS": agents,
        }
        if not agents:
            del self.environ["AGENTS"]

    @contextmanager
    def worker(self, *options: str) -> Iterator[None]:
        """Run a worker until it has been told to end and has ended."""
        command = [
            sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--loglevel=WARNING",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
            "--include=openai", *options,
        ]  # fmt: skip
        log = self.home / "worker.log"
        with log.open("wb") as out:
            worker = subprocess.Popen(
                command, env=self.environ, cwd=self.home, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                yield
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(LONG) == 0, log.read_text()
            finally:
                worker.kill()
                worker.wait()
        assert "tokenmeter" not in log.read_text().replace("tokenmeter.", ""), log.read_text()

    def sends(self, program: str) -> None:
        """Run a program that sends tasks."""
        done = subprocess.run(
            [sys.executable, "-c", CLIENT + textwrap.dedent(program)],
            env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=LONG,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + (self.home / "worker.log").read_text()

    @property
    def events(self) -> list[UsageEvent]:
        return list(read(self.home / "usage.jsonl"))


class Here(NamedTuple):
    """An application in this process, and what its tasks say."""

    app: celery.Celery
    events: list[UsageEvent]


@pytest.fixture
def here() -> Iterator[Here]:
    app, events = celery.Celery("here", broker="memory://", set_as_current=False), []
    with tokenmeter.configure().attach(events.append):
        yield Here(app, events)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


Shape = tuple[str, int, str | None, tuple[Any, ...]]


def shape(nodes: Iterable[Node]) -> tuple[Shape, ...]:
    """Give what a tree looks like, whatever the order in which it happened."""
    return tuple(
        sorted((n.name, n.own.calls, n.status, shape(n.children)) for n in nodes)  # type: ignore[type-var]
    )


def run(agent: str, calls: int = 1, *children: Shape, status: str = "completed") -> Shape:
    return (agent, calls, status, tuple(sorted(children)))


def task(name: str, *children: Shape, status: str = "completed") -> Shape:
    return run(f"celery_tasks.{name}", 1, *children, status=status)


WORKFLOWS = """
with attribute(task="T-1", agent="planner"):
    sent = [
        ask.delay("one"),
        chain(ask.si("two"), ask.si("three"), ask.si("four"))(),
        group(ask.s("five"), ask.s("six"))(),
        chord([ask.s("seven"), ask.s("eight")], joined.s())(),
        chain(ask.si("nine"), group(ask.si("ten"), ask.si("eleven")), joined.s())(),
        ask.apply_async(("twelve",), link=joined.s().set(task_id="linked")),
        stubborn.delay(),
        fails.delay(),
        leads.delay(),
    ]
given = [got(each) for each in sent]
assert given[:6] == ["T-1", "T-1", ["T-1", "T-1"], "T-1", "T-1", "T-1"], given
assert given[6] == 2, given
assert repr(given[7]) == "KeyError('not said')", given
assert [got(app.AsyncResult(each)) for each in ("linked", given[8])] == ["T-1", "T-1"]
"""
ASKED, JOINED, TRIED = 13, 3, 3
"""How many tasks of these kinds that makes; and one that fails."""


def test_tasks_are_in_the_run_that_sent_them(tmp_path: Path, model: ModelServer) -> None:
    place, before = Place(tmp_path, model, agents="0"), len(model.account)
    with place.worker("--pool=prefork", "--concurrency=2"):
        place.sends(WORKFLOWS)
    assert shape(tree(place.events).roots) == (run("planner", ASKED + JOINED + TRIED + 1),)
    assert {e.task for e in place.events} == {"T-1"}
    assert len(model.account) - before == ASKED


def test_a_task_can_be_a_run_what_follows_it_is_beside_it_and_nothing_is_lost(
    tmp_path: Path, model: ModelServer
) -> None:
    place, before = Place(tmp_path, model, agents="1"), len(model.account)
    with place.worker("--pool=prefork", "--concurrency=3", "--max-tasks-per-child=1"):
        place.sends(WORKFLOWS)
    expected = run(
        "planner",
        0,
        *[task("ask")] * (ASKED - 1),
        *[task("joined")] * JOINED,
        *[task("stubborn", status="failed")] * (TRIED - 1),
        task("stubborn"),
        task("fails", status="failed"),
        run("celery_tasks.leads", 0, task("ask")),
    )
    events = place.events
    assert shape(tree(events).roots) == (expected,)
    assert len(model.account) - before == sum(e.source == "wire" for e in events) == ASKED
    errors = Counter(e.error_type for e in events if e.kind == "run" and e.error_type)
    assert errors == {"ValueError": TRIED - 1, "KeyError": 1}
    pids = [e.pid for e in events if e.kind == "call"]
    assert len(set(pids)) == len(pids)


def test_tasks_leave_nothing_behind_and_what_users_made_stays_as_it_is(
    tmp_path: Path, model: ModelServer
) -> None:
    place = Place(tmp_path, model, agents="1")
    with place.worker("--pool=threads", "--concurrency=1"):
        place.sends("""
            with attribute(task="T-1", agent="planner"):
                led = got(leads.delay())
                assert got(app.AsyncResult(led)) == "T-1"
            assert got(whose.delay()) == [None, None]

            # of tasks that nobody sent in a run
            assert got(stubborn.delay()) == 2
            assert got(chain(joined.si(), joined.si())()) == "None"

            link = headers.s().set(headers={"theirs": "2"}, task_id="linked")
            members = group(headers.si().set(headers={"third": "3"}), headers.si())
            before = repr((dict(link), dict(members)))
            with attribute(agent="other"):
                sent = headers.apply_async(headers={"theirs": "1"}, link=link)
                followed = chain(headers.si(), members)()
            assert got(sent) == ["baggage", "theirs", "tokenmeter"], got(sent)
            assert got(app.AsyncResult("linked")) == ["baggage", "theirs", "tokenmeter"]
            assert got(followed) == [["baggage", "third", "tokenmeter"], ["baggage", "tokenmeter"]]
            assert repr((dict(link), dict(members))) == before
            assert got(headers.delay()) == ["tokenmeter"]
        """)
    failed, idle = task("stubborn", status="failed"), run("celery_tasks.headers", 0)
    assert shape(tree(place.events).roots) == tuple(sorted([
        run("planner", 0, run("celery_tasks.leads", 0, task("ask"))),
        run("celery_tasks.whose", 0),
        failed, failed, task("stubborn"), task("joined"), task("joined"),
        run("other", 0, *[idle] * 5), idle,
    ]))  # fmt: skip


def test_tasks_that_run_where_they_are_sent_are_in_the_run_that_is_in_force(here: Here) -> None:
    here.app.conf.task_always_eager = True
    whose = here.app.task(_whose, name="whose")
    stubborn = here.app.task(_stubborn, name="stubborn", bind=True, default_retry_delay=0)
    with attribute(agent="planner"), follow(agents=True):
        assert whose.delay().get() == "planner/whose"
        chain(whose.si(), whose.si())()
        chord([whose.si(), whose.si()], whose.s())()
        whose.apply_async(link=whose.s())
        stubborn.delay()
        assert current().agent == "planner"
    runs, failed = [run("whose", 0)] * 6, run("stubborn", 0, status="failed")
    linking = run("whose", 0, run("whose", 0))
    expected = run("planner", 0, *runs, linking, failed, run("stubborn", 0))
    assert shape(tree(here.events).roots) == (expected,)


def _whose(*_before: Any) -> str | None:
    return current().agent


def _stubborn(self: Any) -> None:
    if not self.request.retries:
        raise self.retry(exc=ValueError("not yet"))


def test_what_is_undone_follows_no_more_and_twice_is_once(here: Here) -> None:
    whose = here.app.task(_whose, name="whose")
    with follow(agents=True):
        with follow(agents=True):
            assert whose.apply().get() == "whose"
        assert whose.apply().get() == "whose"
    assert whose.apply().get() is None
    assert [(e.kind, e.agent) for e in here.events] == [("run", "whose")] * 2
    for receivers in map(attrgetter("receivers"), (before_task_publish, task_prerun, task_postrun)):
        assert not any("tokenmeter" in repr(each) for each in receivers)


def test_an_exception_that_ends_the_process_passes_and_its_run_is_abandoned(here: Here) -> None:
    def leaves() -> None:
        raise KeyboardInterrupt

    task = here.app.task(leaves, name="leaves")
    with follow(agents=True), pytest.raises(KeyboardInterrupt):
        task.apply()
    assert [(e.agent, e.status) for e in here.events] == [("leaves", "abandoned")]
    assert current() == tokenmeter.Attribution()


def test_a_missing_celery_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "celery.signals", None)
    with pytest.raises(tokenmeter.MissingExtraError, match=r"tokenmeter\[celery\]"):
        follow()


def test_importing_ours_imports_no_celery() -> None:
    program = "import sys, tokenmeter.celery; sys.exit('celery' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=LONG)
