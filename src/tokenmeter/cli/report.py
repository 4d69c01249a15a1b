"""``tokenmeter report``: add up ledgers by any columns, as a table, JSON, CSV or Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tokenmeter.cli.columns import COLUMNS, TAG, Groups
from tokenmeter.cli.render import FORMATS
from tokenmeter.errors import ConfigurationError
from tokenmeter.ledger import Ledger


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    names = ", ".join([*COLUMNS, f"{TAG}NAME"])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="ledgers")
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
    for path in options.files:
        _add_file(groups, path)
    FORMATS[options.format](groups, sys.stdout)
    return 0


def _add_file(groups: Groups, path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f"there is no ledger {str(path)!r}; name an existing file")
    with Ledger(path) as ledger:
        for event in ledger:
            groups.add(event)
        skipped = len(ledger.skipped) + ledger.unfinished
    if skipped:
        print(f"tokenmeter: {skipped} lines of {path} are no events", file=sys.stderr)
