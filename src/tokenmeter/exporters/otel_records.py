"""An event as OpenTelemetry says it outside of metrics: attributes, log records, contexts."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tokenmeter.event import TagValue, UsageEvent
from tokenmeter.exporters.otel_names import named

_LARGEST = 2**63 - 1
EVENT_NAME = "tokenmeter.event"
_MAPS = {"tags": "tag", "other_counts": "other"}
_NAMES = {column: named(column) for column in UsageEvent.__struct_fields__ if column not in _MAPS}
_ELSEWHERE = ("ts", "trace_id", "span_id")  # a log record has fields of its own for them
# Maps first: of more attributes than a record may have (128) the SDK drops those that came first.
_COLUMNS = (*_MAPS, *(name for name in _NAMES if name not in _ELSEWHERE))


def attributes(event: UsageEvent, columns: Iterable[str] = _COLUMNS) -> dict[str, Any]:
    """Give the columns of an event that are known, as attributes; all of them, or some.

    A count keeps its name only where the vendor reported it: any other is called
    ``tokenmeter.estimated.…``, so that nobody adds it up with those. Money is text, since it is
    decimal.

    >>> from datetime import UTC
    >>> event = UsageEvent("call", "x", 1, datetime(2026, 1, 1, tzinfo=UTC), user="ada")
    >>> attributes(event)["user.id"]
    'ada'
    """
    said: dict[str, Any] = {}
    for column in columns:
        value = getattr(event, column)
        if column in _MAPS:
            said |= _mapped(_MAPS[column], value or {})
        elif value is not None:
            name = _counted(event, column) or _NAMES[column]
            said[name] = str(value) if type(value) is Decimal else _held(value)
    if event.agent is not None and "agent" in columns:
        said["gen_ai.agent.name"] = event.agent.rpartition("/")[2]
    return said


def _mapped(word: str, given: Mapping[str, TagValue]) -> dict[str, TagValue]:
    return {named(f"{word}:{name}"): _held(value) for name, value in given.items()}


def _held(value: Any) -> Any:
    """Give a number that is too large for OTLP as text."""
    return str(value) if type(value) is int and abs(value) > _LARGEST else value


def _counted(event: UsageEvent, column: str) -> str | None:
    """Name a count that is an estimate, or stands beside one."""
    side = _SIDE.get(column)
    if side is None or getattr(event, side) not in ("estimated", "partial"):
        return None
    return f"tokenmeter.estimated.{column}"


_SIDE = {
    column: f"{'input' if column.startswith(('input_', 'cache_')) else 'output'}_provenance"
    for column in _NAMES
    if _NAMES[column].startswith("gen_ai.usage.")
}


def log_record(event: UsageEvent) -> Any:
    """Give an event as a log record of the OpenTelemetry API.

    Raises:
        ValueError: A text in it cannot be written.
    """
    from opentelemetry._logs import LogRecord, SeverityNumber

    said = attributes(event)
    "".join((*said, *(v for v in said.values() if type(v) is str))).encode()
    return LogRecord(
        timestamp=_nanoseconds(event.ts),
        context=context(event),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        event_name=EVENT_NAME,
        attributes=said,
    )


def _nanoseconds(ts: datetime) -> int:
    return int(ts.timestamp()) * 1_000_000_000 + ts.microsecond * 1_000


@functools.cache
def _nowhere() -> Any:
    from opentelemetry.context import Context

    return Context()


def context(event: UsageEvent | None) -> Any:
    """Give the context that a call was made in: its span, or an empty one."""
    if event is None or event.trace_id is None or event.span_id is None:
        return _nowhere()
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    ids = int(event.trace_id, 16), int(event.span_id, 16)
    span = SpanContext(*ids, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(span), Context())
