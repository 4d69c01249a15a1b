"""What Claude Code says of the answers that it asks for: in its transcripts, and to its SDK.

Claude Code asks the model in a process of its own, so what was used is read from what it tells: the
lines of its transcripts, and the messages of the Claude Agent SDK (Claude Code 2.1.330 and
claude-agent-sdk 0.2.187, https://code.claude.com/docs/en/agent-sdk/python, read 2026-11-23). Both
carry what Anthropic's API said. What the API says when an answer begins has its whole input and not
its output: https://github.com/anthropics/claude-code/issues/39505.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tokenmeter.dialects import Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.fields import decode
from tokenmeter.event import Usage

_API = AnthropicMessages()

PROVIDERS = {
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "azure.ai.inference",
}
"""Who serves, in the SDK's word and in ours; all others are Anthropic itself."""


class Told(NamedTuple):
    """What a line of a transcript says of an answer.

    Attributes:
        agent: The id of the sub-agent whose answer it is; ``None`` for the session's own.
        ts: When it was written.
        reading: What the answer used; final where it is known why it stopped.
        error: Why there is no answer, in a word.
    """

    agent: str | None
    ts: datetime
    reading: Reading
    error: str | None


class _Line(msgspec.Struct):
    type: str | None = None
    agentId: str | None = None  # noqa: N815 - theirs
    timestamp: datetime | None = None
    message: msgspec.Raw = msgspec.Raw(b"")
    isApiErrorMessage: bool | None = None  # noqa: N815
    error: str | None = None


_line = msgspec.json.Decoder(_Line)


def told(line: bytes) -> Told | None:
    """Read a line of a transcript, of which nothing else is kept; ``None``: it is no answer."""
    if b'"usage"' not in line:
        return None
    try:
        said = _line.decode(line)
        if said.type != "assistant" or said.timestamp is None:
            return None
        reading = _partly(bytes(said.message))
    except msgspec.DecodeError:
        return None
    error = said.error or "error" if said.isApiErrorMessage else None
    return Told(said.agentId, said.timestamp, reading, error)


def begun(answer_id: str | None, model: str, stop_reason: str | None, usage: object) -> Reading:
    """Read the columns of an ``AssistantMessage``."""
    body = {"type": "message", "id": answer_id, "model": model}
    return _partly(msgspec.json.encode(body | {"stop_reason": stop_reason, "usage": usage}))


def _partly(message: bytes) -> Reading:
    """Read a message that may be told before its end: final where it says why it stopped."""
    body = decode(_API.answer, message)
    body.streamed = True
    return _API.reading(body)


class Streamed:
    """What the events of one answer say, of those that the API streams."""

    def __init__(self) -> None:
        self._body: Any = None

    def add(self, event: Mapping[str, Any]) -> Reading | None:
        """Lay one event over what came before; ``None`` where it says nothing of what was used."""
        kind = event.get("type")
        if kind not in ("message_start", "message_delta", "message_stop"):
            return None
        before = None if kind == "message_start" else self._body
        self._body = _API.fold(before, msgspec.json.encode(event))
        return _API.reading(self._body)


class Used(NamedTuple):
    """What one model used and cost in the whole of a session so far.

    Attributes:
        usage: What it used; totals are inclusive, as ours are.
        amount: What that cost in US dollars, by the SDK's own price list.
        provider: Who serves the model.
        searches: Searches in the web, which are in the amount.
    """

    usage: Usage
    amount: Decimal
    provider: str
    searches: int


def used(said: Mapping[str, Any]) -> Used:
    """Read one model's part of ``ResultMessage.model_usage``, whose input is without the cache."""
    given, read, written = (
        said.get(name) or 0
        for name in ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
    )
    usage = Usage(
        input_tokens=given + read + written,
        output_tokens=said.get("outputTokens") or 0,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=said.get("cacheCreationEphemeral1hInputTokens") or 0,
    )
    provider = PROVIDERS.get(said.get("provider") or "", "anthropic")
    amount = Decimal(str(said.get("costUSD") or 0))
    return Used(usage, amount, provider, said.get("webSearchRequests") or 0)
