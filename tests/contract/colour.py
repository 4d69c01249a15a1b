"""One scenario, four colours: it is written with ``await`` and also runs where nothing waits.

`do`, `each` and `opened` accept what the sync and the async SDKs give alike. A sync scenario never
suspends, so one step runs it to its end.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, NamedTuple

import anyio

Scenario = Callable[..., Coroutine[Any, Any, Any]]


class Mode(NamedTuple):
    """How a scenario runs; without a backend it is plain blocking code."""

    name: str
    backend: str | None = None
    options: Any = MappingProxyType({})

    @property
    def is_async(self) -> bool:
        return self.backend is not None


SYNC = Mode("sync")
ASYNCIO = Mode("asyncio", "asyncio")
UVLOOP = Mode("uvloop", "asyncio", {"use_uvloop": True})
TRIO = Mode("trio", "trio")
MODES = (SYNC, ASYNCIO, UVLOOP, TRIO)
ASYNC_MODES = MODES[1:]


def run(mode: Mode, scenario: Scenario, *args: Any) -> Any:
    """Run a scenario to its end."""
    if mode.backend is None:
        return _in_one_step(scenario(*args))
    return anyio.run(scenario, *args, backend=mode.backend, backend_options=dict(mode.options))


def _in_one_step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a synchronous scenario must not wait")


async def elsewhere(mode: Mode, scenario: Scenario) -> None:
    """Run a scenario in another thread, or in another task where there are tasks."""
    if mode.is_async:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scenario)
        return
    thread = threading.Thread(target=lambda: _in_one_step(scenario()))
    thread.start()
    thread.join()


async def do(value: Any) -> Any:
    """Give the value, awaited where it has to be."""
    return await value if inspect.isawaitable(value) else value


def each(stream: Any) -> AsyncIterator[Any]:
    """Iterate over a stream of either colour; an async one is not wrapped."""
    return stream if hasattr(stream, "__aiter__") else _Steps(stream)


class _Steps:
    def __init__(self, stream: Any) -> None:
        self._items = iter(stream)

    def __aiter__(self) -> _Steps:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None


def opened(manager: Any) -> AbstractAsyncContextManager[Any]:
    """Enter a context manager of either colour; an async one is not wrapped."""
    return manager if hasattr(manager, "__aenter__") else _Entered(manager)


class _Entered:
    def __init__(self, manager: Any) -> None:
        self._manager = manager

    async def __aenter__(self) -> Any:
        return self._manager.__enter__()

    async def __aexit__(self, *raised: Any) -> Any:
        return self._manager.__exit__(*raised)
