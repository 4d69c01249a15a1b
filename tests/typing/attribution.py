"""What static types say about attribution; checked and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import assert_type

from tokenmeter import (
    ContextExecutor,
    Tally,
    Undo,
    UsageEvent,
    attribute,
    environ_for_child,
    extract,
    follow,
    inject,
    outcome,
    propagate,
    task,
)
from tokenmeter.baggage import Carried
from tokenmeter.trees import Node, Tree


@propagate
def ask(question: str, *, times: int = 1) -> list[str]:
    return [question] * times


@extract({})
async def steps(n: int) -> AsyncIterator[int]:
    yield n


@task("T-1", user="ada", tier="gold")
def lines(n: int) -> Iterator[str]:
    yield str(n)


assert_type(ask("?", times=2), list[str])
assert_type(steps(1), AsyncIterator[int])
assert_type(lines(1), Iterator[str])
assert_type(environ_for_child(), dict[str, str])
assert_type(inject({"accept": "*/*"}), dict[str, str])
assert_type(follow("langgraph"), Undo)
assert_type(outcome("T-1", "accepted"), UsageEvent)
assert_type(Tally().tree(), Tree)
assert_type(Tally().tree().roots, tuple[Node, ...])
outcome("T-1", "merged")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

with extract({}) as carried, task("T-1") as t, attribute(agent="a") as block:
    assert_type(carried, Carried)
    assert_type(t, task)
    assert_type(block, attribute)
    assert_type(t.accept(evidence="ci"), UsageEvent)

with ContextExecutor(ThreadPoolExecutor()) as pool:
    assert_type(pool.submit(len, "abc"), Future[int])
    assert_type(pool.map(len, ["a"]), Iterator[int])
