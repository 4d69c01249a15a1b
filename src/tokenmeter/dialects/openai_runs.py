"""OpenAI Assistants: runs of a thread, created, streamed, polled, cancelled.

Sources, read 2026-11-22:
https://developers.openai.com/api/reference/resources/beta/subresources/threads/subresources/runs,
https://platform.openai.com/docs/api-reference/assistants-streaming/events, and recorded traffic of
creating and streaming.

Counting: a run is one answer, however many steps and tool calls it takes. ``usage`` is null until
it has ended, and then whole: ``prompt_tokens`` contains cached tokens, ``completion_tokens``
contains reasoning. A run that waits for the output of tools has not ended, though its stream has.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Status, Usage

_ENDS: dict[str, Status] = {
    "completed": "completed",
    "incomplete": "completed",  # cut short by a limit, and billed
    "failed": "failed",
    "expired": "failed",
    "cancelled": "abandoned",
}
"""What the ``status`` of a run means for the call; any other status has no end yet."""


class _InputDetails(msgspec.Struct):
    cached_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None


_NO_INPUT_DETAILS, _NO_OUTPUT_DETAILS = _InputDetails(), _OutputDetails()


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    prompt_token_details: _InputDetails | None = None  # so in recorded traffic
    completion_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Body(msgspec.Struct):
    object: str | None = None
    id: str | None = None
    model: str | None = None
    status: str | None = None
    usage: _Usage | None = None
    last_error: ErrorBody | None = None
    incomplete_details: _Incomplete | None = None
    error: ErrorBody | None = None

    @property
    def is_run(self) -> bool:
        """Whether it is a run, not a thread, a step or a message."""
        return self.object == "thread.run"


class OpenAIRuns(Dialect):
    """Read runs."""

    name = "openai_runs"
    marks = (b'"thread.run"', b'"error"')

    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Take the newest state of the run that an event carries, or the error that it is."""
        body = body or _Body()
        if not data.startswith(b"{"):  # [DONE]
            return body
        event = decode(self.answer, data)
        body.error = event.error or body.error
        return event if event.is_run else body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        status = _ENDS.get(body.status or "") if body.is_run else None
        failed = body.error is not None and status is None  # the exchange; a run may go on
        return Reading(
            recognised=body.is_run,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=_finish_reasons(body) if status else None,
            usage=NOTHING if body.usage is None else _usage(body.usage),
            status="failed" if failed else status,
            error_type=_error_type(body) if failed or status == "failed" else None,
            final=status is not None,
            pending=body.is_run and status is None and not failed,
            background=body.is_run and not failed,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read beside the thread and its assistant."""
        from tokenmeter.dialects import openai_runs_content

        return openai_runs_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event; a run that is fetched does not say it."""
        from tokenmeter.dialects import openai_runs_content

        return openai_runs_content.pieces(data)


def _finish_reasons(body: _Body) -> tuple[str, ...] | None:
    if body.status == "incomplete":
        details = body.incomplete_details
        return ((details and details.reason) or "incomplete",)
    return ("completed",) if body.status == "completed" else None


def _error_type(body: _Body) -> str | None:
    return error_code(body.error or body.last_error, body.status or "error")


def _usage(usage: _Usage) -> Usage:
    read = usage.prompt_tokens_details or usage.prompt_token_details or _NO_INPUT_DETAILS
    made = usage.completion_tokens_details or _NO_OUTPUT_DETAILS
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=read.cached_tokens,
        reasoning_tokens=made.reasoning_tokens,
    )
