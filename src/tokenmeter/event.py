"""The values: what a model call used, whom it was for, and the one event that says both.

Everything here is frozen. Nothing here knows a vendor, a wire format or an exporter.
A count is ``None`` where nobody knows it; ``0`` is a measurement.

Names follow the OpenTelemetry GenAI conventions (semantic-conventions-genai, read 2026-11) where
those have a name; totals are inclusive: ``input_tokens`` contains cache reads and writes,
``output_tokens`` contains reasoning.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal, NoReturn

import msgspec

from tokenmeter.errors import InvariantError

SCHEMA = 1
"""Version of the event schema. Readers ignore columns that they do not know."""

HOST = socket.gethostname()
"""The name of this machine, as events carry it."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What every table can hold; only checked where an event is read."""

TagValue = str | int | float | bool
Kind = Literal["call", "outcome", "run"]
Source = Literal["wire", "metered", "record", "ingest"]
Provenance = Literal["reported", "estimated", "partial", "unknown", "none"]
Status = Literal[
    "completed", "failed", "abandoned", "refused",  # calls and runs
    "accepted", "rejected", "revoked",  # outcomes, which may also be abandoned
]  # fmt: skip


def timestamp(ts_ns: int) -> datetime:
    """Give nanoseconds since 1970 in UTC; its text always has six decimals, so it sorts as time."""
    ts = datetime.fromtimestamp(ts_ns / 1e9, UTC)
    return ts if ts.microsecond else ts.replace(microsecond=1)


def in_utc(ts: datetime) -> datetime:
    """Give a time as events carry it, whose text sorts as time: in UTC, with its microseconds.

    >>> in_utc(datetime.fromisoformat("2026-11-23T10:00:00+02:00")).isoformat()
    '2026-11-23T08:00:00.000001+00:00'
    """
    ts = ts.astimezone(UTC)
    return ts if ts.microsecond else ts.replace(microsecond=1)


class Tags(dict[str, TagValue]):
    """Hold tags as a mapping that refuses to change."""

    def __reduce__(self) -> tuple[type[Tags], tuple[dict[str, TagValue]]]:
        return Tags, (dict(self),)


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    raise TypeError("an event and its parts are immutable; build a new mapping instead")


for _change in (
    "__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update"
):  # fmt: skip
    setattr(Tags, _change, _refuse)


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one answer used, in tokens; every field ``None`` where it is unknown.

    Args:
        input_tokens: All input, cached input included.
        output_tokens: All output, reasoning included.
        cache_read_tokens: Part of the input that came from the provider's prompt cache.
        cache_write_tokens: Part of the input that was written to that cache.
        cache_write_5m_tokens: Part of the writes kept for five minutes.
        cache_write_1h_tokens: Part of the writes kept for an hour.
        reasoning_tokens: Part of the output that the caller does not see as text.
        input_text_tokens: Part of the input that was text; likewise audio and image.
        output_text_tokens: Part of the output that was text; likewise audio and image.
        other_counts: What else is billable, under the vendor's own names.

    >>> Usage(input_tokens=12, output_tokens=3).total_tokens
    15
    >>> Usage(input_tokens=12).total_tokens is None
    True
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_text_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_text_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_image_tokens: int | None = None
    other_counts: Mapping[str, int] | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input plus output, or ``None`` when either is unknown."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


NOTHING = Usage()
"""The usage of an answer that says nothing of it."""


class Attribution(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who and what a call was for; ``None`` where nobody said.

    Args:
        user: The person behind the call.
        user_origin: How the user became known (``explicit`` when given to ``attribute``).
        team: The group that answers for the cost.
        task: The piece of work, for example a ticket number.
        agent: Path of agents from the outermost to the one that called: ``planner/researcher``.
        run_id: The run of that agent; ``parent_run_id`` and ``depth`` place it in the tree.
        conversation: The conversation or session the call belongs to.
        tags: Anything else, as a flat map.
    """

    user: str | None = None
    user_origin: str | None = None
    team: str | None = None
    task: str | None = None
    agent: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    depth: int | None = None
    conversation: str | None = None
    tags: Mapping[str, TagValue] | None = None


NOBODY = Attribution()
"""The attribution of a call that nobody claimed."""


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one answer cost; ``amount`` is ``None`` when unknown, and ``reason`` says why."""

    amount: Decimal | None = None
    currency: str | None = None
    reason: str | None = None
    price_source: str | None = None
    price_version: str | None = None
    price_date: str | None = None


class UsageEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One answer of a model (or one ended task or run), as one flat immutable record.

    The attribute here is the key in JSONL and the column in a table. ``docs/event.md`` describes
    each column; all but the identity may be ``None``, which means unknown and is left out of JSONL.
    Give the columns by name; their order is the schema's and grows at its end.
    """

    # identity
    kind: Kind
    event_id: str
    schema: Int64
    ts: datetime
    # call
    provider: str | None = None
    operation: str | None = None
    request_model: str | None = None
    stream: bool | None = None
    attempt: Int64 | None = None
    server_address: str | None = None
    region: str | None = None
    source: Source | None = None
    key_id: str | None = None
    # answer
    response_model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    service_tier: str | None = None
    cached: bool | None = None
    # end
    status: Status | None = None
    http_status: Int64 | None = None
    error_type: str | None = None
    # time
    duration_s: float | None = None
    time_to_first_chunk_s: float | None = None
    # tokens
    input_tokens: Int64 | None = None
    output_tokens: Int64 | None = None
    cache_read_tokens: Int64 | None = None
    cache_write_tokens: Int64 | None = None
    cache_write_5m_tokens: Int64 | None = None
    cache_write_1h_tokens: Int64 | None = None
    reasoning_tokens: Int64 | None = None
    input_text_tokens: Int64 | None = None
    input_audio_tokens: Int64 | None = None
    input_image_tokens: Int64 | None = None
    output_text_tokens: Int64 | None = None
    output_audio_tokens: Int64 | None = None
    output_image_tokens: Int64 | None = None
    other_counts: Mapping[str, Int64] | None = None
    input_provenance: Provenance | None = None
    output_provenance: Provenance | None = None
    output_tokens_max: Int64 | None = None
    # money
    cost_amount: Decimal | None = None
    cost_currency: str | None = None
    cost_reason: str | None = None
    price_source: str | None = None
    price_version: str | None = None
    price_date: str | None = None
    # who
    user: str | None = None
    user_origin: str | None = None
    team: str | None = None
    task: str | None = None
    agent: str | None = None
    run_id: str | None = None
    parent_run_id: str | None = None
    depth: Int64 | None = None
    conversation: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    tags: Mapping[str, TagValue] | None = None
    # where
    service: str | None = None
    environment: str | None = None
    host: str | None = None
    pid: Int64 | None = None
    fingerprint: str | None = None
    # outcomes
    evidence: str | None = None
    reference: str | None = None
    # estimates
    estimator: str | None = None
    input_tokens_error: Int64 | None = None
    output_tokens_error: Int64 | None = None

    @property
    def usage(self) -> Usage:
        """The counts alone."""
        return Usage(*[getattr(self, name) for name in Usage.__struct_fields__])

    @property
    def attribution(self) -> Attribution:
        """The who-and-what alone."""
        return Attribution(*[getattr(self, name) for name in Attribution.__struct_fields__])

    @property
    def cost(self) -> Cost | None:
        """The money alone, or ``None`` when nothing priced this event."""
        if self.cost_amount is None and self.cost_reason is None:
            return None
        return Cost(
            amount=self.cost_amount,
            currency=self.cost_currency,
            reason=self.cost_reason,
            price_source=self.price_source,
            price_version=self.price_version,
            price_date=self.price_date,
        )


_PARTS = (
    ("cache_read_tokens", "input_tokens"),
    ("cache_write_tokens", "input_tokens"),
    ("cache_write_5m_tokens", "cache_write_tokens"),
    ("cache_write_1h_tokens", "cache_write_tokens"),
    ("input_text_tokens", "input_tokens"),
    ("input_audio_tokens", "input_tokens"),
    ("input_image_tokens", "input_tokens"),
    ("reasoning_tokens", "output_tokens"),
    ("output_text_tokens", "output_tokens"),
    ("output_audio_tokens", "output_tokens"),
    ("output_image_tokens", "output_tokens"),
)


def check_invariants(value: Usage | UsageEvent) -> None:
    """Raise when a usage or an event contradicts itself, naming the rule it violates.

    tokenmeter reports what a vendor reported, so a vendor that contradicts itself (some gateways
    report more reasoning than output) gives an event that this function names.

    Raises:
        InvariantError: A count is negative, a part exceeds its whole, or a count stands beside
            the provenance ``none``.

    >>> check_invariants(Usage(input_tokens=5, cache_read_tokens=9))
    Traceback (most recent call last):
    ...
    tokenmeter.errors.InvariantError: the rule 'cache_read_tokens <= input_tokens' is violated: \
found 9 > 5
    """
    for name in Usage.__struct_fields__[:-1]:
        count = getattr(value, name)
        if count is not None and count < 0:
            raise InvariantError(f"{name} >= 0", str(count))
    for part, whole in _PARTS:
        p, w = getattr(value, part), getattr(value, whole)
        if p is not None and w is not None and p > w:
            raise InvariantError(f"{part} <= {whole}", f"{p} > {w}")
    if isinstance(value, UsageEvent):
        _check_provenance(value)


def _check_provenance(event: UsageEvent) -> None:
    for side in ("input", "output"):
        provenance, count = getattr(event, f"{side}_provenance"), getattr(event, f"{side}_tokens")
        if provenance in ("none", "unknown") and count is not None:
            raise InvariantError(
                f"{side}_tokens is None where {side}_provenance is {provenance!r}", str(count)
            )
        if provenance in ("reported", "estimated") and count is None:
            raise InvariantError(
                f"{side}_tokens is known where {side}_provenance is {provenance!r}", "None"
            )
