"""OpenAI Agents SDK: spans of agents are runs, also where its tracing is disabled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from frameworks.proof import Ran, done
from tokenmeter import attribute, follow
from tokenmeter.attribution import current
from tokenmeter.testing import Answer, ModelServer

agents = pytest.importorskip("agents")
openai = pytest.importorskip("openai")

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs


class Recorder(agents.TracingProcessor):  # type: ignore[misc]
    """A processor of the user's: what the SDK traces, and to nobody else."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str | None]] = []

    def on_trace_start(self, trace: Any) -> None: ...
    def on_trace_end(self, trace: Any) -> None: ...
    def on_span_start(self, span: Any) -> None: ...

    def on_span_end(self, span: Any) -> None:
        self.spans.append((span.span_data.type, getattr(span.span_data, "name", None)))

    def shutdown(self) -> None: ...
    def force_flush(self) -> None: ...


@pytest.fixture(params=["traced", "disabled"])
def recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Have tracing go to a recorder, or nowhere; never to the vendor."""
    mine = Recorder()
    agents.set_trace_processors([mine])
    agents.set_tracing_disabled(request.param == "disabled")
    yield mine
    agents.set_tracing_disabled(True)


@pytest.fixture
def agent(server: ModelServer, recorder: Recorder) -> Callable[..., Any]:
    """Make agents, each with a model of its own name."""
    client = openai.AsyncOpenAI(base_url=server.openai_url, api_key="k", max_retries=0)

    def make(name: str, **more: Any) -> Any:
        return agents.Agent(name=name, model=agents.OpenAIResponsesModel(name, client), **more)

    return make


async def streamed(agent: Any, said: str = "hi") -> str | None:
    """Run an agent as a stream; its consumer stays outside."""
    running = agents.Runner.run_streamed(agent, said)
    async for _ in running.stream_events():
        assert current().agent is None
    return str(running.final_output)


def run_sync(agent: Any) -> None:
    agents.Runner.run_sync(agent, "hi")


def run(agent: Any) -> None:
    asyncio.run(agents.Runner.run(agent, "hi"))


def run_streamed(agent: Any) -> None:
    asyncio.run(streamed(agent))


WAYS = pytest.mark.parametrize("way", [run, run_sync, run_streamed])


@WAYS
def test_the_agent_that_takes_over_is_a_run_beside_the_first(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    ran.server.script(Answer(calls=[("transfer_to_second", {})]), model="first")
    way(agent("first", handoffs=[agent("second")]))
    assert ran.tree() == [done("first"), done("second")]


@WAYS
def test_agents_that_are_tools_are_runs_in_the_one_that_uses_them(  # C14, C16, C32
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    critic = agent("critic").as_tool("ask_critic", "asks a critic")
    writer = agent("writer", tools=[critic]).as_tool("ask_writer", "asks a writer")
    researcher = agent("researcher").as_tool("ask_researcher", "asks a researcher")

    @agents.function_tool  # type: ignore[untyped-decorator]
    def look_up(word: str) -> str:  # runs in a thread of a worker
        with openai.OpenAI(base_url=ran.server.openai_url, api_key="k") as client:
            return str(client.responses.create(model="planner", input=word).output_text)

    asked = [("ask_researcher", {"input": topic}) for topic in ("law", "taste", "price")]
    asked += [("look_up", {"word": "x"}), ("ask_writer", {"input": "x"})]
    ran.server.script(Answer(calls=asked), model="planner")
    way(agent("planner", tools=[researcher, writer, look_up]))
    assert ran.tree() == [
        done("planner", *[done("researcher")] * 3, done("writer", done("critic")))
    ]


def test_the_agent_of_a_guardrail_is_a_run_in_the_one_that_it_guards(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    guard = agent("guard")

    @agents.input_guardrail
    async def harmless(_ctx: Any, _agent: Any, said: Any) -> Any:
        await agents.Runner.run(guard, said)
        return agents.GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)

    run(agent("planner", input_guardrails=[harmless]))
    assert ran.tree() == [done("planner", done("guard"))]


def test_agents_that_run_at_the_same_time_are_runs_of_their_own(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    names = [f"agent-{number}" for number in range(10)]

    async def main() -> None:
        with attribute(agent="boss"):
            await asyncio.gather(*(agents.Runner.run(agent(name), "hi") for name in names))

    asyncio.run(main())
    assert ran.tree() == [done("boss", *map(done, names))]


@pytest.mark.parametrize("way", [run, run_sync, run_streamed])
def test_a_run_that_fails_has_the_kind_of_its_error(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    ran.server.script(Answer(status=400), model="planner")
    with pytest.raises(openai.BadRequestError):
        way(agent("planner"))
    [failed] = [event for event in ran.events if event.kind == "run"]
    assert (failed.status, failed.error_type) == ("failed", "BadRequestError")
    assert ran.tree() == [("planner", "failed")]


def test_a_run_in_the_handling_of_an_error_has_not_failed_with_it(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    try:
        raise KeyError
    except KeyError:
        run(agent("planner"))
    assert ran.tree() == [done("planner")]


def test_a_run_of_too_many_turns_has_failed(ran: Ran, agent: Callable[..., Any]) -> None:
    tool = agents.function_tool(lambda: "again", name_override="again")
    ran.server.script(*[Answer(calls=[("again", {})])] * 2, model="planner")
    with pytest.raises(agents.MaxTurnsExceeded):
        asyncio.run(agents.Runner.run(agent("planner", tools=[tool]), "hi", max_turns=2))
    assert ran.tree() == [("planner", "failed")]


def never(started: asyncio.Event) -> Any:
    """Make a tool that begins and never ends."""

    async def wait(_ctx: Any, _arguments: str) -> str:
        started.set()
        await asyncio.Event().wait()
        return ""

    nothing = {"type": "object", "properties": {}, "additionalProperties": False}
    return agents.FunctionTool(
        name="never", description="", on_invoke_tool=wait, params_json_schema=nothing
    )


def test_a_run_that_is_cancelled_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    async def main() -> None:
        started = asyncio.Event()
        planner = agent("planner", tools=[never(started)])
        task = asyncio.create_task(agents.Runner.run(planner, "hi"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ran.tree() == [("planner", "abandoned")]


def test_a_stream_that_is_cancelled_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    async def main() -> None:
        started = asyncio.Event()
        running = agents.Runner.run_streamed(agent("planner", tools=[never(started)]), "hi")
        await started.wait()
        running.cancel()
        async for _ in running.stream_events():
            pass
        with contextlib.suppress(asyncio.CancelledError):
            await running.run_loop_task

    asyncio.run(main())
    assert ran.tree() == [("planner", "abandoned")]


def test_runs_that_are_undone_in_the_middle_are_abandoned(
    server: ModelServer, agent: Callable[..., Any]
) -> None:
    ran = Ran(server)
    undo = follow("openai-agents")

    @agents.function_tool  # type: ignore[untyped-decorator]
    def leave() -> str:
        undo()
        return "left"

    with ran.meter.instrument():
        run(agent("planner", tools=[leave]))
    assert [(event.kind, event.status) for event in ran.events if event.kind == "run"] == [
        ("run", "abandoned")
    ]


def test_the_sdks_own_tracing_is_what_it_is_without_us(
    server: ModelServer, agent: Callable[..., Any], recorder: Recorder
) -> None:
    first = agent("first", handoffs=[agent("second")])

    async def main() -> None:
        await agents.Runner.run(first, "hi")
        recorder.spans, without = [], recorder.spans
        with follow("openai-agents"):
            await agents.Runner.run(first, "hi")
        assert recorder.spans == without

    asyncio.run(main())


def test_processors_that_are_set_later_do_not_end_it(ran: Ran, agent: Callable[..., Any]) -> None:
    agents.set_trace_processors([Recorder()])
    run(agent("planner"))
    assert ran.tree() == [done("planner")]


def test_the_undo_leaves_no_trace(server: ModelServer, agent: Callable[..., Any]) -> None:
    before = agents.tracing.get_trace_provider()
    undo = follow("openai-agents")
    assert agents.tracing.get_trace_provider() is not before
    undo()
    assert agents.tracing.get_trace_provider() is before
    ran = Ran(server)
    with ran.meter.instrument():
        run(agent("planner"))
    assert [(event.kind, event.agent) for event in ran.events] == [("call", None)]


def test_a_provider_that_somebody_set_around_ours_passes_through_after_the_undo(
    server: ModelServer, agent: Callable[..., Any]
) -> None:
    before = agents.tracing.get_trace_provider()
    with follow("openai-agents"):
        ours = agents.tracing.get_trace_provider()
        agents.tracing.set_trace_provider(Around(ours))
    ran = Ran(server)
    run(agent("planner"))
    assert ran.events == []
    agents.tracing.set_trace_provider(before)


class Around:
    """A provider of somebody's around the one that was in force."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
