"""Following frameworks: what is known, what is imported, what is left when it is undone."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from contextvars import Context
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tokenmeter import ConfigurationError, Meter, UsageEvent, attribute, follow
from tokenmeter.attribution import current
from tokenmeter.frameworks import FRAMEWORKS
from tokenmeter.frameworks.callbacks import LIMIT, Agents, named
from tokenmeter.frameworks.methods import each_call
from tokenmeter.meter import default
from tokenmeter.runs import still_open

Ended = list[tuple[str | None, str | None, str | None]]
Ran = Callable[[], Ended]


@pytest.fixture
def ran() -> Iterator[Ran]:
    """Give the runs that ended: path, status, kind of error; at the end none is open."""
    ended: Ended = []

    def note(event: UsageEvent) -> None:
        ended.append((event.agent, event.status, event.error_type))

    meter = Meter([note])

    def give() -> Ended:
        assert meter.flush()
        return ended

    yield give
    assert list(still_open()) == []
    assert current().agent is None
    meter.shutdown()


# -- follow


def test_a_framework_that_is_not_known_is_refused_with_what_was_meant() -> None:
    with pytest.raises(ConfigurationError, match="names no framework that is known: did you mean"):
        follow("langgraf")


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_every_framework_that_can_be_named_has_a_file_with_a_hook(name: str) -> None:
    ours: Any = importlib.import_module(f"tokenmeter.frameworks.{FRAMEWORKS[name].file}")
    assert callable(ours.hook)


def test_following_imports_no_framework() -> None:
    program = (
        "import sys, tokenmeter\n"
        "undo = tokenmeter.follow()\n"
        "from tokenmeter.frameworks import FRAMEWORKS\n"
        "roots = {place.module.partition('.')[0] for place in FRAMEWORKS.values()}\n"
        "print(roots & set(sys.modules))\n"
        "undo()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", sorted(FRAMEWORKS))
def test_a_module_that_is_no_framework_but_has_its_name_is_imported_as_ever(
    name: str, tmp_path: Path
) -> None:
    place = FRAMEWORKS[name]
    package = tmp_path.joinpath(*place.module.split("."))
    package.mkdir(parents=True)
    for folder in (package, *package.parents):
        if folder != tmp_path and folder.is_relative_to(tmp_path):
            (folder / "__init__.py").write_text("mine = True" if folder == package else "")
    program = (
        f"import sys, tokenmeter; sys.path.insert(0, {str(tmp_path)!r})\n"
        f"with tokenmeter.follow({name!r}):\n"
        f"    import {place.module} as module\n"
        "assert module.mine\n"
        f"assert set(vars(module)) - {{'mine'}} == {{n for n in vars(module) if n[:2] == '__'}}\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# -- callbacks


def test_a_start_and_an_end_are_a_run_in_the_one_around(ran: Ran) -> None:
    agents = Agents("test")
    agents.start(1, "planner")
    agents.start(2, "researcher")
    assert (current().agent, current().depth) == ("planner/researcher", 1)
    agents.end(2, ValueError("secret"))
    assert current().agent == "planner"
    agents.end(1)
    assert current().agent is None
    assert ran() == [("planner/researcher", "failed", "ValueError"), ("planner", "completed", None)]


def test_an_end_by_the_name_of_an_error_fails_with_that_name(ran: Ran) -> None:
    agents = Agents("test")
    agents.start(1, "planner")
    agents.end(1, "MaxTurnsExceeded")
    assert ran() == [("planner", "failed", "MaxTurnsExceeded")]


def test_ends_in_the_wrong_order_and_in_other_contexts_end_the_right_run(
    ran: Ran,
) -> None:
    agents, here = Agents("test"), Context()
    here.run(agents.start, "outer", "outer")
    here.run(agents.start, "inner", "inner")
    here.run(agents.end, "outer")
    thread = threading.Thread(target=agents.end, args=("inner",))
    thread.start()
    thread.join()
    assert ran() == [("outer", "completed", None), ("outer/inner", "completed", None)]


def test_tasks_that_start_agents_at_the_same_time_each_have_their_own(
    ran: Ran,
) -> None:
    agents = Agents("test")

    async def work(name: str) -> str | None:
        agents.start(name, name)
        await asyncio.sleep(0)
        agent = current().agent
        agents.end(name)
        return agent

    async def main() -> list[str | None]:
        return await asyncio.gather(*map(work, "abc"))

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert sorted(ran()) == [(name, "completed", None) for name in "abc"]


def test_a_second_start_and_a_second_end_of_the_same_run_are_nothing(
    ran: Ran,
) -> None:
    agents = Agents("test")
    agents.start(1, "planner")
    agents.start(1, "planner")
    agents.end(1)
    agents.end(1)
    agents.end("never")
    assert ran() == [("planner", "completed", None)]


def test_an_agent_without_a_name_is_called_like_its_class() -> None:
    names = ["", None, 7, "\ud800", "planner"]
    assert [named(name, "Writer") for name in names] == ["Writer"] * 4 + ["planner"]


def test_what_cannot_be_started_is_counted_and_never_raised(ran: Ran) -> None:
    agents, unhashable = Agents("a test of keys"), [1]
    before = default().guard.failures.get("the agents of a test of keys", 0)
    agents.start(unhashable, "planner")  # type: ignore[arg-type]
    assert default().guard.failures["the agents of a test of keys"] == before + 1
    assert current().agent is None


def test_starts_without_an_end_are_bounded_and_given_up(ran: Ran) -> None:
    agents = Agents("test")

    for number in range(LIMIT + 2):
        Context().run(agents.start, number, "lost")
    assert len(list(still_open())) == LIMIT
    agents.give_up()
    assert [end[1:] for end in ran()] == [("abandoned", None)] * (LIMIT + 2)


# -- methods


class HandedOverError(Exception):
    """Handed over."""


class Worker:
    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, inner: Any = None) -> object:
        return current().agent if inner is None else inner()

    async def arun(self) -> str | None:
        await asyncio.sleep(0)
        return current().agent

    def stream(self) -> Iterator[str | None]:
        yield current().agent
        yield current().agent

    async def astream(self) -> AsyncIterator[str | None]:
        yield current().agent
        await asyncio.sleep(0)
        yield current().agent

    def fail(self, error: BaseException) -> None:
        raise error

    def fail_late(self, error: BaseException) -> Iterator[None]:
        yield
        raise error


class Special(Worker):
    """One that has the method from its parent."""


METHODS = ("run", "arun", "stream", "astream", "fail", "fail_late")


def name_of(worker: Worker, _args: Any, _kwargs: Any) -> str:
    return worker.name


@pytest.fixture
def patched() -> Iterator[None]:
    here = importlib.import_module(__name__)
    before = dict(vars(Worker))
    undos = [
        each_call(here, f"Worker.{method}", name_of, hands_over=(HandedOverError,))
        for method in METHODS
    ]
    yield
    for undo in undos:
        undo()
        undo()
    assert dict(vars(Worker)) == before


def test_each_call_of_a_method_of_any_colour_is_a_run(patched: None, ran: Ran) -> None:
    async def collect() -> list[str | None]:
        return [agent async for agent in Worker("s").astream()]

    with attribute(agent="boss"):
        assert Worker("a").run(Worker("b").run) == "boss/a/b"
        assert asyncio.run(Worker("c").arun()) == "boss/c"
        assert asyncio.run(collect()) == ["boss/s", "boss/s"]
    assert [agent for agent, _, _ in ran()] == ["boss/a/b", "boss/a", "boss/c", "boss/s", "boss"]


def test_the_consumer_of_a_stream_is_outside_of_its_run(patched: None, ran: Ran) -> None:
    for agent in Worker("s").stream():
        assert (agent, current().agent) == ("s", None)
    assert ran() == [("s", "completed", None)]


def test_a_stream_that_is_closed_is_abandoned_and_one_that_nobody_reads_is_none(
    patched: None, ran: Ran
) -> None:
    with closing(Worker("s").stream()) as stream:  # type: ignore[type-var]
        next(stream)
    Worker("unread").stream()
    assert ran() == [("s", "abandoned", None)]


def test_an_agent_that_hands_over_has_not_failed(patched: None, ran: Ran) -> None:
    for error in (HandedOverError(), KeyError()):
        with pytest.raises(type(error)):
            Worker("w").fail(error)
        with pytest.raises(type(error)):
            list(Worker("w").fail_late(error))
    assert ran() == [("w", "completed", None)] * 2 + [("w", "failed", "KeyError")] * 2


def test_a_name_that_cannot_be_had_leaves_the_call_as_it_is(ran: Ran) -> None:
    def broken(*_: Any) -> str:
        raise RuntimeError

    undo = each_call(importlib.import_module(__name__), "Worker.run", broken)
    assert Worker("w").run() is None
    undo()
    assert ran() == []
    assert default().guard.failures[f"the agents of {__name__}.Worker.run"] >= 1


def test_an_inherited_method_is_given_back_to_the_class_it_is_of() -> None:
    here: ModuleType = importlib.import_module(__name__)
    undo = each_call(here, "Special.run", name_of)
    assert "run" in vars(Special)
    undo()
    assert "run" not in vars(Special)


def test_a_method_that_somebody_patched_after_us_passes_through() -> None:
    undo = each_call(importlib.import_module(__name__), "Worker.run", name_of)
    ours = Worker.run

    def theirs(self: Worker, inner: Any = None) -> object:
        return ours(self, inner)

    before = vars(Worker)["run"].__wrapped__
    Worker.run = theirs  # type: ignore[method-assign]
    undo()
    assert Worker("w").run() is None
    assert vars(Worker)["run"] is theirs
    Worker.run = before  # type: ignore[method-assign]
