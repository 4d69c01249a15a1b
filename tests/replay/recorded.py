"""Recorded interactions: loading them, what belongs to this project's dialects, what is true.

A record is one HTTP interaction as the corpus README describes it.
"""

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from adapter import cache_read_of

from tokenmeter.dialects import UNREADABLE, Reading
from tokenmeter.providers import Route, Router
from tokenmeter.wire.body import read

Record = dict[str, Any]

ROUTER = Router()

NO_CALLS = {"anthropic_count": "counting tokens is no model call"}
"""Formats of exchanges that are not calls of a model, and why: they must give no event."""

GEMINI_DETAILS = {
    "input": (
        *("promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails"),
        *("input_tokens_by_modality", "tool_use_tokens_by_modality"),
    ),
    "output": ("candidatesTokensDetails", "output_tokens_by_modality"),
}
GEMINI_MODALITIES = ("text", "text", "image", "video", "audio", "document")
COLUMNS = ("text", "audio", "image")
"""Where Gemini's usage objects say which modality was counted, and which have a column here."""


class Counts(NamedTuple):
    """The numbers that are compared; ``None`` where nobody reported one."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None


def load(corpus: Path, ids: str) -> Iterator[Record]:
    """Yield every record of a corpus directory whose id matches."""
    for path in sorted(corpus.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if re.search(ids, record["id"]):
                    yield record


def why_not_here(record: Record) -> str | None:
    """Say why a record is not metered, or ``None`` when it is."""
    return NO_CALLS.get(str(record["format"]))


def has_usage(record: Record) -> bool:
    """Tell whether the provider reported something to compare with."""
    truth = record["truth"]
    reported = truth and (truth["input_tokens"] is not None or truth["output_tokens"] is not None)
    return record["status"] < 400 and bool(reported)


def truths_of(record: Record) -> list[Counts]:
    """Give what the provider reported, with cache inside input and reasoning inside output.

    A total that stands alone is one of input: of embeddings and rerankings that have no output.
    Where it reported the same answer twice with different numbers (the model's own events and
    Bedrock's metrics of the invocation), either is true.
    """
    if not has_usage(record):
        return [Counts(input=(record["truth"] or {}).get("total_tokens"))]
    truth, more = record["truth"], record["truth"].get("alt") or {}
    parts = [truth[name] for name in Counts._fields[2:]]
    if truth["audio_in"] is None:  # transcriptions report it under a name of their own
        details = truth["raw_usage"].get("input_token_details") or {}
        parts[Counts._fields.index("audio_in") - 2] = details.get("audio_tokens")
    totals = [
        more.get("billed")
        or (
            more.get("input_inclusive", _with_audio(record)),
            more.get("output_inclusive", truth["output_tokens"]),
        ),
        *(more[name] for name in ("invocation_metrics", "headers") if name in more),
    ]
    return [Counts(*total, *parts) for total in totals]


def _with_audio(record: Record) -> int | None:
    """Give the input with the audio that Mistral's own total holds beside it."""
    truth = record["truth"]
    if record["provider"] != "mistral":
        return truth["input_tokens"]
    given, made, audio = truth["input_tokens"], truth["output_tokens"], truth["audio_in"]
    outside = audio and truth["total_tokens"] == (given or 0) + (made or 0) + audio
    return (given or 0) + audio if outside else given


def modalities_agree(record: Record) -> bool:
    """Compare text, audio and image with Gemini's details, which stand in its usage object only."""
    reading = reading_of(record)
    if reading is None or not has_usage(record) or not record["format"].startswith("gemini"):
        return True
    said: Counter[str] = Counter()
    for side, reports in GEMINI_DETAILS.items():
        for part in chain(*(record["truth"]["raw_usage"].get(report) or () for report in reports)):
            modality = part["modality"]  # some asked for numbers instead of names
            name = GEMINI_MODALITIES[modality] if isinstance(modality, int) else modality.lower()
            said[f"{side}_{name}_tokens"] += part.get("tokenCount") or part.get("tokens") or 0
    columns = [f"{side}_{name}_tokens" for side in GEMINI_DETAILS for name in COLUMNS]
    return all((getattr(reading.usage, name) or 0) == said[name] for name in columns)


def agree(truths: list[Counts], read: Counts) -> bool:
    """Compare strictly; a number that was not reported may be read as nothing or zero."""
    return any(
        all(
            (got or 0) == 0 if want is None else got == want
            for want, got in zip(true, read, strict=True)
        )
        for true in truths
    )


def body_of(record: Record) -> bytes:
    """Give the response body as it was on the wire."""
    if record["response_encoding"] == "base64":
        return base64.b64decode(record["response_body"])
    return record["response_body"].encode("utf-8", "surrogatepass")


_CREATED = re.compile(rb'"created(?:_at)?"\s*:\s*(\d{10})\b')


def day_of(record: Record) -> date | None:
    """Give the day on which a response says that it was made; many vendors' say nothing."""
    said = _CREATED.search(body_of(record))
    return None if said is None else datetime.fromtimestamp(int(said[1]), UTC).date()


def route_of(record: Record) -> Route | None:
    """Give the route of a record by its own host and path."""
    path = unquote(re.sub(r"^<[^>]*>", "", record["path"]))  # some recorders hide the base URL so
    return ROUTER[record["method"], record["host"].partition(":")[0], path]


def reading_of(record: Record) -> Reading | None:
    """Read a recorded response by its own host and path, or ``None`` when nothing routes there."""
    found = route_of(record)
    if found is None:
        return None
    reading, names = read(found.dialect, body_of(record)), found.dialect.headers
    given = {name.lower(): value for name, value in record["response_headers"].items()}
    return found.dialect.headed(reading, {name: given.get(name) for name in names})


def is_recognised(record: Record) -> bool:
    """Tell whether tokenmeter would take a record for an answer in one of its wire formats."""
    reading = reading_of(record)
    return reading is not None and reading.recognised


def answers_in(record: Record) -> int:
    """Give how many events a record is worth.

    None for a background response still to come, and none for an answer in no known format: the
    replay's host is an unknown one, where the body has to be recognised.
    """
    reading = reading_of(record)
    if reading is None:
        return 1
    foreign = record["status"] < 300 and reading is not UNREADABLE and not reading.recognised
    return 0 if reading.pending or foreign else 1


def counts_of(record: Record) -> Counts:
    """Read a recorded response and give the numbers that tokenmeter would count."""
    reading = reading_of(record)
    if reading is None or not 200 <= record["status"] < 300:
        return Counts()
    usage = reading.usage
    return Counts(
        usage.input_tokens,
        usage.output_tokens,
        cache_read_of(usage),
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.input_audio_tokens,
        usage.output_audio_tokens,
    )
