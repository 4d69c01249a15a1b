"""Agents of smolagents: each call of ``MultiStepAgent.run`` is a run, that of a managed agent too.

smolagents has callbacks for the steps of an agent and none around its run (the sources of
smolagents 1.26.0, ``agents.py``, read 2026-11-23), so the public method is replaced on its class.
A run whose steps are streamed lasts as long as its generator is read.

The code that a ``CodeAgent`` wrote runs in a thread of its own, because of its time limit, and that
thread has no context of the agent; so what limits the time takes it along. Tools that run in
parallel have it from smolagents. Code that a sandbox runs elsewhere is beyond this process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import ModuleType
from typing import Any

from tokenmeter.attribution import attribute, inside
from tokenmeter.frameworks.callbacks import named
from tokenmeter.frameworks.methods import patched
from tokenmeter.meter import default
from tokenmeter.propagation import propagate

PLACE = "the agents of smolagents"


def hook(module: ModuleType) -> Callable[[], None]:
    """Follow the agents of smolagents; gives the undo."""
    executor: ModuleType = module.local_python_executor
    undo_run = patched(module, "MultiStepAgent.run", _run)
    undo_timeout = patched(executor, "timeout", _timeout)

    def undo() -> None:
        undo_timeout()
        undo_run()

    return undo


def _run(run: Any, agent: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not _streams(*args, **kwargs):
        return _as_run(agent, run)(*args, **kwargs)
    stream = run(*args, **kwargs)  # at once, as ever: it says what is wrong with its arguments

    def steps() -> Generator[Any]:
        yield from stream

    return _as_run(agent, steps)()


def _streams(_task: object = None, stream: object = False, *_: object, **__: object) -> bool:
    return bool(stream)


def _as_run(agent: Any, function: Any) -> Any:
    """Make a call of a function a run of the agent."""

    def made() -> Any:
        name = named(getattr(agent, "name", None), type(agent).__name__)
        return inside("follow()", function, attribute(agent=name), name)

    return default().guard.run(PLACE, made) or function


def _timeout(timeout: Any, _: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    limited = timeout(*args, **kwargs)

    def take_along(function: Any) -> Any:
        return limited(default().guard.run(PLACE, propagate, function) or function)

    return take_along
