"""``tokenmeter outcomes``: import what became of tasks from trackers and forges."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, get_args

from msgspec.structs import replace

from tokenmeter.cli.targets import Taken, Target, targets
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.stdout import one_line
from tokenmeter.importing.layouts import LAYOUTS, Layout
from tokenmeter.importing.rows import Export, Form, export
from tokenmeter.importing.statements import Reading, plain, read
from tokenmeter.meter import Meter
from tokenmeter.near import meant
from tokenmeter.outcomes import VERDICTS, Verdict, stated
from tokenmeter.settlement import settle

STDIN = "-"
IGNORE = "ignore"
"""What `--map` calls a status that says nothing yet."""

SHOWN = 20
"""How many problems are shown of a file, which may have the same one in every row."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = (
        "Importing the same file twice, or a newer export, adds nothing twice. "
        "Without --to the exporters of the configuration take the outcomes."
    )
    add = parser.add_argument
    add("files", nargs="*", default=[STDIN], metavar="FILE", help="exports; - is standard input")
    add("--from", dest="layout", default="csv", choices=list(LAYOUTS), help="whose export it is")
    add("--to", metavar="EXPORTER", help="a ledger (usage.jsonl), or any exporter: NAME:ARGUMENT")
    add("--dry-run", action="store_true", help="say what would be imported, and write nothing")
    add("--strict", action="store_true", help="import nothing where one row cannot be used")
    says = parser.add_argument_group("what stands where, where the export differs")
    add = says.add_argument
    add("--task", action="append", metavar="COLUMN", help="what names the task; may be repeated")
    add("--task-pattern", metavar="REGEX", help="what of it is a task: '[A-Z]+-[0-9]+'")
    add("--uppercase", action="store_true", help="write tasks in upper case")
    add("--status", metavar="COLUMN", help="what says the status")
    add("--map", action="append", default=[], metavar="STATUS=OUTCOME,...",
        help=f"what a status means: {', '.join(VERDICTS)} or {IGNORE}; * is any other")  # fmt: skip
    add("--at", metavar="COLUMN", help="when it was so")
    add("--at-format", metavar="FORMAT", help="how times are written, as for strptime")
    add("--timezone", metavar="ZONE", help="of times that say none: Europe/Berlin")
    add("--reference", metavar="COLUMN", help="what came out of the task")
    add("--user", metavar="COLUMN", help="whose outcome it is: author.login, Assignee")
    add("--team", metavar="COLUMN", help="whose team's")
    add("--evidence", metavar="NAME", help="who says so: ci, review, test or another name")
    add("--format", choices=get_args(Form), help="what the files are, where their names do not say")
    add("--encoding", help="how they are encoded (utf-8)")
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    layout = layout_of(options)
    into = targets(options.to)
    if not into and not options.dry_run:
        raise ConfigurationError("say where to write: --to usage.jsonl, or configure exporters")
    exports = [_export(name, options) for name in options.files]
    before = [event for target in into for event in target.outcomes]
    reading = read(exports, layout, _tasks_by_reference(before))
    reading.remarks += reopened(reading, layout.evidence, before)
    _complain(reading)
    if options.strict and reading.problems:
        print("nothing was imported")
        return 1
    return _take(reading, into, before, dry=options.dry_run)


def _take(
    reading: Reading, into: Sequence[Target], before: Sequence[UsageEvent], *, dry: bool
) -> int:
    meter = Meter()
    events: dict[str, UsageEvent] = {}
    for said in reading.said:
        event = stated(meter, said.statement)
        if event.event_id not in events and dry:
            print(one_line(f"{shown(event)}  {said.row.file}, {said.row.place}"))
        events.setdefault(event.event_id, event)
    new = [target.new(events.values()) for target in into]
    taken = [] if dry else [target.take(some) for target, some in zip(into, new, strict=True)]
    missing = max(map(len, new), default=len(events))
    arrived = max((one.arrived for one in taken), default=missing)
    counts = {
        "to import" if dry else "imported": arrived,
        "already there": len(events) - missing,
        "said twice": len(reading.said) - len(events),
        "ignored": reading.ignored.total(),
        "not usable": len(reading.problems),
    }
    for line in summary(counts, reading.ignored) + conflicts(before, [*events.values()]):
        print(one_line(line))
    return _regret(taken, sum(map(len, new)))


def _regret(taken: Sequence[Taken], handed_over: int) -> int:
    """Say what was lost on the way, and give the exit code."""
    for loss in (loss for one in taken for loss in one.losses):
        print(f"tokenmeter: {loss}", file=sys.stderr)
    lost = handed_over - sum(one.arrived for one in taken) if taken else 0
    if lost:
        print(f"tokenmeter: {lost:,} were not delivered; import them again", file=sys.stderr)
    return 1 if lost else 0


def shown(event: UsageEvent) -> str:
    """Say a statement in one line."""
    when = event.ts.astimezone(UTC)
    what = f"{event.status} by {event.evidence}"
    return f"{when:%Y-%m-%d %H:%M:%S}Z  {event.task}  {what}  {event.reference or '-'}"


def summary(counts: Mapping[str, int], ignored: Counter[str]) -> list[str]:
    """Say what became of all rows; of the counts the first is always said.

    >>> summary({"imported": 0, "already there": 0, "ignored": 2}, Counter({"undecided": 2}))
    ['0 imported, 2 ignored', 'ignored: 2 undecided']
    """
    first = next(iter(counts))
    line = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n or what == first)
    return [line] + [f"ignored: {n:,} {why}" for why, n in ignored.most_common()]


def conflicts(before: Sequence[UsageEvent], events: Sequence[UsageEvent]) -> list[str]:
    """Say which of the statements count for nothing, because another task has the reference."""
    new = {event.event_id for event in events}
    settlement = settle([*before, *events])
    owners = {ref: name for name, task in settlement.tasks.items() for ref in task.references}
    return [
        f"disputed: {shown(said)}: it is an outcome of {owners.get(said.reference or '', 'others')}"
        for said in settlement.disputed
        if said.event_id in new
    ]


def reopened(reading: Reading, evidence: str, before: Sequence[UsageEvent]) -> list[str]:
    """Say which tasks were accepted by this very tracker, and are open there now."""
    tasks = settle(before).tasks
    said = {event.task for event in before if (event.evidence, event.reference) == (evidence, None)}
    return [
        f"{name} is open now and was accepted before; nothing is revoked, because nobody says when"
        for name in dict.fromkeys(reading.undecided)
        if name in said and tasks[name].is_accepted
    ]


def _tasks_by_reference(before: Sequence[UsageEvent]) -> Mapping[str, str]:
    """Give the first task that had each reference, which stays so, whatever is imported later."""
    disputed = {said.event_id for said in settle(before).disputed}
    return {
        said.reference: said.task
        for said in sorted(before, key=lambda said: said.ts.timestamp(), reverse=True)
        if said.status == "accepted" and said.reference and said.task
        and said.event_id not in disputed
    }  # fmt: skip


def _complain(reading: Reading) -> None:
    shown_of = Counter[str]()
    for problem in reading.problems:
        shown_of[problem.file] += 1
        if shown_of[problem.file] <= SHOWN:
            print(one_line(f"tokenmeter: {problem}"), file=sys.stderr)
    for file, n in shown_of.items():
        if n > SHOWN:
            print(f"tokenmeter: {file}: and {n - SHOWN:,} rows more", file=sys.stderr)
    for remark in reading.remarks:
        print(one_line(f"tokenmeter: {remark}"), file=sys.stderr)


def _export(name: str, options: argparse.Namespace) -> Export:
    if name == STDIN:
        return export("standard input", sys.stdin.buffer.read(), options.format, options.encoding)
    return export(name, Path(name).read_bytes(), options.format, options.encoding)


# -- what the options say -------------------------------------------------------------------------


def layout_of(options: argparse.Namespace) -> Layout:
    """Give the layout that is named, with what the options say otherwise.

    Raises:
        ConfigurationError: A pattern, an outcome or a zone cannot be used.
    """
    layout = LAYOUTS[options.layout]
    changes: dict[str, Any] = {"verdicts": {**layout.verdicts, **_verdicts(options.map)}}
    for option, change in _CHANGES.items():
        if given := getattr(options, option):
            changes |= change(given)
    return replace(layout, **changes)


def _pattern(given: str) -> re.Pattern[str]:
    try:
        return re.compile(given)
    except re.error as exc:
        raise ConfigurationError(f"--task-pattern is no regular expression: {exc}") from None


def _verdicts(maps: Iterable[str]) -> dict[str, Verdict | None]:
    verdicts: dict[str, Verdict | None] = {}
    known: dict[str, Verdict | None] = {**{verdict: verdict for verdict in VERDICTS}, IGNORE: None}
    for pair in (pair for given in maps for pair in given.split(",")):
        status, equals, outcome = pair.rpartition("=")
        if not equals:
            raise ConfigurationError(
                f"--map is STATUS=OUTCOME, such as Done=accepted; got {pair!r}"
            )
        if outcome.strip() not in known:
            raise ConfigurationError(f"--map {pair}: {meant(outcome.strip(), known, 'outcomes')}")
        verdicts[plain(status.strip())] = known[outcome.strip()]
    return verdicts


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    with contextlib.suppress(ValueError):  # +02:00
        if offset := datetime.fromisoformat(f"2026-01-01T00:00{name}").tzinfo:
            return offset
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ConfigurationError(
            f"--timezone: there is no zone {name!r}; write Europe/Berlin, UTC or +02:00"
        ) from None


_CHANGES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "task": lambda given: {"task": tuple(given), "pattern": None},
    "task_pattern": lambda given: {"pattern": _pattern(given)},
    "uppercase": lambda given: {"uppercase": given},
    "status": lambda given: {"status": (given,), "signs": {}},
    "at": lambda given: {"at": (given,)},
    "at_format": lambda given: {"at_format": given},
    "timezone": lambda given: {"zone": _zone(given)},
    "reference": lambda given: {"reference": (given,), "needs_reference": True},
    "user": lambda given: {"user": (given,)},
    "team": lambda given: {"team": (given,)},
    "evidence": lambda given: {"evidence": given, "evidences": {}},
}
"""What each option changes of a layout."""
