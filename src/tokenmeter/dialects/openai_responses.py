"""OpenAI Responses, and everybody who speaks them.

Sources, read 2026-11-22: https://platform.openai.com/docs/api-reference/responses/object,
https://platform.openai.com/docs/api-reference/responses-streaming and
https://platform.openai.com/docs/guides/background, and recorded traffic.

Counting: ``input_tokens`` contains cached tokens, ``output_tokens`` contains reasoning. A stream
carries the whole response object in its first and in its terminal event; usage in the terminal one
only. A background response is an answer from the moment it has ended; until then it is pending.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
from tokenmeter.event import NOTHING, Status, Usage

_ENDS: dict[str, Status] = {
    "completed": "completed",
    "incomplete": "completed",  # cut short by a limit or a filter, and billed
    "failed": "failed",
    "cancelled": "abandoned",
}
"""What the ``status`` of a response means for the call; any other status has no end yet."""


class _InputDetails(msgspec.Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()


class _Usage(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Body(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    service_tier: str | None = None
    background: bool | None = None
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None
    error: ErrorBody | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    response: _Body | None = None
    error: ErrorBody | None = None


class OpenAIResponses(Dialect):
    """Read responses: plain, streamed, in the background, retrieved."""

    name = "openai_responses"
    marks = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    _event = msgspec.json.Decoder(_Event)

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Take the newest response object that an event carries, or the error that it is."""
        body = body or _Body()
        if not data.startswith(b"{"):  # some gateways close with [DONE]
            return body
        event = decode(self._event, data)
        if event.response is not None:
            return event.response
        if event.type == "error" or event.error is not None:
            body.status, body.error = "failed", event.error or ErrorBody(code=event.code)
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        status = "failed" if body.error else _ENDS.get(body.status or "")
        return Reading(
            recognised=body.object == "response" or body.usage is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=_finish_reasons(body),
            service_tier=body.service_tier,
            usage=NOTHING if body.usage is None else _usage(body.usage),
            status=status,
            error_type=error_code(body.error, "error") if status == "failed" else None,
            final=body.usage is not None,
            pending=bool(body.background) and status is None,
            background=bool(body.background),
        )


def _finish_reasons(body: _Body) -> tuple[str, ...] | None:
    if body.status == "incomplete":
        details = body.incomplete_details
        return ((details and details.reason) or "incomplete",)
    return ("completed",) if body.status == "completed" else None


def _usage(usage: _Usage) -> Usage:
    read = usage.input_tokens_details or _NO_INPUT_DETAILS
    made = usage.output_tokens_details or _NO_OUTPUT_DETAILS
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read.cached_tokens,
        cache_write_tokens=read.cache_write_tokens,
        reasoning_tokens=made.reasoning_tokens,
        input_text_tokens=read.text_tokens,
        input_audio_tokens=read.audio_tokens,
        input_image_tokens=read.image_tokens,
        output_text_tokens=made.text_tokens,
        output_audio_tokens=made.audio_tokens,
        output_image_tokens=made.image_tokens,
    )
