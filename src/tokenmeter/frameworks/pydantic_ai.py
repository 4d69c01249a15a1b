"""Pydantic AI: each run of an agent is a run, by the name of the agent.

Runs are the calls of ``Agent.iter``, a public method through which ``run``, ``run_sync``,
``run_stream``, ``run_stream_events`` and wrappers of agents go (pydantic-ai 2.68.0, read
2026-11-23). There is one public hook for all agents, ``Agent.instrument_all``: it takes one
setting, which belongs to whoever uses OpenTelemetry. A capability in each run would be refused by
agents that run durably.

An agent that a tool asks is a run in the one whose tool it is. Agents without a name, which the
framework cannot guess either, are called like their class, ``Agent``. Sessions in real time go
another way and are no runs.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import wrapt

from tokenmeter.attribution import attribute
from tokenmeter.frameworks.callbacks import named
from tokenmeter.frameworks.methods import patched
from tokenmeter.meter import default

_Proxy: Any = wrapt.ObjectProxy


def hook(module: Any) -> Callable[[], None]:
    """Make each run of an agent a run; gives the undo."""

    def around(wrapped: Any, agent: Any, args: Any, kwargs: Any) -> Any:
        return _Iterating(wrapped(*args, **kwargs), agent)

    return patched(module, "Agent.iter", around)


class _Iterating(_Proxy):  # type: ignore[misc]
    """What ``iter`` gives, for all the world; between its enter and its exit the agent runs."""

    def __init__(self, iterating: Any, agent: Any) -> None:
        _Proxy.__init__(self, iterating)
        self._self_agent = agent
        self._self_open = AsyncExitStack()

    async def __aenter__(self) -> Any:
        async with AsyncExitStack() as stack:
            default().guard.run("the agents of pydantic-ai", self._begin, stack)
            run = await stack.enter_async_context(self.__wrapped__)
            self._self_open = stack.pop_all()
        return run

    def _begin(self, stack: AsyncExitStack) -> None:
        agent = self._self_agent
        block = attribute(agent=named(agent.name, type(agent).__name__))
        block.__enter__()
        stack.push(partial(_leave, block))

    async def __aexit__(self, *exc: Any) -> Any:
        return await self._self_open.__aexit__(*exc)


def _leave(block: attribute, kind: Any, exc: Any, trace: Any) -> None:
    """End the run; one that the program itself has cancelled is abandoned, as a cancelled task is.

    What ``timeout=`` stops has failed, by a kind of its own.
    """
    cancelled = kind is not None and kind.__name__ == "RunCancelled"
    block.__exit__(kind, CancelledError() if cancelled else exc, trace)
