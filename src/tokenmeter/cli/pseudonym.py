"""``tokenmeter pseudonym``: say what somebody is called in events, for who has the keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokenmeter.errors import ConfigurationError
from tokenmeter.pseudonyms import Pseudonyms, checked
from tokenmeter.settings import of_process


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("users", nargs="+", metavar="USER", help="the person, as in attribute()")
    add_keys(parser)
    parser.set_defaults(command=_command)


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the keys are, which are never an argument themselves."""
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="FILE",
        help='a file of keys, a line  p1 = "…"  for each; else those that are configured',
    )


def keys(path: Path | None) -> Pseudonyms | None:
    """Give the keys of a file, or else those that the environment or `tokenmeter.toml` says.

    Raises:
        ConfigurationError: They cannot be used.
    """
    return checked(path) if path is not None else of_process().read().pseudonyms


def _command(options: argparse.Namespace) -> int:
    known = keys(options.keys)
    if known is None:
        raise ConfigurationError(
            "there are no keys: name a file with --keys, or set TOKENMETER_PSEUDONYMS"
        )
    for user in options.users:
        print(*known.every(user), sep="\n")
    return 0
