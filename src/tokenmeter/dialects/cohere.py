"""Cohere's own formats: chat (v1 and v2), generate and embed.

Sources, read 2026-11-22: https://docs.cohere.com/v1/reference/embed,
https://docs.cohere.com/docs/how-does-cohere-pricing-work, the types that Cohere generates from its
API definition (https://github.com/cohere-ai/cohere-python, 7.3: ``Usage``, ``ApiMeta``,
``FinishReason`` and the events of streams), and recorded traffic.

Counting: Cohere reports ``tokens``, all that the model saw with Cohere's own preamble, and
``billed_units``, what is paid for. Billed units win, each side alone. ``cached_tokens`` and
``tokens.image_tokens`` are stated beside ``tokens``: images are outside ``tokens.input_tokens`` and
inside ``billed_units.input_tokens`` (501 + 518 against 522, in recorded traffic). Where the
two bases differ, cached tokens are no part of the billed input and stand in ``other_counts``.

A v1 stream is lines of JSON that end with the whole answer, a v2 stream server-sent events whose
``message-end`` reports once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, billable, decode, identifier, overlay
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Status, Usage

_DONE = b"[DONE]"

_BROKEN: dict[str, Status] = {"ERROR": "failed", "TIMEOUT": "failed", "USER_CANCEL": "abandoned"}
"""Finish reasons of answers that were not finished; any other reason is an end like a limit."""


class _Billed(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    image_tokens: Count | None = None
    images: Count | None = None
    search_units: Count | None = None
    classifications: Count | None = None


class _Tokens(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    image_tokens: Count | None = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None
    tokens: _Tokens | None = None
    cached_tokens: Count | None = None


class _Message(msgspec.Struct):
    role: str | None = None


class _Generation(msgspec.Struct):
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    response_id: str | None = None
    generation_id: str | None = None
    message: _Message | None = None
    generations: list[_Generation] | None = None
    finish_reason: str | None = None
    error_type: str | None = None
    usage: _Meta | None = None
    meta: _Meta | None = None
    # stream events: what the end says stands in one of the two
    type: str | None = None
    event_type: str | None = None
    delta: _Body | None = None
    response: _Body | None = None


_NO_META, _NO_BILLED, _NO_TOKENS = _Meta(), _Billed(), _Tokens()


class CohereChat(Dialect):
    """Read chat of both versions, and generate."""

    name = "cohere_chat"
    marks = (b'"finish_reason"', b'"message-end"', b'"stream-end"')

    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body | None:
        """Lay one event, and what it carries, over the events before it."""
        if data.startswith(_DONE):
            return body
        event = decode(self.answer, data)
        carried, event.delta, event.response = event.delta or event.response, None, None
        return overlay(overlay(body, event), carried)

    def reading(self, body: _Body) -> Reading:
        """Normalise: billed units beat tokens."""
        meta = body.usage or body.meta
        reasons = _finish_reasons(body)
        streamed = body.type or body.event_type
        ended = bool(reasons) or (meta is not None and not streamed)
        broken = next((reason for reason in reasons if reason in _BROKEN), None)
        failed: Status | None = "failed" if body.error_type else None
        return Reading(
            recognised=_is_cohere(body, meta),
            response_id=body.response_id or body.id or body.generation_id or None,
            finish_reasons=reasons or None,
            usage=NOTHING if meta is None else _usage(meta),
            status=failed or (_BROKEN[broken] if broken else "completed" if ended else None),
            error_type=identifier(body.error_type) or broken or (failed and "error"),
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import cohere_content

        return cohere_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        from tokenmeter.dialects import cohere_content

        return cohere_content.pieces(data)


class CohereEmbed(Dialect):
    """Read embeddings of both versions."""

    name = "cohere_embed"
    counts_output = False

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: input only."""
        return Reading(
            recognised=_is_meta(body.meta),
            response_id=body.id or None,
            usage=NOTHING if body.meta is None else _usage(body.meta),
            status="completed",
            final=True,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import cohere_content

        return cohere_content.prompt(request)


def _finish_reasons(body: _Body) -> tuple[str, ...]:
    of_all = (body.finish_reason, *(made.finish_reason for made in body.generations or ()))
    reasons = tuple(reason for reason in of_all if reason)
    return reasons[1:] if body.finish_reason and body.generations else reasons


def _is_cohere(body: _Body, meta: _Meta | None) -> bool:
    """Tell Cohere's answers from those of others who have such a path too."""
    event = body.type or body.event_type or ""
    return (
        _is_meta(meta)
        or event.startswith(("message-", "stream-", "text-generation"))
        or body.generation_id is not None
        or (body.message is not None and body.finish_reason is not None)
    )


def _is_meta(meta: _Meta | None) -> bool:
    return meta is not None and (meta.billed_units is not None or meta.tokens is not None)


def _usage(meta: _Meta) -> Usage:
    billed, seen = meta.billed_units or _NO_BILLED, meta.tokens or _NO_TOKENS
    all_input = seen.input_tokens
    if all_input is not None:
        all_input += seen.image_tokens or 0
    input_tokens = all_input if billed.input_tokens is None else billed.input_tokens
    cached = meta.cached_tokens
    one_base = input_tokens == all_input or not cached
    return Usage(
        input_tokens=input_tokens,
        output_tokens=(
            seen.output_tokens if billed.output_tokens is None else billed.output_tokens
        ),
        cache_read_tokens=cached if one_base else None,
        input_image_tokens=seen.image_tokens,
        other_counts=billable(
            cached_tokens=None if one_base else cached,
            image_tokens=billed.image_tokens,
            images=billed.images,
            search_units=billed.search_units,
            classifications=billed.classifications,
        ),
    )
