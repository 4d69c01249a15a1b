"""Whom a request says it is for, in the fields that vendors have for that.

Sources, read 2026-11-23:

- ``user``, ``safety_identifier`` which replaces it, ``metadata`` and the ``conversation`` of a
  response: https://platform.openai.com/docs/api-reference/responses/create and
  https://help.openai.com/en/articles/5428082-incorporating-a-safety-identifier; others who speak so
  have them too, https://openrouter.ai/docs/guides/administration/user-tracking among them.
- ``metadata.user_id``: https://platform.claude.com/docs/en/api/messages
- ``metadata``: https://docs.mistral.ai/api/
- ``labels``: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/add-labels-to-api-calls
- ``requestMetadata``: https://docs.aws.amazon.com/bedrock/latest/userguide/cost-mgmt-request-metadata.html
- ``conversation_id``: https://docs.cohere.com/v1/reference/chat

No name means one thing here and another there, so one view serves all. Of what the caller may fill
in freely (``metadata``, ``labels``), keys that are our own names are read, and ``user_id``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tokenmeter.dialects.fields import decode

_KEYS = {
    "user": "user",
    "user_id": "user",
    "team": "team",
    "task": "task",
    "conversation": "conversation",
}
"""Keys of what the caller fills in, and our names for them."""


class _Conversation(msgspec.Struct):
    id: str | None = None


class _Request(msgspec.Struct):
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    labels: dict[str, Any] | None = None
    request_metadata: dict[str, Any] | None = msgspec.field(default=None, name="requestMetadata")
    conversation: str | _Conversation | None = None
    conversation_id: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def said(self: object, request: bytes) -> Mapping[str, str]:  # noqa: ARG001
    """Say whom a request is for, by our names; the first field that says one of them has it.

    A method of dialects, `tokenmeter.dialects.Dialect.whom`.

    Raises:
        msgspec.DecodeError: The request is not JSON.

    >>> said(None, b'{"user": "ada", "metadata": {"user_id": "u-1", "task": "T-1"}}')
    {'user': 'ada', 'task': 'T-1'}
    """
    found: dict[str, str] = {}
    for name, value in _said(decode(_REQUEST, request)):
        if isinstance(value, str) and value:
            found.setdefault(name, value)
    return found


def _said(asked: _Request) -> Iterator[tuple[str, object]]:
    given = asked.conversation
    yield "user", asked.user
    yield "user", asked.safety_identifier
    yield "conversation", given.id if isinstance(given, _Conversation) else given
    yield "conversation", asked.conversation_id
    for free in (asked.metadata, asked.labels, asked.request_metadata):
        for key, value in (free or {}).items():
            if key in _KEYS:
                yield _KEYS[key], value
