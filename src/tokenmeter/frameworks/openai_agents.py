"""OpenAI Agents SDK: each span of an agent is a run.

The SDK asks its trace provider for a span wherever an agent begins to work (documentation of the
SDK, *Tracing*, and openai-agents 0.24.0, read 2026-11-23). Ours stands around the one in force, set
by the public ``set_trace_provider``, and watches the spans of agents start and finish; it creates,
changes and sends none. So runs are seen although tracing is disabled, whatever processors are set,
and nothing of the SDK's own tracing is switched on.

An agent to whom another one hands over is a run beside it; an agent that is a tool, or that a
guardrail asks, is a run in the one that uses it. A provider that is set after ours is not followed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import wrapt

from tokenmeter.frameworks.callbacks import Agents

_Proxy: Any = wrapt.ObjectProxy


def hook(tracing: Any) -> Callable[[], None]:
    """Stand around the trace provider of ``agents.tracing``; gives the undo."""
    agents = Agents("openai-agents")
    provider = _Provider(tracing.get_trace_provider(), agents)
    tracing.set_trace_provider(provider)

    def undo() -> None:
        provider.leave()
        if tracing.get_trace_provider() is provider:
            tracing.set_trace_provider(provider.__wrapped__)
        agents.give_up()

    return undo


class _Provider(_Proxy):  # type: ignore[misc]
    """A trace provider whose spans of agents are watched."""

    def __init__(self, provider: Any, agents: Agents) -> None:
        _Proxy.__init__(self, provider)
        self._self_agents = agents
        self._self_active = True

    def leave(self) -> None:
        """Pass through from now on: somebody may keep hold of this."""
        self._self_active = False

    def create_span(self, span_data: Any, *args: Any, **kwargs: Any) -> Any:
        span = self.__wrapped__.create_span(span_data, *args, **kwargs)
        watched = self._self_active and getattr(span_data, "type", None) == "agent"
        return _Span(span, self._self_agents) if watched else span


class _Span(_Proxy):  # type: ignore[misc]
    """The span of an agent; between its start and its finish the agent runs.

    It starts and finishes where the agent works, also when tracing is disabled.
    """

    def __init__(self, span: Any, agents: Agents) -> None:
        _Proxy.__init__(self, span)
        self._self_agents = agents
        self._self_key = object()
        self._self_around: BaseException | None = None

    def start(self, *args: Any, **kwargs: Any) -> Any:
        self._self_around = sys.exc_info()[1]
        self._self_agents.start(self._self_key, getattr(self.span_data, "name", None))
        return self.__wrapped__.start(*args, **kwargs)

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        self._self_agents.end(self._self_key, self._error())
        return self.__wrapped__.finish(*args, **kwargs)

    def __enter__(self) -> Any:
        self.start(mark_as_current=True)
        return self

    def __exit__(self, kind: Any, exc: Any, trace: Any) -> Any:
        self._self_agents.end(self._self_key, exc or self._error())
        return self.__wrapped__.__exit__(kind, exc, trace)

    def _error(self) -> BaseException | str | None:
        """Give what is being raised while the span finishes, or that the SDK noted an error.

        What the SDK notes is text, which may hold anything; so only that it did is taken.
        """
        raised = sys.exc_info()[1]
        if raised is not None and raised is not self._self_around:
            return raised
        return "AgentsException" if self.error else None
