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

from typing import Any

import msgspec
from msgspec.structs import asdict

from tokenmeter.dialects import NO_COUNTS, Asked, Counts, Reading
from tokenmeter.dialects.fields import (
    Count,
    ErrorBody,
    billable,
    decode,
    error_code,
    overlay,
)

_DONE = b"[DONE]"


class _InputDetails(
    msgspec.Struct,
    rename={
        "cache_read_tokens": "cached_tokens",
        "input_text_tokens": "text_tokens",
        "input_audio_tokens": "audio_tokens",
        "input_image_tokens": "image_tokens",
    },
):
    cache_read_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    input_text_tokens: Count | None = None
    input_audio_tokens: Count | None = None
    input_image_tokens: Count | None = None


class _OutputDetails(
    msgspec.Struct,
    rename={
        "output_text_tokens": "text_tokens",
        "output_audio_tokens": "audio_tokens",
        "output_image_tokens": "image_tokens",
    },
):
    reasoning_tokens: Count | None = None
    output_text_tokens: Count | None = None
    output_audio_tokens: Count | None = None
    output_image_tokens: Count | None = None
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
            counts=NO_COUNTS if body.usage is None else _counts(body.usage),
            status="failed" if body.error else "completed" if body.done else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=body.done,
        )


def _counts(usage: _Usage) -> Counts:
    counts = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    if usage.prompt_tokens_details is not None:
        counts |= asdict(usage.prompt_tokens_details)
    if usage.completion_tokens_details is not None:
        counts |= _made(usage, asdict(usage.completion_tokens_details))
    if counts.get("cache_read_tokens") is None:
        counts["cache_read_tokens"] = _first(
            usage.cached_tokens, usage.prompt_cache_hit_tokens, usage.cache_read_input_tokens
        )
    if counts.get("cache_write_tokens") is None:
        counts["cache_write_tokens"] = usage.cache_creation_input_tokens
    return counts


def _made(usage: _Usage, details: dict[str, Any]) -> dict[str, Any]:
    """Give the details of the output, and the output itself where reasoning stands outside it."""
    predicted = billable(
        accepted_prediction_tokens=details.pop("accepted_prediction_tokens"),
        rejected_prediction_tokens=details.pop("rejected_prediction_tokens"),
    )
    if predicted is not None:
        details["other_counts"] = predicted
    reasoning, made = details["reasoning_tokens"], usage.completion_tokens
    if made is None or not reasoning:
        return details
    if usage.total_tokens == (usage.prompt_tokens or 0) + made + reasoning:
        details["output_tokens"] = made + reasoning
    return details


def _first(*counts: int | None) -> int | None:
    return next((n for n in counts if n is not None), None)
