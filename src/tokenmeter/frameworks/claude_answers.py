"""What the Claude Agent SDK says of answers and of their cost, as events of ours.

What it says of them is read in `tokenmeter.dialects.claude_code`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, copy_context
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tokenmeter.attribution import block
from tokenmeter.dialects import Reading
from tokenmeter.dialects.claude_code import begun, used
from tokenmeter.event import (
    HOST,
    NOTHING,
    SCHEMA,
    Attribution,
    Cost,
    Status,
    Usage,
    UsageEvent,
    timestamp,
)
from tokenmeter.meter import Meter
from tokenmeter.surroundings import span_context, span_ids

PRICE_SOURCE = "claude-agent-sdk"
"""The ``price_source`` of what the SDK says that a session cost."""


class Seen(NamedTuple):
    """Where something was seen.

    Attributes:
        who: Whom it is for.
        context: The context, with those who watch there.
        span: Trace and span.
    """

    who: Attribution
    context: Context
    span: tuple[str, str] | tuple[None, None]

    @classmethod
    def here(cls, who: Attribution) -> Seen:
        """Give it for what is seen here and now."""
        return cls(who, copy_context(), span_ids(span_context(block.get().span)))


class Answer(msgspec.Struct):
    """An answer of which the SDK has told, and which has no event yet.

    Attributes:
        ts_ns: When it was first seen.
        seen: Where that was.
        reading: What is known of it.
        error: The SDK's word for why there is none.
        left: Whether its turn was interrupted.
    """

    ts_ns: int
    seen: Seen
    reading: Reading
    error: str | None = None
    left: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will be known of it."""
        return self.error is not None or self.reading.final

    def learn(self, reading: Reading) -> None:
        """Take a later word; one that is not final never takes the place of one that is."""
        if reading.final or not self.reading.final:
            self.reading = reading


def reading(message: Any) -> Reading:
    """Read an ``AssistantMessage``; final where it says why the answer stopped."""
    return begun(message.message_id, message.model, message.stop_reason, message.usage)


class Bill(msgspec.Struct, frozen=True):
    """What the SDK says that one model used and cost, in the whole of a session so far.

    Args:
        usage: What it used; totals are inclusive, as ours are.
        amount: What that cost in US dollars, by the price list of the SDK.
        provider: Who serves the model.
        searches: Searches in the web, which are in the amount.
    """

    usage: Usage
    amount: Decimal
    provider: str
    searches: int = 0

    def share(self, usage: Usage) -> Cost:
        """Give the part of the amount that is an answer's, by what it used.

        The SDK says no cost of an answer, so the amount is divided, in the ratio of list prices
        that most models have. Of these the parts are those of the list; of others they are an
        approximation. They add up to the amount in any case.
        """
        whole = _weight(self.usage)
        if self.searches or not whole:
            return Cost(reason="the SDK says the cost of the session alone")
        amount = self.amount * _weight(usage) / whole
        return Cost(amount=round(amount, 9), currency="USD", price_source=PRICE_SOURCE)


def bills(model_usage: Mapping[str, Any] | None) -> dict[str, Bill]:
    """Read ``ResultMessage.model_usage``: what each model used, in the whole of a session."""
    return {model: Bill(*used(said)) for model, said in (model_usage or {}).items()}


_RATIO = {
    "cache_read_tokens": Decimal("-0.9"),  # which are in the input already, at 1
    "cache_write_tokens": Decimal("0.25"),
    "cache_write_1h_tokens": Decimal("0.75"),
    "input_tokens": Decimal(1),
    "output_tokens": Decimal(5),
}
"""List prices of one model, where that of its input is 1.

https://platform.claude.com/docs/en/about-claude/pricing (read 2026-11-23): cache writes for five
minutes 1.25, for an hour 2, cache reads 0.1, output 5. Of Fable 5.1 and Mythos 5.1 reads are 0.025.
"""


def _weight(usage: Usage) -> Decimal:
    return sum(
        ((getattr(usage, name) or 0) * ratio for name, ratio in _RATIO.items()), start=Decimal()
    )


def event(answer: Answer, bill: Bill | None, meter: Meter) -> UsageEvent:
    """Make the event of an answer of which no more will be known."""
    said = answer.reading
    failed = answer.error is not None
    usage = NOTHING if failed else said.usage
    known = bill is not None and said.final and not failed
    columns = (
        msgspec.structs.asdict(usage)
        | msgspec.structs.asdict(answer.seen.who)
        | _priced(bill.share(usage) if bill is not None and known else Cost())
    )
    return UsageEvent(
        kind="call",
        event_id=meter.ids(answer.ts_ns),
        schema=SCHEMA,
        ts=timestamp(answer.ts_ns),
        provider="anthropic" if bill is None else bill.provider,
        operation="chat",
        source="record",
        request_model=None if failed else said.model,
        region=said.region,
        response_model=None if failed else said.model,
        response_id=None if failed else said.response_id,
        finish_reasons=None if failed else said.finish_reasons,
        service_tier=said.service_tier,
        status=_status(answer),
        error_type=answer.error,
        input_provenance="none" if failed else _side(usage.input_tokens, whole=True),
        output_provenance="none" if failed else _side(usage.output_tokens, whole=said.final),
        trace_id=answer.seen.span[0],
        span_id=answer.seen.span[1],
        service=meter.place.service,
        environment=meter.place.environment,
        host=HOST,
        pid=meter.pid,
        **columns,
    )


def _status(answer: Answer) -> Status:
    if answer.error is not None:
        return "failed"
    return "abandoned" if answer.left and not answer.reading.final else "completed"


def _side(count: int | None, *, whole: bool) -> Any:
    if count is None:
        return "unknown"
    return "reported" if whole else "partial"


def _priced(cost: Cost) -> dict[str, Any]:
    names = {"amount": "cost_amount", "currency": "cost_currency", "reason": "cost_reason"}
    said = msgspec.structs.asdict(cost)
    return {names.get(name, name): value for name, value in said.items()}
