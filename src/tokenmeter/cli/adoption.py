"""``tokenmeter adoption``: how many people use models, on distinct days, beside a target."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from tokenmeter.cli import reporting
from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.adoption import Adoption

_USUAL = Adoption()

_EXAMPLES = (
    ("active people per week and team, beside a target of 80 %",
     "tokenmeter adoption usage.jsonl --target 0.8 --since 2026-11-02 --until 2026-11-29"),
    ("of everybody there is, also of those who never used a model",
     "tokenmeter adoption usage.jsonl --people people.csv"),
    ("as a page with a chart", "tokenmeter adoption usage.jsonl --output adoption.html"),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--by",
        default=_USUAL.by,
        metavar="COLUMN",
        help="the groups (default: team); persons are not shown by themselves",
    )
    parser.add_argument(
        "--target",
        type=float,
        default=_USUAL.target,
        metavar="SHARE",
        help="the share of people that is aimed at, from 0 to 1 (default: %(default)s)",
    )
    reporting.add_number(
        parser,
        "--days",
        _USUAL.days,
        "days of use in a week that make somebody active, 1 to 7; weeks with one day are counted "
        "apart",
    )
    reporting.add_number(
        parser,
        "--fewest-people",
        _USUAL.fewest_people,
        "smaller groups are shown together or not at all",
    )
    parser.add_argument(
        "--people",
        type=Path,
        metavar="FILE",
        help="everybody there is: CSV with the columns user and, where it is known, that of --by "
        "(default: whoever used a model in the period)",
    )
    reporting.configure(parser, _adoption, _EXAMPLES)


def _adoption(options: argparse.Namespace) -> Adoption:
    return Adoption(
        options.by,
        target=options.target,
        days=options.days,
        fewest_people=options.fewest_people,
        people=None if options.people is None else roster(options.people, options.by),
    )


def roster(path: Path, group: str) -> dict[str, str | None]:
    """Read who there is.

    Raises:
        ConfigurationError: The file has no column for people, or a line of it names nobody.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if "user" not in (rows.fieldnames or ()):
            raise ConfigurationError(
                f"{path} has the columns {', '.join(rows.fieldnames or ['(none)'])}; expected "
                f"user, and {group} where it is known"
            )
        people: dict[str, str | None] = {}
        for row in rows:
            if not row["user"]:
                raise ConfigurationError(f"{path}, line {rows.line_num}: user is empty")
            team = row.get(group) or None
            before = people.setdefault(row["user"], team)
            if before != team:
                raise ConfigurationError(
                    f"{path}, line {rows.line_num}: {row['user']!r} is in {team!r} and in "
                    f"{before!r}; expected one {group} for each user"
                )
    return people
