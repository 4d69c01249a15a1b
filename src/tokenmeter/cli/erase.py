"""``tokenmeter erase``: take one person out of ledgers, so that no total changes."""

from __future__ import annotations

import argparse
import sys

from tokenmeter.cli.pseudonym import add_keys, keys
from tokenmeter.erasing.files import Place
from tokenmeter.erasing.ledgers import TABLE, erase
from tokenmeter.erasing.person import Person
from tokenmeter.errors import ConfigurationError
from tokenmeter.wording import counted


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "ledgers",
        nargs="*",
        metavar="LEDGER",
        help="ledgers, patterns, Parquet files, or folders of these",
    )
    parser.add_argument(
        "--user", action="append", required=True, metavar="NAME", help="who; may be repeated"
    )
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="NAME",
        help="a tag that goes where its value is the person; may be repeated",
    )
    parser.add_argument(
        "--events", action="store_true", help="remove whole events, which makes totals smaller"
    )
    parser.add_argument("--postgres", metavar="DSN", help="a database, too; '' is that of PGHOST")
    parser.add_argument("--table", default=TABLE, help=f"the table in it ({TABLE})")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be")
    add_keys(parser)
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    if not options.ledgers and options.postgres is None:
        raise ConfigurationError("name a ledger, or a database with --postgres")
    person = Person(options.user, keys(options.keys), options.tag, whole=options.events)
    found: list[Place] = []
    for place in erase(
        options.ledgers,
        person,
        postgres=options.postgres,
        table=options.table,
        dry_run=options.dry_run,
    ):
        found.append(place)
        if place.events:
            print(f"{place.name}: {counted(place.events, 'event')}")
    print(said(found, person, dry_run=options.dry_run))
    return _warned(found)


def said(found: list[Place], person: Person, *, dry_run: bool) -> str:
    """Say in a line what was done; who it was is said nowhere.

    >>> said([Place("a.jsonl", 2), Place("b.jsonl", 0)], Person(["ada"]), dry_run=False)
    'the user of 2 events erased, in 1 of 2 places'
    """
    events = sum(place.events for place in found)
    what = counted(events, "event") if person.whole else f"the user of {counted(events, 'event')}"
    done = ("removed" if person.whole else "erased") if not dry_run else "would be erased"
    places = sum(1 for place in found if place.events)
    return f"{what} {done}, in {places} of {len(found)} places"


def _warned(found: list[Place]) -> int:
    """Say what may be left; 1 where it is not known."""
    for place in found:
        if place.elsewhere:
            text = f"in {place.elsewhere:,} lines the name stands elsewhere (a tag? see --tag)"
            print(f"{place.name}: {text}", file=sys.stderr)
        if place.trouble:
            print(f"{place.name}: {place.trouble}", file=sys.stderr)
    return int(any(place.trouble for place in found))
