"""Google's Interactions: created, streamed, in the background, fetched.

Sources, read 2026-11-22: https://ai.google.dev/gemini-api/docs/interactions,
https://ai.google.dev/gemini-api/docs/interactions/tokens and
https://docs.cloud.google.com/gemini-enterprise-agent-platform/reference/rest/v1beta1/interactions/getPoll,
the types of google-genai 3.4, and recorded traffic.

Counting: ``total_input_tokens`` contains cached tokens; ``total_tool_use_tokens`` is further input
and ``total_thought_tokens`` further output, so both are added. A stream reports the usage so far
beside some events, and the whole in its terminal one; a newer report replaces an older one.

An interaction that is stored can be fetched by its id, and does not say whether it ran in the
background. So it is counted once, when its answer first appears, under an id that is the same
wherever it is fetched. One in the background is an answer from the moment it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, billable, decode, error_code, overlay
from tokenmeter.dialects.gemini import ModalityTokens, by_modality, plus, without_column
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Status, Usage

_ENDS: dict[str, Status] = {
    "completed": "completed",
    "requires_action": "completed",  # the model waits for the result of a function
    "requires_continuation": "completed",  # cut short by a limit; a further request goes on
    "incomplete": "completed",
    "budget_exceeded": "completed",
    "failed": "failed",
    "cancelled": "abandoned",
}
"""What the ``status`` of an interaction means for the call; any other status has no end yet."""

_COLUMNS = ("text", "audio", "image")
"""Modalities that have a column of their own."""


class _ModalityTokens(ModalityTokens):
    tokens: Count | None = msgspec.field(default=None, name="tokens")


class _GroundingCount(msgspec.Struct):
    type: str | None = None
    count: Count | None = None


class _Usage(msgspec.Struct):
    total_input_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    input_tokens_by_modality: list[_ModalityTokens] | None = None
    tool_use_tokens_by_modality: list[_ModalityTokens] | None = None
    output_tokens_by_modality: list[_ModalityTokens] | None = None
    cached_tokens_by_modality: list[_ModalityTokens] | None = None
    grounding_tool_count: list[_GroundingCount] | None = None


class _Body(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    model: str | None = None
    agent: str | None = None
    status: str | None = None
    service_tier: str | None = None
    usage: _Usage | None = None
    errors: list[ErrorBody] | None = None
    error: ErrorBody | None = None
    streamed: bool = False


class _Beside(msgspec.Struct):
    usage: _Usage | None = None
    total_usage: _Usage | None = None


class _Event(msgspec.Struct):
    event_type: str | None = None
    interaction: _Body | None = None
    status: str | None = None
    usage: _Usage | None = None
    metadata: _Beside | None = None
    error: ErrorBody | None = None


class GeminiInteractions(Dialect):
    """Read interactions."""

    name = "gemini_interactions"
    marks = (b'"interaction.', b'"usage"', b'"total_usage"', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    _event = msgspec.json.Decoder(_Event)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Take the newest interaction that an event carries, and the newest usage."""
        body = body or _Body(streamed=True)
        if not data.startswith(b"{"):  # [DONE]
            return body
        event = decode(self._event, data)
        found, beside = overlay(body, event.interaction) or body, event.metadata or _Beside()
        whole = event.interaction.usage if event.interaction else None
        found.streamed = True
        found.status = event.status or found.status
        found.usage = whole or event.usage or beside.total_usage or beside.usage or body.usage
        if event.error is not None or event.event_type == "error":
            found.status, found.error = "failed", event.error or ErrorBody()
        return found

    def reading(self, body: _Body) -> Reading:
        """Normalise: add tool results to the input and thoughts to the output."""
        status: Status | None = "failed" if body.error else _ENDS.get(body.status or "")
        stored = body.object == "interaction" and bool(body.id)
        return Reading(
            recognised=body.object == "interaction",
            model=body.model or body.agent or None,
            response_id=body.id or None,
            finish_reasons=(body.status,) if body.status and status == "completed" else None,
            service_tier=body.service_tier,
            usage=NOTHING if body.usage is None else _usage(body.usage),
            status=status,
            error_type=_error(body) if status == "failed" else None,
            final=status is not None and body.usage is not None,
            pending=stored and status is None and not body.streamed,
            background=stored,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import gemini_interactions_content as content

        return content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in an event, or in a whole interaction."""
        from tokenmeter.dialects import gemini_interactions_content as content

        return content.pieces(data)


def _error(body: _Body) -> str:
    codes = (error_code(error) for error in (body.error, *(body.errors or ())))
    return next(filter(None, codes), "error")


def _usage(said: _Usage) -> Usage:
    read = by_modality(said.input_tokens_by_modality, said.tool_use_tokens_by_modality)
    made = by_modality(said.output_tokens_by_modality)
    cached = by_modality(said.cached_tokens_by_modality)
    tools = {
        f"grounding_tool_count.{tool.type}": tool.count for tool in said.grounding_tool_count or ()
    }
    return Usage(
        input_tokens=plus(said.total_input_tokens, said.total_tool_use_tokens),
        output_tokens=plus(said.total_output_tokens, said.total_thought_tokens),
        cache_read_tokens=said.total_cached_tokens,
        reasoning_tokens=said.total_thought_tokens,
        input_text_tokens=read.get("text"),
        input_audio_tokens=read.get("audio"),
        input_image_tokens=read.get("image"),
        output_text_tokens=made.get("text"),
        output_audio_tokens=made.get("audio"),
        output_image_tokens=made.get("image"),
        other_counts=billable(
            total_tool_use_tokens=said.total_tool_use_tokens,
            **without_column("input_tokens_by_modality", read, _COLUMNS),
            **without_column("output_tokens_by_modality", made, _COLUMNS),
            **without_column("cached_tokens_by_modality", cached, ("text",)),
            **tools,
        ),
    )
