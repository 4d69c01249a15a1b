"""Mistral's audio transcriptions, plain and streamed.

Sources, read 2026-11-22: https://docs.mistral.ai/capabilities/audio_transcription and the types of
mistralai 3.7 (``TranscriptionResponse``, ``TranscriptionStreamDone``), and recorded traffic.

Counting: like Mistral's chat: the tokens of the audio are outside ``prompt_tokens`` and inside the
total, and ``prompt_audio_seconds``, by which it is billed, is in ``other_counts``. A stream ends
with ``transcription.done``, which carries what the plain answer would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tokenmeter.dialects.content import Piece
from tokenmeter.dialects.fields import decode
from tokenmeter.dialects.openai_chat import OpenAIChat

_DONE = b'"transcription.done"'


class _Said(msgspec.Struct):
    type: str | None = None
    text: str | None = None


_SAID = msgspec.json.Decoder(_Said)


class MistralTranscriptions(OpenAIChat):
    """Read transcriptions: chat completions without choices, and with an end of their own."""

    name = "mistral_transcriptions"
    marks = (*OpenAIChat.marks, _DONE)

    def fold(self, body: Any, data: bytes) -> Any:
        """Lay one event over the events before it."""
        body = super().fold(body, data)
        body.done = body.done or _DONE in data
        return body

    def prompt(self, request: bytes) -> None:  # noqa: ARG002
        """Say nothing: audio is read, and it comes in a form."""
        return

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give the text of a delta, or of a plain answer; segments and the end repeat it."""
        said = decode(_SAID, data)
        is_new = said.type in (None, "transcription.text.delta")
        return (Piece("text", "0", said.text),) if is_new and said.text else ()
