"""LangGraph: each run of a compiled graph is a run, by the name that the graph was given.

That is what ``create_agent`` of LangChain makes, too, and what a function with ``@entrypoint`` is.
A chain, a model, a tool and a node are none; a node that contains a graph is one through its graph.
A graph without a name, ``"LangGraph"``, is called like its only node, or else like the node in
which it runs, if it runs in one.

Runs are the calls of ``Pregel.stream`` and ``Pregel.astream``, public methods through which all
others go (langgraph 1.2.22, read 2026-11-23), and not the callbacks of LangChain. Of these, the
end of an asynchronous chain is said in a copy of the context (``shielded`` in langchain_core
1.7.2), and nothing is said where a stream hands a chunk out; so a block laid in one would stay
behind in the consumer, whose own calls would count for the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tokenmeter.frameworks.callbacks import named
from tokenmeter.frameworks.methods import each_call

_UNNAMED = "LangGraph"


def hook(pregel: Any) -> Callable[[], None]:
    """Make each run of a graph a run; gives the undo."""
    # By these a graph interrupts itself for a human, or hands a command over to its parent.
    hands_over = (import_module("langgraph.errors").GraphBubbleUp,)
    undos = [
        each_call(pregel, f"Pregel.{method}", _name, hands_over=hands_over)
        for method in ("stream", "astream")
    ]

    def undo() -> None:
        for take_back in undos:
            take_back()

    return undo


def _name(graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if graph.name and graph.name != _UNNAMED:
        return named(graph.name, type(graph).__name__)
    if len(graph.nodes) == 1:  # its function's, where @entrypoint made it
        return named(next(iter(graph.nodes)), _UNNAMED)
    given = args[1] if len(args) > 1 else kwargs.get("config")
    config = import_module("langchain_core.runnables.config").ensure_config(given)
    return named(config["metadata"].get("langgraph_node"), _UNNAMED)
