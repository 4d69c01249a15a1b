"""``tokenmeter coverage``: what is not counted, not priced and not attributed."""

from __future__ import annotations

import argparse

from tokenmeter.cli import reporting
from tokenmeter.reports.coverage import Coverage

_EXAMPLES = (
    ("which services make calls that nobody claims",
     "tokenmeter coverage usage.jsonl --by service"),
    ("which models have no price", "tokenmeter coverage usage.jsonl --by model,cost_reason"),
    ("where tokens are estimated or unknown",
     "tokenmeter coverage usage.jsonl --by provider,operation"),
    ("what of this program is metered at all", "tokenmeter doctor"),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    reporting.add_by(parser, "service,provider,operation")
    reporting.configure(parser, _coverage, _EXAMPLES)


def _coverage(options: argparse.Namespace) -> Coverage:
    return Coverage(reporting.by(options))
