"""OpenAI images, transcriptions, translations and speech, and everybody who speaks them.

Sources, read 2026-11-22: https://developers.openai.com/api/reference/resources/images,
https://developers.openai.com/api/reference/resources/audio (transcriptions, translations and
speech), the types of openai-python 3.54 (``ImagesResponse``, ``ImageGenCompletedEvent``,
``ImageEditCompletedEvent``, ``Transcription``, ``TranscriptionTextDoneEvent``), and recorded
traffic of images and transcriptions. The name of the last speech event, ``speech.audio.done``, is
from OpenAI's OpenAPI description, version 2.3.0.

Counting: the four share one ``usage``: inclusive totals, with ``input_tokens_details`` or, for
audio, ``input_token_details``. What is billed otherwise has no tokens and is among the other
counts: the ``seconds`` of a transcription, which OpenAI rounds up (its example bills 8.47 seconds
as 9), so a fraction counts as a whole one here too; the ``images`` of an answer without usage
(DALL-E). A stream ends with one event that carries the usage; an image is streamed alone (``n`` is
1). Speech is audio and a transcription may be plain text; these do not say what they used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, billable, decode, error_code
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import Usage

_EVENTS = ("image_generation.", "image_edit.", "transcript.", "speech.")
_ENDS = (".completed", ".done")

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**53 - 1)]


class _Asked(Asked, frozen=True, gc=False):
    stream_format: str | None = None

    def __post_init__(self) -> None:
        if self.stream_format == "sse":  # how a request for speech asks for a stream
            msgspec.structs.force_setattr(self, "stream", True)


class _Details(msgspec.Struct):
    cached_tokens: Count | None = None
    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


_NO_DETAILS = _Details()


class _Usage(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_tokens_details: _Details | None = None
    seconds: _Seconds | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is a usage of OpenAI's and not one with names of another vendor."""
        return any(n is not None for n in (self.input_tokens, self.output_tokens, self.seconds))


class _SvgUsage(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Image(msgspec.Struct):
    pass


class _Body(msgspec.Struct):
    type: str | None = None
    data: list[_Image] | None = None
    text: str | None = None
    usage: _Usage | None = None
    svg_usage: _SvgUsage | None = None
    error: ErrorBody | None = None
    streamed: bool = False


class OpenAIMedia(Dialect):
    """Read images, transcriptions, translations and speech."""

    name = "openai_media"
    media = True
    marks = (b'"usage"', b'.completed"', b'.done"', b'"error"')

    request = msgspec.json.Decoder(_Asked)
    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Take what an event says; only the last one has a usage."""
        body = body or _Body(streamed=True)
        if not data.startswith(b"{"):  # some end with [DONE]
            return body
        event = decode(self.answer, data)
        if event.error is not None:
            body.error = event.error
            return body
        body.type = event.type or body.type
        body.usage = event.usage or body.usage
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        ended = (body.type or "").endswith(_ENDS) if body.streamed else _is_answer(body)
        return Reading(
            recognised=(body.type or "").startswith(_EVENTS) or _is_answer(body),
            usage=_usage(body),
            status="failed" if body.error else "completed" if ended else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what is to be spoken, or drawn; uploads are not read."""
        asked = decode(_REQUEST, request)
        texts = (asked.input, asked.prompt, asked.instructions)
        return Prompt(texts=tuple([text for text in texts if text]))

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what was heard; what was drawn or spoken is nothing that can be counted."""
        if not data.lstrip().startswith(b"{"):
            return
        event = decode(_HEARD, data)
        if event.type == "transcript.text.delta":
            yield Piece("text", "0", event.delta or "")
        elif event.usage is not None and event.usage.type == "tokens" and event.type is None:
            yield Piece("text", "0", event.text) if event.text else Piece("other", "0", "")
        elif event.type is not None and event.type.endswith(_MADE):
            yield Piece("other", "0", "")


class _Request(msgspec.Struct):
    input: str | None = None
    prompt: str | None = None
    instructions: str | None = None


class _Counted(msgspec.Struct):
    type: str = "tokens"  # or "duration"


class _Heard(msgspec.Struct):
    type: str | None = None
    delta: str | None = None
    text: str | None = None
    usage: _Counted | None = None


_REQUEST, _HEARD = msgspec.json.Decoder(_Request), msgspec.json.Decoder(_Heard)
_MADE = (".partial_image", ".audio.delta")


def _is_answer(body: _Body) -> bool:
    if body.usage is not None:
        return body.usage.is_known
    return body.data is not None or body.text is not None


def _usage(body: _Body) -> Usage:
    usage = body.usage or _Usage()
    read = usage.input_tokens_details or usage.input_token_details or _NO_DETAILS
    made = usage.output_tokens_details or _NO_DETAILS
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read.cached_tokens,
        input_text_tokens=read.text_tokens,
        input_audio_tokens=read.audio_tokens,
        input_image_tokens=read.image_tokens,
        output_text_tokens=made.text_tokens,
        output_audio_tokens=made.audio_tokens,
        output_image_tokens=made.image_tokens,
        other_counts=_others(body),
    )


def _others(body: _Body) -> dict[str, int] | None:
    """Give what is billed, and is no token of the model that was asked."""
    seconds = body.usage.seconds if body.usage else None
    drawn = body.svg_usage or _SvgUsage()  # of another model, which wrote the drawing
    counts = {
        "seconds": None if seconds is None else math.ceil(seconds),
        "images": len(body.data) if body.data and body.usage is None else None,
        "svg_usage.input_tokens": drawn.input_tokens,
        "svg_usage.output_tokens": drawn.output_tokens,
    }
    return billable(**counts)
