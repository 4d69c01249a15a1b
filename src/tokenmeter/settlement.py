"""What became of each task, and what was spent on it: from events alone, in whatever order.

The rules, by which every reader comes to the same answer:

1. A statement counts once, by its ``event_id``, and statements hold in the order of their ``ts``.
2. A *claim* is a task with a reference, or without one. The latest statement about it holds.
3. A reference is claimed by the first task that says it was accepted. What another task says of it
   is *disputed* and counts for nothing, unless the claim was revoked or rejected before.
4. ``revoked`` without a reference takes back everything that the task has claimed.
5. A task is accepted when one of its claims is; else its latest statement says what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from tokenmeter.event import Status, UsageEvent
from tokenmeter.ids import is_derived
from tokenmeter.outcomes import SELF
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
    """

    tasks: Mapping[str, TaskAccount]
    without_task: Tally
    disputed: tuple[UsageEvent, ...]


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
            statements.setdefault(event.event_id, event)
        elif event.kind == "call" and event.event_id not in fetched:
            if is_derived(event.event_id):
                fetched.add(event.event_id)
            if event.task is None:
                without_task.sum_up(event)
            else:
                calls.setdefault(event.task, []).append(event)
    ledger = _Claims()
    for statement in sorted(statements.values(), key=lambda said: (said.ts, said.event_id)):
        ledger.hear(statement)
    tasks = {name: _account(name, calls.get(name, ()), ledger) for name in names}
    return Settlement(tasks, without_task, tuple(ledger.disputed))


def _account(task: str, calls: Iterable[UsageEvent], ledger: _Claims) -> TaskAccount:
    claims = ledger.claims.get(task, {})
    accepted = {ref: said for ref, said in claims.items() if said.status == "accepted"}
    said = min(accepted.values(), key=lambda s: s.ts) if accepted else ledger.latest.get(task)
    spent, after = Tally(), Tally()
    for call in calls:
        spent.sum_up(call)
        if said is not None and call.ts > said.ts:
            after.sum_up(call)
    standing = list(accepted.values()) or ([said] if said is not None else [])
    return TaskAccount(
        task=task,
        status=None if said is None else said.status,
        decided=None if said is None else said.ts,
        evidence=tuple(dict.fromkeys(s.evidence or SELF for s in standing)),
        references=tuple(sorted(ref for ref in accepted if ref is not None)),
        spent=spent,
        spent_after=after,
    )


class _Claims:
    """Hear statements in the order of their time, and know which of them stand."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str | None, UsageEvent]] = {}
        self.latest: dict[str, UsageEvent] = {}
        self.disputed: list[UsageEvent] = []
        self._owners: dict[str, str] = {}

    def hear(self, said: UsageEvent) -> None:
        task, reference = said.task, said.reference
        if task is None:
            return
        if reference is not None and self._owners.get(reference, task) != task:
            self.disputed.append(said)
            return
        claims = self.claims.setdefault(task, {})
        self.latest[task] = said
        if said.status == "revoked" and reference is None:
            self._take_back(task, said)
        else:
            before = claims.get(reference)
            if before is None or before.status != said.status:
                claims[reference] = said  # what is repeated holds since it was first said
            else:
                claims[reference] = _better(before, said)
            self._own(task, reference, said)

    def _take_back(self, task: str, said: UsageEvent) -> None:
        claims = self.claims[task]
        for reference in claims:
            claims[reference] = said
            self._release(reference)
        claims[None] = said

    def _own(self, task: str, reference: str | None, said: UsageEvent) -> None:
        if reference is not None and said.status == "accepted":
            self._owners[reference] = task
        else:
            self._release(reference)

    def _release(self, reference: str | None) -> None:
        if reference is not None:
            self._owners.pop(reference, None)


def _better(before: UsageEvent, said: UsageEvent) -> UsageEvent:
    """Of two statements that say the same take the first, unless only the second has a witness."""
    if (before.evidence or SELF) == SELF != (said.evidence or SELF):
        return msgspec.structs.replace(before, evidence=said.evidence)
    return before
