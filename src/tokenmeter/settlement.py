"""What became of each task, and what was spent on it: from events alone, in whatever order.

The rules, by which every reader comes to the same answer:

1. A statement counts once, by its ``event_id``, and statements hold in the order of their ``ts``;
   of those of one moment the ones that take back come last. One that names no task, or no status
   that a task can have, says nothing.
2. A *claim* is a task with a reference, or without one. The latest statement about it holds, since
   it was first said: repeating it changes nothing, but that a witness may come forward.
3. A reference is the outcome of one task: of the first whose acceptance of it stands. That another
   task says it was accepted is *disputed* and counts for nothing, as long as that one stands.
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
    ledger = _Claims(sorted(statements.values(), key=_when))
    tasks = {name: _account(name, calls.get(name, ()), ledger) for name in names}
    return Settlement(tasks, without_task, ledger.disputed, tuple(ledger.senseless))


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
    standing = ledger.standing(task)
    said = next(iter(standing), None)
    spent, after = Tally(), Tally()
    for call in calls:
        spent.sum_up(call)
        if said is not None and _at(call) > _at(said.first):
            after.sum_up(call)
    return TaskAccount(
        task=task,
        status=None if said is None else said.status,
        decided=None if said is None else _at(said.first),
        evidence=tuple(dict.fromkeys(claim.evidence for claim in standing)),
        references=tuple(sorted(c.reference for c in standing if c.is_accepted and c.reference)),
        spent=spent,
        spent_after=after,
    )


class _Claim:
    """What holds of a task with a reference, or without one."""

    def __init__(self, said: UsageEvent, reference: str | None) -> None:
        self.reference = reference
        self.said: list[UsageEvent] = [said]
        """The statements that say so, the one since which it holds first."""

    @property
    def first(self) -> UsageEvent:
        return self.said[0]

    @property
    def status(self) -> Status | None:
        return self.first.status

    @property
    def is_accepted(self) -> bool:
        return self.status == "accepted"

    @property
    def evidence(self) -> str:
        """The first witness; whoever did the work where there is none."""
        return next((s.evidence for s in self.said if s.evidence not in (None, SELF)), None) or SELF


_NO_REFERENCE = ""


class _Claims:
    """Hear statements in the order of their time, and know which of them stand."""

    def __init__(self, statements: Iterable[UsageEvent]) -> None:
        self.senseless: list[UsageEvent] = []
        self._claims: dict[str, dict[str, _Claim]] = {}
        for said in statements:
            if said.task is None or said.status not in VERDICTS:
                self.senseless.append(said)
            else:
                self._hear(said, self._claims.setdefault(said.task, {}))
        self._disputed = self._not_first()

    @property
    def disputed(self) -> tuple[UsageEvent, ...]:
        """The statements that count for nothing, because another task has the reference."""
        return tuple(sorted((s for claim in self._disputed for s in claim.said), key=_when))

    def standing(self, task: str) -> list[_Claim]:
        """Give the claims that say what a task is, the one that decided it first."""
        claims = [c for c in self._claims.get(task, {}).values() if c not in self._disputed]
        accepted = [claim for claim in claims if claim.is_accepted]
        if accepted:
            return sorted(accepted, key=lambda claim: _when(claim.first))
        latest = max(claims, key=lambda claim: _when(claim.first), default=None)
        return [] if latest is None else [latest]

    def _hear(self, said: UsageEvent, claims: dict[str, _Claim]) -> None:
        reference = said.reference or _NO_REFERENCE
        if said.status == "revoked" and not said.reference:
            for other, claim in claims.items():
                if claim.is_accepted:
                    claims[other] = _Claim(said, claim.reference)
        before = claims.get(reference)
        if before is None or before.status != said.status:
            claims[reference] = _Claim(said, said.reference or None)
        elif said not in before.said:
            before.said.append(said)

    def _not_first(self) -> list[_Claim]:
        owners: dict[str | None, _Claim] = {}
        late: list[_Claim] = []
        every = [claim for claims in self._claims.values() for claim in claims.values()]
        for claim in sorted(every, key=lambda claim: _when(claim.first)):
            has_reference = claim.is_accepted and claim.reference is not None
            if has_reference and owners.setdefault(claim.reference, claim) is not claim:
                late.append(claim)
        return late
