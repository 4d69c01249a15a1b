"""``tokenmeter leaderboard``: places by accepted outcomes and what one costs, not by volume."""

from __future__ import annotations

import argparse

from tokenmeter.cli import reporting
from tokenmeter.reports.leaderboard import Leaderboard

_USUAL = Leaderboard()

_EXAMPLES = (
    ("whose work was accepted, and what it cost",
     "tokenmeter leaderboard usage.jsonl --since 2026-11-01 --until 2026-11-30"),
    ("teams instead of people", "tokenmeter leaderboard usage.jsonl --by team"),
    ("teams with three accepted outcomes, too, where there are too few with five",
     "tokenmeter leaderboard usage.jsonl --by team --fewest-outcomes 3"),
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "--by",
        default=_USUAL.by,
        metavar="COLUMN",
        help="who is compared: user, team, tag:NAME … An outcome counts for whom it was said of, "
        "with outcome(…, user=…) in a block, or  tokenmeter outcomes --user COLUMN; calls make "
        "nobody's outcome one's own. Who has more attempts without a price than accepted outcomes "
        "has no place by cost (default: user)",
    )
    for name, usual, what in (
        ("outcomes", _USUAL.fewest_outcomes, "accepted outcomes below which there is no place"),
        ("entries", _USUAL.fewest_entries, "with fewer that could have one there are no places"),
        ("people", _USUAL.fewest_people, "a team in which fewer people have outcomes has no place"),
    ):
        reporting.add_number(parser, f"--fewest-{name}", usual, what)
    reporting.configure(parser, _leaderboard, _EXAMPLES)


def _leaderboard(options: argparse.Namespace) -> Leaderboard:
    return Leaderboard(
        options.by,
        fewest_outcomes=options.fewest_outcomes,
        fewest_entries=options.fewest_entries,
        fewest_people=options.fewest_people,
    )
