"""``tokenmeter report``: add up ledgers by any columns, as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenmeter.cli.columns import COLUMNS, TAG, Groups
from tokenmeter.cli.render import FORMATS
from tokenmeter.ledger import Ledger, ledgers


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    names = ", ".join([*COLUMNS, f"{TAG}NAME"])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="ledgers or patterns")
    parser.add_argument(
        "--by", default="user,task,model", metavar="COLUMNS", help=f"any of: {names}"
    )
    parser.add_argument(
        "--format",
        default="table",
        choices=list(FORMATS),
        help="json and csv have every count, exact; csv has no total row",
    )
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    groups = Groups(options.by.split(","))
    for path in ledgers(options.files):
        _add_file(groups, path)
    FORMATS[options.format](groups, sys.stdout)
    return 0


def _add_file(groups: Groups, path: Path) -> None:
    with Ledger(path) as ledger:
        for event in ledger:
            groups.add(event)
    for complaint in complaints(ledger):
        print(f"tokenmeter: {complaint}", file=sys.stderr)


def complaints(ledger: Ledger) -> Iterator[str]:
    """Say what of a ledger that was read is no event."""
    if ledger.skipped:
        torn = f", {len(ledger.torn)} of them torn" if ledger.torn else ""
        yield f"{len(ledger.skipped)} lines of {ledger.path} are no events{torn}"
    if ledger.unfinished:
        yield f"the last line of {ledger.path} has no end: it is being written, or never will be"
