"""IBM watsonx.ai: text generation, chat, embeddings and reranking.

Sources, read 2026-11-22: https://ibm.github.io/watsonx-ai-node-sdk/,
https://apis.apis.io/apis/international-business-machines/watsonx-ai/, what clients read of
embeddings and rerankings (https://github.com/BerriAI/litellm, ``llms/watsonx``), and recorded
traffic of text generation.

Counting: ``input_token_count`` and ``generated_token_count`` are inclusive. In a stream the input
is stated once and is 0 in every later event, the output is cumulative, and the stop reason is
``not_finished`` until the last event; there is no other end. Chat is OpenAI's. The model is
``model_id`` in requests and answers. Errors are a list, ``errors``, in a stream too
(https://github.com/langchain-ai/langchainjs/pull/10721).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, decode, error_code
from tokenmeter.dialects.openai_chat import ChatBody, OpenAIChat
from tokenmeter.event import Usage


class _Asked(Asked, frozen=True, gc=False):
    model: str | None = msgspec.field(default=None, name="model_id")


_REQUEST: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(_Asked)
_RUNNING = "not_finished"


class _Result(msgspec.Struct):
    input_token_count: Count | None = None
    generated_token_count: Count | None = None
    stop_reason: str | None = None


class _Body(msgspec.Struct):
    model_id: str | None = None
    results: list[_Result] | None = None
    errors: list[ErrorBody] | None = None
    input_token_count: Count | None = None


class _ChatBody(ChatBody):
    errors: list[ErrorBody] | None = None

    def __post_init__(self) -> None:
        self.error = self.error or next(iter(self.errors or ()), None)


class _Parameters(msgspec.Struct):
    max_new_tokens: Count | None = None
    prompt_variables: dict[str, Any] | None = None


class _Text(msgspec.Struct):
    text: str | None = None


class _Given(msgspec.Struct):
    input: str | None = None
    inputs: list[str | _Text] | None = None
    query: str | None = None
    parameters: _Parameters | None = None


class _Made(msgspec.Struct):
    generated_text: str | None = None


class _Said(msgspec.Struct):
    results: list[_Made] | None = None


_GIVEN, _SAID = msgspec.json.Decoder(_Given), msgspec.json.Decoder(_Said)


class WatsonxText(Dialect):
    """Read text generation, plain and streamed."""

    name = "watsonx_text"

    request = _REQUEST
    answer = msgspec.json.Decoder(_Body)

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one event over the events before it; an input of 0 says nothing new."""
        event: _Body = decode(self.answer, data)
        if body is None:
            return event
        body.errors = event.errors or body.errors
        pairs = zip(body.results or (), event.results or (), strict=False)
        for old, new in pairs:
            if not new.input_token_count and old.input_token_count is not None:
                new.input_token_count = old.input_token_count
            if new.generated_token_count is None:
                new.generated_token_count = old.generated_token_count
        body.results = event.results or body.results
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: add the results of one request up."""
        results = body.results or ()
        stops = tuple(one.stop_reason for one in results if one.stop_reason)
        ended = bool(stops) and _RUNNING not in stops
        failed = bool(body.errors)
        return Reading(
            recognised=any(one.generated_token_count is not None for one in results),
            model=body.model_id or None,
            finish_reasons=stops if ended else None,
            usage=Usage(
                input_tokens=_total([one.input_token_count for one in results]),
                output_tokens=_total([one.generated_token_count for one in results]),
            ),
            status="failed" if failed else "completed" if ended else None,
            error_type=error_code(body.errors[0], "error") if body.errors else None,
            final=ended,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read; variables are of a prompt that IBM keeps."""
        given = decode(_GIVEN, request)
        more = given.parameters or _Parameters()
        return Prompt(
            texts=(given.input,) if given.input else (),
            limit=more.max_new_tokens,
            elsewhere=("prompt_variables",) if more.prompt_variables else (),
        )

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in one event, or in a plain answer."""
        made = enumerate(decode(_SAID, data).results or ())
        return [Piece("text", str(n), one.generated_text) for n, one in made if one.generated_text]


class WatsonxChat(OpenAIChat):
    """Read chat: OpenAI's answers, beside requests and errors of watsonx."""

    name = "watsonx_chat"
    marks = (*OpenAIChat.marks, b'"errors"')

    request = _REQUEST
    answer = msgspec.json.Decoder(_ChatBody)


class WatsonxInput(Dialect):
    """Read embeddings and rerankings: input only."""

    name = "watsonx_input"
    counts_output = False

    request = _REQUEST
    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: the count stands beside the results."""
        return Reading(
            recognised=body.results is not None and body.input_token_count is not None,
            model=body.model_id or None,
            usage=Usage(input_tokens=body.input_token_count),
            status="failed" if body.errors else "completed",
            error_type=error_code(body.errors[0], "error") if body.errors else None,
            final=not body.errors,
        )

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read, each text with a query if there is one."""
        given = decode(_GIVEN, request)
        texts = [one if isinstance(one, str) else one.text for one in given.inputs or ()]
        pairs = [text for one in texts for text in (given.query, one) if text]
        return Prompt(texts=tuple(pairs))


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
