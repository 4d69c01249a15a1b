"""``tokenmeter compact``: roll ledgers up into Parquet, each event once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tokenmeter.compaction import Compacted, compact
from tokenmeter.ledger import ledgers


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "ledgers", nargs="+", type=Path, metavar="LEDGER", help="ledgers or patterns"
    )
    parser.add_argument(
        "--to",
        required=True,
        type=Path,
        metavar="DIR|FILE.parquet",
        help="a folder, which gets a file for each day (UTC), or one file; "
        "what is there already stays",
    )
    parser.add_argument(
        "--closed", action="store_true", help="leave out the file that is still being written"
    )
    parser.add_argument(
        "--remove",
        action="store_true",
        help="remove closed files after the Parquet was read back and adds up",
    )
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    done = compact(
        ledgers(options.ledgers), options.to, closed_only=options.closed, remove=options.remove
    )
    print(said(done))
    if done.skipped:
        print(f"tokenmeter: {done.skipped:,} lines are no events", file=sys.stderr)
    return 0


def said(done: Compacted) -> str:
    """Say what a roll-up did, in one line.

    >>> said(Compacted([Path("2026-11-23.parquet")], 1000, 2, 0, []))
    '1,000 events read, 2 of them there already, 998 added: 2026-11-23.parquet'
    """
    files = ", ".join(str(path) for path in done.files) or "nothing"
    added = done.read - done.duplicates
    text = f"{done.read:,} events read, {done.duplicates:,} of them there already, "
    text += f"{added:,} added: {files}"
    return text + f"; {len(done.removed)} closed files removed" if done.removed else text
