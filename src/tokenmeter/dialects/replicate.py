"""Replicate's predictions: created by one request, often fetched by others.

Sources, read 2026-11-22: https://replicate.com/docs/topics/predictions/create-a-prediction, Cog's
notes on ``metrics`` (https://github.com/replicate), and one recorded creation.

Counting: only official language models report tokens, as ``metrics.input_token_count`` and
``metrics.output_token_count``, once a prediction is over; for all others both are unknown. A
prediction that was created and is not over is pending; the request that first shows it over counts.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.fields import Count
from tokenmeter.event import Status, Usage

_STATUSES: dict[str, Status] = {
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "abandoned",
    "aborted": "abandoned",
}
_PENDING = ("starting", "processing")


class _Asked(Asked, frozen=True, gc=False):
    model: str | None = msgspec.field(default=None, name="version")


class _Urls(msgspec.Struct):
    get: str | None = None


class _Metrics(msgspec.Struct):
    input_token_count: Count | None = None
    output_token_count: Count | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    urls: _Urls | None = None
    metrics: _Metrics | None = None


_NO_METRICS = _Metrics()


class Replicate(Dialect):
    """Read predictions."""

    name = "replicate"

    request: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(_Asked)
    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: a prediction counts when it is over."""
        metrics = body.metrics or _NO_METRICS
        status = _STATUSES.get(body.status or "")
        known = status is not None or body.status in _PENDING
        return Reading(
            recognised=known and body.urls is not None and body.urls.get is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=(body.status,) if status and body.status else None,
            usage=Usage(
                input_tokens=metrics.input_token_count,
                output_tokens=metrics.output_token_count,
            ),
            status=status,
            error_type="error" if status == "failed" else None,
            final=status is not None,
            pending=body.status in _PENDING,
            background=True,
        )
