"""Anthropic messages, beta included, and everybody who speaks them.

Sources, read 2026-11-22: https://platform.claude.com/docs/en/api/messages,
https://platform.claude.com/docs/en/build-with-claude/streaming,
https://platform.claude.com/docs/en/build-with-claude/prompt-caching and
https://platform.claude.com/docs/en/build-with-claude/compaction, and recorded traffic; read
2026-11-23: https://platform.claude.com/docs/en/build-with-claude/fast-mode.

Counting: ``input_tokens`` excludes cache reads and writes, so both are added. ``message_delta``
usage is cumulative: it replaces what ``message_start`` said and is never added to it, and what it
leaves out stands (gateways send input in the start, in the last delta, or in both).
``iterations`` of another kind than ``message`` (a compaction, an advisor) are billed beside the
top-level counts and appear in ``other_counts``. Fast mode has prices of its own, so it is the tier.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import asdict

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import (
    Count,
    ErrorBody,
    billable,
    decode,
    error_code,
    overlay,
)
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import Usage


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: Count | None = None
    web_fetch_requests: Count | None = None
    code_execution_requests: Count | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: Count | None = None


class _Iteration(msgspec.Struct):
    type: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class _Usage(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    iterations: list[_Iteration] | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None


class _Body(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    error: ErrorBody | None = None
    streamed: bool = False
    ended: bool = False


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Body | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: ErrorBody | None = None


class AnthropicMessages(Dialect):
    """Read messages."""

    name = "anthropic_messages"
    marks = (b'"message_', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    _event = msgspec.json.Decoder(_Event)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one event over the message so far."""
        body = body or _Body(streamed=True)
        if not data.startswith(b"{"):  # some gateways close with [DONE]
            return body
        event = decode(self._event, data)
        if event.message is not None:
            body = event.message
            body.streamed = True
        if event.delta is not None and event.delta.stop_reason:
            body.stop_reason = event.delta.stop_reason
        if event.usage is not None:
            body.usage = overlay(body.usage, _said(event.usage))
        body.error = event.error or body.error
        body.ended = body.ended or event.type == "message_stop"
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: add both kinds of cached input to the input."""
        usage = body.usage or _Usage()
        failed = body.error is not None
        ended = body.ended if body.streamed else body.usage is not None
        return Reading(
            recognised=body.type == "message" or body.usage is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=(body.stop_reason,) if body.stop_reason else None,
            service_tier=usage.speed if usage.speed == "fast" else usage.service_tier,
            region=None if usage.inference_geo == "not_available" else usage.inference_geo,
            usage=_usage(usage),
            status="failed" if failed else "completed" if ended else None,
            error_type=error_code(body.error, "error") if failed else None,
            final=ended or body.stop_reason is not None,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import anthropic_content  # only estimates need it

        return anthropic_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote, tools of the vendor included, what they gave back not."""
        from tokenmeter.dialects import anthropic_content  # only estimates need it

        return anthropic_content.pieces(data)


def _said(usage: _Usage) -> _Usage:
    """Leave out the input of a delta that has none: gateways that know only the output say 0."""
    if usage.input_tokens != 0:
        return usage
    return msgspec.structs.replace(
        usage,
        input_tokens=None,
        cache_read_input_tokens=usage.cache_read_input_tokens or None,
        cache_creation_input_tokens=usage.cache_creation_input_tokens or None,
    )


def _usage(usage: _Usage) -> Usage:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    given, details = usage.input_tokens, usage.output_tokens_details
    lifetimes = _by_lifetime(usage)
    return Usage(
        input_tokens=None if given is None else given + (read or 0) + (written or 0),
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_5m_tokens=lifetimes.ephemeral_5m_input_tokens,
        cache_write_1h_tokens=lifetimes.ephemeral_1h_input_tokens,
        reasoning_tokens=None if details is None else details.thinking_tokens,
        other_counts=_others(usage) if usage.server_tool_use or usage.iterations else None,
    )


_NO_SPLIT = _CacheCreation()


def _by_lifetime(usage: _Usage) -> _CacheCreation:
    """Give the split of cache writes by lifetime, where it adds up to the whole.

    With server tools the last event raises the whole and not the split (recorded traffic), so a
    split that does not add up is unknown.
    """
    split = usage.cache_creation or _NO_SPLIT
    parts = (split.ephemeral_5m_input_tokens or 0) + (split.ephemeral_1h_input_tokens or 0)
    return split if parts == usage.cache_creation_input_tokens else _NO_SPLIT


def _others(usage: _Usage) -> dict[str, int] | None:
    tools = {} if usage.server_tool_use is None else asdict(usage.server_tool_use)
    return billable(**tools, **_beside(usage.iterations or []))


def _beside(iterations: list[_Iteration]) -> dict[str, int]:
    """Sum what iterations other than the message itself used, by kind and vendor's name."""
    sums: dict[str, int] = {}
    for iteration in iterations:
        if iteration.type in (None, "message"):
            continue
        for name in iteration.__struct_fields__[1:]:
            key = f"{iteration.type}.{name}"
            sums[key] = sums.get(key, 0) + (getattr(iteration, name) or 0)
    return sums
