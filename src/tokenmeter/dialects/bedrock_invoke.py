"""Amazon Bedrock's InvokeModel, with and without a stream: each model answers in its own format.

Sources, read 2026-11-22:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
and https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html with the pages of the
models below it, and recorded traffic.

Claude speaks as at Anthropic, Nova as in Converse, and what has ``choices`` as OpenAI (Mistral,
Jamba, gpt-oss, imported models and others); Titan, Llama, Cohere, Jurassic and the older Claude and
Mistral have formats of a few fields. In a stream such an event is wrapped, base64 in ``bytes``.

Counting: the model's own usage counts. What it leaves out is taken from the
``amazon-bedrock-invocationMetrics`` of a stream's last event and from the ``x-amzn-bedrock-*``
headers of a plain answer; there, as at Anthropic, the input leaves out both kinds of cached input,
and they are added.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.bedrock_converse import (
    ERROR_TYPE,
    REQUEST_ID,
    BedrockConverse,
    ConverseBody,
    error_in,
    tier_of,
)
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code, overlay
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.event import Usage

_COUNTS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
"""Headers of a plain answer that count, by the names that a stream's metrics have for them."""

_TIER = "x-amzn-bedrock-service-tier"
_LATENCY = "x-amzn-bedrock-performanceconfig-latency"


_Number = Annotated[float, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A count of Titan, which writes 28.0 where a guardrail had a look at the answer."""


class _Chunk(msgspec.Struct):
    bytes: str | None = None
    error: ErrorBody | None = None


class _Metrics(msgspec.Struct):
    inputTokenCount: Count | None = None  # noqa: N815 - here and below the vendors' names
    outputTokenCount: Count | None = None  # noqa: N815
    cacheReadInputTokenCount: Count | None = None  # noqa: N815
    cacheWriteInputTokenCount: Count | None = None  # noqa: N815


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Part(msgspec.Struct):
    tokenCount: _Number | None = None  # noqa: N815
    completionReason: str | None = None  # noqa: N815
    finish_reason: str | None = None
    stop_reason: str | None = None
    finishReason: _Reason | None = None  # noqa: N815


class _Present(msgspec.Struct):
    """Something that is there, whatever it is."""


class _Answer(msgspec.Struct):
    """What is there tells who speaks; and the fields of those without a dialect of their own."""

    id: str | None = None
    type: str | None = None
    choices: list[_Part] | None = None
    output: _Present | None = None
    # the events of Nova, one in each
    messageStart: ConverseBody | None = None  # noqa: N815
    messageStop: ConverseBody | None = None  # noqa: N815
    metadata: ConverseBody | None = None
    # Titan
    inputTextTokenCount: _Number | None = None  # noqa: N815
    totalOutputTextTokenCount: _Number | None = None  # noqa: N815
    completionReason: str | None = None  # noqa: N815
    results: list[_Part] | None = None
    # Llama
    prompt_token_count: Count | None = None
    generation_token_count: Count | None = None
    # Cohere, Jurassic, Mistral, and Claude before its messages
    generations: list[_Part] | None = None
    completions: list[_Part] | None = None
    outputs: list[_Part] | None = None
    stop_reason: str | None = None
    finish_reason: str | None = None
    # Bedrock itself
    metrics: _Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


class _Body(msgspec.Struct):
    streamed: bool
    answer: _Answer
    speaks: Dialect | None = None
    spoken: Any = None
    error: ErrorBody | None = None


_OURS = (b'"amazon-bedrock-invocationMetrics"', b'"messageSt', b'"metadata"')
"""What stands in the events that say more than the model's dialect reads: Bedrock's, Nova's."""

_CHUNK, _ANSWER = msgspec.json.Decoder(_Chunk), msgspec.json.Decoder(_Answer)
_CLAUDE, _CONVERSE, _OPENAI = AnthropicMessages(), BedrockConverse(), OpenAIChat()


class BedrockInvoke(Dialect):
    """Read whatever a model of Bedrock answers."""

    name = "bedrock_invoke"
    headers = (*_COUNTS.values(), _TIER, _LATENCY, ERROR_TYPE, REQUEST_ID)

    answer = msgspec.json.Decoder(msgspec.Raw)

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Unwrap one event, and have the dialect of the model lay it over those before it."""
        chunk = decode(_CHUNK, data)
        streamed = chunk.bytes is not None
        body = body or _Body(streamed, _Answer())
        body.error = chunk.error or body.error
        if chunk.bytes is not None:
            data = unwrapped(chunk.bytes)
        if body.speaks is None or any(mark in data for mark in _OURS):
            answer = decode(_ANSWER, data)
            body.answer = overlay(body.answer, answer) or answer
            body.speaks = body.speaks or _speaker(answer)
            if body.speaks is _CONVERSE and streamed:
                said = answer.messageStart or answer.messageStop or answer.metadata
                body.spoken = overlay(body.spoken, said)
        if body.speaks is not None and (body.speaks is not _CONVERSE or not streamed):
            body.spoken = _heard(body, body.speaks, data)
        return body

    def reading(self, body: _Body | msgspec.Raw) -> Reading:
        """Read as the model's own dialect does, and add what Bedrock measured."""
        if isinstance(body, msgspec.Raw):
            body = self.fold(None, bytes(body))
        speaks, spoken = body.speaks, body.spoken
        reading = _read(body) if speaks is None or spoken is None else speaks.reading(spoken)
        if body.error is not None:
            code = error_code(body.error, "error")
            return msgspec.structs.replace(reading, status="failed", error_type=code)
        if body.answer.metrics is None:
            return reading
        reading = msgspec.structs.replace(reading, status=reading.status or "completed")
        return _measured(reading, body.answer.metrics)

    def headed(self, reading: Reading, headers: Mapping[str, str | None]) -> Reading:
        """Take from the headers what the body did not say."""
        counts = {name: _number(headers[header]) for name, header in _COUNTS.items()}
        return msgspec.structs.replace(
            _measured(reading, _Metrics(**counts)),
            response_id=reading.response_id or headers[REQUEST_ID],
            service_tier=reading.service_tier or tier_of(headers[_TIER], headers[_LATENCY]),
            error_type=reading.error_type or error_in(headers),
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import bedrock_invoke_content

        return bedrock_invoke_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        from tokenmeter.dialects import bedrock_invoke_content

        return bedrock_invoke_content.pieces(data)


class BedrockVectors(BedrockInvoke):
    """Read what a model answers that makes no text: vectors, or an order of documents."""

    counts_output = False


def unwrapped(text: str) -> bytes:
    """Give the model's own event out of one of Bedrock's.

    Raises:
        msgspec.DecodeError: It is not base64.
    """
    try:
        return base64.b64decode(text)
    except ValueError as exc:
        raise msgspec.DecodeError("not base64") from exc


def _speaker(answer: _Answer) -> Dialect | None:
    """Tell whose format an answer, or the first event of one, is in."""
    if answer.type in ("message", "message_start"):
        return _CLAUDE
    if answer.choices is not None:
        return _OPENAI
    if answer.output is not None or answer.messageStart is not None:
        return _CONVERSE
    return None


def _heard(body: _Body, dialect: Dialect, data: bytes) -> Any:
    if not body.streamed:
        return decode(dialect.answer, data)
    first = body.spoken is None
    if first or any(mark in data for mark in dialect.marks):
        return dialect.fold(body.spoken, data)
    return body.spoken


def _read(body: _Body) -> Reading:
    """Read an answer in one of the formats of a few fields."""
    answer = body.answer
    parts = answer.results or answer.generations or answer.completions or answer.outputs or ()
    made = [part.tokenCount for part in parts if part.tokenCount is not None]
    total = sum(made) if made else answer.totalOutputTextTokenCount
    usage = Usage(
        input_tokens=_first(_whole(answer.inputTextTokenCount), answer.prompt_token_count),
        output_tokens=_first(_whole(total), answer.generation_token_count),
    )
    why = tuple(filter(None, (answer.completionReason, answer.stop_reason, answer.finish_reason)))
    why = why or tuple(filter(None, map(_why, parts)))
    known = bool(why) or usage.input_tokens is not None
    total_said = answer.totalOutputTextTokenCount is not None  # by Titan, in its last event
    ended = bool(why) or (total_said if body.streamed else known)
    return Reading(
        recognised=known,
        response_id=answer.id,
        finish_reasons=why or None,
        usage=usage,
        status="completed" if ended else None,
        final=ended,
    )


def _why(part: _Part) -> str | None:
    jurassic = part.finishReason.reason if part.finishReason else None
    return part.completionReason or part.finish_reason or part.stop_reason or jurassic


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _measured(reading: Reading, metrics: _Metrics) -> Reading:
    """Take what the model left out from what Bedrock measured, which is the whole."""
    if metrics.inputTokenCount is None and metrics.outputTokenCount is None:
        return reading
    said = reading.usage
    read, written = metrics.cacheReadInputTokenCount, metrics.cacheWriteInputTokenCount
    input_tokens, output_tokens = said.input_tokens, said.output_tokens
    if input_tokens is None and metrics.inputTokenCount is not None:
        input_tokens = metrics.inputTokenCount + (read or 0) + (written or 0)
    usage = msgspec.structs.replace(
        said,
        input_tokens=input_tokens,
        output_tokens=metrics.outputTokenCount if output_tokens is None else output_tokens,
        cache_read_tokens=_first(said.cache_read_tokens, read),
        cache_write_tokens=_first(said.cache_write_tokens, written),
    )
    return msgspec.structs.replace(reading, recognised=True, usage=usage, final=True)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
