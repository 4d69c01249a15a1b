"""Pydantic AI: runs of agents are runs, however they are started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from frameworks.proof import Ran, done
from tokenmeter import attribute, follow
from tokenmeter.attribution import current
from tokenmeter.testing import Answer, ModelServer

pydantic_ai = pytest.importorskip("pydantic_ai")
openai = pytest.importorskip("openai")

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs


@pytest.fixture
def agent(server: ModelServer) -> Callable[..., Any]:
    """Make agents, each with a model of its own name."""
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def make(name: str, /, **more: Any) -> Any:
        provider = OpenAIProvider(base_url=server.openai_url, api_key="k")
        return pydantic_ai.Agent(OpenAIChatModel(name, provider=provider), **{"name": name} | more)

    return make


def run_sync(agent: Any) -> None:
    agent.run_sync("hi")


def run(agent: Any) -> None:
    asyncio.run(agent.run("hi"))


def run_stream(agent: Any) -> None:
    async def main() -> None:
        async with agent.run_stream("hi") as result:
            async for _ in result.stream_text():
                pass
        assert current().agent is None

    asyncio.run(main())


def run_stream_sync(agent: Any) -> None:
    result = agent.run_stream_sync("hi")
    for _ in result.stream_text():
        assert current().agent is None


def run_stream_events(agent: Any) -> None:
    async def main() -> None:
        async with agent.run_stream_events("hi") as events:
            async for _ in events:
                assert current().agent is None

    asyncio.run(main())


def iterate(agent: Any) -> None:
    async def main() -> None:
        async with agent.iter("hi") as running:
            async for _ in running:
                pass
        assert current().agent is None

    asyncio.run(main())


WAYS = pytest.mark.parametrize(
    "way", [run, run_sync, run_stream, run_stream_sync, run_stream_events, iterate]
)


@WAYS
def test_an_agent_that_a_tool_asks_is_a_run_in_the_one_whose_tool_it_is(  # C15
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    critic, writer, researcher, planner = map(agent, ("critic", "writer", "researcher", "planner"))

    @writer.tool_plain
    async def ask_critic(question: str) -> str:
        return str((await critic.run(question)).output)

    @planner.tool_plain
    async def ask_writer(question: str) -> str:
        return str((await writer.run(question)).output)

    @planner.tool_plain
    async def ask_researcher(topic: str) -> str:
        return str((await researcher.run(topic)).output)

    @planner.tool_plain
    def look_up(word: str) -> str:  # runs in a thread of a worker
        with openai.OpenAI(base_url=ran.server.openai_url, api_key="k") as client:
            return client.responses.create(model="planner", input=word).output_text

    asked = [("ask_researcher", {"topic": topic}) for topic in ("law", "taste", "price")]
    asked += [("look_up", {"word": "x"}), ("ask_writer", {"question": "x"})]
    ran.server.script(Answer(calls=asked), model="planner")
    way(planner)
    assert ran.tree() == [
        done("planner", *[done("researcher")] * 3, done("writer", done("critic")))
    ]


def test_agents_that_run_at_the_same_time_are_runs_of_their_own(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    names = [f"agent-{number}" for number in range(10)]

    async def main() -> None:
        with attribute(agent="boss"):
            await asyncio.gather(*(agent(name).run("hi") for name in names))

    asyncio.run(main())
    assert ran.tree() == [done("boss", *map(done, names))]


def test_an_agent_is_called_as_it_is_named_or_guessed_or_else_like_its_class(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    async def main() -> None:
        guessed = agent("guessed", name=None)
        await guessed.run("hi")
        async with agent("Agent", name=None).iter("hi") as running:
            async for _ in running:
                pass

    asyncio.run(main())
    assert ran.tree() == [done("Agent"), done("guessed")]


@WAYS
def test_a_run_that_fails_has_the_kind_of_its_error(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    ran.server.script(Answer(status=400), model="planner")
    with pytest.raises(pydantic_ai.ModelHTTPError) as raised:
        way(agent("planner"))
    [failed] = [event for event in ran.events if event.kind == "run"]
    assert (failed.status, failed.error_type) == ("failed", raised.type.__name__)
    assert ran.tree() == [("planner", "failed")]


def test_a_run_that_is_cancelled_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    started, planner = asyncio.Event(), agent("planner")

    @planner.tool_plain
    async def never() -> None:
        started.set()
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(planner.run("hi"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ran.tree() == [("planner", "abandoned")]


def test_a_run_that_the_program_stops_is_abandoned_and_one_out_of_time_has_failed(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    async def stop() -> None:
        async with agent("stopped").iter("hi") as running:
            async for _ in running:
                running.cancel()

    async def main() -> None:
        with pytest.raises(pydantic_ai.RunCancelled):
            await stop()
        with pytest.raises(TimeoutError):
            await agent("late").run("hi", timeout=1e-9)

    asyncio.run(main())
    assert ran.tree() == [("late", "failed"), ("stopped", "abandoned")]


def test_a_run_that_cannot_even_begin_has_failed(ran: Ran) -> None:
    with pytest.raises(pydantic_ai.UserError):
        asyncio.run(pydantic_ai.Agent(name="planner").run("hi"))
    assert ran.tree() == [("planner", "failed")]


def test_what_iter_gives_is_what_it_gives_without_us(ran: Ran, agent: Callable[..., Any]) -> None:
    from contextlib import AbstractAsyncContextManager

    planner = agent("planner")
    iterating = planner.iter("hi")
    assert isinstance(iterating, AbstractAsyncContextManager)
    assert ran.tree() == []


def test_the_undo_leaves_no_trace(server: ModelServer, agent: Callable[..., Any]) -> None:
    before = vars(pydantic_ai.Agent)["iter"]
    undo = follow("pydantic-ai")
    assert vars(pydantic_ai.Agent)["iter"] is not before
    undo()
    assert vars(pydantic_ai.Agent)["iter"] is before
    ran = Ran(server)
    with ran.meter.instrument():
        agent("planner").run_sync("hi")
    assert [(event.kind, event.agent) for event in ran.events] == [("call", None)]
