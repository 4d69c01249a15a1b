"""Rows become statements: each row one, or a problem, or nothing and a reason for that."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from tokenmeter.attribution import is_text
from tokenmeter.errors import ConfigurationError
from tokenmeter.importing.layouts import Layout
from tokenmeter.importing.reverts import History, Target
from tokenmeter.importing.rows import Columns, Export, Problem, Row, shortened
from tokenmeter.importing.times import UnknownTimeError, time_of
from tokenmeter.near import meant
from tokenmeter.outcomes import Statement, Verdict


class Said(msgspec.Struct, frozen=True, eq=False):
    """A statement, and the row that makes it."""

    statement: Statement
    row: Row


class Reading(msgspec.Struct, eq=False):
    """What some exports say.

    Attributes:
        said: Statements, in the order of the rows.
        problems: Rows that cannot be used.
        ignored: How many rows say nothing, by reason.
        remarks: What else is to be known, in a line each.
        undecided: Tasks of rows with a status that means nothing yet.
    """

    said: list[Said] = []
    problems: list[Problem] = []
    ignored: Counter[str] = msgspec.field(default_factory=Counter[str])
    remarks: list[str] = []
    undecided: list[str] = []


class _UnusableError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _IgnoredError(Exception):
    pass


def read(
    exports: Sequence[Export], layout: Layout, known: Mapping[str, str] | None = None
) -> Reading:
    """Read what exports say of tasks.

    Args:
        exports: The files; a revert may be in another one than what it reverts.
        layout: What stands where in them.
        known: Tasks by reference, of outcomes that were accepted before.

    Raises:
        ConfigurationError: A table has no column that the layout needs.
    """
    for export in exports:
        _check(export, layout)
    reading = Reading(problems=[problem for export in exports for problem in export.problems])
    rows = [row for export in exports for row in export.rows]
    reader = _Reader(layout, rows, known or {}, reading)
    for row in rows:
        try:
            reading.said.append(Said(reader.statement(row), row))
        except _UnusableError as unusable:
            reading.problems.append(unusable.problem)
        except _IgnoredError as ignored:
            reading.ignored[str(ignored)] += 1
    return reading


def _needed(layout: Layout) -> dict[str, Columns]:
    reference = layout.reference if layout.needs_reference else ()
    status = (*layout.signs, *layout.status)
    needed = {"--task": layout.task, "--status": status, "--at": layout.at}
    return needed | {"--reference": reference} if reference else needed


def _check(export: Export, layout: Layout) -> None:
    if not export.headings:
        return
    blank = Row(export.name, "", dict.fromkeys(map(str.casefold, export.headings), ""))
    for option, columns in _needed(layout).items():
        if not blank.has(columns):
            raise ConfigurationError(
                f"{export.name} has no column {' or '.join(map(repr, columns))}; say another one "
                f"with {option}; {meant(columns[0], export.headings, 'columns')}"
            )


class _Reader:
    def __init__(
        self, layout: Layout, rows: Iterable[Row], known: Mapping[str, str], reading: Reading
    ) -> None:
        self._layout = layout
        self._known = known
        self._remarks = reading.remarks
        self._undecided = reading.undecided
        self._history = None if layout.pulls is None else History(rows, layout.pulls)

    def statement(self, row: Row) -> Statement:
        verdict = self._verdict(row)
        if self._history is not None and self._history.reverts(row):
            return self._taken_back(row, verdict, self._history)
        return self._statement(row, self._task(row), verdict, self._reference(row))

    def _statement(self, row: Row, task: str, verdict: Verdict, reference: str | None) -> Statement:
        ts = self._time(row)
        user, team = row.text(self._layout.user) or None, row.text(self._layout.team) or None
        statement = Statement(task, verdict, self._evidence(row), reference, ts, user, team)
        for name in (task, statement.evidence, reference or "", user or "", team or ""):
            if not is_text(name):
                raise _UnusableError(_problem(row, "text", name))
        return statement

    def _verdict(self, row: Row) -> Verdict:
        layout, verdicts = self._layout, self._layout.verdicts
        columns = (*layout.signs, *layout.status)
        if not row.has(columns):
            raise _UnusableError(row.problem(layout.status or columns, "such a column"))
        sign = next((layout.signs[name] for name in layout.signs if row.text((name,))), None)
        status = sign or row.text(layout.status)
        key = plain(status) if plain(status) in verdicts else "*"
        if key not in verdicts:
            known = ", ".join(sorted(verdicts))
            expected = f"one of {known}; say what it means with --map {status!r}=accepted"
            raise _UnusableError(row.problem(layout.status, expected))
        verdict = verdicts[key]
        if verdict is None:
            self._undecided += self._tasks(row)[:1]
            raise _IgnoredError(f"with the status {shortened(status)}" if status else "undecided")
        return verdict

    def _task(self, row: Row) -> str:
        if not row.has(self._layout.task):
            raise _UnusableError(row.problem(self._layout.task, "such a column"))
        tasks = self._tasks(row)
        if not tasks and self._layout.pattern is None:
            raise _UnusableError(row.problem(self._layout.task, "a task"))
        if not tasks:
            raise _IgnoredError("without a task")
        if len(tasks) > 1:
            self._remarks.append(
                f"{row.file}, {row.place}: names {', '.join(tasks)}; it is an outcome of the first"
            )
        return tasks[0]

    def _tasks(self, row: Row) -> list[str]:
        layout = self._layout
        texts = [row.text((column,)) for column in layout.task]
        if layout.pattern is None:
            found = [row.text(layout.task)]
        else:
            found = [_match(one) for text in texts for one in layout.pattern.finditer(text)]
        named = [task.upper() if layout.uppercase else task for task in found if task]
        return list(dict.fromkeys(named))

    def _reference(self, row: Row) -> str | None:
        reference = row.text(self._layout.reference)
        if not reference and self._layout.needs_reference:
            raise _UnusableError(row.problem(self._layout.reference, "the address of it"))
        return reference or None

    def _evidence(self, row: Row) -> str:
        for column, meanings in self._layout.evidences.items():
            said = row.text((column,))
            if evidence := meanings.get(plain(said)) if meanings else said:
                return evidence
        return self._layout.evidence

    def _time(self, row: Row) -> datetime:
        layout = self._layout
        try:
            return time_of(row.text(layout.at), layout.zone, layout.at_format)
        except UnknownTimeError as unknown:
            raise _UnusableError(row.problem(layout.at, str(unknown))) from None

    def _taken_back(self, row: Row, verdict: Verdict, history: History) -> Statement:
        if verdict != "accepted":
            raise _IgnoredError("reverts that were not merged")
        target = history.target(row)
        task = None if target is None else self._task_of(target, row)
        if target is None or task is None:
            self._remarks.append(
                f"{row.file}, {row.place}: reverts what is not known, or is for no task; "
                f"nothing is revoked"
            )
            raise _IgnoredError("reverts of what is not known")
        return self._statement(row, task, "accepted" if target.stands else "revoked", target.url)

    def _task_of(self, target: Target, revert: Row) -> str | None:
        """Give the task of what was reverted; where it is not among the rows, what is known."""
        if target.row is not None:
            return next(iter(self._tasks(target.row)), None)
        return self._known.get(target.url) or next(iter(self._tasks(revert)), None)


def plain(text: str) -> str:
    """Give a text as it is looked up: in lower case, with a straight apostrophe."""
    return text.casefold().replace("\u2019", "'")


def _match(found: re.Match[str]) -> str:
    return (found[1] if found.re.groups else found[0]) or ""


def _problem(row: Row, expected: str, found: str) -> Problem:
    return Problem(row.file, row.place, None, shortened(found), expected)
