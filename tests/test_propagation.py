"""Attribution in threads, executors and processes of one program: nothing is lost on the way."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from tokenmeter import (
    Attribution,
    ConfigurationError,
    ContextExecutor,
    Meter,
    attribute,
    metered,
    propagate,
)
from tokenmeter.attribution import block, current
from tokenmeter.ledger import read


def in_thread(function: Any, *args: Any) -> Any:
    """Call a function in a thread that knows nothing of this one."""
    given: list[Any] = []
    thread = threading.Thread(target=lambda: given.append(function(*args)))
    thread.start()
    thread.join()
    [value] = given
    return value


def who(*_args: object) -> Attribution:
    """Give whom calls are for; here, so that it can be sent to other processes."""
    return current()


def test_without_it_a_thread_is_for_nobody() -> None:
    with attribute(user="ada"):
        assert in_thread(who) == Attribution()


def test_a_function_runs_as_if_it_were_called_where_it_was_propagated() -> None:
    with attribute(user="ada", task="T", agent="a", tier=1):
        here, ask = current(), propagate(who)
    with attribute(user="bob"):
        assert in_thread(ask) == here
        assert ask() == here
        assert current().user == "bob"


def test_what_it_opens_itself_is_a_child_and_ends_with_it() -> None:
    def ask() -> tuple[Attribution, Attribution]:
        with attribute(agent="child"):
            inside = current()
        return inside, current()

    with attribute(agent="planner"):
        here = current()
        inside, after = in_thread(propagate(ask))
    assert (inside.agent, inside.parent_run_id, inside.depth) == ("planner/child", here.run_id, 1)
    assert after == here


def test_a_coroutine_function_and_generators_of_both_colours() -> None:
    async def ask() -> Attribution:
        await asyncio.sleep(0)
        return current()

    def steps() -> Iterator[Attribution]:
        yield current()
        yield current()

    async def async_steps() -> AsyncIterator[Attribution]:
        yield current()
        yield current()

    with attribute(user="ada"):
        here = current()
        asked, stepped, stepped_async = propagate(ask), propagate(steps), propagate(async_steps)

    async def main() -> None:
        assert await asked() == here
        assert [(inside, current()) async for inside in stepped_async()] == [
            (here, Attribution())
        ] * 2

    asyncio.run(main())
    assert [(inside, current()) for inside in stepped()] == [(here, Attribution())] * 2


def test_it_keeps_its_name_and_passes_everything_through() -> None:
    def ask(a: int, *, b: int) -> int:
        return a + b

    asked = propagate(ask)
    assert asked.__name__ == "ask"
    assert asked(1, b=2) == 3
    with pytest.raises(TypeError):
        asked(1)  # type: ignore[call-arg]


def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"propagate\(...\) decorates a function"):
        propagate("ask")  # type: ignore[type-var]


def test_tallies_that_watch_here_see_what_happens_there() -> None:
    meter = Meter()
    ask = metered(lambda: {"input_tokens": 5, "output_tokens": 1}, meter=meter)
    with meter.tally() as spent:
        in_thread(propagate(ask))
        in_thread(ask)
    with meter.tally() as later:
        in_thread(propagate(ask))
    assert (spent.calls, later.calls) == (1, 1)
    meter.shutdown()


def test_the_span_that_is_current_here_is_that_of_calls_there() -> None:
    events: list[Any] = []
    meter = Meter([events.append])
    ask = metered(lambda: {"input_tokens": 5, "output_tokens": 1}, meter=meter)
    with TracerProvider().get_tracer("tests").start_as_current_span("span") as span:
        asked = propagate(ask)
    in_thread(asked)
    context = span.get_span_context()
    assert (events[0].trace_id, events[0].span_id) == (
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
    )
    meter.shutdown()


# --- executors ------------------------------------------------------------------------------------


def test_jobs_of_a_context_executor_belong_to_whoever_submits_them() -> None:
    with ContextExecutor(ThreadPoolExecutor(2)) as pool:
        assert isinstance(pool, Executor)
        with attribute(user="ada"):
            first, mapped = pool.submit(who), pool.map(who, [1, 2])
        with attribute(user="bob"):
            second = pool.submit(who)
        third = pool.submit(who)
        users = [job.result().user for job in (first, second, third)]
        assert users == ["ada", "bob", None]
        assert [attribution.user for attribution in mapped] == ["ada", "ada"]


def test_an_event_loop_runs_its_jobs_in_one() -> None:
    async def main() -> str | None:
        with ContextExecutor(ThreadPoolExecutor(1)) as pool, attribute(user="ada"):
            return (await asyncio.get_running_loop().run_in_executor(pool, who)).user

    assert asyncio.run(main()) == "ada"


def test_a_context_executor_shuts_down_what_it_was_given() -> None:
    inner = ThreadPoolExecutor(1)
    ContextExecutor(inner).shutdown(cancel_futures=True)
    with pytest.raises(RuntimeError):
        inner.submit(who)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_other_processes_of_a_pool_go_on_in_the_run(method: str) -> None:
    context = multiprocessing.get_context(method)
    with (
        ContextExecutor(ProcessPoolExecutor(1, mp_context=context)) as pool,
        attribute(user="ada", task="T", agent="planner", tier=1),
    ):
        assert pool.submit(who).result() == current()
        assert list(pool.map(who, [1, 2], chunksize=2)) == [current()] * 2


def asks(ledger: str) -> None:
    """Make a call, and one in a run of its own; what a process of `multiprocessing` does here."""
    meter = Meter([f"jsonl:{ledger}"])
    ask = metered(lambda: {"input_tokens": 5, "output_tokens": 1}, meter=meter)
    ask()
    with attribute(agent="child"):
        ask()
    meter.shutdown()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_of_multiprocessing_goes_on_in_the_run_that_starts_it(
    method: str, tmp_path: Path
) -> None:
    context = multiprocessing.get_context(method)
    ledger = str(tmp_path / "usage.jsonl")
    with attribute(user="ada", agent="planner"):
        here = current()
        target = asks if method == "fork" else propagate(asks)
        process = context.Process(target=target, args=(ledger,))
        process.start()
        process.join()
    run, events = None, list(read(ledger))
    for event in events:
        run = event if event.kind == "run" else run
    assert run is not None
    assert [(e.kind, e.user, e.agent, e.run_id, e.parent_run_id) for e in events] == [
        ("call", "ada", "planner", here.run_id, None),
        ("call", "ada", "planner/child", run.run_id, here.run_id),
        ("run", "ada", "planner/child", run.run_id, here.run_id),
    ]


def test_what_is_pickled_is_whom_it_is_for_and_no_tally() -> None:
    meter = Meter()
    with meter.tally(), attribute(user="ada"):
        sent = pickle.dumps(propagate(who))
    assert pickle.loads(sent)().user == "ada"
    assert block.get().attribution == Attribution()
    meter.shutdown()
