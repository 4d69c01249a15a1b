"""``tokenmeter tree``: agents and their sub-agents, with what each used by itself and in all."""

from __future__ import annotations

import argparse

from tokenmeter.cli import reporting
from tokenmeter.reports.tree import Tree

_EXAMPLES = (
    ("what each agent used, over all its runs", "tokenmeter tree usage.jsonl"),
    ("which agent is the expensive one within a task",
     "tokenmeter tree usage.jsonl --only task=ABC-12"),
    ("the runs of one task, each below the one that began it",
     "tokenmeter tree usage.jsonl --task ABC-12"),
    ("the runs of one conversation", "tokenmeter tree usage.jsonl --runs --only conversation=c-7"),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="the runs of this task, one by one (default: agents by name, over all tasks)",
    )
    parser.add_argument(
        "--runs",
        action="store_true",
        help="a row for each run instead of one for each agent",
    )
    reporting.configure(parser, _tree, _EXAMPLES)


def _tree(options: argparse.Namespace) -> Tree:
    if options.task is not None:
        options.only = [*options.only, f"task={options.task}"]
    return Tree(runs=options.runs or options.task is not None)
