"""Ollama's own format: chat, generate and embeddings.

Sources, read 2026-11-22: https://docs.ollama.com/api/usage,
https://github.com/ollama/ollama/blob/main/docs/api.md,
https://github.com/ollama/ollama/blob/main/docs/api/errors.mdx, and recorded traffic.

Counting: ``prompt_eval_count`` is the whole prompt, ``prompt_eval_cached_count`` the part of it
that came from the cache; ``eval_count`` is all output, thinking included. Servers of 2024 leave
``prompt_eval_count`` out when all of the prompt was cached: that is unknown, not zero.

A stream is lines of JSON; the line with ``done`` carries the counts. A request that does not say
``stream`` asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count
from tokenmeter.event import Usage


class _Asked(Asked, frozen=True, gc=False):
    stream: bool | None = True


class _Message(msgspec.Struct):
    role: str | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    message: _Message | None = None
    response: str | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Count | None = None
    prompt_eval_cached_count: Count | None = None
    eval_count: Count | None = None
    error: str | None = None


class Ollama(Dialect):
    """Read chat and generate."""

    name = "ollama"
    marks = (b'"done":true', b'"done": true', b'"error"')

    request = msgspec.json.Decoder(_Asked)
    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: Ollama's counts are inclusive already."""
        failed = body.error is not None
        said = body.message is not None or body.response is not None
        return Reading(
            recognised=body.done is not None and body.model is not None and said,
            model=body.model or None,
            finish_reasons=(body.done_reason,) if body.done_reason else None,
            usage=Usage(
                input_tokens=body.prompt_eval_count,
                output_tokens=body.eval_count,
                cache_read_tokens=body.prompt_eval_cached_count,
            ),
            status="failed" if failed else "completed" if body.done else None,
            error_type="error" if failed else None,
            final=bool(body.done),
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import ollama_content

        return ollama_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one line, or in a plain answer."""
        from tokenmeter.dialects import ollama_content

        return ollama_content.pieces(data)


class _Array(msgspec.Struct, array_like=True):
    """Any array; what stands in it is skipped."""


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None


class _Vectors(msgspec.Struct):
    model: str | None = None
    embeddings: _Array | None = None
    embedding: _Array | None = None
    prompt_eval_count: Count | None = None
    # what gateways that have the same path say, in OpenAI's words
    object: str | None = None
    usage: _Usage | None = None


class OllamaEmbed(Dialect):
    """Read embeddings of both versions; the older one reports nothing."""

    name = "ollama_embed"
    counts_output = False

    answer = msgspec.json.Decoder(_Vectors)

    def reading(self, body: _Vectors) -> Reading:
        """Normalise: input only."""
        count = body.prompt_eval_count
        if count is None and body.usage is not None:
            count = body.usage.prompt_tokens
        vectors = body.embeddings or body.embedding
        return Reading(
            recognised=vectors is not None or body.object == "list",
            model=body.model or None,
            usage=Usage(input_tokens=count),
            status="completed",
            final=True,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import ollama_content

        return ollama_content.texts(request)
