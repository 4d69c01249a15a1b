"""OpenAI moderations, and everybody who speaks them.

Source, read 2026-11-22: https://developers.openai.com/api/reference/resources/moderations, and
recorded traffic. Moderation is free and reports no tokens: there is nothing to count.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.fields import ErrorBody, error_code


class _Result(msgspec.Struct):
    pass


class _Body(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    results: list[_Result] | None = None
    error: ErrorBody | None = None


class OpenAIModerations(Dialect):
    """Read moderations."""

    name = "openai_moderations"
    counts_input = False
    counts_output = False

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Say what was judged by which model."""
        return Reading(
            recognised=body.results is not None,
            model=body.model or None,
            response_id=body.id or None,
            status="failed" if body.error else "completed",
            error_type=error_code(body.error, "error") if body.error else None,
            final=body.results is not None,
        )
