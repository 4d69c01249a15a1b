"""What requests of InvokeModel give a model to read, and what the answers hold.

A request does not name the model (its path does), so what stands in it tells whose it is: Claude's,
Nova's, Cohere's, OpenAI's messages are read by those dialects, and the rest are a few fields.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html (read
2026-11-23; it leads to the pages of the models) and recorded traffic, alone for Nova's embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects import (
    anthropic_content,
    bedrock_converse_content,
    cohere_content,
    openai_chat_content,
)
from tokenmeter.dialects.bedrock_invoke import unwrapped
from tokenmeter.dialects.content import Image, Message, Part, Piece, Prompt
from tokenmeter.dialects.fields import Count, decode
from tokenmeter.dialects.rerank import Rerank
from tokenmeter.dialects.wording import attached, written


class _Block(msgspec.Struct):
    type: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Block] | None = None


class _Config(msgspec.Struct):
    maxTokenCount: Count | None = None  # noqa: N815 - here and below the vendors' names


class _Source(msgspec.Struct):
    bytes: str | None = None


class _Media(msgspec.Struct):
    value: str | None = None
    source: _Source | None = None


class _ToEmbed(msgspec.Struct):
    text: _Media | None = None
    image: _Media | None = None
    audio: _Media | None = None
    video: _Media | None = None


class _Asked(msgspec.Struct):
    """What tells whose request it is; and the fields of those without a dialect of their own."""

    anthropic_version: str | None = None
    messages: list[_Message] | None = None
    system: Any = None
    schemaVersion: str | None = None  # noqa: N815
    inferenceConfig: Any = None  # noqa: N815
    toolConfig: Any = None  # noqa: N815
    message: str | None = None
    texts: Any = None
    inputs: Any = None
    query: str | None = None
    # Llama, Mistral, DeepSeek, Cohere, Jurassic, the older Claude
    prompt: str | None = None
    images: list[str] | None = None
    num_generations: Count | None = None
    numResults: Count | None = None  # noqa: N815
    max_tokens: Count | None = None
    max_gen_len: Count | None = None
    max_tokens_to_sample: Count | None = None
    maxTokens: Count | None = None  # noqa: N815
    # Titan, and Nova's embeddings
    inputText: str | None = None  # noqa: N815
    inputImage: str | None = None  # noqa: N815
    textGenerationConfig: _Config | None = None  # noqa: N815
    singleEmbeddingParams: _ToEmbed | None = None  # noqa: N815
    segmentedEmbeddingParams: _ToEmbed | None = None  # noqa: N815


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read, whoever's it is."""
    asked = decode(_REQUEST, request)
    if asked.anthropic_version is not None:
        return anthropic_content.prompt(request)
    if asked.messages is not None:
        own = bedrock_converse_content.prompt if _is_nova(asked) else openai_chat_content.prompt
        return own(request)
    if asked.query is not None:
        return Rerank().prompt(request)
    if asked.message or asked.texts or asked.inputs or (asked.images and not asked.prompt):
        return cohere_content.prompt(request)
    return _of_few_fields(asked)


def _is_nova(asked: _Asked) -> bool:
    """Tell Nova's messages from OpenAI's: its blocks have no type."""
    own = (asked.schemaVersion, asked.inferenceConfig, asked.toolConfig, asked.system)
    contents = [m.content for m in asked.messages or () if isinstance(m.content, list)]
    return any(field is not None for field in own) or any(
        block.type is None for content in contents for block in content
    )


def _of_few_fields(asked: _Asked) -> Prompt:
    to_embed = asked.singleEmbeddingParams or asked.segmentedEmbeddingParams or _ToEmbed()
    text = to_embed.text.value if to_embed.text else None
    media = tuple(_media(asked, to_embed))
    titan = asked.textGenerationConfig.maxTokenCount if asked.textGenerationConfig else None
    limits = (asked.max_tokens, asked.max_gen_len, asked.max_tokens_to_sample, asked.maxTokens)
    return Prompt(
        messages=(Message("input", media),) if media else (),
        texts=tuple(filter(None, (asked.prompt, asked.inputText, text))),
        choices=asked.num_generations or asked.numResults or 1,
        limit=next((limit for limit in (titan, *limits) if limit is not None), None),
    )


def _media(asked: _Asked, to_embed: _ToEmbed) -> Iterator[Part]:
    yield from map(Image, filter(None, (*(asked.images or ()), asked.inputImage)))
    if to_embed.image is not None:
        yield Image(_bytes(to_embed.image) or "")
    for what, one in (("audio", to_embed.audio), ("video", to_embed.video)):
        if one is not None:
            yield attached(what, _bytes(one))


def _bytes(media: _Media) -> str | None:
    return media.source.bytes if media.source else None


class _Chunk(msgspec.Struct):
    bytes: str | None = None


class _Data(msgspec.Struct):
    text: str | None = None


class _Made(msgspec.Struct):
    outputText: str | None = None  # noqa: N815
    text: str | None = None
    data: _Data | None = None


class _Said(msgspec.Struct):
    """What tells who speaks; and the fields of those without a dialect of their own."""

    type: str | None = None
    choices: list[_Block] | None = None
    output: _Block | None = None
    contentBlockStart: _Block | None = None  # noqa: N815
    contentBlockDelta: _Block | None = None  # noqa: N815
    generations: list[_Block] | None = None
    event_type: str | None = None
    text: str | None = None
    # Titan, Llama, the older Claude, Mistral, Jurassic
    index: int | None = None
    outputText: str | None = None  # noqa: N815
    results: list[_Made] | None = None
    generation: str | None = None
    completion: str | None = None
    outputs: list[_Made] | None = None
    completions: list[_Made] | None = None


_CHUNK, _SAID = msgspec.json.Decoder(_Chunk), msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterable[Piece]:
    """Give what the model wrote in one event, which holds the model's own, or in an answer."""
    wrapped = decode(_CHUNK, data).bytes
    data = data if wrapped is None else unwrapped(wrapped)
    said = decode(_SAID, data)
    if said.type == "message" or (said.type or "").startswith(("message_", "content_block_")):
        return anthropic_content.pieces(data)
    if said.choices is not None:
        return openai_chat_content.pieces(data)
    if said.output or said.contentBlockStart or said.contentBlockDelta:
        return bedrock_converse_content.pieces(data)
    if said.generations is not None or said.event_type or said.text:
        return cohere_content.pieces(data)
    return _in_few_fields(said)


def _in_few_fields(said: _Said) -> Iterator[Piece]:
    for text in (said.outputText, said.generation, said.completion):
        yield from written("text", said.index or 0, text)
    for n, made in enumerate(said.results or said.outputs or said.completions or ()):
        text = made.data.text if made.data else None
        yield from written("text", n, made.outputText or made.text or text)
