"""The planner: starts ten sub-agents, in every way there is, on one task of one person.

Started with the address of the model server, that of the service, and the folder to write to.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

import tokenmeter
from ten_agents.work import Agent, Place
from tokenmeter import ContextExecutor, attribute, environ_for_child, inject, propagate


@attribute(agent="unlucky")
async def unlucky(place: Place) -> None:
    with Agent(place, "p.1", "unlucky") as me:
        await me.awaits()  # of which the first attempt is refused


async def interrupted(place: Place, begun: asyncio.Event) -> None:
    with attribute(agent="interrupted"), Agent(place, "p.2", "interrupted") as me:
        await me.is_interrupted(begun)


async def listener(place: Place) -> None:
    with attribute(agent="listener"), Agent(place, "p.3", "listener") as me:
        await me.awaits_bit_by_bit()
        await me.awaits_claude()


def reader(place: Place, own_id: str) -> None:
    with attribute(agent="reader"), Agent(place, own_id, "reader") as me:
        me.chats_bit_by_bit()
        me.listens_to_claude()


@attribute(agent="reviewer")
def reviewer(place: Place) -> None:
    with Agent(place, "p.6", "reviewer") as me:
        me.asks_claude()
        me.responds()


def delegate(place: Place) -> None:
    """Start sub-agents of one's own: below, in another loop, step by step, and one that is idle."""
    with attribute(agent="delegate"), Agent(place, "p.7", "delegate") as me:
        me.chats()
        with attribute(agent="clerk"), Agent(place, "p.7.1", "clerk") as clerk:
            clerk.responds()
            thread = threading.Thread(target=propagate(copyist), args=(place,))
            thread.start()
            thread.join()
        drafts = drafter(place)
        for _ in drafts:
            me.asks_claude()  # which is not the drafter's, though it is in the middle of its work
        asyncio.run(courier(place))
        with attribute(agent="idle"), Agent(place, "p.7.4", "idle"):
            pass


def copyist(place: Place) -> None:
    with attribute(agent="copyist"), Agent(place, "p.7.1.1", "copyist") as me:
        me.chats()


@attribute(agent="drafter")
def drafter(place: Place) -> Iterator[None]:
    with Agent(place, "p.7.2", "drafter") as me:
        me.chats()
        yield
        me.responds()
        yield


@attribute(agent="courier")
async def courier(place: Place) -> None:
    with Agent(place, "p.7.3", "courier") as me:
        await me.awaits()


def searched(service: str) -> None:
    answer = httpx.post(service, json={"id": "p.10"}, headers=inject({}), timeout=60)
    answer.raise_for_status()


def child(place: Place, own_id: str, ledger: str, end: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ten_agents.child", *place, own_id, ledger, end]
    return subprocess.Popen(command, env=environ_for_child())


async def all_ten(place: Place, service: str) -> None:
    begun = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        await group.create_task(unlucky(place))
        leaving = group.create_task(interrupted(place, begun))
        await begun.wait()
        threads = [
            threading.Thread(target=propagate(reader), args=(place, own_id))
            for own_id in ("p.4", "p.5")
        ]
        for thread in threads:
            thread.start()
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(ContextExecutor(ThreadPoolExecutor(2)))
            jobs = [pool.submit(reviewer, place), pool.submit(delegate, place)]
            children = [
                child(place, "p.8", "p8.jsonl", "completes"),
                child(place, "p.9", "usage.jsonl", "fails"),  # which is the planner's own, shared
            ]
            group.create_task(listener(place))
            await asyncio.to_thread(searched, service)
            for job in jobs:
                await asyncio.wrap_future(job)
            leaving.cancel()
            codes = [await asyncio.to_thread(process.wait) for process in children]
            assert codes == [0, 1], codes
        for thread in threads:
            await asyncio.to_thread(thread.join)


def main() -> None:
    url, service, folder = sys.argv[1:]
    place = Place(url, folder)
    place.begin("usage.jsonl")
    with (
        attribute(user="ada", task="T-1", agent="planner"),
        Agent(place, "p", "planner") as me,
    ):
        me.responds()
        asyncio.run(all_ten(place, service))
        me.asks_claude()
    assert tokenmeter.flush()


if __name__ == "__main__":
    main()
