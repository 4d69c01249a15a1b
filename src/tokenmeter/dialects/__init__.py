"""What a vendor's bytes say: one file per wire format, pure, no I/O.

A dialect turns the body of an answer into a `Reading`. A stream is folded, event by event, into
the body that the plain call would have had; one function then reads either. Nothing after this
package knows a vendor's field or counting rule, and nothing in it knows a host or an HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from tokenmeter.event import Status


Counts = Mapping[str, Any]
"""What an answer used: fields of `tokenmeter.event.Usage` by name; absent is unknown."""

NO_COUNTS: Counts = MappingProxyType({})


class Asked(msgspec.Struct, frozen=True):
    """What the request asked for; ``None`` where the request could not be read or did not say.

    Args:
        model: The model by the name the caller used.
        stream: Whether the caller asked for a stream.
    """

    model: str | None = None
    stream: bool | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer says of itself, in our terms and with inclusive totals.

    Args:
        counts: What was used, under the names of `tokenmeter.event.Usage`.
        recognised: The body is one that this wire format knows.
        status: How the answer ended; ``None`` when it has no end (an interrupted stream).
        final: The usage is the whole usage, not what was known so far.
        pending: The answer does not exist yet (a background response that is queued).
        background: The answer can be fetched again by its id, also by others.
        error_type: The vendor's own code of an error, never its text.
        counted: Another call's event says this answer already.
    """

    recognised: bool = False
    model: str | None = None
    response_id: str | None = None
    finish_reasons: tuple[str, ...] | None = None
    service_tier: str | None = None
    region: str | None = None
    counts: Counts = NO_COUNTS
    status: Status | None = None
    error_type: str | None = None
    final: bool = False
    pending: bool = False
    background: bool = False
    counted: bool = False


UNREADABLE = Reading()
"""The reading of a body that says nothing."""


class Dialect(Protocol):
    """One wire format.

    A body ``B`` is the dialect's own typed view of what the vendor sent. Methods raise
    `msgspec.DecodeError` for bytes that are not JSON; odd values inside are dropped, one by one.

    Attributes:
        name: For logs and for switching the dialect off, ``openai_chat``.
        marks: Byte strings, one of which stands in every stream event that matters.
        counts_output: False where an answer has no output tokens by nature (embeddings).
    """

    @property
    def name(self) -> str: ...
    @property
    def marks(self) -> tuple[bytes, ...]: ...
    @property
    def counts_output(self) -> bool: ...

    def asked(self, body: bytes) -> Asked:
        """Read the body of a request."""
        ...

    def parse(self, body: bytes) -> Any:
        """Decode the body of a plain answer, or of an error."""
        ...

    def fold(self, body: Any, data: bytes) -> Any:
        """Add one stream event to the body so far (``None`` before the first)."""
        ...

    def reading(self, body: Any) -> Reading:
        """Say what a body, plain or folded, means."""
        ...
