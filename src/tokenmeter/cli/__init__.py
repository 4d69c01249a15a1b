"""The command line: one file for each command, loaded when it is the one that was called.

Here is only what all of them share: the parser, and how a command that was held wrongly, cut off
or interrupted ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import tokenmeter
from tokenmeter.errors import TokenmeterError

COMMANDS = {
    "demo": "meter a whole day of calls on this machine, without any key",
    "run": "run a Python program unchanged and say what it cost in tokens",
    "tail": "follow a ledger, one line for each event",
    "doctor": "say what is installed, what of it is metered and what cannot be",
    "count": "say how many tokens texts and requests have, before they are sent",
    "report": "add up tokens, money, attempts and time by user, task, model or anything else",
    "tasks": "say what tasks cost and what came out of them",
    "tree": "show agents and sub-agents, with what each used by itself and in all",
    "leaderboard": "rank by accepted outcomes and what one costs, never by volume",
    "adoption": "say how many people use models each week, beside a target",
    "coverage": "say what is not counted, not priced and not attributed",
    "compact": "roll ledgers up into Parquet, each event once",
    "pseudonym": "say what a person is called in events, for who has the keys",
    "erase": "take one person out of ledgers, so that no total changes",
    "reprice": "write a ledger anew, with the cost of each call by the prices of its day",
    "outcomes": "import what became of tasks from trackers and forges: CSV or JSON",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: The arguments without the program's name; ``None`` is those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments[:1])
    if not arguments:
        parser.print_help()
        return 2
    options = parser.parse_args(arguments)
    try:
        code: int = options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        return _after_broken_pipe()
    except KeyboardInterrupt:
        return 130
    except (TokenmeterError, OSError) as error:
        print(f"tokenmeter: {error}", file=sys.stderr)
        return 2
    return code


def _parser(first: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenmeter", description="Meter tokens around LLM calls."
    )
    parser.add_argument(
        "--version", action="version", version=f"tokenmeter {tokenmeter.__version__}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, description=f"tokenmeter {name}: {purpose}."
        )
        if name in first:
            import_module(f"tokenmeter.cli.{name}").configure(command)
    return parser


def _after_broken_pipe() -> int:
    # The reader (head, less) has seen enough. The interpreter flushes stdout once more when it
    # exits, which must not fail loudly (Python's signal documentation, read 2026-11).
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
