"""One human line an event."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Kind, UsageEvent


class Stdout:
    """Print one line an event, to standard output or to another stream.

    Args:
        stream: Where to print; ``None`` is whatever ``sys.stdout`` is at that moment.

    Raises:
        ConfigurationError: Nothing can be written to it.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        if stream is not None and not hasattr(stream, "write"):
            kind = type(stream).__name__
            raise ConfigurationError(f"stream is a text stream such as sys.stderr; got a {kind}")
        self._stream = stream

    def __call__(self, event: UsageEvent) -> None:
        """Print one event, in one write."""
        stream = self._stream or sys.stdout
        stream.write(line(event) + "\n")

    def flush(self) -> None:
        """Flush the stream."""
        (self._stream or sys.stdout).flush()


def line(event: UsageEvent) -> str:
    """Say an event in one line, without its newline.

    >>> from datetime import UTC, datetime
    >>> line(UsageEvent(kind="call", event_id="x", schema=1, ts=datetime(2026, 11, 22, tzinfo=UTC),
    ...     provider="openai", response_model="gpt-5", status="completed", duration_s=1.25,
    ...     input_tokens=12, output_tokens=3, input_provenance="reported",
    ...     output_provenance="partial", user="ada", task="T-1"))
    '00:00:00 openai gpt-5: 12 in, >=3 out, completed in 1.25 s (user=ada task=T-1)'
    """
    text = f"{event.ts:%H:%M:%S} {_WHATS[event.kind](event)}"
    if event.error_type is not None:
        text += f" ({event.error_type})"
    if event.duration_s is not None:
        text += f" in {event.duration_s:.2f} s"
    who = [f"{name}={value}" for name in _WHO if (value := getattr(event, name)) is not None]
    return one_line(" ".join([text, f"({' '.join(who)})"]) if who else text)


_WHO = ("user", "team", "task", "agent", "evidence", "reference")


def _call(event: UsageEvent) -> str:
    read = _count(event.input_tokens, event.input_provenance)
    made = _count(event.output_tokens, event.output_provenance)
    asked = f"{event.provider or '-'} {_model(event)}"
    return f"{asked}: {read} in, {made} out, {event.status}"


_WHATS: dict[Kind, Callable[[UsageEvent], str]] = {
    "call": _call,
    "run": lambda event: f"run {event.status}",
    "outcome": lambda event: f"outcome {event.status}",
}


def one_line(text: str) -> str:
    """Escape what would end the line or steer the terminal; a user may be called anything."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


_SIGNS = {"partial": ">=", "estimated": "~"}


def _count(tokens: int | None, provenance: str | None) -> str:
    if tokens is None:
        return "0" if provenance == "none" else "?"
    return f"{_SIGNS.get(provenance or '', '')}{tokens}"


def _model(event: UsageEvent) -> str:
    return event.response_model or event.request_model or "-"
