"""Replicate's predictions: created by one request, often fetched by others.

Sources, read 2026-11-22: https://replicate.com/docs/topics/predictions/create-a-prediction, Cog's
notes on ``metrics`` (https://github.com/replicate), and one recorded creation.

Counting: only official language models report tokens, as ``metrics.input_token_count`` and
``metrics.output_token_count``, once a prediction is over; for all others both are unknown. A
prediction that was created and is not over is pending; the request that first shows it over counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Image, Message, Part, Piece, Prompt, Text
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.event import Status, Usage

_STATUSES: dict[str, Status] = {
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "abandoned",
    "aborted": "abandoned",
}
_PENDING = ("starting", "processing")


class _Asked(Asked, frozen=True, gc=False):
    model: str | None = msgspec.field(default=None, name="version")


class _Urls(msgspec.Struct):
    get: str | None = None


class _Metrics(msgspec.Struct):
    input_token_count: Count | None = None
    output_token_count: Count | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    urls: _Urls | None = None
    metrics: _Metrics | None = None


_NO_METRICS = _Metrics()


class _Input(msgspec.Struct):
    """What official language models call what they take; each model has words of its own."""

    prompt: str | None = None
    system_prompt: str | None = None
    image: str | None = None
    images: list[str] | None = None
    image_input: list[str] | None = None
    max_new_tokens: Count | None = None
    max_length: Count | None = None


class _Given(msgspec.Struct):
    input: dict[str, Any] | None = None


class _Made(msgspec.Struct):
    output: str | list[str] | None = None


_GIVEN, _INPUT = msgspec.json.Decoder(_Given), msgspec.json.Decoder(_Input)
_MADE = msgspec.json.Decoder(_Made)
_FILES = ("https://", "data:")


class Replicate(Dialect):
    """Read predictions."""

    name = "replicate"

    request: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(_Asked)
    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: a prediction counts when it is over."""
        metrics = body.metrics or _NO_METRICS
        status = _STATUSES.get(body.status or "")
        known = status is not None or body.status in _PENDING
        return Reading(
            recognised=known and body.urls is not None and body.urls.get is not None,
            model=body.model or None,
            response_id=body.id or None,
            finish_reasons=(body.status,) if status and body.status else None,
            usage=Usage(
                input_tokens=metrics.input_token_count,
                output_tokens=metrics.output_token_count,
            ),
            status=status,
            error_type="error" if status == "failed" else None,
            final=status is not None,
            pending=body.status in _PENDING,
            background=True,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read; much of it has OpenAI's names."""
        from tokenmeter.dialects import openai_chat_content

        given = msgspec.json.encode(decode(_GIVEN, request).input or {})
        own, said = decode(_INPUT, given), openai_chat_content.prompt(given)
        limits = (said.limit, own.max_new_tokens, own.max_length)
        return msgspec.structs.replace(
            said,
            messages=(*_messages(own), *said.messages),
            texts=(),
            limit=next((limit for limit in limits if limit is not None), None),
        )

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote; what it made otherwise is the address of a file."""
        if not data.startswith(b"{"):
            return ()
        output = decode(_MADE, data).output
        text = output if isinstance(output, str) else "".join(output or ())
        if text.startswith(_FILES) and " " not in text:
            return (Piece("other", "0", ""),)
        return (Piece("text", "0", text),) if text else ()


def _messages(given: _Input) -> Iterator[Message]:
    if given.system_prompt:
        yield Message("system", (Text(given.system_prompt),))
    images = filter(None, (given.image, *(given.images or ()), *(given.image_input or ())))
    parts: list[Part] = [*map(Image, images), *([Text(given.prompt)] if given.prompt else [])]
    if parts:
        yield Message("user", tuple(parts))
