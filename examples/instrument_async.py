"""Meter a whole asyncio program: several users at once, one JSONL file, tokens by user.

Runs without a key: a local server answers.
"""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

from anthropic import AsyncAnthropic
from anthropic.types import MessageParam
from openai import AsyncOpenAI

import tokenmeter
from tokenmeter.ledger import read
from tokenmeter.tallies import Tally
from tokenmeter.testing import ModelServer

QUESTIONS = {"ada": 3, "grace": 2, "linus": 1}


async def ask_openai(client: AsyncOpenAI, question: str) -> None:
    await client.responses.create(model="gpt-5-mini", input=question)


async def ask_anthropic(client: AsyncAnthropic, question: str) -> None:
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    async with client.messages.stream(
        model="claude-haiku-4-5", max_tokens=64, messages=messages
    ) as stream:
        await stream.get_final_message()


async def work() -> None:
    """Serve all users at the same time; the tasks of each inherit its attribution."""
    with ModelServer() as server:
        async with (
            AsyncOpenAI(base_url=server.openai_url, api_key="none") as openai,
            AsyncAnthropic(base_url=server.url, api_key="none") as anthropic,
            asyncio.TaskGroup() as group,
        ):
            for user, questions in QUESTIONS.items():
                with tokenmeter.attribute(user=user):
                    for number in range(questions):
                        question = f"Question {number} of {user}?"
                        group.create_task(ask_openai(openai, question))
                        group.create_task(ask_anthropic(anthropic, question))


def report(ledger: Path) -> None:
    by_user: defaultdict[str | None, Tally] = defaultdict(Tally)
    for event in read(ledger):
        by_user[event.user].add(event)
    for user, spent in sorted(by_user.items(), key=str):
        print(f"{user}: {spent}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "usage.jsonl"
        tokenmeter.configure(exporters=[f"jsonl:{ledger}"])
        with tokenmeter.instrument():  # every client in the process, those made later too
            asyncio.run(work())
        tokenmeter.flush()
        report(ledger)


if __name__ == "__main__":
    main()
