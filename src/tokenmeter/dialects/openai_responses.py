"""OpenAI Responses, and everybody who speaks them.

Sources, read 2026-11-22: https://platform.openai.com/docs/api-reference/responses/object,
https://platform.openai.com/docs/api-reference/responses-streaming and
https://platform.openai.com/docs/guides/background, and recorded traffic.

Counting: ``input_tokens`` contains cached tokens, ``output_tokens`` contains reasoning. A stream
carries the whole response object in its first and in its terminal event; usage in the terminal one
only. A background response is an answer from the moment it has ended; until then it is pending.

xAI, OpenRouter and Perplexity also say what they bill beside the tokens, which is in
``other_counts``, and what the answer cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
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
from tokenmeter.event import NOTHING, Status, Usage

_ENDS: dict[str, Status] = {
    "completed": "completed",
    "incomplete": "completed",  # cut short by a limit or a filter, and billed
    "failed": "failed",
    "cancelled": "abandoned",
}
"""What the ``status`` of a response means for the call; any other status has no end yet."""


class _Invocations(msgspec.Struct):
    invocation: Count | None = None


class _Usage(Charged):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    # what is billed beside them: xAI's, OpenRouter's, Perplexity's
    num_sources_used: Count | None = None
    server_side_tool_usage_details: dict[str, Count | None] | None = None
    server_tool_use: ServerTools | None = None
    server_tool_use_details: ServerTools | None = None
    tool_calls_details: dict[str, _Invocations | None] | None = None


_SERVER_TOOLS = ServerTools.__struct_fields__
_beside = attrgetter(
    "num_sources_used",
    "server_side_tool_usage_details",
    "server_tool_use",
    "server_tool_use_details",
    "tool_calls_details",
)


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
    whom = said_by_request

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
            cost=None if body.usage is None else cost_of(body.usage),
            status=status,
            error_type=error_code(body.error, "error") if status == "failed" else None,
            final=body.usage is not None,
            pending=bool(body.background) and status is None,
            background=bool(body.background),
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import openai_responses_content

        return openai_responses_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a whole response."""
        from tokenmeter.dialects import openai_responses_content

        return openai_responses_content.pieces(data)


def _finish_reasons(body: _Body) -> tuple[str, ...] | None:
    if body.status == "incomplete":
        details = body.incomplete_details
        return ((details and details.reason) or "incomplete",)
    return ("completed",) if body.status == "completed" else None


def _usage(usage: _Usage) -> Usage:
    read = usage.input_tokens_details or NO_INPUT_DETAILS
    made = usage.output_tokens_details or NO_OUTPUT_DETAILS
    cached, written = read.cached_tokens, read.cache_write_tokens
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=cached if cached is not None else read.cache_read_input_tokens,
        cache_write_tokens=written if written is not None else read.cache_creation_input_tokens,
        reasoning_tokens=made.reasoning_tokens,
        input_text_tokens=read.text_tokens,
        input_audio_tokens=read.audio_tokens,
        input_image_tokens=read.image_tokens,
        output_text_tokens=made.text_tokens,
        output_audio_tokens=made.audio_tokens,
        output_image_tokens=made.image_tokens,
        other_counts=_others(usage) if any(_beside(usage)) else None,
    )


def _others(usage: _Usage) -> dict[str, int] | None:
    tools = usage.server_side_tool_usage_details or {}
    calls = usage.tool_calls_details or {}
    return {
        **named(usage, ("num_sources_used",)),
        **named(usage.server_tool_use or usage.server_tool_use_details, _SERVER_TOOLS),
        **{tool: n for tool, n in tools.items() if n},
        **{f"{tool}.invocation": n for tool, c in calls.items() if c and (n := c.invocation)},
    } or None
