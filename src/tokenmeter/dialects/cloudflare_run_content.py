"""What text models of Workers AI read and wrote, run in Cloudflare's own way.

Source, read 2026-11-23: the schemas of the text models' input and output, which are in
``src/content/workers-ai-models`` of https://github.com/cloudflare/cloudflare-docs, read for one of
them. Not proved on recorded traffic.

A prompt becomes a user's message unless it is ``raw``. Newer models take and give what OpenAI's
responses or chat do. Only a plain answer is wrapped in ``result``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects import openai_chat_content, openai_responses_content
from tokenmeter.dialects.content import Message, Piece, Prompt, Text
from tokenmeter.dialects.fields import decode
from tokenmeter.dialects.openai_content import json_text
from tokenmeter.dialects.wording import called, every, written


class _Asked(msgspec.Struct):
    raw: bool | None = None
    text: str | list[str] | None = None
    input: Any = None


_REQUEST = msgspec.json.Decoder(_Asked)


def prompt(request: bytes) -> Prompt:
    """Say what a request gives the model to read."""
    asked = decode(_REQUEST, request)
    if asked.input is not None:
        return openai_responses_content.prompt(request)
    said, to_embed = openai_chat_content.prompt(request), every(asked.text)
    bare = said.texts if asked.raw else ()
    prompts = () if asked.raw else said.texts
    return msgspec.structs.replace(
        said,
        messages=(*said.messages, *(Message("user", (Text(text),)) for text in prompts)),
        texts=(*bare, *to_embed),
    )


class _Wrapped(msgspec.Struct):
    result: dict[str, Any] | None = None


class _Call(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Said(msgspec.Struct):
    type: str | None = None
    response: Any = None
    tool_calls: list[_Call] | None = None
    choices: list[Any] | None = None
    output: list[Any] | None = None


_WRAPPED, _SAID = msgspec.json.Decoder(_Wrapped), msgspec.json.Decoder(_Said)


def pieces(data: bytes) -> Iterable[Piece]:
    """Give what the model wrote in one event, or in a plain answer."""
    if not data.startswith(b"{"):
        return ()
    result = decode(_WRAPPED, data).result
    data = data if result is None else msgspec.json.encode(result)
    said = decode(_SAID, data)
    if said.choices is not None:
        return openai_chat_content.pieces(data)
    if said.output is not None or (said.type or "").startswith("response."):
        return openai_responses_content.pieces(data)
    return _own(said)


def _own(said: _Said) -> Iterator[Piece]:
    yield from written("text", 0, json_text(said.response))
    for n, call in enumerate(said.tool_calls or ()):
        yield from called(n, call.name, call.arguments)
