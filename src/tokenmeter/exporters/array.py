"""Several events as one JSON array, for exporters that send them together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tokenmeter.errors import RejectedError
from tokenmeter.event import UsageEvent

_encode = msgspec.json.Encoder().encode
_LONE = re.compile("[\ud800-\udfff]")


def array(events: Sequence[UsageEvent]) -> bytes:
    """Encode events as a JSON array of flat objects, in UTF-8; what is unknown is left out.

    Half a pair of surrogates, which is no character, becomes U+FFFD.

    Raises:
        RejectedError: A tag holds what JSON does not know.

    >>> array([])
    b'[]'
    """
    try:
        return _encode(events)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(events)))
    except (TypeError, OverflowError) as exc:
        raise RejectedError(f"an event cannot be written as JSON: {type(exc).__name__}") from None


def _whole(value: Any) -> Any:
    match value:
        case str():
            return _LONE.sub("\ufffd", value)
        case {**named}:
            return {_whole(name): _whole(part) for name, part in named.items()}
        case [*parts]:
            return [_whole(part) for part in parts]
        case _:
            return value
