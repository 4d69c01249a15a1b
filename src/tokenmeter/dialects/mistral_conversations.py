"""Mistral's conversations: started, appended to, restarted; each of these is an answer of its own.

Sources, read 2026-11-22: https://docs.mistral.ai/agents/agents_basics,
https://docs.mistral.ai/agents/connectors and the types of mistralai 3.7
(``ConversationResponse``, ``ConversationEvents``). Not proved on recorded traffic.

Counting: what connectors (web search, document library) fed to the model is outside
``prompt_tokens`` and inside the total (``total = prompt + completion + connector`` in the examples
of the documentation), so it is added to the input. How often each connector ran is in
``other_counts``. Usage comes once, with the end; history and messages are read by ``GET`` and are
no answers.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Usage

_DONE, _ERROR = "conversation.response.done", "conversation.response.error"


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    connector_tokens: Count | None = None
    connectors: dict[str, Count | None] | None = None


class _Output(msgspec.Struct):
    model: str | None = None


class _Body(msgspec.Struct):
    """A plain answer, an event of a stream, or what the events so far come to."""

    object: str | None = None
    type: str | None = None
    model: str | None = None
    outputs: list[_Output] | None = None
    usage: _Usage | None = None
    code: int | None = None


class MistralConversations(Dialect):
    """Read the answers in a conversation."""

    name = "mistral_conversations"
    marks = (b'"model":"', b'"model": "', b'"conversation.response.')

    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Take over the model, and how it ended."""
        body = body or _Body()
        if not data.startswith(b"{"):
            return body
        event = decode(self.answer, data)
        body.model = body.model or event.model
        if event.type is not None and event.type.startswith("conversation.response."):
            body.type, body.usage, body.code = event.type, event.usage, event.code
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: add what connectors fed to the model to the input."""
        failed = body.type == _ERROR
        ended = body.type == _DONE or body.object == "conversation.response"
        models = (output.model for output in body.outputs or () if output.model)
        return Reading(
            recognised=body.type is not None or ended,
            model=body.model or next(models, None),
            usage=NOTHING if body.usage is None else _usage(body.usage),
            status="failed" if failed else "completed" if ended else None,
            error_type=str(body.code or "error") if failed else None,
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import mistral_conversations_content

        return mistral_conversations_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        from tokenmeter.dialects import mistral_conversations_content

        return mistral_conversations_content.pieces(data)


def _usage(usage: _Usage) -> Usage:
    given, connectors = usage.prompt_tokens, usage.connectors or {}
    return Usage(
        input_tokens=None if given is None else given + (usage.connector_tokens or 0),
        output_tokens=usage.completion_tokens,
        other_counts={name: n for name, n in connectors.items() if n} or None,
    )
