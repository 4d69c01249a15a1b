"""Bodies of every wire format, written by us after the vendors' documentation: one file a format.

A file is a list ``EXCHANGES``. ``test_dialect_contract.py`` holds every format to one contract, so
a new format is tested by its bodies alone; rules of its own go into a test of its own.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Exchange(NamedTuple):
    """One exchange with a model, and what it is to be read as.

    Args:
        name: What is special about it, in a few words.
        url: Where the request goes, ``https://host/path``.
        body: The body of the response, as it is on the wire.
        usage: The counts that are known, by our names; everything else must be ``None``.
        provider: The provider's name.
        reading: Every other member of the `Reading` that is not its default.
        request: The request, encoded as JSON; ``None``: nothing that can be read.
        operation: The OpenTelemetry name of the operation.
        request_model: The model as asked for, in the request or in the path.
        headers: Headers of the response.
        method: The method of the request.
    """

    name: str
    url: str
    body: bytes
    usage: dict[str, Any]
    provider: str
    reading: dict[str, Any]
    request: Any = None
    operation: str = "chat"
    request_model: str | None = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    method: str = "POST"


def compact(value: object) -> bytes:
    """Encode as JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def sse(*events: object) -> bytes:
    """Render server-sent events: bytes as they are, all else as JSON."""
    datas = (event if isinstance(event, bytes) else compact(event) for event in events)
    return b"".join(b"data: " + data + b"\n\n" for data in datas)


def lines(*values: object) -> bytes:
    """Render lines of JSON."""
    return b"".join(compact(value) + b"\n" for value in values)
