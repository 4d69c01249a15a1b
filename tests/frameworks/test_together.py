"""Frameworks in each other, imported after they are followed, in a program that knows nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.proof import Ran, done
from tokenmeter import follow
from tokenmeter.ledger import read
from tokenmeter.testing import Answer, ModelServer
from tokenmeter.trees import tree

for needed in ("agents", "langchain.agents", "pydantic_ai", "langchain_openai"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs

PROGRAM = """
import asyncio, sys
import agents, langchain_openai, openai, pydantic_ai
from langchain.agents import create_agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

url = sys.argv[1]
agents.set_tracing_disabled(True)
client = openai.AsyncOpenAI(base_url=url, api_key="k")
critic = agents.Agent(name="critic", model=agents.OpenAIResponsesModel("critic", client))
provider = OpenAIProvider(base_url=url, api_key="k")
writer = pydantic_ai.Agent(OpenAIChatModel("writer", provider=provider), name="writer")

@writer.tool_plain
async def ask_critic(question: str) -> str:
    return (await agents.Runner.run(critic, question)).final_output

async def ask_writer(question: str) -> str:
    "Asks a writer."
    return (await writer.run(question)).output

model = langchain_openai.ChatOpenAI(model="planner", base_url=url, api_key="k")
planner = create_agent(model, [ask_writer], name="planner")
asked = {"messages": [{"role": "user", "content": "hi"}]}

async def main():
    await planner.ainvoke(asked)

asyncio.run(main())
"""

SHAPE = [done("planner", *[done("writer", done("critic"))] * 2)]


@pytest.fixture
def program(server: ModelServer, tmp_path: Path) -> list[str]:
    twice = [("ask_writer", {"question": "one"}), ("ask_writer", {"question": "two"})]
    server.script(Answer(calls=twice), model="planner")
    (tmp_path / "program.py").write_text(PROGRAM)
    return [str(tmp_path / "program.py"), server.openai_url]


def the_tree_of(ledger: Path, server: ModelServer) -> object:
    ran = Ran(server)
    ran.events = list(read(ledger))
    assert len(list(tree(ran.events).walk())) == 5
    return ran.tree()


def test_agents_of_one_framework_are_children_of_those_of_another(
    program: list[str], server: ModelServer, tmp_path: Path
) -> None:
    ledger = tmp_path / "usage.jsonl"
    command = [sys.executable, "-m", "tokenmeter", "run", "--out", str(ledger), *program]
    subprocess.run(command, check=True, timeout=120, cwd=tmp_path)
    assert the_tree_of(ledger, server) == SHAPE


def test_frameworks_that_are_imported_after_they_are_followed_are_followed(
    program: list[str], server: ModelServer, tmp_path: Path
) -> None:
    ledger = tmp_path / "usage.jsonl"
    lines = [
        "import sys, tokenmeter",
        f"meter = tokenmeter.configure(exporters=['jsonl:{ledger}'])",
        "undo, stop = tokenmeter.follow(), tokenmeter.instrument()",
        "assert not {'agents', 'langgraph', 'pydantic_ai'} & set(sys.modules)",
        PROGRAM,
        "undo()",
        "assert meter.stats()['guard'] == {}, meter.stats()",
    ]
    script = tmp_path / "followed.py"
    script.write_text("\n".join(lines))
    subprocess.run([sys.executable, str(script), program[1]], check=True, timeout=120)
    assert the_tree_of(ledger, server) == SHAPE


def test_following_again_while_agents_are_followed_is_following_once(
    program: list[str], server: ModelServer, ran: Ran
) -> None:
    inner = follow("langgraph", "pydantic-ai")
    with follow():
        inner()
    space = {"sys": type("sys", (), {"argv": program}), "__name__": "program"}
    exec(compile(PROGRAM.replace("import asyncio, sys", "import asyncio"), "p", "exec"), space)
    assert ran.tree() == SHAPE
