"""``tokenmeter report``: add up ledgers by any columns."""

from __future__ import annotations

import argparse

from tokenmeter.cli import reporting
from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.comparison import compare
from tokenmeter.reports.engines import Engine
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Result

PREVIOUS = "previous"
_NOVEMBER = "--since 2026-11-01 --until 2026-11-30"
_TWO_WEEKS = "--since 2026-11-02 --until 2026-11-15"
_EXAMPLES = (
    (
        "what did each user cost in November, by the days of Berlin",
        f"tokenmeter report usage.jsonl --by user {_NOVEMBER} --timezone Europe/Berlin",
    ),
    (
        "the ten most expensive tasks of one model",
        "tokenmeter report usage.jsonl --by task --only model=gpt-5 --top 10",
    ),
    (
        "spending by day and team, as a page with charts",
        "tokenmeter report 'logs/*.jsonl' --by day,team --output spending.html",
    ),
    (
        "two weeks beside the two before",
        f"tokenmeter report usage.jsonl --by team {_TWO_WEEKS} --compare {PREVIOUS}",
    ),
    (
        "November beside October",
        f"tokenmeter report usage.jsonl --by team {_NOVEMBER} --compare 2026-10-01..2026-10-31",
    ),
    (
        "how many attempts of each model failed",
        "tokenmeter report usage.jsonl --by model",
    ),
    (
        "and why they failed",
        "tokenmeter report usage.jsonl --by model,error_type --only status=failed",
    ),
    (
        "which services and hosts make calls that name nobody",
        "tokenmeter coverage usage.jsonl --by service,host",
    ),
    (
        "one number for a program",
        "tokenmeter report usage.jsonl --by model --format json | jq -r .total.cost_amount",
    ),
    (
        "the query for the Spark of the company",
        "tokenmeter report --by team,day --sql --dialect spark --source lake.events",
    ),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    reporting.add_by(parser, "user,task,model")
    reporting.add_top(parser)
    parser.add_argument(
        "--compare",
        metavar="PERIOD",
        help=f"show another period beside this one: {PREVIOUS} (as long, and right before: needs "
        "--since and --until), or 2026-10-01..2026-10-31",
    )
    reporting.configure(parser, _usage, _EXAMPLES)
    parser.set_defaults(command=_command)


def _usage(options: argparse.Namespace) -> Usage:
    return Usage(reporting.by(options), options.top)


def _command(options: argparse.Namespace) -> int:
    usage = _usage(options)
    if options.compare is not None and options.sql:
        raise ConfigurationError(
            "--sql prints the SQL of one report, and --compare makes two; print one for each "
            "period, with --since and --until"
        )
    if options.compare is None:
        return reporting.give(options, usage)
    before = _before(options)

    def both(engine: Engine, scope: Scope) -> Result:
        return compare(usage, engine, scope, before)

    return reporting.give(options, usage, both)


def _before(options: argparse.Namespace) -> Scope:
    if options.compare == PREVIOUS:
        return reporting.scope_of(options).before()
    first, dots, last = options.compare.partition("..")
    if not dots:
        raise ConfigurationError(
            f"--compare {options.compare!r} is no period; expected {PREVIOUS}, or two days such as "
            f"2026-10-01..2026-10-31"
        )
    options = argparse.Namespace(**{**vars(options), "since": first, "until": last})
    return reporting.scope_of(options)
