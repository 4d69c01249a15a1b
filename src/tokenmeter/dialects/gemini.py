"""Gemini's generateContent and streamGenerateContent, on AI Studio and on Vertex AI.

Sources, read 2026-11-22:
https://googleapis.github.io/js-genai/release_docs/classes/types.GenerateContentResponseUsageMetadata.html,
https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/ModalityTokenCount and
https://ai.google.dev/gemini-api/docs/tokens, the types of google-genai 3.4, and recorded traffic.

Counting: ``promptTokenCount`` contains cached tokens; ``toolUsePromptTokenCount`` (what tools gave
back to the model) is further input and ``thoughtsTokenCount`` further output, so both are added.
A count that is zero is left out: the total tells a zero from an unknown.

Each chunk of a stream reports the usage so far; the last report stands as a whole. It is not laid
over the ones before it: where the model ran tools inside one stream, the last chunk leaves out
``candidatesTokenCount`` that chunks before it had (recorded). The end is a finish reason, or the
reason why the prompt was blocked; there is no other terminal event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tokenmeter.dialects import Asked, Dialect, Reading
from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import Count, ErrorBody, billable, decode, error_code
from tokenmeter.dialects.whom import said as said_by_request
from tokenmeter.event import NOTHING, Usage

Named = str | int
"""A name out of an enumeration, or its number: ``$alt=json;enum-encoding=int`` asks for numbers."""

_MODALITIES: dict[Named, str] = {
    0: "TEXT",
    1: "TEXT",
    2: "IMAGE",
    3: "VIDEO",
    4: "AUDIO",
    5: "DOCUMENT",
    "MODALITY_UNSPECIFIED": "TEXT",  # is treated as text
}
_FINISH_REASONS: dict[Named, str] = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
}
"""Numbers that mean the same on AI Studio and on Vertex AI; above them the two differ."""

_TRAFFIC: dict[Named, str] = {1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}

_TIER = "x-gemini-service-tier"
"""The tier that served: https://ai.google.dev/gemini-api/docs/priority-inference (2026-11-23)."""

COLUMNS = ("TEXT", "AUDIO", "IMAGE")
"""Modalities that have a column of their own."""


class ModalityTokens(msgspec.Struct):
    """Tokens of one modality."""

    modality: Named | None = None
    tokens: Count | None = msgspec.field(default=None, name="tokenCount")


class InPath(Asked, frozen=True):
    """What a request asks for whose model stands in the path; a body may repeat the path."""

    model: str | None = msgspec.field(default=None, name="model of the path")


class _UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: list[ModalityTokens] | None = None
    tool_use_prompt_tokens_details: list[ModalityTokens] | None = None
    candidates_tokens_details: list[ModalityTokens] | None = None
    cache_tokens_details: list[ModalityTokens] | None = None
    service_tier: str | None = None
    traffic_type: Named | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    finish_reason: Named | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: Named | None = None


class _Body(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: _UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: ErrorBody | None = None
    streamed: bool = False


class Gemini(Dialect):
    """Read generateContent and streamGenerateContent."""

    name = "gemini"
    marks = (b'"usageMetadata"', b'"finishReason"', b'"promptFeedback"', b'"error"')
    headers = (_TIER,)

    request: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(InPath)
    answer = msgspec.json.Decoder(_Body)
    whom = said_by_request

    def fold(self, body: _Body | None, data: bytes) -> _Body:
        """Lay one chunk over the chunks before it; the newest usage replaces the older one."""
        body = body or _Body(streamed=True)
        chunk = decode(self.answer, data)
        if chunk.candidates is not None:
            ended = [c for c in chunk.candidates if c.finish_reason]
            body.candidates = (body.candidates or []) + ended
        body.prompt_feedback = chunk.prompt_feedback or body.prompt_feedback
        body.model_version = chunk.model_version or body.model_version
        body.response_id = chunk.response_id or body.response_id
        body.error = chunk.error or body.error
        if chunk.usage_metadata is not None and (
            body.usage_metadata is None or chunk.usage_metadata.prompt_token_count is not None
        ):  # Vertex AI names the traffic alone in some chunks
            body.usage_metadata = chunk.usage_metadata
        return body

    def reading(self, body: _Body) -> Reading:
        """Normalise: add tool results to the input and thoughts to the output."""
        said, reasons = body.usage_metadata, _finish_reasons(body)
        known = body.candidates is not None or body.prompt_feedback is not None or said is not None
        ended = reasons is not None if body.streamed else known
        return Reading(
            recognised=known and body.error is None,
            model=body.model_version or None,
            response_id=body.response_id or None,
            finish_reasons=reasons,
            service_tier=None if said is None else _tier(said),
            usage=NOTHING if said is None else _usage(said),
            status="failed" if body.error else "completed" if ended else None,
            error_type=error_code(body.error, "error") if body.error else None,
            final=ended and body.error is None,
            input_final=ended or said is None,  # what tools and functions add comes late (recorded)
        )

    def headed(self, reading: Reading, headers: Mapping[str, str | None]) -> Reading:
        """Take the tier from the headers where the usage does not name it."""
        if reading.service_tier or not headers[_TIER]:
            return reading
        return msgspec.structs.replace(reading, service_tier=headers[_TIER])

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read."""
        from tokenmeter.dialects import gemini_content

        return gemini_content.prompt(request)

    def pieces(self, data: bytes) -> Iterable[Piece]:
        """Give what the model wrote in a chunk, or in a whole answer."""
        from tokenmeter.dialects import gemini_content

        return gemini_content.pieces(data)


class GeminiOnVertex(Gemini):
    """Read them on Vertex AI, where the same models count functions otherwise."""

    def prompt(self, request: bytes) -> Prompt | None:
        """Say what a request gives the model to read, and that it is read on Vertex AI."""
        from tokenmeter.dialects import gemini_content

        return msgspec.structs.replace(gemini_content.prompt(request), form="vertex_ai")


def by_modality(*reports: Sequence[ModalityTokens] | None) -> dict[str, int]:
    """Add up reports by the name of the modality."""
    sums: dict[str, int] = {}
    for report in reports:
        for part in report or ():
            if part.modality is not None and part.tokens is not None:
                name = _name(part.modality, _MODALITIES)
                sums[name] = sums.get(name, 0) + part.tokens
    return sums


def without_column(
    report: str, tokens: Mapping[str, int], columns: tuple[str, ...]
) -> dict[str, int]:
    """Give the modalities that no column holds, named after the report that they stand in."""
    return {f"{report}.{name}": count for name, count in tokens.items() if name not in columns}


def plus(whole: int | None, beside: int | None) -> int | None:
    """Add what is counted beside a number; unknown where the number is."""
    return None if whole is None else whole + (beside or 0)


def _name(value: Named, names: Mapping[Named, str]) -> str:
    return names.get(value, str(value))


def _finish_reasons(body: _Body) -> tuple[str, ...] | None:
    reasons = [c.finish_reason for c in body.candidates or () if c.finish_reason]
    if body.prompt_feedback is not None and body.prompt_feedback.block_reason:
        reasons.append(str(body.prompt_feedback.block_reason))
    return tuple([_name(reason, _FINISH_REASONS) for reason in reasons]) or None


def _tier(said: _UsageMetadata) -> str | None:
    traffic = said.traffic_type
    return said.service_tier or (_name(traffic, _TRAFFIC) if traffic else None)


def _usage(said: _UsageMetadata) -> Usage:
    read = by_modality(said.prompt_tokens_details, said.tool_use_prompt_tokens_details)
    made = by_modality(said.candidates_tokens_details)
    cached = by_modality(said.cache_tokens_details)
    return Usage(
        input_tokens=plus(said.prompt_token_count, said.tool_use_prompt_token_count),
        output_tokens=_output(said),
        cache_read_tokens=said.cached_content_token_count,
        reasoning_tokens=said.thoughts_token_count,
        input_text_tokens=read.get("TEXT"),
        input_audio_tokens=read.get("AUDIO"),
        input_image_tokens=read.get("IMAGE"),
        output_text_tokens=made.get("TEXT"),
        output_audio_tokens=made.get("AUDIO"),
        output_image_tokens=made.get("IMAGE"),
        other_counts=billable(
            toolUsePromptTokenCount=said.tool_use_prompt_token_count,
            **without_column("promptTokensDetails", read, COLUMNS),
            **without_column("candidatesTokensDetails", made, COLUMNS),
            **without_column("cacheTokensDetails", cached, ("TEXT",)),
        ),
    )


def _output(said: _UsageMetadata) -> int | None:
    """Add thoughts and candidates, of which either is left out when it is zero."""
    made, thoughts = said.candidates_token_count, said.thoughts_token_count
    if made is not None or thoughts is not None:
        return (made or 0) + (thoughts or 0)
    read = plus(said.prompt_token_count, said.tool_use_prompt_token_count)
    return 0 if read is not None and read == said.total_token_count else None
