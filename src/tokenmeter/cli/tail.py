"""``tokenmeter tail``: follow a live ledger, one human line for each event."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.stdout import line
from tokenmeter.ledger import Ledger, ledgers, nap


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("file", type=Path, help="a ledger that the jsonl exporter writes")
    parser.add_argument(
        "-n", type=int, default=10, metavar="N", help="how many older events to show (10)"
    )
    parser.add_argument(
        "--no-follow", action="store_true", help="stop at the end instead of waiting for more"
    )
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    path, *more = ledgers([options.file])
    if more:
        raise ConfigurationError(f"{str(options.file)!r} is {1 + len(more)} ledgers; name one")
    tail(path, options.n, (lambda: False) if options.no_follow else nap)
    return 0


def tail(path: Path, last: int, wait: Callable[[], bool]) -> None:
    """Print the last events of a ledger, and those that come, until ``wait`` returns False."""
    with Ledger(path) as ledger:
        _print(deque(ledger, maxlen=max(last, 0)))
        while wait():
            _print(ledger)
        if ledger.skipped:
            print(f"{len(ledger.skipped)} lines are no events", file=sys.stderr)


def _print(events: Iterable[UsageEvent]) -> None:
    for event in events:
        print(line(event), flush=True)
