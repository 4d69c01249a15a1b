"""Cloudflare's own way to run a text model of Workers AI: ``/ai/run/{model}``.

Sources, read 2026-11-22: https://developers.cloudflare.com/workers-ai/get-started/rest-api/ and
https://developers.cloudflare.com/workers-ai/models/ (the schema of each text model's output). Not
proved on recorded traffic.

Counting: OpenAI's names and totals. A plain answer is wrapped in ``result``; the events of a stream
are not, the last one carries the usage, and the end is ``[DONE]``. The model stands in the path.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, decode, overlay
from tokenmeter.event import NOTHING, Usage

_DONE = b"[DONE]"


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class _Result(msgspec.Struct):
    usage: _Usage | None = None


class _Error(msgspec.Struct):
    code: int | None = None


class _Body(msgspec.Struct):
    result: _Result | None = None
    success: bool | None = None
    errors: list[_Error] | None = None
    usage: _Usage | None = None
    done: bool = False


class CloudflareRun(Dialect):
    """Read the answers of text models."""

    name = "cloudflare_run"
    marks = (b'"usage":{', b'"usage": {', b'"errors"', _DONE)

    answer = msgspec.json.Decoder(_Body)

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one event over the events before it."""
        body = body or _Body()
        if data.startswith(_DONE):
            body.done = True
            return body
        event = decode(self.answer, data)
        body.usage = overlay(body.usage, event.usage)
        body.errors = event.errors or body.errors
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: OpenAI's totals are inclusive already."""
        usage = body.result.usage if body.result else body.usage
        failed = body.success is False or bool(body.errors)
        done = body.done or body.success is True
        codes = (str(error.code) for error in body.errors or () if error.code)
        return Reading(
            recognised=usage is not None,
            usage=NOTHING if usage is None else _usage(usage),
            status="failed" if failed else "completed" if done else None,
            error_type=next(codes, "error") if failed else None,
            final=done,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import cloudflare_run_content

        return cloudflare_run_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        from tokenmeter.dialects import cloudflare_run_content

        return cloudflare_run_content.pieces(data)


def _usage(usage: _Usage) -> Usage:
    return Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
