"""Aleph Alpha's complete.

Sources, read 2026-11-22: the tests of the vendor's clients
(https://github.com/Aleph-Alpha/aleph-alpha-client, for ``best_of``, and the one for Rust, for
streams), and one recorded answer.

Counting: ``num_tokens_prompt_total`` is the prompt times ``best_of``, ``num_tokens_generated`` is
all that was generated, also what ``best_of`` threw away. A stream reports both in its last event,
``completion_summary``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Image, Message, Piece, Prompt
from tokenmeter.dialects.fields import Count, decode, identifier
from tokenmeter.event import Usage

_DONE = b"[DONE]"
_EVENTS = ("stream_chunk", "stream_summary", "completion_summary")


class _Completion(msgspec.Struct):
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    type: str | None = None
    model_version: str | None = None
    completions: list[_Completion] | None = None
    finish_reason: str | None = None
    num_tokens_prompt_total: Count | None = None
    num_tokens_generated: Count | None = None
    error: str | None = None
    code: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    data: str | list[int] | None = None


class _Asked(msgspec.Struct):
    prompt: str | list[_Item] | None = None
    maximum_tokens: Count | None = None
    n: Count | None = None
    best_of: Count | None = None


class _Made(msgspec.Struct):
    completion: str | None = None


class _Said(_Made):
    index: int | None = None
    completions: list[_Made] | None = None


_ASKED, _SAID = msgspec.json.Decoder(_Asked), msgspec.json.Decoder(_Said)


class AlephAlpha(Dialect):
    """Read completions."""

    name = "aleph_alpha"
    marks = (b'_summary"', b'"error"')

    answer = msgspec.json.Decoder(_Body)

    def fold(self, body: _Body | None, data: bytes) -> _Body | None:
        """Lay one event over the events before it; each completion has a summary of its own."""
        if data.startswith(_DONE):
            return body
        event, body = decode(self.answer, data), body or _Body(completions=[])
        body.type = event.type or body.type
        body.model_version = event.model_version or body.model_version
        if event.finish_reason:
            ended = _Completion(event.finish_reason)
            body.completions = [*(body.completions or ()), ended]
        if event.type == "completion_summary":
            body.num_tokens_prompt_total = event.num_tokens_prompt_total
            body.num_tokens_generated = event.num_tokens_generated
        body.error, body.code = event.error or body.error, event.code or body.code
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: the counts are inclusive already."""
        reasons = tuple([one.finish_reason for one in body.completions or () if one.finish_reason])
        counted = body.num_tokens_generated is not None
        ended = counted or (body.type is None and bool(reasons))
        failed = body.error is not None
        return Reading(
            recognised=counted or body.type in _EVENTS,
            model=body.model_version or None,
            finish_reasons=reasons or None,
            usage=Usage(
                input_tokens=body.num_tokens_prompt_total,
                output_tokens=body.num_tokens_generated,
            ),
            status="failed" if failed else "completed" if ended else None,
            error_type=(identifier(body.code) or "error") if failed else None,
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read: texts, images, tokens."""
        asked = decode(_ASKED, request)
        given = asked.prompt
        items = [_Item("text", given)] if isinstance(given, str) else given or []
        images = tuple([Image(data) for data in _texts(items, "image")])
        return Prompt(
            messages=(Message("input", images),) if images else (),
            texts=tuple(_texts(items, "text")),
            ids=sum(len(item.data) for item in items if isinstance(item.data, list)),
            choices=max(1, asked.n or 1, asked.best_of or 1),
            limit=asked.maximum_tokens,
        )

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in every completion of an answer."""
        if data.startswith(_DONE):
            return ()
        said = decode(_SAID, data)
        if said.completion:
            return (Piece("text", str(said.index or 0), said.completion),)
        made = enumerate(said.completions or ())
        return [Piece("text", str(n), one.completion) for n, one in made if one.completion]


def _texts(items: list[_Item], kind: str) -> Iterator[str]:
    return (item.data for item in items if item.type == kind and isinstance(item.data, str))
