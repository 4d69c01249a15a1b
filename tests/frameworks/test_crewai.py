"""CrewAI: crews, flows and the agents that work in them are runs, delegated coworkers too."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frameworks.proof import Ran, Shape, done, replaced
from tokenmeter import Meter, UsageEvent, attribute, follow
from tokenmeter.attribution import current
from tokenmeter.testing import Answer, Gate, ModelServer

os.environ.update(  # read when crewai and litellm are imported: nothing leaves this machine
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_DISABLE_TRACKING="true",
    CREWAI_DISABLE_VERSION_CHECK="true",
    CREWAI_TESTING="true",
    CREWAI_TRACING_ENABLED="false",
    LITELLM_LOCAL_MODEL_COST_MAP="true",
)
crewai: Any = pytest.importorskip("crewai")
flows: Any = pytest.importorskip("crewai.flow")

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs

Way = Callable[[ModelServer, str], Any]

addresses: list[object] = []
"""Where this process asked to be connected to, and of whom it asked for the address."""


def note_address(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        addresses.append(args[1][0])
    elif event == "socket.getaddrinfo":
        addresses.append(args[0])


@pytest.fixture(scope="module", autouse=True)
def audited() -> None:
    sys.addaudithook(note_address)  # which stays: there is no way to take it off


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Have CrewAI store what it stores in a directory of the test, and reach nobody outside."""
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    addresses.clear()
    yield
    assert set(addresses) <= {"127.0.0.1", "localhost"}


def native(server: ModelServer, name: str) -> Any:
    """Give a model that CrewAI asks through the SDK of OpenAI."""
    asked = {"base_url": server.openai_url, "api_key": "k", "max_retries": 0}
    return crewai.LLM(model=f"openai/{name}", **asked)


def native_anthropic(server: ModelServer, name: str) -> Any:
    asked = {"base_url": server.url, "api_key": "k", "max_retries": 0}
    return crewai.LLM(model=f"anthropic/{name}", **asked)


def by_litellm(server: ModelServer, name: str) -> Any:
    asked = {"base_url": server.openai_url, "api_key": "k", "is_litellm": True}
    return crewai.LLM(model=f"openai/{name}", **asked)


@pytest.fixture
def agent(server: ModelServer) -> Callable[..., Any]:
    """Make agents, each with a model of its own name."""

    def make(role: str, way: Way = native, **more: Any) -> Any:
        named: dict[str, Any] = {"role": role, "llm": way(server, role)}
        return crewai.Agent(goal="g", backstory="b", **named | more)

    return make


def task(who: Any, **more: Any) -> Any:
    return crewai.Task(description="Look", expected_output="An answer", agent=who, **more)


def crew(*tasks: Any, **more: Any) -> Any:
    agents = list({id(t.agent): t.agent for t in tasks}.values())
    return crewai.Crew(**{"name": "newsroom", "agents": agents, "tasks": list(tasks)} | more)


def led(manager: Any, *team: Any) -> Any:
    """Make a crew whose manager asks its team."""
    return crew(task(None), agents=list(team), manager_agent=manager, process="hierarchical")


def says(text: str) -> Answer:
    return Answer(text=text, calls=())


def asks(*coworkers: str) -> Answer:
    order = {"task": "look", "context": "none"}
    return Answer(calls=[("delegate_work_to_coworker", order | {"coworker": c}) for c in coworkers])


def newsroom(*inside: Shape) -> Shape:
    return done("newsroom", *inside)


@pytest.mark.parametrize("way", [native, native_anthropic, by_litellm])
def test_a_crew_is_a_run_and_so_is_each_task_that_an_agent_does(
    ran: Ran, agent: Callable[..., Any], way: Way
) -> None:
    writer, critic = agent("Writer", way), agent("Critic", way)
    crew(task(writer), task(critic), task(writer)).kickoff()
    assert ran.tree() == [newsroom(done("Critic"), done("Writer"), done("Writer"))]
    assert len(ran.calls) == 3  # C20: the kickoff counts nothing again


@pytest.mark.parametrize("way", [native, by_litellm])
def test_the_reader_of_a_streamed_crew_stays_outside(
    ran: Ran, agent: Callable[..., Any], way: Way
) -> None:
    with attribute(agent="reader"):
        chunks = crew(task(agent("Writer", way)), stream=True).kickoff()
        for _ in chunks:
            assert current().agent == "reader"
    assert ran.tree() == [done("reader", newsroom(done("Writer")))]
    assert [event.stream for event in ran.calls] == [True]


def test_a_role_is_taken_with_its_inputs_in_one_line_and_does_not_part_the_path(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    who = agent("{topic} UI/UX\n  expert\n", llm=native(server, "AI UI-UX expert"))
    crew(task(who)).kickoff(inputs={"topic": "AI"})
    assert ran.tree() == [newsroom(done("AI UI-UX expert"))]


def test_coworkers_are_children_of_the_manager_that_asks_them(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    server.script(asks("Writer"), asks("Critic"), says("All is well"), model="Manager")
    work = led(agent("Manager"), agent("Writer"), agent("Critic"))
    assert work.kickoff().raw == "All is well"
    assert ran.tree() == [newsroom(done("Manager", done("Critic"), done("Writer")))]


def test_a_manager_that_crewai_makes_has_the_role_that_crewai_gives_it(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    server.script(asks("Writer"), says("All is well"), model="Crew Manager")
    made = {"manager_llm": native(server, "Crew Manager"), "process": "hierarchical"}
    crew(task(None), agents=[agent("Writer")], **made).kickoff()
    assert ran.tree() == [newsroom(done("Crew Manager", done("Writer")))]


def test_coworkers_that_are_asked_at_once_are_children_too(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    gates = {role: Gate() for role in ("Critic", "Lawyer", "Writer")}
    server.script(asks(*gates), says("All is well"), model="Manager")
    all_at_once(led(agent("Manager"), *map(agent, gates)), server, gates)
    assert ran.tree() == [newsroom(done("Manager", *map(done, gates)))]


def test_tasks_that_are_done_at_the_same_time_keep_their_crew(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    gates = {role: Gate() for role in ("Critic", "Writer")}
    early = [task(agent(role), async_execution=True) for role in gates]
    all_at_once(crew(*early, task(agent("Editor"), context=early)), server, gates)
    assert ran.tree() == [newsroom(done("Critic"), done("Editor"), done("Writer"))]


def all_at_once(work: Any, server: ModelServer, gates: dict[str, Gate]) -> None:
    """Kick off a crew, and answer these agents when all of them have asked."""
    for role, gate in gates.items():
        server.script(Answer(text="done", gate=gate), model=role)
    thread = threading.Thread(target=work.kickoff)
    thread.start()
    assert all(gate.wait_reached() for gate in gates.values())
    for gate in gates.values():
        gate.open()
    thread.join()


@pytest.mark.parametrize("way", ["kickoff_async", "akickoff"])
def test_crews_that_are_kicked_off_side_by_side_are_runs_of_their_own(
    ran: Ran, agent: Callable[..., Any], way: str
) -> None:
    crews = [crew(task(agent(role))) for role in ("Writer", "Critic")]

    async def both() -> None:
        with attribute(agent="program"):
            await asyncio.gather(*(getattr(each, way)() for each in crews))

    asyncio.run(both())
    assert ran.tree() == [done("program", newsroom(done("Critic")), newsroom(done("Writer")))]


@pytest.mark.parametrize("way", ["kickoff_for_each", "kickoff_for_each_async", "akickoff_for_each"])
def test_a_crew_for_each_of_many_inputs_is_a_run_for_each(
    ran: Ran, agent: Callable[..., Any], way: str
) -> None:
    made = getattr(crew(task(agent("Writer"))), way)(inputs=[{"topic": t} for t in "abc"])
    if asyncio.iscoroutine(made):
        asyncio.run(made)
    assert ran.tree() == [newsroom(done("Writer"))] * 3


def test_an_agent_without_a_crew_is_a_run(ran: Ran, agent: Callable[..., Any]) -> None:
    writer = agent("Writer")
    writer.kickoff("Look")
    asyncio.run(writer.kickoff_async("Look"))
    asyncio.run(writer.akickoff("Look"))

    async def inside() -> None:
        await writer.kickoff("Look")  # gives a coroutine, where an event loop runs

    asyncio.run(inside())
    assert ran.tree() == [done("Writer")] * 4


def test_a_flow_is_a_run_of_which_the_crews_and_agents_in_it_are_children(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    class Publishing(crewai.Flow):  # type: ignore[misc]
        @flows.start()  # type: ignore[untyped-decorator]
        def write(self) -> str:
            return str(crew(task(agent("Writer"))).kickoff().raw)

        @flows.start()  # type: ignore[untyped-decorator]
        async def judge(self) -> str:
            return str((await agent("Critic").kickoff_async("Look")).raw)

        @flows.listen(flows.and_(write, judge))  # type: ignore[untyped-decorator]
        def publish(self) -> str:
            return str(native(server, "Publishing").call("Publish"))

    Publishing().kickoff()
    asyncio.run(Publishing().kickoff_async())
    assert ran.tree() == [done("Publishing", done("Critic"), newsroom(done("Writer")))] * 2
    assert len(ran.calls) == 6


def test_the_reader_of_a_streamed_flow_stays_outside(ran: Ran, agent: Callable[..., Any]) -> None:
    class Publishing(crewai.Flow):  # type: ignore[misc]
        @flows.start()  # type: ignore[untyped-decorator]
        def write(self) -> str:
            return str(crew(task(agent("Writer"))).kickoff().raw)

    flow = Publishing()
    flow.name, flow.stream = "publishing", True
    for _ in flow.kickoff():
        assert current().agent is None
    assert ran.tree() == [done("publishing", newsroom(done("Writer")))]


def test_attempts_of_an_agent_at_one_task_are_one_run(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    server.script(Answer(status=500), says("At last"), model="Writer")
    assert crew(task(agent("Writer", max_retry_limit=1))).kickoff().raw == "At last"
    assert ran.tree() == [newsroom(done("Writer"))]
    assert [event.status for event in ran.calls] == ["failed", "completed"]


@pytest.mark.parametrize("way", ["kickoff", "akickoff"])
def test_an_agent_that_raises_has_failed_and_so_has_its_crew(
    ran: Ran, server: ModelServer, agent: Callable[..., Any], way: str
) -> None:
    server.script(Answer(status=500), Answer(status=500), model="Writer")
    work = crew(task(agent("Writer", max_retry_limit=1)))
    with pytest.raises(Exception, match="500"):
        work.kickoff() if way == "kickoff" else asyncio.run(work.akickoff())
    assert ran.tree() == [("newsroom", "failed", ("Writer", "failed"))]


def test_a_coworker_that_fails_need_not_fail_the_one_that_asked(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    server.script(asks("Writer"), says("Without it"), model="Manager")
    server.script(*[Answer(status=500)] * 9, model="Writer")
    work = led(agent("Manager"), agent("Writer", max_retry_limit=0))
    assert work.kickoff().raw == "Without it"
    asked = [event for event in ran.calls if event.request_model == "Writer"]
    assert ran.tree() == [newsroom(done("Manager", *[("Writer", "failed")] * len(asked)))]


def test_an_agent_out_of_turns_gives_an_answer_and_so_has_completed(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    manager = agent("Manager", allow_delegation=True, max_iter=2)
    server.script(asks("Writer"), asks("Writer"), says("That is all"), model="Manager")
    work = crew(task(manager), agents=[manager, agent("Writer")])
    assert work.kickoff().raw == "That is all"
    assert ran.tree() == [newsroom(done("Manager", done("Writer"), done("Writer")))]


def test_a_crew_that_is_cancelled_is_abandoned(
    ran: Ran, server: ModelServer, agent: Callable[..., Any]
) -> None:
    gate = Gate()
    server.script(Answer(text="too late", gate=gate), model="Writer")

    async def cancelled() -> None:
        running = asyncio.create_task(crew(task(agent("Writer"))).akickoff())
        await asyncio.to_thread(gate.wait_reached)
        running.cancel()
        await asyncio.wait([running])
        gate.open()  # for the thread in which CrewAI may still be asking

    asyncio.run(cancelled())
    runs = {event.agent: event.status for event in ran.events if event.kind == "run"}
    assert runs == {"newsroom/Writer": "abandoned", "newsroom": "abandoned"}


def test_nothing_is_left_once_it_is_undone(server: ModelServer, agent: Callable[..., Any]) -> None:
    owners = [crewai.Agent, crewai.Crew, crewai.Flow]
    before = [dict(vars(owner)) for owner in owners]
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    with meter.instrument():
        with follow("crewai"):
            assert list(map(replaced, owners, before)) == [
                {"execute_task", "aexecute_task", "kickoff", "kickoff_async"},
                {"kickoff", "akickoff"},
                {"kickoff_async"},
            ]
        assert list(map(replaced, owners, before)) == [set(), set(), set()]
        crew(task(agent("Writer"))).kickoff()
    meter.shutdown()
    assert [(event.kind, event.agent) for event in events] == [("call", None)]
