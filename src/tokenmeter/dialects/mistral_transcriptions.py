"""Mistral's audio transcriptions, plain and streamed.

Sources, read 2026-11-22: https://docs.mistral.ai/capabilities/audio_transcription and the types of
mistralai 3.7 (``TranscriptionResponse``, ``TranscriptionStreamDone``), and recorded traffic.

Counting: like Mistral's chat: the tokens of the audio are outside ``prompt_tokens`` and inside the
total, and ``prompt_audio_seconds``, by which it is billed, is in ``other_counts``. A stream ends
with ``transcription.done``, which carries what the plain answer would.
"""

from __future__ import annotations

from typing import Any

from tokenmeter.dialects.openai_chat import OpenAIChat

_DONE = b'"transcription.done"'


class MistralTranscriptions(OpenAIChat):
    """Read transcriptions: chat completions without choices, and with an end of their own."""

    name = "mistral_transcriptions"
    marks = (*OpenAIChat.marks, _DONE)

    def fold(self, body: Any, data: bytes) -> Any:
        """Lay one event over the events before it."""
        body = super().fold(body, data)
        body.done = body.done or _DONE in data
        return body
