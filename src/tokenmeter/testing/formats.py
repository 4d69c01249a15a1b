"""What a wire format has to say for the server to speak it, and the cache that all share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tokenmeter.event import Usage
from tokenmeter.testing.replies import Json, Prompt, Reply, count

CREATED = 1_767_225_600
"""When every answer was made (2026-01-01): the server is deterministic."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream, before it is bytes.

    Args:
        data: The payload: an object, or a bare text such as ``[DONE]``.
        name: The event's name, where the format names its events.
        reports: Whether the final usage is in it.
        terminal: Whether it is the marker that the stream is complete.
    """

    data: Json | str
    name: str | None = None
    reports: bool = False
    terminal: bool = False

    def encode(self, line_end: str) -> bytes:
        """Render the event as server-sent event."""
        data = self.data if isinstance(self.data, str) else compact(self.data)
        lines = [f"event: {self.name}"] if self.name else []
        return line_end.join([*lines, f"data: {data}", "", ""]).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One wire format: how to read a request, and how to render an answer, whole or streamed."""

    name: str
    required: tuple[str, ...]
    prompt: Callable[[Json, PromptCache], Prompt]
    body: Callable[[Reply, Json], Json]
    events: Callable[[Reply, Json], Iterator[Event]]
    error: Callable[[int], Json]
    error_event: Event


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a prompt; ``ttl`` is set where the prompt may be cached up to its end."""

    content: Any
    ttl: str | None = None


class PromptCache:
    """Remember the beginnings of prompts, as the vendors' prompt caches do."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def look_up(self, owner: str, blocks: Sequence[Block]) -> Usage:
        """Count a prompt: the longest beginning seen before is read, what is new is written."""
        prefix, total, covered, read = "", 0, 0, 0
        written = {"5m": 0, "1h": 0}
        for block in blocks:
            prefix += compact(block.content)
            total += count(block.content)
            if block.ttl is None:
                continue
            if (owner, prefix) in self._seen:
                read = total
            else:
                self._seen.add((owner, prefix))
                written[block.ttl] += total - covered
            covered = total
        return Usage(
            input_tokens=total,
            cache_read_tokens=read,
            cache_write_tokens=sum(written.values()),
            cache_write_5m_tokens=written["5m"],
            cache_write_1h_tokens=written["1h"],
        )


def compact(value: Any) -> str:
    """Encode JSON as the vendors do in streams: no blanks, text as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
