"""Show who asked what: a planner starts ten sub-agents, and the ledgers give the tree of them.

Four in threads, four as tasks of asyncio, two in processes of their own. Runs without a key: a
local server answers.
"""

import asyncio
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import AsyncOpenAI, OpenAI

import tokenmeter
from tokenmeter import ContextExecutor, attribute, environ_for_child
from tokenmeter.ledger import ledgers, read
from tokenmeter.testing import ModelServer
from tokenmeter.trees import tree


def ask(url: str, question: str) -> None:
    with OpenAI(base_url=url, api_key="none") as client:
        client.responses.create(model="gpt-5-mini", input=question)


@attribute(agent="reader")
def read_one(url: str, page: int) -> None:
    ask(url, f"What is on page {page}?")


@attribute(agent="critic")
async def criticise(url: str, draft: int) -> None:
    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        await client.responses.create(model="gpt-5", input=f"What is wrong with draft {draft}?")


async def criticise_all(url: str) -> None:
    async with asyncio.TaskGroup() as group:
        for draft in range(4):
            group.create_task(criticise(url, draft))


def check_in_processes(url: str, folder: str) -> None:
    """Start two programs; the environment says to them in which run that was."""
    for n in range(2):
        program = [sys.executable, __file__, url, f"{folder}/checker-{n}.jsonl"]
        subprocess.run(program, env=environ_for_child(), check=True)


def checker(url: str, ledger: str) -> None:
    tokenmeter.configure(exporters=[f"jsonl:{ledger}"])
    tokenmeter.instrument()
    with attribute(agent="checker"):
        ask(url, "Is that true?")


def planner(url: str, folder: str) -> None:
    tokenmeter.configure(exporters=[f"jsonl:{folder}/planner.jsonl"])
    tokenmeter.instrument()
    with attribute(user="ada", task="T-1042", agent="planner"):
        ask(url, "How do we write that report?")
        with ContextExecutor(ThreadPoolExecutor()) as pool:
            list(pool.map(read_one, [url] * 4, range(4)))
        asyncio.run(criticise_all(url))
        check_in_processes(url, folder)
    tokenmeter.flush()


def main() -> None:
    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        planner(server.openai_url, folder)
        found = tree(event for path in ledgers([Path(folder) / "*.jsonl"]) for event in read(path))
        print(found)
        (root,) = found.roots
        print(f"\n{root.user}, {root.task}: {root.fan_out} sub-agents, {root.subtree}")
        assert (root.fan_out, root.subtree.calls) == (10, len(server.account)) == (10, 11)


if __name__ == "__main__":
    checker(*sys.argv[1:]) if sys.argv[1:] else main()
