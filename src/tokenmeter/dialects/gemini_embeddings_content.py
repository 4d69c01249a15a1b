"""What a request for Google's embeddings gives to read: embedContent, batchEmbedContents, predict.

Sources, read 2026-11-23: https://ai.google.dev/api/embeddings,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api and
recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tokenmeter.dialects.content import Message, Part, Prompt, Text
from tokenmeter.dialects.fields import salvage
from tokenmeter.dialects.gemini_content import Content, media, parts_of, snake


class _ToEmbedOne(msgspec.Struct):
    content: Content | None = None


class _InstanceMedia(msgspec.Struct):
    bytes_base64_encoded: str | None = None
    gcs_uri: str | None = None
    mime_type: str | None = None


class _Instance(msgspec.Struct):
    content: str | None = None
    text: str | None = None
    image: _InstanceMedia | None = None
    video: _InstanceMedia | None = None


class _ToEmbed(_ToEmbedOne):
    requests: list[_ToEmbedOne] | None = None
    instances: list[_Instance] | None = None


def prompt(request: bytes) -> Prompt:
    """Say what a request for embeddings gives the model to read.

    Raises:
        msgspec.DecodeError: The request is not JSON.
    """
    asked: _ToEmbed = salvage(snake(request), _ToEmbed)
    contents = [one.content for one in (asked, *(asked.requests or ())) if one.content]
    parts = [part for content in contents for part in parts_of(content)]
    parts += [part for instance in asked.instances or () for part in _instance(instance)]
    texts = tuple(part.text for part in parts if isinstance(part, Text))
    beside = tuple(part for part in parts if not isinstance(part, Text))
    return Prompt(texts=texts, messages=(Message("user", beside),) if beside else ())


def _instance(given: _Instance) -> Iterator[Part]:
    for text in (given.content, given.text):
        if text is not None:
            yield Text(text)
    if given.image is not None:
        encoded, mime = given.image.bytes_base64_encoded, given.image.mime_type
        yield media(mime or "image/", encoded, given.image.gcs_uri, None)
    if given.video is not None:
        yield media("video/", given.video.bytes_base64_encoded, given.video.gcs_uri, None)
