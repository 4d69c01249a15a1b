"""Outcomes: what became of a task, and who or what says so.

An outcome is a statement, made at a time, in an event of its own; statements may come late, be
repeated and be revoked. What they add up to, and what was spent on it, is in `settlement`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, get_args

import msgspec
from msgspec.structs import astuple, replace

from tokenmeter.attribution import attribute, block, is_text, lay, lift
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import (
    HOST,
    SCHEMA,
    Attribution,
    TagValue,
    UsageEvent,
    in_utc,
    timestamp,
)
from tokenmeter.ids import derived_id
from tokenmeter.meter import Meter, default
from tokenmeter.near import meant

F = TypeVar("F", bound=Callable[..., Any])

Verdict = Literal["accepted", "rejected", "revoked", "abandoned"]
"""What can become of a task. ``revoked`` takes back what was accepted."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

SELF = "self"
"""The evidence of an outcome for which only whoever did the work vouches."""


def outcome(
    task: str,
    status: Verdict,
    *,
    evidence: str = SELF,
    reference: str | None = None,
    ts: datetime | None = None,
) -> UsageEvent:
    """Say to the default meter what became of a task; gives the event that says so.

    Args:
        task: The piece of work, as in ``attribute(task=…)``.
        status: ``accepted``, ``rejected``, ``revoked`` or ``abandoned``.
        evidence: Who or what says so: ``ci``, ``review``, ``test``, or a name of your own. It is
            ``self`` where nothing else is said, and reports count such outcomes apart.
        reference: What came out of it, for example a merged pull request. One reference is an
            outcome of one task: whoever claims it first has it.
        ts: When it was so, with a time zone; now, unless given. A statement that has a time of its
            own has an id made of what it says, so that saying it again changes nothing.

    Raises:
        ConfigurationError: A name is empty, there is no such status, or the time has no zone.

    >>> outcome("T-1", "accepted", evidence="ci", reference="pull/7").status
    'accepted'
    """
    meter = default()
    event = stated(meter, Statement(task, status, evidence, reference, ts))
    meter.record(event)
    return event


class Statement(msgspec.Struct, frozen=True):
    """What somebody says of a task; see `outcome`."""

    task: str
    status: Verdict
    evidence: str = SELF
    reference: str | None = None
    ts: datetime | None = None
    user: str | None = None
    team: str | None = None


def stated(meter: Meter, statement: Statement) -> UsageEvent:
    """Give the event of a statement that is made here, without handing it to the meter.

    Raises:
        ConfigurationError: As `outcome`.
    """
    _check(statement)
    ts, now = statement.ts, meter.now_ns()
    return UsageEvent(
        kind="outcome",
        event_id=meter.ids(now) if ts is None else _id(statement, ts),
        schema=SCHEMA,
        ts=timestamp(now) if ts is None else in_utc(ts),
        status=statement.status,
        evidence=statement.evidence,
        reference=statement.reference,
        service=meter.place.service,
        environment=meter.place.environment,
        host=HOST,
        pid=meter.pid,
        **_who(meter.whose(_whose(statement))),
    )


def _whose(said: Statement) -> Attribution:
    names = {name: value for name in ("user", "team") if (value := getattr(said, name))}
    return replace(block.get().attribution, task=said.task, **names)


def _who(who: Attribution) -> dict[str, Any]:
    return dict(zip(who.__struct_fields__, astuple(who), strict=True))


def _id(said: Statement, ts: datetime) -> str:
    what = msgspec.json.encode(
        (said.task, said.status, said.evidence, said.reference)
        + ((said.user, said.team) if said.user or said.team else ())
    )
    return derived_id("outcome", what.decode(), in_utc(ts).isoformat())


def _check(said: Statement) -> None:
    for name in ("task", "status", "evidence"):
        _check_text(name, getattr(said, name))
    if said.reference is not None:
        _check_text("reference", said.reference)
    if said.status not in VERDICTS:
        advice = meant(said.status, VERDICTS, "statuses")
        raise ConfigurationError(f"outcome() knows no status {said.status!r}; {advice}")
    _check_time(said.ts)


def _check_text(name: str, given: object) -> None:
    if not (given and is_text(given)):
        raise ConfigurationError(f"{name} is a non-empty string; got {given!r}")


def _check_time(ts: object) -> None:
    if ts is not None and not (isinstance(ts, datetime) and ts.utcoffset() is not None):
        raise ConfigurationError(
            f"outcome(ts=…) takes a time with its zone, such as datetime.now(UTC); got {ts!r}"
        )


class task:  # noqa: N801 - reads as a noun, in `with` and as a decorator
    """Say which task the calls inside are for, and then what became of it.

    A context manager, and a decorator, as `attribute` is. Leaving the block says nothing about the
    task: only the methods do, inside of the block or later.

    Args:
        name: The piece of work, for example a ticket number.
        user: The person behind the calls.
        team: The group that answers for the cost.
        conversation: The conversation or session.
        tags: Anything else: strings, numbers or booleans.

    Raises:
        ConfigurationError: A name is not a non-empty string, or a tag is not a plain value.

    >>> with task("ABC-12") as t:
    ...     event = t.accept(evidence="ci", reference="pull/7")
    >>> event.task, event.status, event.evidence
    ('ABC-12', 'accepted', 'ci')
    """

    __slots__ = ("_names", "name")

    def __init__(
        self,
        name: str,
        *,
        user: str | None = None,
        team: str | None = None,
        conversation: str | None = None,
        **tags: TagValue,
    ) -> None:
        for taken, advice in (("task", "it is the name"), ("agent", "use attribute(agent=…)")):
            if taken in tags:
                raise ConfigurationError(f"task({taken}=…) is no tag: {advice}")
        _check_text("task", name)
        who: dict[str, Any] = {"user": user, "team": team, "conversation": conversation, **tags}
        self._names = attribute(task=name, **who)
        self.name = name

    def __enter__(self) -> Self:
        lay(self._names, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        lift(self)

    def __call__(self, function: F) -> F:
        """Decorate a function so that its body runs inside the block.

        Raises:
            ConfigurationError: It is not a function.
        """
        return self._names(function)

    def accept(self, *, evidence: str = SELF, reference: str | None = None) -> UsageEvent:
        """Say that the task was accepted; see `outcome`."""
        return self._say("accepted", evidence, reference)

    def reject(self, *, evidence: str = SELF, reference: str | None = None) -> UsageEvent:
        """Say that the task was rejected; see `outcome`."""
        return self._say("rejected", evidence, reference)

    def revoke(self, *, evidence: str = SELF, reference: str | None = None) -> UsageEvent:
        """Take back that the task was accepted; see `outcome`."""
        return self._say("revoked", evidence, reference)

    def abandon(self, *, evidence: str = SELF, reference: str | None = None) -> UsageEvent:
        """Say that the task was given up; see `outcome`."""
        return self._say("abandoned", evidence, reference)

    def _say(self, status: Verdict, evidence: str, reference: str | None) -> UsageEvent:
        return outcome(self.name, status, evidence=evidence, reference=reference)
