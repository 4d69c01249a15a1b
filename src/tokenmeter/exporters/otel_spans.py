"""Say on the current span what the calls inside it used; no span is made here.

For backends that read traces and not metrics. The span is the one that was current where the call
was made: a span of the program around the call, or the one that an SDK or an instrumentation made
for it. What such an instrumentation says itself has the same names, so nothing is there twice.
"""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from tokenmeter.event import UsageEvent
from tokenmeter.exporters.otel_records import attributes
from tokenmeter.surroundings import span_ids

ADDED = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
_SAID = (
    "operation", "provider", "request_model", "response_model", "response_id", "finish_reasons",
    "stream", "time_to_first_chunk_s", "user", "team", "task", "agent", "conversation", "tags",
    "input_provenance", "output_provenance", "cost_currency",
)  # fmt: skip
_COST = "tokenmeter.cost_amount"


class OtelSpans:
    """Add what calls used to the span they were made in; by name ``"otel-spans"``.

    Of several calls in one span the counts and the costs are sums, and the rest is that of the last
    one. A span is written only in the thread where the call ended, while it is the current one
    there and is recording: of an answer that is read elsewhere, or after the span has ended, or
    that is estimated later, it says nothing.
    """

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a forked child: its parent adds up for itself."""
        self._lock = threading.Lock()
        self._sums: MutableMapping[Any, dict[str, Any]] = WeakKeyDictionary()

    def __call__(self, event: UsageEvent) -> None:
        """Say it on the span, if it is a call."""
        if event.kind != "call":
            return
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        here = event.span_id is not None and span.is_recording()
        if here and span_ids(span.get_span_context()) == (event.trace_id, event.span_id):
            span.set_attributes(self._summed(span, event))

    def _summed(self, span: Any, event: UsageEvent) -> dict[str, Any]:
        said = attributes(event, (*_SAID, *ADDED))
        if event.cost_amount is not None:
            said[_COST] = event.cost_amount
        with self._lock:
            sums = self._sums.setdefault(span, {})
            for name, value in said.items():
                if type(value) in (int, Decimal):
                    said[name] = sums[name] = sums.get(name, 0) + value
        return {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    return float(value) if type(value) is Decimal else value
