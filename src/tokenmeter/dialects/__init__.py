"""What a vendor's bytes say: one file per wire format, pure, no I/O.

A dialect turns the body of an answer into a `Reading`. A stream is folded, event by event, into
the body that the plain call would have had; one function then reads either. Nothing after this
package knows a vendor's field or counting rule, and nothing in it knows a host or an HTTP library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from tokenmeter.dialects.content import Piece, Prompt
from tokenmeter.dialects.fields import decode, overlay
from tokenmeter.event import NOTHING, Cost, Status, Usage


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What the request asked for; ``None`` where the request could not be read or did not say.

    Args:
        model: The model by the name the caller used.
        stream: Whether the caller asked for a stream.
        background: Whether the answer is to be made in the background, and fetched later.
    """

    model: str | None = None
    stream: bool | None = None
    background: bool | None = None


_ASKED = msgspec.json.Decoder(Asked)


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one answer says of itself, in our terms and with inclusive totals.

    Args:
        usage: What was used.
        cost: What the vendor itself says that the answer cost.
        recognised: The body is one that this wire format knows.
        status: How the answer ended; ``None`` when it has no end (an interrupted stream).
        final: The usage is the whole usage, not what was known so far.
        input_final: What is known of the input stays, even where the rest may still grow.
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
    usage: Usage = NOTHING
    cost: Cost | None = None
    status: Status | None = None
    error_type: str | None = None
    final: bool = False
    input_final: bool = True
    pending: bool = False
    background: bool = False
    counted: bool = False


UNREADABLE = Reading()
"""The reading of a body that says nothing."""


class Dialect(Protocol):
    """One wire format; derive from it to have what most formats have in common.

    A body ``B`` is the dialect's own typed view of what the vendor sent. Bytes are decoded with
    `tokenmeter.dialects.fields.decode`, which drops odd values one by one.
    """

    name: str
    """The name for logs and for switching the dialect off, ``openai_chat``."""

    answer: msgspec.json.Decoder[Any]
    """The decoder of the body of a plain answer, or of an error."""

    request: msgspec.json.Decoder[Asked] = _ASKED
    """The decoder of a request's body."""

    marks: tuple[bytes, ...] = ()
    """Byte strings, one of which stands in every stream event that matters; none: all matter."""

    headers: tuple[str, ...] = ()
    """Headers of a response that say something; where there are any, `headed` is asked."""

    counts_input: bool = True
    """False where nothing is counted by nature (moderation)."""

    counts_output: bool = True
    """False where an answer has no output tokens by nature (embeddings)."""

    path: str = ""
    """Pattern that fits the end of the path of a request, for a dialect of one's own.

    The groups ``model`` and ``region`` say what the path names. The dialects of this package have
    rows in `tokenmeter.providers` instead.
    """

    operation: str = "chat"
    """OpenTelemetry's name of the operation, for a dialect of one's own."""

    provider: str | None = None
    """The provider's name on hosts that nobody named, for a dialect of one's own."""

    ordinary: tuple[bytes, ...] = ()
    """Byte strings that stand in no event that `is_extra`, and early in most of the others."""

    media: bool = False
    """True where a good answer may be audio or plain text: of such a body nothing is kept."""

    def fold(self, body: Any, data: bytes) -> Any:
        """Add one stream event to the body so far (``None`` before the first).

        Raises:
            msgspec.DecodeError: The data is not JSON.
        """
        return overlay(body, decode(self.answer, data))

    def reading(self, body: Any) -> Reading:
        """Say what a body, plain or folded, means."""
        ...

    def headed(self, reading: Reading, headers: Mapping[str, str | None]) -> Reading:  # noqa: ARG002
        """Add to a reading what the headers named in ``headers`` say."""
        return reading

    def prompt(self, request: bytes) -> Prompt | None:  # noqa: ARG002
        """Say what a request gives the model to read; ``None``: this format does not tell.

        Only asked where the provider reported no input, and by ``count``.

        Raises:
            msgspec.DecodeError: The request is not JSON.
        """
        return None

    def whom(self, request: bytes) -> Mapping[str, str]:  # noqa: ARG002
        """Say whom a request says it is for: our names, ``user``, ``team``, and what it says.

        Only asked where the resolver ``"request"`` is on.

        Raises:
            msgspec.DecodeError: The request is not JSON.
        """
        return {}

    def pieces(self, data: bytes) -> Iterable[Piece]:  # noqa: ARG002
        """Give what the model wrote in one stream event, or in the body of a plain answer.

        What an event repeats of earlier ones is left out. Only asked where the provider did not
        report the whole output.

        Raises:
            msgspec.DecodeError: The data is not JSON.
        """
        return ()

    def asking(self, request: bytes) -> bytes | None:  # noqa: ARG002
        """Give a request that also asks for the usage, where one streams and does not.

        ``None``: it asks already, does not stream, or cannot ask in this format. Only asked where
        ``exact_streams`` is on.

        Raises:
            msgspec.DecodeError: The request is not JSON.
        """
        return None

    def is_extra(self, data: bytes) -> bool:  # noqa: ARG002
        """Say whether a stream event only came because `asking` asked for it."""
        return False
