"""OpenAI chat completions and legacy completions, and everybody who speaks them.

Sources, read 2026-11-22: https://platform.openai.com/docs/api-reference/chat/object,
https://platform.openai.com/docs/api-reference/chat-streaming and
https://platform.openai.com/docs/api-reference/completions/object, and recorded traffic.

Counting: ``prompt_tokens`` contains cached tokens, ``completion_tokens`` contains reasoning. Some
servers count otherwise, and say so:

- Reasoning is outside ``completion_tokens`` where the server's own total says it
  (``total = prompt + completion + reasoning``, seen in recorded xAI traffic), and beside
  ``num_search_queries`` (Perplexity's deep research prices it apart:
  https://docs.perplexity.ai/getting-started/pricing). Then it is added.
- Audio is outside ``prompt_tokens`` and inside the total where ``prompt_audio_seconds`` is reported
  (Mistral): the input is then what the total holds beside the output (recorded traffic, and
  https://docs.mistral.ai/capabilities/audio_transcription).
- What Snowflake's Cortex Guard read is beside both sides and inside the total (``guard_tokens``:
  https://github.com/snowflakedb/snowflake-rest-api-specs, ``cortex-inference.yaml``).

Streams carry usage only when asked (``stream_options.include_usage``) or when the server likes to,
in the chunk, in its ``x_groq`` or in its choice (Moonshot); then it is cumulative and the last one
stands. The end is ``[DONE]``; some servers send none and end after the finish reason. Comments
between the events (OpenRouter's) are no events; an error in a stream comes as a chunk with an
``error``, or with the finish reason ``error``
(https://openrouter.ai/docs/api/reference/streaming).
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code, overlay
from tokenmeter.dialects.openai_usage import (
    NO_INPUT_DETAILS,
    NO_OUTPUT_DETAILS,
    Charged,
    InputDetails,
    OutputDetails,
    ServerTools,
    cost_of,
    named,
)
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Usage

_DONE = b"[DONE]"
_BILLED_BESIDE = (
    "citation_tokens",
    "guard_tokens",
    "num_search_queries",
    "num_sources_used",
    "prompt_audio_seconds",
)
_PREDICTIONS = ("accepted_prediction_tokens", "rejected_prediction_tokens")
_beside = attrgetter(*_BILLED_BESIDE, "server_tool_use", "server_tool_use_details")
_predictions = attrgetter(*_PREDICTIONS)


class _Usage(Charged):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    # the same facts where some servers put them
    prompt_token_details: InputDetails | None = None
    completion_token_details: OutputDetails | None = None
    cached_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    # what is billed beside them
    citation_tokens: Count | None = None
    guard_tokens: Count | None = None
    num_search_queries: Count | None = None
    num_sources_used: Count | None = None
    prompt_audio_seconds: Count | None = None
    server_tool_use: ServerTools | None = None
    server_tool_use_details: ServerTools | None = None


_NO_USAGE = _Usage()


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    usage: _Usage | None = None


class _Groq(msgspec.Struct):
    usage: _Usage | None = None


class ChatBody(msgspec.Struct):
    """An answer, or the chunks of one so far."""

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
    marks: tuple[bytes, ...] = (
        b"_tokens",  # in the name of every count; most servers say "usage": null in each chunk
        b'"finish_reason":"',
        b'"finish_reason": "',
        b'"error"',
        _DONE,
    )

    ordinary = (b'"choices":[{', b'"choices": [{')
    answer = msgspec.json.Decoder(ChatBody)
    whom = said_by_request

    def fold(self, body: ChatBody | None, data: bytes) -> ChatBody:
        """Lay one chunk over the chunks before it."""
        body = body or ChatBody(streamed=True)
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
        body.usage = overlay(body.usage, chunk.usage or _usage_elsewhere(chunk))
        return body

    def reading(self, body: ChatBody) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        whole = body.choices is not None or body.usage is not None
        done = body.done if body.streamed else whole
        usage = body.usage or _NO_USAGE
        finish_reasons = tuple([c.finish_reason for c in body.choices or () if c.finish_reason])
        failed = body.error is not None or "error" in finish_reasons
        return Reading(
            recognised=whole,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=finish_reasons or None,
            service_tier=body.service_tier or usage.service_tier,
            usage=NOTHING if body.usage is None else _usage(usage),
            cost=cost_of(usage),
            status="failed" if failed else "completed" if done else None,
            error_type=error_code(body.error, "error") if failed else None,
            final=done,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import openai_chat_content

        return openai_chat_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in a chunk, or in a whole answer."""
        from tokenmeter.dialects import openai_chat_content

        return openai_chat_content.pieces(data)

    def asking(self, request: bytes) -> bytes | None:
        """Ask by ``stream_options.include_usage``."""
        from tokenmeter.dialects import openai_asking

        return openai_asking.asking(request)

    def is_extra(self, data: bytes) -> bool:
        """Know the chunk by its usage and by the choices that it does not have."""
        from tokenmeter.dialects import openai_asking

        return openai_asking.is_extra(data)


def _usage_elsewhere(chunk: ChatBody) -> _Usage | None:
    if chunk.x_groq is not None and chunk.x_groq.usage is not None:
        return chunk.x_groq.usage
    return next((c.usage for c in chunk.choices or () if c.usage is not None), None)


def _usage(usage: _Usage) -> Usage:
    read = usage.prompt_tokens_details or usage.prompt_token_details or NO_INPUT_DETAILS
    made = usage.completion_tokens_details or usage.completion_token_details or NO_OUTPUT_DETAILS
    reasoning = made.reasoning_tokens
    if reasoning is None:
        reasoning = usage.reasoning_tokens
    given, output = _totals(usage, reasoning)
    cached, written = read.cached_tokens, read.cache_write_tokens
    has_others = any(_beside(usage)) or any(_predictions(made))
    return Usage(
        input_tokens=given,
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
        other_counts=_others(usage, made) if has_others else None,
    )


def _others(usage: _Usage, made: OutputDetails) -> dict[str, int] | None:
    tools = usage.server_tool_use or usage.server_tool_use_details
    return {
        **named(usage, _BILLED_BESIDE),
        **named(made, _PREDICTIONS),
        **named(tools, ServerTools.__struct_fields__),
    } or None


def _totals(usage: _Usage, reasoning: int | None) -> tuple[int | None, int | None]:
    """Give input and output, with what the server counts beside them added to its side."""
    given, output = usage.prompt_tokens, usage.completion_tokens
    beside = (usage.total_tokens or 0) - (given or 0) - (output or 0)
    if reasoning and (beside == reasoning or usage.num_search_queries is not None):
        output = (output or 0) + reasoning
    elif usage.prompt_audio_seconds and output is not None and beside > 0:
        given = (given or 0) + beside
    return given, output


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
