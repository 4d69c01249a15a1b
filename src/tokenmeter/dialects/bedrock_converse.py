"""Amazon Bedrock's Converse and ConverseStream: one format for every model there.

Sources, read 2026-11-22:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html, and recorded traffic.

Counting: ``inputTokens`` leaves out what was read from the cache and what was written to it, so
both are added. Where the body's own ``totalTokens`` is the input and the output alone, the input
contains them already, and nothing is added. ``outputTokens`` contains reasoning, untold.

A stream ends with ``messageStop``; the usage follows it, once, in ``metadata``. A body names no
model, but for a prompt router, whose trace says which model it chose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, billable, error_code
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Usage

ERROR_TYPE = "x-amzn-errortype"
"""Header of an error: its type, and more after a colon."""

REQUEST_ID = "x-amzn-requestid"
"""Header by which AWS finds an invocation in its logs."""


class _CacheDetail(msgspec.Struct):
    ttl: str | None = None
    inputTokens: Count | None = None  # noqa: N815 - here and below the vendor's names


class ConverseUsage(msgspec.Struct):
    """The usage as Converse reports it, and Nova in a format of its own."""

    inputTokens: Count | None = None  # noqa: N815
    outputTokens: Count | None = None  # noqa: N815
    totalTokens: Count | None = None  # noqa: N815
    cacheReadInputTokens: Count | None = None  # noqa: N815
    cacheWriteInputTokens: Count | None = None  # noqa: N815
    cacheReadInputTokenCount: Count | None = None  # noqa: N815
    cacheWriteInputTokenCount: Count | None = None  # noqa: N815
    cacheDetails: list[_CacheDetail] | None = None  # noqa: N815
    serverToolUsage: dict[str, Count | None] | None = None  # noqa: N815


class _Router(msgspec.Struct):
    invokedModelId: str | None = None  # noqa: N815


class _Trace(msgspec.Struct):
    promptRouter: _Router | None = None  # noqa: N815


class _Tier(msgspec.Struct):
    type: str | None = None


class _Performance(msgspec.Struct):
    latency: str | None = None


class _Output(msgspec.Struct):
    pass


class ConverseBody(msgspec.Struct):
    """The body of an answer, and of the events of a stream, which are its members."""

    role: str | None = None
    output: _Output | None = None
    stopReason: str | None = None  # noqa: N815
    usage: ConverseUsage | None = None
    trace: _Trace | None = None
    serviceTier: _Tier | None = None  # noqa: N815
    performanceConfig: _Performance | None = None  # noqa: N815
    error: ErrorBody | None = None


class BedrockConverse(Dialect):
    """Read Converse."""

    name = "bedrock_converse"
    marks = (b'"stopReason"', b'"usage"', b'"error"')
    headers = (ERROR_TYPE, REQUEST_ID)

    answer = msgspec.json.Decoder(ConverseBody)
    whom = said_by_request

    def reading(self, body: ConverseBody) -> Reading:
        """Normalise: add both kinds of cached input to the input."""
        failed, usage = body.error is not None, body.usage
        ended = body.stopReason is not None or body.output is not None
        counted = usage is not None and usage.inputTokens is not None
        router = body.trace.promptRouter if body.trace else None
        return Reading(
            recognised=counted or body.stopReason is not None or body.role is not None,
            model=router.invokedModelId or None if router else None,
            finish_reasons=(body.stopReason,) if body.stopReason else None,
            service_tier=tier_of(
                body.serviceTier.type if body.serviceTier else None,
                body.performanceConfig.latency if body.performanceConfig else None,
            ),
            usage=NOTHING if usage is None else usage_of(usage),
            status="failed" if failed else "completed" if ended else None,
            error_type=error_code(body.error, "error") if failed else None,
            final=counted,
        )

    def headed(self, reading: Reading, headers: Mapping[str, str | None]) -> Reading:
        """Take the type of an error and the id of the request from the headers."""
        return msgspec.structs.replace(
            reading,
            response_id=reading.response_id or headers[REQUEST_ID],
            error_type=reading.error_type or error_in(headers),
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import bedrock_converse_content

        return bedrock_converse_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        from tokenmeter.dialects import bedrock_converse_content

        return bedrock_converse_content.pieces(data)


def tier_of(tier: str | None, latency: str | None) -> str | None:
    """Name what a price depends on: the tier, or a latency that is not the standard one."""
    return latency if latency not in (None, "", "standard") else tier or None


def error_in(headers: Mapping[str, str | None]) -> str | None:
    """Give the type of an error from the headers of its response."""
    named = (headers[ERROR_TYPE] or "").partition(":")[0].rpartition("#")[2]
    return error_code(ErrorBody(type=named))


def usage_of(usage: ConverseUsage) -> Usage:
    """Normalise the usage."""
    read = _first(usage.cacheReadInputTokens, usage.cacheReadInputTokenCount)
    written = _first(usage.cacheWriteInputTokens, usage.cacheWriteInputTokenCount)
    given, lifetimes = usage.inputTokens, _by_lifetime(usage, written)
    if given is not None and usage.totalTokens != given + (usage.outputTokens or 0):
        given += (read or 0) + (written or 0)
    return Usage(
        input_tokens=given,
        output_tokens=usage.outputTokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_5m_tokens=lifetimes.get("5m"),
        cache_write_1h_tokens=lifetimes.get("1h"),
        other_counts=billable(**usage.serverToolUsage) if usage.serverToolUsage else None,
    )


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _by_lifetime(usage: ConverseUsage, written: int | None) -> dict[str, int]:
    """Give the cache writes by lifetime, where they add up to the whole."""
    split: dict[str, int] = {}
    for detail in usage.cacheDetails or ():
        lifetime = detail.ttl or ""
        split[lifetime] = split.get(lifetime, 0) + (detail.inputTokens or 0)
    return split if sum(split.values()) == written else {}
