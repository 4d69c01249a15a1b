"""OpenAI chat completions and legacy completions, and everybody who speaks them.

Sources, read 2026-11-22: https://platform.openai.com/docs/api-reference/chat/object,
https://platform.openai.com/docs/api-reference/chat-streaming and
https://platform.openai.com/docs/api-reference/completions/object, and recorded traffic.

Counting: ``prompt_tokens`` contains cached tokens, ``completion_tokens`` contains reasoning. A few
servers report reasoning outside ``completion_tokens``; they say so in their own total
(``total = prompt + completion + reasoning``, seen in recorded xAI traffic), and then it is added.

Streams carry usage only when asked (``stream_options.include_usage``) or when the server likes to;
then it is cumulative and the last one stands. The end is ``[DONE]``; some servers send none and
end after the finish reason.
"""

from __future__ import annotations

import msgspec

from tokenmeter.dialects import Asked, Reading
from tokenmeter.dialects.fields import (
    Count,
    ErrorBody,
    billable,
    decode,
    error_code,
    overlay,
)
from tokenmeter.event import Usage

_DONE = b"[DONE]"


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
    accepted_prediction_tokens: Count | None = None
    rejected_prediction_tokens: Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    # the same facts where some servers put them
    cached_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Groq(msgspec.Struct):
    usage: _Usage | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    x_groq: _Groq | None = None
    error: ErrorBody | None = None
    done: bool = False


class OpenAIChat:
    """Read chat completions and legacy completions."""

    name = "openai_chat"
    counts_output = True
    marks = (
        b'"usage":{',
        b'"usage": {',
        b'"finish_reason":"',
        b'"finish_reason": "',
        b'"error"',
        _DONE,
    )

    _request = msgspec.json.Decoder(Asked)
    _decoder = msgspec.json.Decoder(_Body)

    def asked(self, body: bytes) -> Asked:
        """Read ``model`` and ``stream``."""
        return decode(self._request, body)

    def parse(self, body: bytes) -> _Body:
        """Decode a ``chat.completion``, a ``text_completion`` or an error."""
        parsed = decode(self._decoder, body)
        parsed.done = parsed.choices is not None
        return parsed

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one chunk over the chunks before it."""
        body = body or _Body()
        if data.startswith(_DONE):
            body.done = True
            return body
        chunk = decode(self._decoder, data)
        body.id = body.id or chunk.id
        body.model = body.model or chunk.model
        body.service_tier = chunk.service_tier or body.service_tier
        body.error = chunk.error or body.error
        if chunk.choices is not None:
            ended = [c for c in chunk.choices if c.finish_reason]
            body.choices = (body.choices or []) + ended
        body.usage = overlay(body.usage, chunk.usage or (chunk.x_groq and chunk.x_groq.usage))
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        finish_reasons = tuple(c.finish_reason for c in body.choices or () if c.finish_reason)
        return Reading(
            recognised=body.choices is not None or body.usage is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=finish_reasons or None,
            service_tier=body.service_tier,
            usage=_usage(body.usage),
            status="failed" if body.error else "completed" if body.done else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=body.done,
        )


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    details = usage.prompt_tokens_details or _InputDetails()
    made = usage.completion_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=_output(usage, made.reasoning_tokens),
        cache_read_tokens=_first(
            details.cached_tokens,
            usage.cached_tokens,
            usage.prompt_cache_hit_tokens,
            usage.cache_read_input_tokens,
        ),
        cache_write_tokens=_first(details.cache_write_tokens, usage.cache_creation_input_tokens),
        reasoning_tokens=made.reasoning_tokens,
        input_text_tokens=details.text_tokens,
        input_audio_tokens=details.audio_tokens,
        input_image_tokens=details.image_tokens,
        output_text_tokens=made.text_tokens,
        output_audio_tokens=made.audio_tokens,
        output_image_tokens=made.image_tokens,
        other_counts=billable(
            accepted_prediction_tokens=made.accepted_prediction_tokens,
            rejected_prediction_tokens=made.rejected_prediction_tokens,
        ),
    )


def _output(usage: _Usage, reasoning: int | None) -> int | None:
    made = usage.completion_tokens
    if not reasoning or made is None or usage.prompt_tokens is None:
        return made
    outside = usage.total_tokens == usage.prompt_tokens + made + reasoning
    return made + reasoning if outside else made


def _first(*counts: int | None) -> int | None:
    return next((n for n in counts if n is not None), None)
