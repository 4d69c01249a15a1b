"""Anthropic's legacy text completions, the API before messages.

Source, read 2026-11-22: https://platform.claude.com/docs/en/api/completions/create, and recorded
traffic. It reports no tokens at all, so both sides are unknown. A stream ends with the event that
has a stop reason.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
from tokenmeter.dialects.whom import said as said_by_request


class _Body(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    error: ErrorBody | None = None


class _Request(msgspec.Struct):
    prompt: str | None = None
    max_tokens_to_sample: Count | None = None


class _Said(msgspec.Struct):
    completion: str | None = None


class AnthropicComplete(Dialect):
    """Read legacy completions."""

    name = "anthropic_complete"
    marks = (b'"stop_reason":"', b'"stop_reason": "', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    _asked = msgspec.json.Decoder(_Request)
    _said = msgspec.json.Decoder(_Said)

    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one event over those before it."""
        event: _Body = decode(self.answer, data)
        if body is None or body.type == "ping":
            return event
        body.stop_reason = event.stop_reason or body.stop_reason
        body.error = event.error or body.error
        return body

    def reading(self, body: _Body) -> Reading:
        """Say how it ended."""
        ended = body.stop_reason is not None
        return Reading(
            recognised=body.type == "completion",
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=(body.stop_reason,) if body.stop_reason else None,
            status="failed" if body.error else "completed" if ended else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        asked = decode(self._asked, request)
        return Prompt(texts=(asked.prompt or "",), limit=asked.max_tokens_to_sample)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give the text of one event, or of an answer."""
        text = decode(self._said, data).completion
        return (Piece("text", "0", text),) if text else ()
