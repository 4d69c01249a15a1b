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

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.fields import (
    Count,
    ErrorBody,
    billable,
    decode,
    error_code,
    overlay,
)
from tokenmeter.event import NOTHING, Usage

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


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()


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
    streamed: bool = False
    done: bool = False


class OpenAIChat(Dialect):
    """Read chat completions and legacy completions."""

    name = "openai_chat"
    marks = (
        b"_tokens",  # in the name of every count; most servers say "usage": null in each chunk
        b'"finish_reason":"',
        b'"finish_reason": "',
        b'"error"',
        _DONE,
    )

    answer = msgspec.json.Decoder(_Body)

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one chunk over the chunks before it."""
        body = body or _Body(streamed=True)
        if data.startswith(_DONE):
            body.done = True
            return body
        chunk = decode(self.answer, data)
        body.id = body.id or chunk.id
        body.model = body.model or chunk.model
        body.service_tier = chunk.service_tier or body.service_tier
        body.error = chunk.error or body.error
        if chunk.choices is not None:
            ended = [c for c in chunk.choices if c.finish_reason]
            body.choices = (body.choices or []) + ended
        groq = chunk.x_groq.usage if chunk.x_groq else None
        body.usage = overlay(body.usage, chunk.usage or groq)
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        done = body.done if body.streamed else body.choices is not None
        finish_reasons = tuple([c.finish_reason for c in body.choices or () if c.finish_reason])
        return Reading(
            recognised=body.choices is not None or body.usage is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=finish_reasons or None,
            service_tier=body.service_tier,
            usage=NOTHING if body.usage is None else _usage(body.usage),
            status="failed" if body.error else "completed" if done else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=done,
        )


def _usage(usage: _Usage) -> Usage:
    read = usage.prompt_tokens_details or _NO_INPUT_DETAILS
    made = usage.completion_tokens_details or _NO_OUTPUT_DETAILS
    output, reasoning = usage.completion_tokens, made.reasoning_tokens
    if reasoning and usage.total_tokens == (usage.prompt_tokens or 0) + (output or 0) + reasoning:
        output = (output or 0) + reasoning
    cached, written = read.cached_tokens, read.cache_write_tokens
    others = None
    if made.accepted_prediction_tokens or made.rejected_prediction_tokens:
        others = billable(
            accepted_prediction_tokens=made.accepted_prediction_tokens,
            rejected_prediction_tokens=made.rejected_prediction_tokens,
        )
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=output,
        cache_read_tokens=cached if cached is not None else _cached_elsewhere(usage),
        cache_write_tokens=written if written is not None else usage.cache_creation_input_tokens,
        reasoning_tokens=reasoning,
        input_text_tokens=read.text_tokens,
        input_audio_tokens=read.audio_tokens,
        input_image_tokens=read.image_tokens,
        output_text_tokens=made.text_tokens,
        output_audio_tokens=made.audio_tokens,
        output_image_tokens=made.image_tokens,
        other_counts=others,
    )


def _cached_elsewhere(usage: _Usage) -> int | None:
    """Give the cached tokens from where some servers put them."""
    for found in (
        usage.cached_tokens,
        usage.prompt_cache_hit_tokens,
        usage.cache_read_input_tokens,
    ):
        if found is not None:
            return found
    return None
