"""Hugging Face text generation: TGI's ``/generate``, ``/generate_stream`` and ``/models/X``.

Sources, read 2026-11-22:
https://huggingface.co/docs/huggingface.js/inference/interfaces/TextGenerationStreamDetails,
https://app.unpkg.com/@huggingface/tasks@0.19.78 (``stream_output.json``), and the router of LoRAX
(https://github.com/predibase/lorax), a fork of TGI, which sets the headers.

Counting: ``details`` are there only when the request asks for them. ``generated_tokens`` is the
output of one sequence; those of ``best_of_sequences`` come on top. The input is ``input_length``
(TGI) or ``prompt_tokens`` (LoRAX), else the length of ``prefill`` where that was asked for, else
the header ``x-prompt-tokens``, which a plain answer has beside ``x-generated-tokens``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, decode, identifier
from tokenmeter.event import Usage

_INPUT, _OUTPUT, _MODEL = "x-prompt-tokens", "x-generated-tokens", "x-model-id"


class _Token(msgspec.Struct):
    id: int | None = None


class _Sequence(msgspec.Struct):
    finish_reason: str | None = None
    generated_tokens: Count | None = None


class _Details(msgspec.Struct):
    finish_reason: str | None = None
    generated_tokens: Count | None = None
    input_length: Count | None = None
    prompt_tokens: Count | None = None
    prefill: list[_Token] | None = None
    best_of_sequences: list[_Sequence] | None = None


class _Body(msgspec.Struct):
    generated_text: str | None = None
    token: _Token | None = None
    details: _Details | None = None
    error: str | None = None
    error_type: str | None = None


_NO_DETAILS = _Details()


class _Parameters(msgspec.Struct):
    max_new_tokens: Count | None = None
    best_of: Count | None = None


class _Asked(msgspec.Struct):
    inputs: str | None = None
    parameters: _Parameters | None = None


class _Made(msgspec.Struct):
    text: str | None = None
    special: bool | None = None


class _Other(msgspec.Struct):
    generated_text: str | None = None


class _Others(msgspec.Struct):
    best_of_sequences: list[_Other] | None = None


class _Said(msgspec.Struct):
    generated_text: str | None = None
    token: _Made | None = None
    details: _Others | None = None


_ASKED, _SAID = msgspec.json.Decoder(_Asked), msgspec.json.Decoder(_Said)


class TextGeneration(Dialect):
    """Read text generation."""

    name = "huggingface_text_generation"
    marks = (b'"generated_text":"', b'"generated_text": "', b'"error"')
    headers = (_INPUT, _OUTPUT, _MODEL)

    answer = msgspec.json.Decoder(_Body)

    def reading(self, body: _Body) -> Reading:
        """Normalise: add the sequences that were generated beside the best one."""
        details = body.details or _NO_DETAILS
        others = details.best_of_sequences or []
        made = [details.generated_tokens, *(other.generated_tokens for other in others)]
        known = [count for count in made if count is not None]
        failed, ended = body.error is not None, body.generated_text is not None
        prefill = len(details.prefill) if details.prefill else None
        stated = (details.input_length, details.prompt_tokens, prefill)
        return Reading(
            recognised=ended or (body.token is not None and body.token.id is not None),
            finish_reasons=(details.finish_reason,) if details.finish_reason else None,
            usage=Usage(
                input_tokens=next((count for count in stated if count is not None), None),
                output_tokens=sum(known) if known else None,
            ),
            status="failed" if failed else "completed" if ended else None,
            error_type=(identifier(body.error_type) or "error") if failed else None,
            final=ended,
        )

    def headed(self, reading: Reading, headers: Mapping[str, str | None]) -> Reading:
        """Take from the headers what the body leaves open."""
        usage = reading.usage
        if usage.input_tokens is None:
            usage = replace(usage, input_tokens=_count(headers[_INPUT]))
        if usage.output_tokens is None:
            usage = replace(usage, output_tokens=_count(headers[_OUTPUT]))
        return replace(reading, usage=usage, model=reading.model or headers[_MODEL])

    def prompt(self, request: bytes) -> Prompt:
        """Say what a request gives the model to read."""
        asked = decode(_ASKED, request)
        given = asked.parameters or _Parameters()
        return Prompt(
            texts=(asked.inputs,) if asked.inputs else (),
            choices=given.best_of or 1,
            limit=given.max_new_tokens,
        )

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give one token, or what was generated; the last event of a stream repeats it all."""
        said = decode(_SAID, data)
        if said.token is not None:
            texts = [None if said.token.special else said.token.text]
        else:
            others = said.details.best_of_sequences if said.details else None
            texts = [said.generated_text, *(other.generated_text for other in others or ())]
        return [Piece("text", str(n), text) for n, text in enumerate(texts) if text]


def _count(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() else None
