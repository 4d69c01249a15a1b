"""What becomes of an event whose provider did not report: its evidence is kept, and weighed later.

A call that ends without a number hands over what it has: the request, and the answer as far as it
came. The worker of the pending queue weighs that and says the event. Here is nothing that counts:
`tokenmeter.tokens` does, and is imported by the first call that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from tokenmeter.dialects import Dialect
from tokenmeter.dialects.content import Answer, Prompt
from tokenmeter.event import UsageEvent
from tokenmeter.guard import Guard
from tokenmeter.tokens.tokenizers import Tokenizers
from tokenmeter.wire.body import pieces

A_STREAM = 1024 * 1024
"""Bytes of one streamed answer that are kept for an estimate."""

A_METER = 64 * 1024 * 1024
"""Bytes of requests and answers that one meter keeps for estimates."""


_ELSEWHERE = 3
"""What a bound is divided by on a host that is nobody's: one was recorded that calls its model
``gpt-3.5-turbo`` and reports 50 tokens for a text that has 140 with that model."""


class Room:
    """Say how much may be kept, by all calls of a meter together."""

    def __init__(self, size: int = A_METER) -> None:
        self.left = size
        self._lock = threading.RLock()  # a finaliser may end another stream while it is held

    def take(self, size: int) -> bool:
        """Reserve so many bytes, or say that there are not so many left."""
        with self._lock:
            if size > self.left:
                return False
            self.left -= size
            return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self.left += size


class Kept:
    """The first part of an answer that comes bit by bit, as it came."""

    __slots__ = ("_full", "_room", "parts", "seen", "size")

    def __init__(self, room: Room) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        """Bytes that are kept."""
        self.seen = 0
        """Bytes that came; those that are not kept are known by their number."""
        self._room = room
        self._full = False

    def add(self, data: bytes) -> None:
        """Keep more of it, as long as there is room; a part after a gap would say nothing."""
        self.seen += len(data)
        part = data[: A_STREAM - self.size]
        if not self._full and self._room.take(len(part)):
            self.parts.append(part)
            self.size += len(part)
        self._full = self.size < self.seen

    def clear(self) -> None:
        """Let go of it."""
        self._room.give(self.size)
        self.parts, self.size = [], 0


class Evidence(Protocol):
    """What a call has that was not reported on: enough to weigh it."""

    @property
    def says_something(self) -> bool:
        """Whether there can be anything to weigh."""
        ...

    @property
    def is_named(self) -> bool:
        """Whether a model is what its name says: on a host that is nobody's it may be another."""
        ...

    @property
    def has_failed(self) -> bool:
        """Whether the vendor itself says that the answer failed."""
        ...

    @property
    def share(self) -> float:
        """How much of the answer that came is at hand, above 0 and at most 1."""
        ...

    def prompt(self) -> Prompt | None:
        """Give what the model was to read; ``None``: nobody can tell."""
        ...

    def answer(self) -> Answer | None:
        """Give what the model wrote, as far as it came; ``None``: nobody can tell."""
        ...


class Bytes(NamedTuple):
    """The evidence of an exchange: its bytes."""

    dialect: Dialect
    request: bytes | None
    parts: Sequence[bytes]
    share: float = 1.0
    is_named: bool = True
    has_failed: bool = False

    @property
    def says_something(self) -> bool:
        """Whether the dialect knows what requests or answers hold."""
        kind = type(self.dialect)
        return kind.prompt is not Dialect.prompt or kind.pieces is not Dialect.pieces

    def prompt(self) -> Prompt | None:
        """Have the dialect read the request."""
        return self.dialect.prompt(self.request) if self.request else None

    def answer(self) -> Answer | None:
        """Have the dialect read the answer, where it knows how to."""
        if type(self.dialect).pieces is Dialect.pieces:
            return None
        return Answer.of(pieces(self.dialect, b"".join(self.parts)))


def wanted(event: UsageEvent) -> bool:
    """Say whether something was used that was not reported."""
    answered = 200 <= (event.http_status or 0) < 300
    if not answered and (event.source != "metered" or event.status == "failed"):
        return False  # nobody answered, or refused to: nothing was used, or nobody knows it
    return event.input_provenance == "unknown" or event.output_provenance in ("unknown", "partial")


def filled(
    event: UsageEvent, evidence: Evidence, tokenizers: Tokenizers, guard: Guard
) -> UsageEvent:
    """Give the event with a number where there is evidence for one; each side for itself."""
    prompt = guard.run("reading a request to estimate it", evidence.prompt)
    prompt = prompt and replace(prompt, on=event.ts.date())
    answer = guard.run("reading an answer to estimate it", evidence.answer)
    if evidence.has_failed and not (answer and answer.parts):
        return event  # the vendor says so, and nothing came: nobody knows whether it bills that
    event = guard.run("an estimate", _with_input, event, prompt, tokenizers) or event
    if answer is None:
        return event
    answer = replace(answer, asked=prompt)
    return guard.run("an estimate", _with_output, event, evidence, answer, tokenizers) or event


def _with_input(event: UsageEvent, prompt: Prompt | None, tokenizers: Tokenizers) -> UsageEvent:
    left = event.status != "completed" and event.input_provenance == "reported"
    if left and prompt is not None and _may_grow(prompt):
        return replace(event, input_provenance="partial")
    if event.input_provenance != "unknown" or prompt is None:
        return event
    from tokenmeter.tokens import estimates

    found = estimates.of_prompt(prompt, _model(event), tokenizers)
    weight, whole = found.weight, not found.weight.without
    return replace(
        event,
        input_tokens=weight.tokens if whole else weight.least,
        input_provenance="estimated" if whole else "partial",
        input_tokens_error=weight.error if whole else None,
        estimator=found.estimator,
    )


def _may_grow(prompt: Prompt) -> bool:
    """Say whether the provider itself may give the model more to read while it answers.

    Only asked of answers that were left: what their first events report is not all then.
    """
    return bool(prompt.elsewhere) or any(tool.kind != "function" for tool in prompt.tools)


def _with_output(
    event: UsageEvent, evidence: Evidence, answer: Answer, tokenizers: Tokenizers
) -> UsageEvent:
    nothing_seen = event.status == "completed" and not answer.parts
    if event.output_provenance not in ("unknown", "partial") or nothing_seen:
        return event
    from tokenmeter.tokens import estimates

    found = estimates.of_answer(answer, _model(event), tokenizers)
    weight, share, prompt = found.weight, evidence.share, answer.asked
    if event.status == "completed" and event.output_provenance == "unknown" and not weight.without:
        return replace(
            event,
            output_tokens=round(weight.tokens / share),
            output_provenance="estimated",
            output_tokens_error=round((weight.error + weight.tokens * (1 - share)) / share),
            estimator=found.estimator,
        )
    least = weight.least if evidence.is_named else weight.least // _ELSEWHERE
    if prompt is None or not _may_grow(prompt):  # a provider's tools make its count shrink too
        least = max(least, event.output_tokens or 0)
    return replace(
        event,
        output_tokens=least,
        output_provenance="partial",
        output_tokens_max=_most(least, prompt, found.family.max_output),
        estimator=found.estimator,
    )


def _most(least: int, prompt: Prompt | None, documented: int | None) -> int | None:
    """Give the most that all choices of an answer can have together, where that is known."""
    each = (prompt.limit if prompt is not None else None) or documented
    if prompt is None or each is None or each * prompt.choices < least:
        return None
    return each * prompt.choices


def _model(event: UsageEvent) -> str | None:
    """Give the name that says most about how the model counts: the served one, where known."""
    from tokenmeter.tokens.families import family_of

    names = (event.response_model, event.request_model)
    known = (name for name in names if name and not family_of(name).is_guess)
    return next(known, event.response_model or event.request_model)
