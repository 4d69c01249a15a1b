"""What one event adds to which metric; no OpenTelemetry here, so that it is a matter of values.

A count that the vendor reported goes to the metrics of the conventions. One that was estimated, or
that is a lower bound (`partial`), goes to a metric of its own, so that the two are never mixed. One
that nobody knows adds nothing to any of them, and 1 to `UNMETERED`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import otel_names as names

LARGEST = 10**12
"""The most tokens that a call can have; what is above it is no count."""

More = tuple[str, str] | None
Measure = tuple[str, float, More]
"""One measurement: of which metric, how much, and the attribute that it has in addition."""


class _Side(NamedTuple):
    """Where the numbers of the input, or of the output, go."""

    word: str
    tokens: str
    provenance: str
    modalities: tuple[tuple[str, str], ...]
    total: str
    per_call: str
    estimated: str
    parts: tuple[tuple[str, str], ...]


def _side(word: str, total: str, per_call: str, estimated: str, **parts: str) -> _Side:
    modalities = tuple((kind, f"{word}_{kind}_tokens") for kind in ("text", "image", "audio"))
    columns = f"{word}_tokens", f"{word}_provenance"
    return _Side(word, *columns, modalities, total, per_call, estimated, tuple(parts.items()))


_SIDES = (
    _side(
        "input", names.INPUT, names.INPUT_PER_CALL, names.ESTIMATED_INPUT,
        cache_read_tokens=names.CACHE_READ, cache_write_tokens=names.CACHE_WRITE,
    ),
    _side(
        "output", names.OUTPUT, names.OUTPUT_PER_CALL, names.ESTIMATED_OUTPUT,
        reasoning_tokens=names.REASONING,
    ),
)  # fmt: skip
_UNKNOWN = (names.MODALITY, "unknown")
_BY_KIND = {kind: (names.MODALITY, kind) for kind in ("text", "image", "audio")}
_TYPES = {side.word: (names.TOKEN_TYPE, side.word) for side in _SIDES}
_ESTIMATES = {word: (names.PROVENANCE, word) for word in ("estimated", "partial")}
_SILENT = {word: (names.UNKNOWN_SIDE, word) for word in ("input", "output", "both")}


def measures(event: UsageEvent, wanted: frozenset[str], *, strict: bool) -> list[Measure]:
    """Give the measurements of one event; none where it is no call.

    Args:
        event: The event.
        wanted: The profiles: ``current``, ``legacy``.
        strict: Whether a count that is not there adds 0, with modality ``unknown``, to the current
            counters, as the convention says.

    Raises:
        TypeError: A count is no number.
        ValueError: A count is above `LARGEST`.
    """
    found: list[Measure] = []
    if event.kind != "call":
        return found
    unknown = ""
    for side in _SIDES:
        count = getattr(event, side.tokens)
        how = _provenance(count, getattr(event, side.provenance))
        if how == "reported":
            found += _reported(event, side, count, wanted)
        elif how in _ESTIMATES:
            found.append((side.estimated, count, _ESTIMATES[how]))
        elif strict and "current" in wanted:
            found.append((side.total, 0, _UNKNOWN))
        if how == "unknown":
            unknown = "both" if unknown else side.word
    if unknown:
        found.append((names.UNMETERED, 1, _SILENT[unknown]))
    if event.cost_amount is not None:
        currency = (names.CURRENCY, event.cost_currency or "unknown")
        found.append((names.COST, float(event.cost_amount), currency))
    duration, first_chunk = _TIMES[event.operation in names.INFERENCE, wanted]
    if event.duration_s is not None:
        found += [(metric, event.duration_s, None) for metric in duration]
    if event.time_to_first_chunk_s is not None:
        found += [(metric, event.time_to_first_chunk_s, None) for metric in first_chunk]
    return found


def _held(count: int) -> int:
    """Refuse a count that no sum can hold: OTLP has 64 bits, and one overflow spoils all exports.

    Raises:
        ValueError: It is above `LARGEST`.
    """
    if count > LARGEST:
        raise ValueError("a count is larger than any call can have")
    return count


def _provenance(count: int | None, said: str | None) -> str:
    """Say where a count comes from; one that a vendor contradicts itself with is unknown."""
    if count is None:
        return "none" if said == "none" else "unknown"
    return "unknown" if _held(count) < 0 else said or "reported"


def _reported(
    event: UsageEvent, side: _Side, count: int, wanted: frozenset[str]
) -> Iterator[Measure]:
    if "current" in wanted:
        parts = [
            (_BY_KIND[kind], part)
            for kind, column in side.modalities
            if (part := getattr(event, column))
        ]
        for more, tokens in split(count, parts) if parts else ((_UNKNOWN, count),):
            yield side.total, tokens, more
        for column, metric in side.parts:
            part = getattr(event, column)
            if part is not None and _held(part) >= 0:
                yield metric, part, _UNKNOWN
        yield side.per_call, count, None
    if "legacy" in wanted:
        yield names.TOKEN_USAGE, count, _TYPES[side.word]


def split(
    total: int, parts: list[tuple[tuple[str, str], int]]
) -> Iterator[tuple[tuple[str, str], int]]:
    """Divide a total among modalities so that they sum up to it; what is left is unknown.

    >>> [(more[1], tokens) for more, tokens in split(10, [(("modality", "text"), 7)])]
    [('text', 7), ('unknown', 3)]
    """
    left = total - sum(part for _, part in parts)
    if left < 0 or min(part for _, part in parts) < 0:
        yield _UNKNOWN, total
        return
    yield from parts
    if left:
        yield _UNKNOWN, left


def _metrics(is_inference: bool, wanted: frozenset[str], current: str, older: str) -> list[str]:
    """Name the metrics of a time: the current one of what is no inference is the older one."""
    said = [current] if is_inference and "current" in wanted else []
    return [*said, older] if not is_inference or "legacy" in wanted else said


_TIMES = {
    (is_inference, wanted): (
        _metrics(is_inference, wanted, names.INFERENCE_DURATION, names.DURATION),
        _metrics(is_inference, wanted, names.INFERENCE_FIRST_CHUNK, names.FIRST_CHUNK),
    )
    for is_inference in (True, False)
    for wanted in names.PROFILES.values()
}
"""The metrics of the duration and of the time to the first chunk, by kind of call and profiles."""
