"""Agents of CrewAI: crews, flows and the agents that work in them are runs.

The event bus of CrewAI calls its listeners in threads of its own, in a copy of the context, and of
its hooks around a model's call the second is not called where the call fails (the sources of
crewai 1.15.30, ``events/event_bus.py`` and ``hooks``, read and tried 2026-11-23): neither can put
the calls of an agent into its run. So the public methods through which everything goes are
replaced on their classes: the kickoff of a crew, of a flow and of an agent, and an agent's
execution of a task, which is also how a coworker is asked. The threads that CrewAI starts have a
copy of the context.

A crew is called by its name, a flow by its name or its class, an agent by its role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import ModuleType
from typing import Any

from tokenmeter.attribution import attribute, block, inside
from tokenmeter.event import Attribution
from tokenmeter.frameworks.callbacks import named
from tokenmeter.frameworks.methods import patched
from tokenmeter.meter import default
from tokenmeter.runs import InTree

PLACE = "the agents of crewai"


def hook(module: ModuleType) -> Callable[[], None]:
    """Follow crews, flows and agents of CrewAI; gives the undo."""
    with ExitStack() as stack:
        for path, begin in _METHODS.items():
            stack.callback(patched(module, path, partial(_around, begin)))
        return stack.pop_all().close


class _Work:
    """Says in a block who is at work there, and on what."""

    def __init__(self, who: Any, name: object, task: object = None) -> None:
        self.who = who
        self.task = task
        self.name = named(name, type(who).__name__)
        self._names = attribute(agent=self.name)

    @property
    def span(self) -> None:
        """Nothing: a block is where it is."""

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:
        return self._names.over(outer, in_tree)


Begin = Callable[..., _Work | None]
"""Gives what a method begins, called as the method is; ``None``: nothing that is a run."""


def _around(begin: Begin, method: Any, who: Any, args: Any, kwargs: Any) -> Any:
    def as_run() -> Any:
        work = begin(who, *args, **kwargs)
        return method if work is None else inside("follow()", method, work, work.name)

    return (default().guard.run(PLACE, as_run) or method)(*args, **kwargs)


def _crew(
    crew: Any, _inputs: Any = None, _files: Any = None, from_checkpoint: Any = None, **_: Any
) -> _Work | None:
    return None if crew.stream or _restores(from_checkpoint) else _Work(crew, crew.name)


def _flow(
    flow: Any, _inputs: Any = None, _files: Any = None, from_checkpoint: Any = None, **_: Any
) -> _Work | None:
    """Begin a flow, but for those of which CrewAI itself is made: an agent's executor, a memory."""
    inside = flow.suppress_flow_events and type(flow).__module__.startswith("crewai.")
    if inside or flow.stream or _restores(from_checkpoint):
        return None
    return _Work(flow, flow.name)


def _agent(
    agent: Any,
    _messages: Any = None,
    _format: Any = None,
    _files: Any = None,
    from_checkpoint: Any = None,
    **_: Any,
) -> _Work | None:
    return None if _restores(from_checkpoint) else _Work(agent, _role(agent))


def _agent_here(agent: Any, *args: Any, **kwargs: Any) -> _Work | None:
    """Begin an agent where no event loop runs; where one does, it hands over to a coroutine."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _agent(agent, *args, **kwargs)
    return None


def _task(agent: Any, task: Any, *_: Any, **__: Any) -> _Work | None:
    """Begin a task, unless this is another attempt at the one that failed just now."""
    around = block.get().names
    again = isinstance(around, _Work) and around.who is agent and around.task is task
    return None if again else _Work(agent, _role(agent), task)


def _restores(from_checkpoint: Any) -> bool:
    """Say whether this goes on as another object, which begins anew."""
    return getattr(from_checkpoint, "restore_from", None) is not None


def _role(agent: Any) -> str:
    """Give the role in one line."""
    return " ".join(agent.role.split())


_METHODS: dict[str, Begin] = {
    "Agent.aexecute_task": _task,
    "Agent.execute_task": _task,
    "Agent.kickoff": _agent_here,
    "Agent.kickoff_async": _agent,
    "Crew.akickoff": _crew,
    "Crew.kickoff": _crew,
    "Flow.kickoff_async": _flow,
}
"""What else there is comes through these: ``kickoff_async`` of a crew, ``kickoff_for_each``."""
