"""Agents of smolagents: a run of an agent is a run, that of a managed agent is its child."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from frameworks.proof import Ran, done, replaced
from tokenmeter import Meter, UsageEvent, attribute, follow
from tokenmeter.attribution import current
from tokenmeter.testing import Answer, Gate, ModelServer
from tokenmeter.trees import tree

smolagents: Any = pytest.importorskip("smolagents")

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs

Make = Callable[..., Any]


@pytest.fixture
def model(server: ModelServer) -> Make:
    """Make models, called like the agents that ask them."""

    def make(name: str) -> Any:
        return smolagents.OpenAIModel(
            name,
            api_base=server.openai_url,
            api_key="k",
            client_kwargs={"max_retries": 0},
            retry=False,
        )

    return make


@pytest.fixture
def agent(model: Make) -> Make:
    """Make agents that say nothing on the terminal."""

    def make(name: str, kind: str = "ToolCallingAgent", /, **more: Any) -> Any:
        said = smolagents.AgentLogger(level=smolagents.LogLevel.OFF)
        said.console.quiet = True  # a stream is drawn at any level
        rest = {"tools": [], "name": name, "description": f"Knows {name}.", "logger": said}
        return getattr(smolagents, kind)(model=model(name), **rest | more)

    return make


def final(said: str) -> Answer:
    return Answer(calls=[("final_answer", {"answer": said})])


def asks(*names: str) -> Answer:
    return Answer(calls=[(name, {"task": f"what of {name}?"}) for name in names])


def writes(code: str) -> Answer:
    return Answer(text=f"I write.\n<code>\n{code}\n</code>")


def test_managed_agents_are_children_of_the_agent_that_calls_them(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    manager = agent("manager", managed_agents=[agent("law"), agent("taste")])
    server.script(asks("law"), asks("taste"), asks("law"), final("done"), model="manager")
    server.script(final("legal"), final("still legal"), model="law")
    server.script(final("good"), model="taste")
    assert manager.run("decide") == "done"
    assert ran.tree() == [done("manager", done("law"), done("law"), done("taste"))]
    assert len(ran.calls) == len(server.account) == 7  # C20: none is counted twice


def test_managed_agents_at_work_at_the_same_time_are_children_too(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    gates = {name: Gate() for name in ("law", "price", "taste")}
    manager = agent("manager", managed_agents=[agent(name) for name in gates])
    server.script(asks(*gates), final("done"), model="manager")
    for name, gate in gates.items():
        server.script(Answer(calls=final(name).calls, gate=gate), model=name)
    thread = threading.Thread(target=manager.run, args=("decide",))
    thread.start()
    assert all(gate.wait_reached() for gate in gates.values())  # all are asked, none has answered
    for gate in gates.values():
        gate.open()
    thread.join()
    assert ran.tree() == [done("manager", *map(done, gates))]


def test_code_that_calls_agents_calls_them_in_the_run_of_its_author(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    author = agent("author", "CodeAgent", managed_agents=[agent("law", "CodeAgent")])
    calls = "both = [law(task=topic) for topic in ('a', 'b')]\nfinal_answer(len(both))"
    server.script(writes(calls), model="author")
    server.script(*[writes("final_answer('legal')")] * 2, model="law")
    with attribute(user="ada", agent="program"):
        assert author.run("decide") == 2
    assert ran.tree() == [done("program", done("author", done("law"), done("law")))]
    assert {event.user for event in ran.events} == {"ada"}


def test_a_tool_that_asks_a_model_belongs_to_the_agent_that_uses_it(
    ran: Ran, server: ModelServer, model: Make, agent: Make
) -> None:
    @smolagents.tool
    def look_up(task: str) -> str:
        """Look something up.

        Args:
            task: What to look up.
        """
        return str(model("reader").generate([{"role": "user", "content": task}]).content)

    reader = agent("reader", tools=[look_up])
    spoken = Answer(text="found")
    server.script(asks("look_up", "look_up"), spoken, spoken, final("done"), model="reader")
    assert reader.run("read") == "done"
    assert ran.tree() == [done("reader")]
    assert len(ran.calls) == 4


@pytest.mark.parametrize("kind", ["CodeAgent", "ToolCallingAgent"])
def test_a_streamed_run_lasts_as_long_as_it_is_read_and_its_reader_stays_outside(
    ran: Ran, server: ModelServer, agent: Make, kind: str
) -> None:
    author = agent("author", kind, managed_agents=[agent("law")], stream_outputs=True)
    first = writes("final_answer(law(task='a'))") if kind == "CodeAgent" else asks("law")
    server.script(first, final("done"), model="author")
    server.script(final("legal"), model="law")
    steps = author.run("decide", stream=True)
    assert ran.events == []
    with attribute(agent="reader"):
        for _ in steps:
            assert current().agent == "reader"
    assert ran.tree() == [done("author", done("law")), done("reader")]
    assert {event.stream for event in ran.calls if event.request_model == "author"} == {True}


def test_a_streamed_answer_counts_once_however_many_chunks_tell_its_usage(  # C64
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    for name, streams in (("plain", False), ("streamed", True)):
        server.script(asks("nobody"), final("done"), model=name)
        assert agent(name, stream_outputs=streams).run("decide") == "done"
    assert ran.tree() == [done("plain"), done("streamed")]
    plain, streamed = (node.own for node in tree(ran.events).roots)
    assert streamed.output_tokens == plain.output_tokens
    assert streamed.input_tokens < 1.1 * plain.input_tokens  # it words what it did otherwise


def test_what_plans_cost_is_the_planners(ran: Ran, server: ModelServer, agent: Make) -> None:
    planner = agent("planner", planning_interval=1)
    first, second = Answer(text="first plan", calls=()), Answer(text="second plan", calls=())
    server.script(first, asks("nobody"), second, final("done"), model="planner")
    assert planner.run("decide") == "done"
    assert ran.tree() == [done("planner")]
    assert len(ran.calls) == 4


def test_an_agent_without_a_name_is_called_like_its_class(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    server.script(writes("final_answer('done')"))
    assert agent("CodeAgent", "CodeAgent", name=None).run("decide") == "done"
    assert ran.tree() == [done("CodeAgent")]


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_that_raises_has_failed_and_the_one_that_called_it_may_go_on(
    ran: Ran, server: ModelServer, agent: Make, stream: bool
) -> None:
    manager = agent("manager", managed_agents=[agent("law"), agent("taste")])
    server.script(asks("law"), asks("taste"), Answer(status=500), model="manager")
    server.script(Answer(status=500), model="law")
    server.script(final("good"), model="taste")
    with pytest.raises(smolagents.utils.AgentGenerationError):
        list(manager.run("decide", stream=stream))
    assert ran.tree() == [("manager", "failed", ("law", "failed"), done("taste"))]
    errors = {event.error_type for event in ran.events if event.kind == "run"}
    assert errors == {"AgentGenerationError", None}


def test_an_agent_out_of_steps_gives_an_answer_and_so_has_completed(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    last = Answer(text="That is all.", calls=())
    server.script(asks("nobody"), asks("nobody"), last, model="tired")
    answer = agent("tired", max_steps=2).run("decide", return_full_result=True)
    assert (answer.state, answer.output) == ("max_steps_error", "That is all.")
    assert ran.tree() == [done("tired")]


def test_a_streamed_run_that_is_dropped_is_abandoned_and_one_that_is_not_read_is_none(
    ran: Ran, server: ModelServer, agent: Make
) -> None:
    author = agent("author")
    server.script(asks("nobody"), model="author")
    unread = author.run("decide", stream=True)
    steps = author.run("decide", stream=True)
    while not isinstance(next(steps), smolagents.ActionStep):
        pass  # until between two steps: smolagents cannot be left in one
    del steps, unread
    assert ran.tree() == [("author", "abandoned")]


def test_wrong_arguments_are_refused_as_ever_and_begin_no_run(ran: Ran, agent: Make) -> None:
    for arguments in ({"stream": True}, {"task": "decide", "stream": True, "nonsense": 1}):
        with pytest.raises(TypeError):
            agent("author").run(**arguments)
    assert ran.events == []


def test_nothing_is_left_once_it_is_undone(server: ModelServer, agent: Make) -> None:
    owners = [smolagents.MultiStepAgent, smolagents.local_python_executor]
    before = [dict(vars(owner)) for owner in owners]
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    author = agent("author")
    server.script(final("done"), final("done"), model="author")
    with meter.instrument():
        with follow("smolagents"):
            assert list(map(replaced, owners, before)) == [{"run"}, {"timeout"}]
        assert list(map(replaced, owners, before)) == [set(), set()]
        list(author.run("decide", stream=True))
        author.run("decide")
    meter.shutdown()
    assert [(event.kind, event.agent) for event in events] == [("call", None)] * 2
