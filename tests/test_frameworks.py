"""Frameworks stand on SDKs, and agents on agents: each answer of a model is still one event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tokenmeter
from tokenmeter import Meter, UsageEvent
from tokenmeter.testing import ModelServer

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def events() -> Iterator[list[UsageEvent]]:
    """Meter the whole process, as somebody would who also has agents of their own."""
    events: list[UsageEvent] = []
    with Meter([events.append]).instrument():
        yield events


def counted(events: list[UsageEvent]) -> list[tuple[int | None, int | None]]:
    return [(event.input_tokens, event.output_tokens) for event in events]


def served(server: ModelServer) -> list[tuple[int | None, int | None]]:
    return [(answer.input_tokens, answer.output_tokens) for answer in server.account]


def test_a_chain_on_an_sdk_adds_no_second_event(  # C19, C21
    server: ModelServer, events: list[UsageEvent]
) -> None:
    openai = pytest.importorskip("langchain_openai")
    anthropic = pytest.importorskip("langchain_anthropic")
    models = [
        openai.ChatOpenAI(model="m", base_url=server.openai_url, api_key="k", stream_usage=True),
        anthropic.ChatAnthropic(model_name="m", base_url=server.url, api_key="k"),
    ]
    for model in models:
        model.invoke("good morning")
        list(model.stream("good morning"))
        model.batch(["one", "two words"])
    assert len(events) == 8
    assert sorted(counted(events)) == sorted(served(server))  # batch() uses threads


def test_a_graph_of_agents_adds_no_sums_of_its_children(  # C14, C16, C17, C18, C20
    server: ModelServer, events: list[UsageEvent]
) -> None:
    openai = pytest.importorskip("langchain_openai")
    graphs = pytest.importorskip("langgraph.graph")
    model = openai.ChatOpenAI(model="m", base_url=server.openai_url, api_key="k")

    def child(state: dict[str, Any]) -> dict[str, Any]:
        return {"said": model.invoke("the child asks").content}

    inner = graphs.StateGraph(dict)
    inner.add_node("child", child)
    inner.set_entry_point("child")
    compiled = inner.compile()

    def parent(state: dict[str, Any]) -> dict[str, Any]:
        model.invoke("the parent asks")
        return compiled.invoke(state)

    outer = graphs.StateGraph(dict)
    outer.add_node("parent", parent)
    outer.set_entry_point("parent")
    outer.compile().invoke({"said": ""})
    assert len(events) == 2
    assert counted(events) == served(server)


def test_an_agent_that_delegates_is_counted_by_its_answers_alone(  # C15, C31, C32
    server: ModelServer, events: list[UsageEvent]
) -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=server.openai_url, api_key="k")
    model = OpenAIChatModel("m", provider=provider)
    child = pydantic_ai.Agent(model)
    parent = pydantic_ai.Agent(model)

    @parent.tool_plain
    async def ask(question: str = "") -> str:
        return (await child.run("the child asks")).output

    done = parent.run_sync("the parent asks")
    assert len(events) == len(server.account) >= 3
    assert sorted(counted(events)) == sorted(served(server))
    of_parent = done.usage() if callable(done.usage) else done.usage
    assert of_parent.requests == len(events) - 1
    assert of_parent.input_tokens < sum(event.input_tokens or 0 for event in events)


def test_handoffs_between_agents_are_counted_once_each(  # C16, C20
    server: ModelServer, events: list[UsageEvent]
) -> None:
    agents = pytest.importorskip("agents")
    import openai

    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=server.openai_url, api_key="k")
    model = agents.OpenAIResponsesModel("m", client)
    second = agents.Agent(name="second", instructions="be second", model=model)
    first = agents.Agent(name="first", instructions="be first", model=model, handoffs=[second])
    done = agents.Runner.run_sync(first, "good morning")
    assert len(events) == len(server.account) == len(done.raw_responses)
    assert counted(events) == served(server)
    assert sum(r.usage.input_tokens for r in done.raw_responses) == sum(
        e.input_tokens or 0 for e in events
    )


def test_a_metered_agent_around_an_sdk_adds_no_second_event(server: ModelServer) -> None:  # C14
    import openai

    events: list[UsageEvent] = []
    meter = Meter([events.append])
    client = meter.wrap(openai.OpenAI(base_url=server.openai_url, api_key="k"))

    @tokenmeter.metered(model="sub-agent", meter=meter)
    def sub_agent() -> object:
        messages: Any = [{"role": "user", "content": "hi"}]
        return client.chat.completions.create(model="m", messages=messages)

    @tokenmeter.metered(model="agent", meter=meter)
    def agent() -> list[object]:
        return [sub_agent(), sub_agent()]

    with meter.instrument(), client:
        agent()
    assert counted(events) == served(server)
    assert [event.source for event in events] == ["wire", "wire"]
