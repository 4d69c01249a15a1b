"""What a test can ask of the model server, and what the server remembers of each answer.

The values only: `Answer` is a script for one request, `Gate` holds an answer back until the test
says so, `Served` is the ground truth of one answer that was given.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tokenmeter.event import Usage

Encoding = Literal["gzip", "deflate", "br", "zstd"]
"""Content encodings that the server can speak; ``br`` and ``zstd`` need their packages."""

Ending = Literal["whole", "unfinished", "error", "cut", "hangup"]
"""How an answer ends.

- ``whole``: as the vendor ends it.
- ``unfinished``: the HTTP body ends properly, but the stream's terminal marker never comes.
- ``error``: the vendor's error event comes in the middle of a stream that began with status 200.
- ``cut``: the connection is closed in the middle of the body.
- ``hangup``: the connection is closed before any byte was answered.
"""


class Gate:
    """Hold an answer back until the test opens the gate; no clock is involved.

    Args:
        after: How many events of the stream pass first; ``None`` holds even the headers back.

    >>> gate = Gate(after=2)
    >>> gate.open()
    >>> gate.wait_open()
    """

    def __init__(self, after: int | None = None) -> None:
        self.after = after
        self._reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        """Let the held answer go on, now or when it gets here."""
        self._opened.set()

    def wait_reached(self, timeout_s: float = 10.0) -> bool:
        """Wait until an answer stands at the gate; return False when none came in time."""
        return self._reached.wait(timeout_s)

    def wait_open(self) -> None:
        """Stand at the gate, as the server does."""
        self._reached.set()
        self._opened.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Script how the server answers one request; the default is its own normal answer.

    Args:
        status: HTTP status; from 400 on the body is the vendor's error unless ``body`` is given.
        body: The whole body instead of the server's own; a mapping is sent as JSON. Bytes beside
            a ``text/event-stream`` content type are sent event by event.
        headers: Headers added to the answer's own, for example ``{"retry-after": "0"}``.
        encoding: Content encoding of the body.
        text: What the model says instead of its echo. Each word becomes one event of a stream.
        calls: The functions that the model calls at once instead of saying something: name and
            arguments of each; ``()`` has it speak although functions are offered. ``None`` is its
            own way: the first function that is offered, unless it has just got a result.
        usage: What the model reports instead of its count of words; totals are inclusive.
        chunk_size: Bytes in each network chunk of a stream; ``None`` gives each event its own.
            ``1`` tears every event apart, a large number joins many.
        line_end: Line end of a stream.
        comments: Whether a comment line stands before each event of a stream.
        padding: Bytes of filler before the answer: blanks before JSON, a comment before a stream.
        stop_after: How many events are sent before the ending; ``None`` is as many as the ending
            allows.
        ending: How the answer ends; all but ``hangup`` and ``cut`` concern streams only.
        gate: Where the answer waits for the test.
    """

    status: int = 200
    body: bytes | Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    encoding: Encoding | None = None
    text: str | None = None
    calls: Sequence[tuple[str, Mapping[str, object]]] | None = None
    usage: Usage | None = None
    chunk_size: int | None = None
    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    comments: bool = False
    padding: int = 0
    stop_after: int | None = None
    ending: Ending = "whole"
    gate: Gate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """State what one answer of the server really used, whatever its client got to see.

    The names are those of `tokenmeter.UsageEvent`; totals are inclusive. The counts are ``None``
    where the model did no work or the server cannot know: an error, a scripted body.

    Args:
        format: Wire format, for example ``openai.chat.completions``.
        path: Path of the request.
        request_model: The model that was asked for.
        response_id: The vendor's identifier of the answer.
        stream: Whether the client asked for a stream.
        status: HTTP status.
        ending: How the answer ended.
        reported: Whether the usage was among what was sent to the client.
    """

    format: str
    path: str
    request_model: str | None
    response_id: str | None
    stream: bool
    status: int
    ending: Ending
    reported: bool
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
