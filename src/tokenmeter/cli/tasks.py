"""``tokenmeter tasks``: what tasks cost, and what came out of them."""

from __future__ import annotations

import argparse

from tokenmeter.cli import reporting
from tokenmeter.reports.tasks import Tasks

_EXAMPLES = (
    ("the twenty most expensive tasks, and what became of them",
     "tokenmeter tasks usage.jsonl --top 20"),
    ("what an accepted task costs each team, with its confidence interval",
     "tokenmeter tasks usage.jsonl --by team --since 2026-11-01 --until 2026-11-30"),
    ("what was spent after the outcome, and without any",
     "tokenmeter tasks usage.jsonl --by ''"),
    ("outcomes come from the program, or from a tracker",
     "tokenmeter outcomes --help"),
)  # fmt: skip

_MORE = (
    "an outcome counts for what was said with it, and a task in each row that has something of "
    "it, so that rows can have more tasks than the total"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    reporting.add_by(parser, "task", _MORE)
    reporting.add_top(parser)
    reporting.configure(parser, _tasks, _EXAMPLES)


def _tasks(options: argparse.Namespace) -> Tasks:
    return Tasks(reporting.by(options), options.top)
