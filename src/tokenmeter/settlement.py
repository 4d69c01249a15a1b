"""What became of each task, and what was spent on it: from events alone, in whatever order.

The rules, by which every reader comes to the same answer:

1. A statement counts once, by its ``event_id``, and statements hold in the order of their ``ts``;
   of those of one moment the ones that take back come last. One that names no task, or no status
   that a task can have, says nothing.
2. A *claim* is a task with a reference, or without one. The latest statement about it holds, since
   it was first said: repeating it changes nothing, but that a witness may come forward.
3. A reference is claimed by the first task that says it was accepted. What another task says of it
   is *disputed* and counts for nothing, unless the claim was revoked or rejected before.
4. ``revoked`` without a reference takes back everything of the task that is accepted.
5. A task is accepted when one of its claims is; else its latest statement says what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from tokenmeter.event import Status, UsageEvent
from tokenmeter.ids import is_derived
from tokenmeter.outcomes import SELF, VERDICTS
from tokenmeter.tallies import Tally


class TaskAccount(msgspec.Struct, frozen=True, eq=False):
    """One task: what became of it, and what was spent on it.

    Args:
        task: The piece of work.
        status: What became of it; ``None`` where nobody says.
        decided: Since when that holds: of an accepted task its first acceptance that stands.
        evidence: Who or what says so, of each claim that stands, without repetition.
        references: What came out of it, as far as it is accepted.
        spent: What its calls used.
        spent_after: The part of it that was spent after it was decided.
    """

    task: str
    status: Status | None
    decided: datetime | None
    evidence: tuple[str, ...]
    references: tuple[str, ...]
    spent: Tally
    spent_after: Tally

    @property
    def is_accepted(self) -> bool:
        """Whether it is accepted, by whomever."""
        return self.status == "accepted"

    @property
    def is_self_declared(self) -> bool:
        """Whether only whoever did the work says that it is accepted."""
        return self.is_accepted and set(self.evidence) <= {SELF}


class Settlement(msgspec.Struct, frozen=True, eq=False):
    """All tasks of some events.

    Args:
        tasks: The tasks by name, in the order of the first that is known of each.
        without_task: What calls used that were for no task.
        disputed: Statements that count for nothing, because another task has the reference.
        senseless: Statements that say nothing, because they name no task or no such status.
    """

    tasks: Mapping[str, TaskAccount]
    without_task: Tally
    disputed: tuple[UsageEvent, ...]
    senseless: tuple[UsageEvent, ...]


def settle(events: Iterable[UsageEvent]) -> Settlement:
    """Join what was spent on tasks with what became of them.

    Keeps the events of tasks in memory until it has seen all: an outcome may come late.

    >>> settle([]).tasks
    {}
    """
    statements: dict[str, UsageEvent] = {}
    calls: dict[str, list[UsageEvent]] = {}
    names: dict[str, None] = {}
    without_task, fetched = Tally(), set[str]()
    for event in events:
        if event.task is not None:
            names[event.task] = None
        if event.kind == "outcome":
            _hold(statements, event)
        elif event.kind == "call" and event.event_id not in fetched:
            if is_derived(event.event_id):
                fetched.add(event.event_id)
            if event.task is None:
                without_task.sum_up(event)
            else:
                calls.setdefault(event.task, []).append(event)
    ledger = _Claims()
    for statement in sorted(statements.values(), key=_when):
        ledger.hear(statement)
    tasks = {name: _account(name, calls.get(name, ()), ledger) for name in names}
    return Settlement(tasks, without_task, tuple(ledger.disputed), tuple(ledger.senseless))


def _hold(statements: dict[str, UsageEvent], said: UsageEvent) -> None:
    """Keep one statement of an id: of two that differ the same one, whichever arrived first."""
    before = statements.setdefault(said.event_id, said)
    if before is not said and _what(said) < _what(before):
        statements[said.event_id] = said


def _what(said: UsageEvent) -> tuple[datetime, str]:
    return _at(said), repr((said.task, said.status, said.reference, said.evidence))


def _when(said: UsageEvent) -> tuple[datetime, bool, str]:
    return _at(said), said.status == "revoked", said.event_id


def _at(event: UsageEvent) -> datetime:
    """Give the time of an event, of which a foreign one may lack the zone that all of ours have."""
    return event.ts if event.ts.tzinfo else event.ts.replace(tzinfo=UTC)


def _account(task: str, calls: Iterable[UsageEvent], ledger: _Claims) -> TaskAccount:
    claims = ledger.claims.get(task, {})
    accepted = {ref: said for ref, said in claims.items() if said.status == "accepted"}
    said = min(accepted.values(), key=_at) if accepted else ledger.latest(task)
    spent, after = Tally(), Tally()
    for call in calls:
        spent.sum_up(call)
        if said is not None and _at(call) > _at(said):
            after.sum_up(call)
    standing = list(accepted.values()) or ([said] if said is not None else [])
    return TaskAccount(
        task=task,
        status=None if said is None else said.status,
        decided=None if said is None else _at(said),
        evidence=tuple(dict.fromkeys(s.evidence or SELF for s in standing)),
        references=tuple(sorted(ref for ref in accepted if ref is not None)),
        spent=spent,
        spent_after=after,
    )


class _Claims:
    """Hear statements in the order of their time, and know which of them stand."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str | None, UsageEvent]] = {}
        self.disputed: list[UsageEvent] = []
        self.senseless: list[UsageEvent] = []
        self._latest: dict[str, str | None] = {}
        self._owners: dict[str, str] = {}

    def latest(self, task: str) -> UsageEvent | None:
        """Give the latest statement about a task, none where there is no statement."""
        return self.claims[task][self._latest[task]] if task in self._latest else None

    def hear(self, said: UsageEvent) -> None:
        """Take one statement, after all those before it."""
        task, reference = said.task, said.reference
        if task is None or said.status not in VERDICTS:
            self.senseless.append(said)
        elif reference is not None and self._owners.get(reference, task) != task:
            self.disputed.append(said)
        elif said.status == "revoked" and reference is None and self._takes_back(task):
            self._take_back(task, said)
        else:
            self._claim(task, said)

    def _claim(self, task: str, said: UsageEvent) -> None:
        claims, reference = self.claims.setdefault(task, {}), said.reference
        before = claims.get(reference)
        if before is not None and before.status == said.status:
            claims[reference] = _better(before, said)
            return
        claims[reference] = said
        self._latest[task] = reference
        if reference is not None and said.status == "accepted":
            self._owners[reference] = task
        else:
            self._release(reference)

    def _takes_back(self, task: str) -> bool:
        return any(said.status == "accepted" for said in self.claims.get(task, {}).values())

    def _take_back(self, task: str, said: UsageEvent) -> None:
        for reference, before in self.claims[task].items():
            if before.status == "accepted":
                self.claims[task][reference] = said
                self._release(reference)
        self.claims[task][None] = said
        self._latest[task] = None

    def _release(self, reference: str | None) -> None:
        if reference is not None:
            self._owners.pop(reference, None)


def _better(before: UsageEvent, said: UsageEvent) -> UsageEvent:
    """Of two statements that say the same take the first, unless only the second has a witness."""
    if (before.evidence or SELF) == SELF != (said.evidence or SELF):
        return msgspec.structs.replace(before, evidence=said.evidence)
    return before
