"""The Claude Agent SDK with the Claude Code that it brings, against a scripted local server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import tokenmeter
from claude_code import ClaudeServer, ask, environment, say, use
from tokenmeter import UsageEvent, attribute, follow, tally
from tokenmeter.attribution import current
from tokenmeter.meter import default
from tokenmeter.runs import still_open

sdk = pytest.importorskip("claude_agent_sdk", reason="the Claude Agent SDK is not installed")
pytestmark = pytest.mark.filterwarnings("default")  # what the SDK warns of is its own

FOREGROUND = {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}
DELEGATING = {
    "planner": [[*say("I plan"), *ask("researcher"), *ask("writer")], say("done")],
    "researcher": [
        [*say("let me look"), *use("Bash", command="echo found", description="look")],
        say("found"),
    ],
    "writer": [say("written")],
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Claude Code see nothing of what else is set for it here."""
    for name in os.environ:
        if name.startswith(("ANTHROPIC", "CLAUDE", "OTEL")):
            monkeypatch.delenv(name)


@pytest.fixture
def events() -> Iterator[list[UsageEvent]]:
    """Give what the default meter says; at the end no run is open and nothing went wrong."""
    said: list[UsageEvent] = []
    failures = dict(default().guard.failures)
    with follow("claude-agent-sdk"), default().attach(said.append):
        yield said
    assert list(still_open()) == []
    assert default().guard.failures == failures


Start = Callable[..., ClaudeServer]


@pytest.fixture
def serve() -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(**scripts: Any) -> ClaudeServer:
            server = ClaudeServer(scripts)
            stack.callback(server.close)
            return server

        yield start


def options(server: ClaudeServer, home: Path, *agents: str, **others: Any) -> Any:
    definition = sdk.AgentDefinition
    env = environment(server.url, home) | others.pop("env", {})
    return sdk.ClaudeAgentOptions(
        system_prompt="I am the planner.",
        agents={
            name: definition(description=name, prompt=f"I am the {name}.", tools=["Bash"])
            for name in agents
        },
        allowed_tools=["Bash", "Agent"],
        permission_mode="acceptEdits",
        setting_sources=[],
        model="claude-sonnet-4-5",
        cwd=home,
        env=env,
        **others,
    )


async def messages(prompt: str, given: Any) -> list[Any]:
    return [message async for message in sdk.query(prompt=prompt, options=given)]


def query(prompt: str, given: Any) -> list[Any]:
    try:
        return asyncio.run(messages(prompt, given))
    finally:
        default().flush()


def used(server: ClaudeServer) -> list[tuple[Any, ...]]:
    """Give what the server says that each answer used, by path of its agent."""
    return sorted(
        ("claude" if agent == "planner" else f"claude/{agent}", *rest)
        for agent, *rest in server.account
    )


def told(events: list[UsageEvent]) -> list[tuple[Any, ...]]:
    return sorted(
        (e.agent, e.response_id, e.input_tokens, e.output_tokens)
        for e in events
        if e.kind == "call"
    )


def runs(events: list[UsageEvent]) -> set[tuple[Any, ...]]:
    """Give path, status, kind of error and parent of each run."""
    names = {e.run_id: e.agent for e in events if e.kind == "run"}
    return {
        (e.agent, e.status, e.error_type, names.get(e.parent_run_id))
        for e in events
        if e.kind == "run"
    }


def cost(events: list[UsageEvent]) -> Decimal:
    return sum((e.cost_amount for e in events if e.cost_amount is not None), start=Decimal())


DELEGATED = {
    ("claude", "completed", None, None),
    ("claude/researcher", "completed", None, "claude"),
    ("claude/writer", "completed", None, "claude"),
}


@pytest.mark.parametrize("env", [{}, FOREGROUND], ids=["background", "foreground"])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_session_and_its_sub_agents_are_a_tree_with_one_event_an_answer(  # C26, C27, C32, C48
    serve: Start, events: list[UsageEvent], tmp_path: Path, env: Any, streamed: bool
) -> None:
    server = serve(**DELEGATING)
    given = options(
        server, tmp_path, "researcher", "writer", env=env, include_partial_messages=streamed
    )
    with tally() as spent:
        seen = query("begin", given)
    assert runs(events) == DELEGATED
    assert told(events) == used(server)
    assert len(events) == 3 + len(server.account)
    result = [message for message in seen if isinstance(message, sdk.ResultMessage)][-1]
    assert float(cost(events)) == pytest.approx(result.total_cost_usd, abs=1e-8)
    (root,) = spent.tree().roots
    assert (root.name, {child.name for child in root.children}) == (
        "claude", {"researcher", "writer"},
    )  # fmt: skip
    assert root.subtree.input_tokens == sum(answer.input_tokens for answer in server.account)
    assert root.subtree.output_tokens == sum(answer.output_tokens for answer in server.account)


def test_a_sub_agent_of_a_sub_agent_is_below_it_and_a_session_has_the_name_of_its_agent(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(
        planner=[ask("researcher"), say("done")],
        researcher=[ask("writer"), say("found")],
        writer=[use("Bash", command="echo ink", description="ink"), say("written")],
    )
    given = options(
        server, tmp_path, "planner", "researcher", "writer",
        env=FOREGROUND, extra_args={"agent": "planner"},
    )  # fmt: skip
    given.system_prompt = None
    given.agents["researcher"].tools.append("Agent")
    given.agents["planner"].tools.append("Agent")
    with attribute(agent="app"):
        query("begin", given)
    path = "app/planner/researcher"
    assert runs(events) == {
        ("app", "completed", None, None),
        ("app/planner", "completed", None, "app"),
        (path, "completed", None, "app/planner"),
        (f"{path}/writer", "completed", None, path),
    }
    paths = {"planner": "app/planner", "researcher": path, "writer": f"{path}/writer"}
    assert told(events) == sorted((paths[agent], *rest) for agent, *rest in server.account)


def test_an_event_of_an_answer_says_what_the_sdk_said_of_it(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[say("good morning")])
    with attribute(user="ada", task="T-1"):
        (*_, result) = query("begin", options(server, tmp_path))
    call, run = sorted(events, key=lambda event: event.kind)
    assert (call.source, call.provider, call.operation) == ("record", "anthropic", "chat")
    assert (call.response_model, call.finish_reasons) == ("claude-sonnet-4-5", ("end_turn",))
    assert (call.cache_read_tokens, call.cache_write_tokens) == (1000, 20)
    assert (call.input_provenance, call.output_provenance) == ("reported", "reported")
    assert (call.user, call.task, call.run_id) == ("ada", "T-1", run.run_id)
    assert call.conversation == result.session_id
    assert (call.price_source, call.cost_currency) == ("claude-agent-sdk", "USD")
    assert call.cost_amount == Decimal(str(result.total_cost_usd))
    assert (run.user, run.task, run.agent, run.depth) == ("ada", "T-1", "claude", 0)
    tokenmeter.check_invariants(call)


@pytest.mark.parametrize("env", [{}, FOREGROUND], ids=["background", "foreground"])
def test_a_sub_agent_whose_request_is_refused_has_failed(
    serve: Start, events: list[UsageEvent], tmp_path: Path, env: Any
) -> None:
    server = serve(planner=[ask("writer"), say("done")], writer=[400])
    query("begin", options(server, tmp_path, "writer", env=env))
    ((_, _, kind, _),) = runs(events) - {("claude", "completed", None, None)}
    assert runs(events) == {
        ("claude", "completed", None, None), ("claude/writer", "failed", kind, "claude"),
    }  # fmt: skip
    failed = [event for event in events if event.kind == "call" and event.status == "failed"]
    assert [(e.agent, e.input_tokens, e.input_provenance) for e in failed] == [
        ("claude/writer", None, "none")
    ]
    assert told([e for e in events if e not in failed]) == used(server)


def test_without_a_transcript_what_is_not_known_of_each_answer_is_one_event_of_its_own(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(**DELEGATING)
    given = options(
        server, tmp_path, "researcher", "writer",
        env=FOREGROUND, extra_args={"no-session-persistence": None},
    )  # fmt: skip
    (*_, result) = query("begin", given)
    assert runs(events) == DELEGATED
    calls = [event for event in events if event.kind == "call"]
    (rest,) = [event for event in calls if event.tags == {"claude_agent_sdk": "rest"}]
    assert (rest.agent, rest.response_id, rest.response_model) == (
        "claude", None, "claude-sonnet-4-5",
    )  # fmt: skip
    assert {e.output_provenance for e in calls if e is not rest} == {"partial"}
    for name in ("input_tokens", "output_tokens"):
        assert sum(getattr(e, name) for e in calls) == sum(getattr(a, name) for a in server.account)
    assert float(cost(events)) == pytest.approx(result.total_cost_usd, abs=1e-8)


@pytest.mark.parametrize("fork", [False, True], ids=["resumed", "forked"])
def test_the_history_of_a_session_that_goes_on_is_counted_once(  # C25, C48
    serve: Start, events: list[UsageEvent], tmp_path: Path, fork: bool
) -> None:
    server = serve(**DELEGATING)
    (*_, first) = query("begin", options(server, tmp_path, "researcher", "writer"))
    given = options(
        server, tmp_path, "researcher", "writer", resume=first.session_id, fork_session=fork
    )
    (*_, second) = query("go on", given)
    assert second.total_cost_usd > first.total_cost_usd  # the SDK's totals hold the history
    assert told(events) == used(server)
    assert sorted(e.agent or "" for e in events if e.kind == "run").count("claude") == 2


def test_a_turn_that_is_interrupted_leaves_the_session_to_go_on(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[say("one"), say("never read"), say("two")])

    async def main() -> list[Any]:
        results = []
        async with sdk.ClaudeSDKClient(options(server, tmp_path)) as client:
            for prompt in ("begin", "wait at the gate", "go on"):
                await client.query(prompt)
                if prompt.startswith("wait"):
                    await asyncio.to_thread(server.held.wait)
                    await client.interrupt()
                async for message in client.receive_response():
                    last = message
                results.append(last)
                server.gate.set() if prompt.startswith("wait") else None
        return results

    _, left, last = asyncio.run(main())
    default().flush()
    assert left.terminal_reason == "aborted_streaming"
    assert runs(events) == {("claude", "completed", None, None)}
    calls = [event for event in events if event.kind == "call"]
    assert [(e.response_id, e.status) for e in calls] == [
        (used.answer, "completed") for used in server.account if used.answer != "msg_0002"
    ]
    assert float(cost(events)) == pytest.approx(last.total_cost_usd, abs=1e-8)


def test_a_session_that_fails_raises_what_it_raised_and_its_run_has_failed(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[400])
    with pytest.raises(Exception, match="API Error: 400 as scripted") as raised:
        query("begin", options(server, tmp_path))
    default().flush()
    assert runs(events) == {("claude", "failed", type(raised.value).__name__, None)}
    (call,) = [event for event in events if event.kind == "call"]
    assert (call.status, call.error_type, call.input_tokens) == ("failed", "unknown", None)


def test_a_session_that_is_left_in_the_middle_is_abandoned(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[say("good morning")])

    async def main() -> None:
        async with contextlib.aclosing(
            sdk.query(prompt="begin", options=options(server, tmp_path))
        ) as said:
            async for message in said:
                if isinstance(message, sdk.AssistantMessage):
                    break

    asyncio.run(main())
    default().flush()
    assert runs(events) == {("claude", "abandoned", None, None)}
    assert [(agent, answer) for agent, answer, *_ in told(events)] == [("claude", "msg_0001")]


def test_a_query_that_nobody_reads_has_never_been(events: list[UsageEvent]) -> None:
    sdk.query(prompt="begin")
    default().flush()
    assert events == []


def test_each_turn_of_a_client_belongs_to_whom_it_is_for(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[say("good morning")])

    async def main() -> list[int]:
        counts = []
        async with sdk.ClaudeSDKClient(options(server, tmp_path)) as client:
            for task in ("T-1", "T-2"):
                with attribute(task=task), tally() as spent:
                    await client.query("begin")
                    async for _ in client.receive_response():
                        pass
                counts.append(spent.calls)
            assert current().agent is None  # the program around the client is not in its run
        return counts

    assert asyncio.run(main()) == [1, 1]
    default().flush()
    calls = [(e.agent, e.task, e.output_tokens) for e in events if e.kind == "call"]
    assert calls == [
        ("claude", task, answer.output_tokens)
        for task, answer in zip(("T-1", "T-2"), server.account, strict=True)
    ]


def test_a_client_that_an_exception_leaves_has_failed_and_one_that_asks_nothing_has_completed(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[say("good morning")])

    async def failing() -> None:
        async with sdk.ClaudeSDKClient(options(server, tmp_path)) as client:
            await client.query("begin")
            async for _ in client.receive_response():
                raise KeyError("a secret")

    async def silent() -> None:
        client = sdk.ClaudeSDKClient(options(server, tmp_path))
        await client.connect()
        await client.disconnect()
        await client.disconnect()

    with pytest.raises(KeyError):
        asyncio.run(failing())
    asyncio.run(silent())
    default().flush()
    ended = [(e.agent, e.status, e.error_type) for e in events if e.kind == "run"]
    assert ended == [("claude", "failed", "KeyError"), ("claude", "completed", None)]


def test_a_tool_of_the_program_is_at_work_in_the_run_of_the_session(
    serve: Start, events: list[UsageEvent], tmp_path: Path
) -> None:
    server = serve(planner=[use("mcp__ours__look"), say("done")])
    inside: list[str | None] = []

    @sdk.tool("look", "looks", {})
    async def look(arguments: Any) -> Any:
        inside.append(current().agent)
        return {"content": [{"type": "text", "text": "seen"}]}

    given = options(
        server, tmp_path, mcp_servers={"ours": sdk.create_sdk_mcp_server("ours", tools=[look])}
    )
    given.allowed_tools.append("mcp__ours__look")
    query("begin", given)
    assert inside == ["claude"]
    assert told(events) == used(server)


def test_the_program_sees_what_it_would_see_without_us(serve: Start, tmp_path: Path) -> None:
    def shown(message: Any) -> tuple[Any, ...]:
        content = getattr(message, "content", None)
        return type(message), getattr(message, "subtype", None), str(content)

    def seen(home: str) -> list[tuple[Any, ...]]:
        server = serve(planner=[use("Bash", command="echo found", description="look"), say("done")])
        (tmp_path / home).mkdir()
        return [shown(message) for message in query("begin", options(server, tmp_path / home))]

    before = seen("before")
    with follow("claude-agent-sdk"):
        between = seen("between")
    assert seen("after") == between == before


def test_undoing_puts_everything_back(tmp_path: Path) -> None:
    client = sdk.ClaudeSDKClient

    def now() -> list[Any]:
        return [
            sdk.query, *map(vars(client).get, ("connect", "receive_messages", "disconnect")),
        ]  # fmt: skip

    before = now()
    with follow("claude-agent-sdk"):
        assert all(ours is not theirs for ours, theirs in zip(now(), before, strict=True))
    assert all(ours is theirs for ours, theirs in zip(now(), before, strict=True))
