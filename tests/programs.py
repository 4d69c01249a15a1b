"""Random programs of blocks, threads, tasks and generators, run for real, and what they should say.

`Node` is a piece of such a program: a block, how it is entered and left, and what is done inside.
`Walk` runs it and writes down, by the place of the code alone, whose each call is and which runs
there are. It never asks tokenmeter, so what it wrote can be compared with the events.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tokenmeter import ContextExecutor, Meter, attribute, extract, metered, propagate, task
from tokenmeter.attribution import block


class Node(NamedTuple):
    """A piece of a program.

    Args:
        kind: How its block is entered: the name of a method of `Walk`.
        names: What the block says, beside the agent.
        agent: Whether it names one.
        steps: What is done inside: a call of a model (``None``), or another piece.
        end: How it is left; what that means is the kind's matter.
    """

    kind: str
    names: dict[str, str]
    agent: bool
    steps: tuple[Node | None, ...]
    end: str


ENDS = ("ends", "raises", "closed", "dropped", "thrown", "elsewhere", "in a thread", "unread")


class Where(NamedTuple):
    """Whom a call is for at a place in the code, as that place says it."""

    user: str | None = None
    team: str | None = None
    task: str | None = None
    path: tuple[str, ...] = ()
    run: str | None = None

    def inside(self, names: dict[str, str], agent: str | None) -> Where:
        here = self._replace(**names)
        return here if agent is None else here._replace(path=(*self.path, agent), run=agent)


class Called(NamedTuple):
    """A call, or a run: whose it is, and how it ended."""

    where: Where
    status: str


class Walk:
    """Run programs; keep what they should say.

    Attributes:
        calls: Each call, by the model that it names.
        runs: Each run, by the name of its agent: where it began, and how it ended.
    """

    def __init__(self, meter: Meter) -> None:
        self.calls: dict[str, Where] = {}
        self.runs: dict[str, Called] = {}
        self._numbers = itertools.count()
        self._ask = metered(meter=meter)(self._model)
        self._later: list[Callable[[], object]] = []

    @staticmethod
    def _model(name: str) -> dict[str, Any]:
        return {"model": name, "usage": {"input_tokens": 1, "output_tokens": 1}}

    def whole(self, node: Node) -> None:
        """Run a program, and then what it left for later, where other blocks are in force."""
        asyncio.run(self.visit(node, Where()))
        with attribute(user="somebody else"):
            while self._later:
                self._later.pop()()

    async def visit(self, node: Node, where: Where) -> None:
        """Run a piece; nothing of it stays in force."""
        before = block.get()
        with contextlib.suppress(LookupError):
            await getattr(self, node.kind)(node, where)
        assert block.get() is before

    def call(self, where: Where) -> None:
        name = f"m{next(self._numbers)}"
        self.calls[name] = where
        self._ask(name)

    # what is inside

    async def body(self, node: Node, inside: Where) -> None:
        for step in node.steps:
            await self.step(step, inside)
        if node.end == "raises":
            raise LookupError

    async def step(self, step: Node | None, inside: Where) -> None:
        if step is None:
            self.call(inside)
            await asyncio.sleep(0)
        else:
            await self.visit(step, inside)

    def body_now(self, node: Node, inside: Where) -> None:
        self.call(inside)
        now(self.body(node, inside))

    # what is around

    def begun(self, node: Node, where: Where, status: str | None = None) -> tuple[Any, Where]:
        """Make a block; give it with what is in force inside.

        A generator's body runs where its consumer steps it, as any function's does where it is
        called: so what is around is that of the consumer. Its run stands where it was created.
        """
        agent = f"a{next(self._numbers)}" if node.agent else None
        if agent is not None and node.end != "unread":
            ended = "failed" if node.end in ("raises", "thrown") else "completed"
            self.runs[agent] = Called(where, status or ended)
        made = attribute(**node.names, agent=agent)
        stepped_elsewhere = "generator" in node.kind and node.end in ("elsewhere", "in a thread")
        there = Where() if stepped_elsewhere else where
        if agent is not None:
            there = there._replace(path=where.path, run=where.run)
        return made, there.inside(node.names, agent)

    async def with_block(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        with made:
            await self.body(node, inside)

    async def function(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        made(self.body_now)(node, inside)

    async def coroutine(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        await made(self.body)(node, inside)

    async def in_task(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        await asyncio.create_task(made(self.body)(node, inside))

    async def group(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end="ends"), where)
        with made:
            async with asyncio.TaskGroup() as group:
                for step in node.steps:
                    group.create_task(self.step(step, inside))

    async def cancelled(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end="ends"), where, "abandoned")
        is_there = asyncio.Event()

        async def waits() -> None:
            await self.body(node._replace(end="ends"), inside)
            is_there.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.call(inside)

        leaving = asyncio.create_task(made(waits)())
        await is_there.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

    async def raw_thread(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), Where())
        in_thread(made(self.body_now), node, inside)

    async def thread(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        in_thread(propagate(made(self.body_now)), node, inside)

    async def executor(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        with ContextExecutor(ThreadPoolExecutor(1)) as pool:
            pool.submit(made(self.body_now), node, inside).result()

    async def to_thread(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end=soft(node.end)), where)
        await asyncio.to_thread(made(self.body_now), node, inside)

    async def later(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node._replace(end="ends"), where)
        asked = propagate(made(self.body_now))
        self._later.append(lambda: asked(node._replace(end="ends"), inside))

    async def task_block(self, node: Node, where: Where) -> None:
        names = {"task": "T", **{n: v for n, v in node.names.items() if n != "team"}}
        with task(names["task"], user=names.get("user")):
            await self.body(node, where.inside(names, None))

    async def extract_block(self, node: Node, where: Where) -> None:
        remote = f"{next(self._numbers):032x}"
        members = {"run": remote, "agent": f"far/{remote}", "depth": "1", "task": "far"}
        header = ",".join(f"tokenmeter.{name}={value}" for name, value in members.items())
        with extract({"baggage": header}):
            inside = where._replace(task="far", path=("far", remote), run=remote)
            await self.body(node, inside)

    # generators

    async def generator(self, node: Node, where: Where) -> None:
        made, inside = self.begun(node, where, self._left_early(node))

        @made
        def steps() -> Iterator[None]:
            try:
                for step in node.steps:
                    with attribute(tier="inner"):
                        yield
                        now(self.step(step, inside))
                if node.end == "raises":
                    raise LookupError
                yield
            finally:
                self.call(inside)

        self._consume(steps(), node, where)

    def _consume(self, steps: Any, node: Node, where: Where) -> None:
        if node.end == "unread":
            return
        if node.end in ("closed", "dropped", "thrown"):
            next(steps)
            self.call(where)
        if node.end == "closed":
            contextvars.copy_context().run(steps.close)
        elif node.end == "dropped":
            del steps
        elif node.end == "thrown":
            steps.throw(LookupError)
        else:
            self._exhaust(steps, node, where)
        self.call(where)

    def _exhaust(self, steps: Any, node: Node, where: Where) -> None:
        one: Callable[[], object] = lambda: next(steps, steps)  # noqa: E731
        ways: dict[str, Callable[[], object]] = {
            "elsewhere": lambda: contextvars.Context().run(one),
            "in a thread": lambda: in_thread(one),
        }
        while ways.get(node.end, one)() is not steps:
            self.call(where)

    async def async_generator(self, node: Node, where: Where) -> None:
        if node.end in ("elsewhere", "in a thread"):
            node = node._replace(end="ends")
        made, inside = self.begun(node, where, self._left_early(node))

        @made
        async def steps() -> AsyncIterator[None]:
            try:
                for step in node.steps:
                    with attribute(tier="inner"):
                        yield
                        await self.step(step, inside)
                if node.end == "raises":
                    raise LookupError
                yield
            finally:
                self.call(inside)

        running: Any = steps()
        if node.end == "unread":
            return
        if node.end in ("closed", "dropped", "thrown"):
            await anext(running)
            self.call(where)
        if node.end == "closed":
            await asyncio.create_task(running.aclose())
        elif node.end == "thrown":
            await running.athrow(LookupError)
        elif node.end != "dropped":
            async for _ in running:
                self.call(where)
        del running
        self.call(where)

    def _left_early(self, node: Node) -> str | None:
        return "abandoned" if node.end in ("closed", "dropped") else None

    async def left_open(self, node: Node, where: Where) -> None:
        """Leave a generator that has a block of its own suspended inside of it."""
        end = "closed" if node.end in ("closed", "dropped") else "ends"
        made, inside = self.begun(node._replace(end=end), where, self._left_early(node))

        def steps() -> Iterator[None]:
            with made:
                self.call(inside)
                yield

        with attribute(tier="around"):
            running: Any = steps()
            next(running)
        self.call(where)
        if node.end == "elsewhere":
            contextvars.Context().run(list, running)
        elif node.end == "in a thread":
            in_thread(list, running)
        elif end == "closed":
            running.close()
        else:
            self._later.append(lambda: list(running))


KINDS = (
    "with_block", "function", "coroutine", "in_task", "group", "cancelled", "raw_thread", "thread",
    "executor", "to_thread", "later", "task_block", "extract_block", "generator",
    "async_generator", "left_open",
)  # fmt: skip

NAMES = st.dictionaries(st.sampled_from(["user", "team", "task"]), st.sampled_from("abc"))


def node(steps: st.SearchStrategy[tuple[Node | None, ...]]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node, st.sampled_from(KINDS), NAMES, st.booleans(), steps, st.sampled_from(ENDS)
    )


PROGRAMS: st.SearchStrategy[Node] = st.recursive(
    node(st.lists(st.none(), max_size=2).map(tuple)),
    lambda inner: node(st.lists(st.none() | inner, max_size=3).map(tuple)),
    max_leaves=10,
)


def soft(end: str) -> str:
    """Give how a piece ends that is no generator: it raises, or it does not."""
    return "raises" if end == "raises" else "ends"


def now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine from code that cannot await: in a thread that copied the context."""
    in_thread(contextvars.copy_context().run, asyncio.run, coroutine)


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread of its own, and give or raise what it gives or raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()
