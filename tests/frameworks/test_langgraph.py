"""LangGraph and the agents of LangChain: runs of graphs are runs, by the names of the graphs."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypedDict

import pytest

from frameworks.proof import Ran, done
from tokenmeter import attribute, follow
from tokenmeter.attribution import current
from tokenmeter.testing import Answer, ModelServer

graphs = pytest.importorskip("langgraph.graph")
making = pytest.importorskip("langchain.agents")
types = pytest.importorskip("langgraph.types")
langchain_openai = pytest.importorskip("langchain_openai")
pregel = pytest.importorskip("langgraph.pregel")
supervisor = pytest.importorskip("langgraph_supervisor")

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs


class State(TypedDict):
    messages: Annotated[list[Any], operator.add]


HELLO: Any = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def model(server: ModelServer) -> Callable[[str], Any]:
    """Make models, called like the agents that ask them."""

    def make(name: str) -> Any:
        return langchain_openai.ChatOpenAI(
            model=name, base_url=server.openai_url, api_key="k", stream_usage=True, max_retries=0
        )

    return make


@pytest.fixture
def agent(model: Callable[[str], Any]) -> Callable[..., Any]:
    """Make agents, as LangChain makes them."""

    def make(name: str, /, *tools: Any, **more: Any) -> Any:
        return making.create_agent(model(name), list(tools), **{"name": name} | more)

    return make


def invoke(graph: Any) -> None:
    graph.invoke(HELLO)
    assert current().agent is None


def stream(graph: Any) -> None:
    for _ in graph.stream(HELLO):
        assert current().agent is None


def stream_messages(graph: Any) -> None:
    for _ in graph.stream(HELLO, stream_mode=["messages", "updates"], subgraphs=True):
        assert current().agent is None


def ainvoke(graph: Any) -> None:
    async def main() -> None:
        await graph.ainvoke(HELLO)
        assert current().agent is None

    asyncio.run(main())


def astream(graph: Any) -> None:
    async def main() -> None:
        async for _ in graph.astream(HELLO):
            assert current().agent is None

    asyncio.run(main())


def astream_messages(graph: Any) -> None:
    async def main() -> None:
        modes = ["messages", "updates"]
        async for _ in graph.astream(HELLO, stream_mode=modes, subgraphs=True):
            assert current().agent is None

    asyncio.run(main())


def astream_events(graph: Any) -> None:
    async def main() -> None:
        async for _ in graph.astream_events(HELLO, version="v2"):
            assert current().agent is None

    asyncio.run(main())


def batch(graph: Any) -> None:
    graph.batch([HELLO])


ALL = [invoke, stream, stream_messages, ainvoke, astream, astream_messages, astream_events, batch]
WAYS = pytest.mark.parametrize("way", ALL)


@WAYS
def test_an_agent_that_a_tool_asks_is_a_run_in_the_one_whose_tool_it_is(  # C14, C16, C32
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    critic = agent("critic")

    def ask_critic(question: str) -> str:
        """Asks a critic."""
        return str(critic.invoke(HELLO)["messages"][-1].content)

    researcher, writer = agent("researcher"), agent("writer", ask_critic)

    def ask_researcher(topic: str) -> str:
        """Asks a researcher."""
        return str(researcher.invoke(HELLO)["messages"][-1].content)

    def ask_writer(question: str) -> str:
        """Asks a writer."""
        return str(writer.invoke(HELLO)["messages"][-1].content)

    asked = [("ask_researcher", {"topic": topic}) for topic in ("law", "taste", "price")]
    ran.server.script(Answer(calls=[*asked, ("ask_writer", {"question": "x"})]), model="planner")
    way(agent("planner", ask_researcher, ask_writer))
    assert ran.tree() == [
        done("planner", *[done("researcher")] * 3, done("writer", done("critic")))
    ]


def test_agents_that_asynchronous_tools_ask_at_the_same_time_are_runs_of_their_own(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    researcher = agent("researcher")

    async def ask_researcher(topic: str) -> str:
        """Asks a researcher."""
        return str((await researcher.ainvoke(HELLO))["messages"][-1].content)

    asked = [("ask_researcher", {"topic": str(number)}) for number in range(10)]
    ran.server.script(Answer(calls=asked), model="planner")
    ainvoke(agent("planner", ask_researcher))
    assert ran.tree() == [done("planner", *[done("researcher")] * 10)]


@WAYS
def test_graphs_that_are_nodes_and_what_is_sent_to_at_once_are_runs_in_their_graph(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any], model: Callable[[str], Any]
) -> None:
    def plan(state: State) -> Any:
        return {"messages": [model("team").invoke("who is to do it?")]}

    def everybody(state: State) -> Any:
        return [types.Send("researcher", HELLO)] * 5 + [types.Send("writer", HELLO)]

    team = graphs.StateGraph(State)
    team.add_node("plan", plan)
    team.add_node("researcher", agent("researcher"))
    team.add_node("writer", agent("writer"))
    team.add_edge(graphs.START, "plan")
    team.add_conditional_edges("plan", everybody, ["researcher", "writer"])
    way(team.compile(name="team"))
    assert ran.tree() == [done("team", *[done("researcher")] * 5, done("writer"))]


@WAYS
def test_a_graph_without_a_name_is_called_like_its_node(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    inner = agent("by-function", name=None)

    def by_function(state: State) -> Any:
        return inner.invoke(HELLO)

    outer = graphs.StateGraph(State)
    outer.add_node("by-itself", agent("by-itself", name=None))
    outer.add_node("by-function", by_function)
    outer.add_edge(graphs.START, "by-itself")
    outer.add_edge(graphs.START, "by-function")
    way(outer.compile())
    assert ran.tree() == [done("LangGraph", done("by-function"), done("by-itself"))]


@WAYS
def test_an_agent_that_hands_over_to_another_one_has_completed(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    def hand_over() -> Any:
        """Hands over to the second."""
        return types.Command(goto="second", graph=types.Command.PARENT, update=HELLO)

    team = graphs.StateGraph(State)
    team.add_node("first", agent("first", hand_over))
    team.add_node("second", agent("second"))
    team.add_edge(graphs.START, "first")
    way(team.compile(name="team"))
    assert ran.tree() == [done("team", done("first"), done("second"))]


@WAYS
def test_a_supervisor_and_its_agents_are_runs_each_time_they_have_the_word(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any], model: Callable[[str], Any]
) -> None:
    team = supervisor.create_supervisor(
        [agent("researcher"), agent("writer")], model=model("boss"), supervisor_name="boss"
    )
    ran.server.script(
        Answer(calls=[("transfer_to_researcher", {})]),
        Answer(calls=[("transfer_to_writer", {})]),
        Answer(text="done", calls=()),
        model="boss",
    )
    way(team.compile(name="team"))
    bosses = [done("boss")] * 3
    assert ran.tree() == [done("team", *bosses, done("researcher"), done("writer"))]


def test_a_graph_that_waits_for_a_human_has_completed_and_goes_on_as_another_run(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    def ask_human() -> str:
        """Asks a human."""
        return str(types.interrupt("yes?"))

    team = graphs.StateGraph(State)
    team.add_node("asker", agent("asker", ask_human))
    team.add_edge(graphs.START, "asker")
    compiled = team.compile(name="team", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    compiled.invoke(HELLO, config)
    compiled.invoke(types.Command(resume="yes"), config)
    assert ran.tree() == [done("team", done("asker"))] * 2


@WAYS
def test_a_run_that_fails_has_the_kind_of_its_error(
    way: Callable[[Any], None], ran: Ran, agent: Callable[..., Any]
) -> None:
    ran.server.script(Answer(status=400), model="planner")
    with pytest.raises(Exception, match="scripted to answer 400") as raised:
        way(agent("planner"))
    [failed] = [event for event in ran.events if event.kind == "run"]
    assert (failed.status, failed.error_type) == ("failed", raised.type.__name__)
    assert ran.tree() == [("planner", "failed")]


def test_calls_between_two_chunks_of_a_stream_are_not_the_graphs(
    ran: Ran, agent: Callable[..., Any], model: Callable[[str], Any]
) -> None:
    async def main(chunks: AsyncIterator[Any]) -> None:
        async for _ in chunks:
            await model("me").ainvoke("and what do I say?")

    with attribute(agent="me"):
        for _ in agent("one").stream(HELLO):
            model("me").invoke("and what do I say?")
        asyncio.run(main(agent("two").astream(HELLO)))
    assert ran.tree() == [done("me", done("one"), done("two"))]


def test_a_stream_that_is_dropped_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    async def main() -> None:
        async for _ in agent("two").astream(HELLO):
            break
        await asyncio.sleep(0)

    for _ in agent("one").stream(HELLO):
        break
    asyncio.run(main())
    assert ran.tree() == [("one", "abandoned"), ("two", "abandoned")]


def test_a_run_that_is_cancelled_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    started = asyncio.Event()

    async def never() -> str:
        """Never ends."""
        started.set()
        await asyncio.Event().wait()
        return ""

    async def main() -> None:
        task = asyncio.create_task(agent("planner", never).ainvoke(HELLO))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ran.tree() == [("planner", "abandoned")]


def test_a_stream_that_is_closed_is_abandoned(ran: Ran, agent: Callable[..., Any]) -> None:
    async def main() -> None:
        chunks = agent("two").astream(HELLO)
        await anext(chunks)
        await chunks.aclose()

    chunks = agent("one").stream(HELLO)
    next(chunks)
    chunks.close()
    asyncio.run(main())
    assert ran.tree() == [("one", "abandoned"), ("two", "abandoned")]


def test_agents_that_run_at_the_same_time_are_runs_of_their_own(
    ran: Ran, agent: Callable[..., Any]
) -> None:
    names = [f"agent-{number}" for number in range(10)]

    async def main() -> None:
        with attribute(agent="boss"):
            await asyncio.gather(*(agent(name).ainvoke(HELLO) for name in names))

    asyncio.run(main())
    assert ran.tree() == [done("boss", *map(done, names))]


def test_an_entrypoint_and_its_tasks_are_one_run(ran: Ran, model: Callable[[str], Any]) -> None:
    from langgraph.func import entrypoint, task

    @task  # type: ignore[untyped-decorator]
    def look_up(word: str) -> str:
        return str(model("planner").invoke(word).content)

    @entrypoint()  # type: ignore[untyped-decorator]
    def planner(words: list[str]) -> list[str]:
        return [each.result() for each in [look_up(word) for word in words]]

    planner.invoke(["law", "taste"])
    assert ran.tree() == [done("planner")]


def test_a_chain_is_no_run(ran: Ran, model: Callable[[str], Any]) -> None:
    from langchain_core.runnables import RunnableLambda

    chain = RunnableLambda(lambda said: said) | model("planner")
    with attribute(agent="planner"):
        chain.invoke("hi")
        asyncio.run(chain.ainvoke("hi"))
    assert ran.tree() == [done("planner")]


def test_the_undo_leaves_no_trace(server: ModelServer, agent: Callable[..., Any]) -> None:
    before = dict(vars(pregel.Pregel))
    undo = follow("langgraph")
    assert vars(pregel.Pregel)["stream"] is not before["stream"]
    undo()
    assert dict(vars(pregel.Pregel)) == before
    ran = Ran(server)
    with ran.meter.instrument():
        invoke(agent("planner"))
    assert [(event.kind, event.agent) for event in ran.events] == [("call", None)]
