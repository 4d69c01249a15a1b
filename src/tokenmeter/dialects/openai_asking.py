"""Usage in a stream of chat completions or legacy completions that did not ask for it.

Source, read 2026-11-22: https://platform.openai.com/docs/api-reference/chat/create
(``stream_options.include_usage``): one more chunk comes before ``[DONE]``, with the usage and with
``choices`` that are empty; every other chunk then has ``usage`` too, and it is ``null``. Some
servers leave the empty ``choices`` out, or say ``null`` there
(https://docs.rs/openai-interface/0.13.0/src/openai_interface/chat/create/response.rs.html).
"""

from __future__ import annotations

import msgspec

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNSET = (None, b"null", b"false")


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: dict[str, msgspec.Raw] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


def asking(request: bytes) -> bytes | None:
    """Give a request that asks for the usage; the values of all other members keep their bytes.

    Raises:
        msgspec.DecodeError: The request, or its ``stream_options``, is no JSON object.
    """
    members = _MEMBERS.decode(request)
    if _said(members, "stream") != b"true":
        return None
    given = _said(members, "stream_options")
    options = {} if given in _UNSET else _MEMBERS.decode(given or b"")
    if _said(options, "include_usage") not in _UNSET:
        return None
    options["include_usage"] = msgspec.Raw(b"true")
    members["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    return msgspec.json.encode(members)


def _said(members: dict[str, msgspec.Raw], name: str) -> bytes | None:
    return bytes(members[name]) if name in members else None


def is_extra(data: bytes) -> bool:
    """Say whether a chunk is the one that came because it was asked for."""
    try:
        chunk = _CHUNK.decode(data)
    except msgspec.DecodeError:
        return False
    return not chunk.choices and bool(chunk.usage)
