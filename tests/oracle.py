"""Trees and tasks by the documented rules, said once more in plain Python.

Nothing of the reports is used here, and nothing else of ours that settles tasks or grows trees:
where both sides agree, two readings of the rules do. Intervals of confidence are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from tokenmeter import UsageEvent
from tokenmeter.reports.scope import Scope

NEVER, ALWAYS = (datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 3000))
Events = list[UsageEvent]
Row = tuple[Any, ...]


class Chosen:
    """What a scope chooses of a ledger: each event once, the earliest of its id."""

    def __init__(self, events: Events, scope: Scope) -> None:
        once = {e.event_id: e for e in sorted(events, key=lambda e: e.ts, reverse=True)}.values()
        known = [e for e in once if e.ts < (scope.until or ALWAYS)]
        self.since, self.only = scope.since or NEVER, scope.only
        recent = [e for e in known if e.ts >= self.since]
        self.calls = [e for e in recent if e.kind == "call" and self.is_meant(e)]
        runs = {e.run_id for e in self.calls}
        self.runs = [e for e in recent if e.kind == "run" and e.run_id is not None
                     and (e.run_id in runs or self.is_meant(e))]  # fmt: skip
        self.held = settled([e for e in known if e.kind == "outcome"])

    def is_meant(self, event: UsageEvent) -> bool:
        return all(getattr(event, name) == value for name, value in self.only.items())


def sums(calls: Events) -> Row:
    failed = sum(call.status == "failed" for call in calls)
    return (sum(not call.attempt for call in calls), len(calls), failed, tokens(calls, "input"),
            tokens(calls, "output"), money(calls, calls), sum(map(is_unpriced, calls)))  # fmt: skip


def tokens(calls: Events, side: str) -> int | None:
    nothing = [0 for call in calls if getattr(call, f"{side}_provenance") == "none"]
    return added(nothing + [getattr(call, f"{side}_tokens") for call in calls])


def added(values: Iterable[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def is_unpriced(call: UsageEvent) -> bool:
    is_empty = call.input_provenance == call.output_provenance == "none"
    return not is_empty and call.cost_currency != "USD"


def money(part: Events, whole: Events) -> Decimal | None:
    """Add up amounts, which are unknown where nothing of the whole has one and something should."""
    known = [call for call in part if call.cost_currency == "USD"]
    is_known = any(call.cost_currency == "USD" for call in whole)
    amount = sum((call.cost_amount or Decimal(0) for call in known), Decimal(0))
    return amount if is_known or not any(map(is_unpriced, whole)) else None


def tree(chosen: Chosen, *, runs: bool) -> tuple[list[Row], Row]:
    """Give a row for each run, or each path, below that in which it began, and the total."""
    parts: dict[Any, Events] = {}
    for event in (*chosen.calls, *chosen.runs):
        parts.setdefault(event.run_id if runs else event.agent, []).append(event)
    outside = parts.pop(None, None)
    agents = {node: part[0].agent for node, part in parts.items()}
    parents: dict[str, str | None] = {}
    for node in (waiting := list(parts)):  # which grows: some are known by what began in them
        path = (agents[node] or "").rpartition("/")[0] or None
        begun_in = parts[node][0].parent_run_id if parts[node] else None
        parents[node] = parent = begun_in if runs else path
        if parent is not None and parent not in parts:
            parts[parent], agents[parent] = [], path
            waiting.append(parent)

    def children(node: str | None) -> list[str]:
        inner = [child for child, parent in parents.items() if parent == node]
        return sorted(inner, key=lambda child: (began(parts[child]) or NEVER, child))

    def grown(node: str, depth: int) -> tuple[list[Row], Events]:
        """Give the row of a node with those below it, and all events in it."""
        below = [grown(child, depth + 1) for child in children(node)]
        every = parts[node] + [event for _, events in below for event in events]
        agent = agents[node] or "(unknown)"
        name = "  " * depth + (agent.rpartition("/")[2] if depth else agent)
        row = (name, node, depth, *ended(parts[node], runs=runs), len(below))
        mine = (*row, *used(parts[node]), *used(every))
        return [mine, *(row for rows, _ in below for row in rows)], every

    rows = [row for root in children(None) for row in grown(root, 0)[0]]
    if outside is not None:
        ends = ended(outside, runs=runs)
        rows.append(("(no run)", None, 0, *ends, 0, *used(outside), *used(outside)))
    return rows, (*[None] * 8, *used(chosen.calls), *used(chosen.calls))


def used(part: Events) -> Row:
    """Add up the calls in a part of a tree; of no call nothing is known."""
    calls = [event for event in part if event.kind == "call"]
    return sums(calls) if calls else (None,) * 7


def began(part: Events) -> datetime | None:
    ends = [event for event in part if event.kind == "run"]
    return min((event.ts for event in ends or part), default=None)


def ended(part: Events, *, runs: bool) -> Row:
    """Give status, beginning, seconds and number of runs; of two ends of one the last by name."""
    ends = [event for event in part if event.kind == "run"]
    status = max((str(end.status) for end in ends), default=None) if runs else None
    many = len({event.run_id for event in part} - {None}) if part else None
    return status, began(part), added(end.duration_s for end in ends), many


class Held(NamedTuple):
    """What holds of a task, since when, and the statement by whose names it counts."""

    status: str
    decided: datetime
    is_self_declared: bool
    said: UsageEvent


def order(said: UsageEvent) -> Row:
    return said.ts, said.status == "revoked", said.event_id


def settled(statements: Events) -> dict[str, Held]:
    """Say what became of tasks, by the five rules of outcomes."""
    heard: dict[tuple[str, str], Events] = defaultdict(list)
    for said in sorted(statements, key=order):
        if said.task is None or said.status == "completed":
            continue
        claims = {said.reference or ""}
        if said.status == "revoked" and said.reference is None:
            claims |= {claim for (task, claim), before in heard.items()
                       if task == said.task and before[0].status == "accepted"}  # fmt: skip
        for claim in claims:
            before = heard[said.task, claim]
            before[:] = [each for each in before if each.status == said.status] + [said]
    owners: dict[str, str] = {}
    tasks: dict[str, list[Events]] = defaultdict(list)
    for (task, reference), claim in sorted(sorted(heard.items()), key=lambda c: order(c[1][0])):
        is_owned = bool(reference) and claim[0].status == "accepted"
        if not is_owned or owners.setdefault(reference, task) == task:
            tasks[task].append(claim)
    return {task: decided(claims) for task, claims in tasks.items()}


def decided(claims: list[Events]) -> Held:
    """Say what a task is: accepted by the first claim that is, else what was said latest."""
    accepted = [claim for claim in claims if claim[0].status == "accepted"]
    claim = accepted[0] if accepted else max(claims, key=lambda claim: order(claim[0]))
    witnesses = {said.evidence for claim in accepted for said in claim} - {None, "self"}
    named = next((said for said in claim if said.user is not None), claim[0])
    return Held(str(named.status), claim[0].ts, bool(accepted) and not witnesses, named)


def tasks(chosen: Chosen, by: tuple[str, ...]) -> tuple[list[Row], Row | None]:
    """Give a row for each group, the dearest first, and the total; of no group there is none."""
    recent = {task: held for task, held in chosen.held.items() if held.decided >= chosen.since}
    outcomes = [held for held in recent.values() if chosen.is_meant(held.said)]

    def key(event: UsageEvent) -> Row:
        return tuple(getattr(event, name) for name in by)

    def row(names: Row) -> tuple[Row, Row]:
        """Give a row after that by which rows are in order."""
        status = [recent[names[0]].status if names[0] in recent else None] if is_by_task else []
        calls = [call for call in chosen.calls if key(call) == names]
        came_out = [held for held in outcomes if key(held.said) == names]
        dearest = (-(money(calls, calls) or 0), -(tokens(calls, "input") or 0))
        in_order = (*dearest, *((name is not None, name or "") for name in names))
        return in_order, (*names, *status, *spent(calls, came_out, chosen.held))

    is_by_task = by == ("task",)
    groups = {*map(key, chosen.calls), *(key(held.said) for held in outcomes)}
    whole = (*[None] * (len(by) + is_by_task), *spent(chosen.calls, outcomes, chosen.held))
    if not by:
        return [whole], None
    return [shown for _, shown in sorted(map(row, groups))], whole if groups else None


def spent(calls: Events, outcomes: list[Held], held: dict[str, Held]) -> Row:
    """Say what calls cost, what came out, and what a task and an accepted one cost."""
    names = {call.task for call in calls} - {None}
    is_accepted = [each.status == "accepted" for each in outcomes]
    declared = sum(each.is_self_declared for each in outcomes)
    accepted = sum(is_accepted) - declared
    called, _, _, read, written, cost, unpriced = sums(calls)
    after = [c for c in calls if c.task in held and c.ts > held[c.task].decided]
    undecided = [c for c in calls if c.task is not None and c.task not in held]
    beside = [c for c in calls if c.task is None]
    parts = [money(part, calls) for part in (after, undecided, beside)]
    on_tasks = money([c for c in calls if c.task is not None], calls)
    return (
        len(names), accepted, declared, len(outcomes) - sum(is_accepted), len(names - {*held}),
        called, read, written, cost, *parts, unpriced,
        divided(on_tasks, len(names)), divided(cost, accepted),
    )  # fmt: skip


def divided(cost: Decimal | None, by: int) -> Decimal | None:
    return None if cost is None or not by else (cost / by).quantize(Decimal("1e-9"))
