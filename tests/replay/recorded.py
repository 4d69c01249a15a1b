"""Recorded interactions: loading them, what belongs to this project's dialects, what is true.

A record is one HTTP interaction as the corpus README describes it.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenmeter.dialects import UNREADABLE, Reading
from tokenmeter.providers import Router
from tokenmeter.wire.body import read

Record = dict[str, Any]

ROUTER = Router()

FORMATS = ("openai_chat", "openai_responses", "openai_embeddings", "anthropic_messages")
"""The wire formats that OpenAI and Anthropic defined, whoever serves them."""

OTHER_FORMATS = {
    "None": "moderations and Anthropic's old complete: they report no tokens",
    "openai_image": "multipart images and transcriptions, a later dialect",
    "openai_run": "Assistants runs, objects that are polled: no dialect here",
    "anthropic_count": "counting tokens is no model call",
    "alephalpha": "a dialect of its own",
    "bedrock_converse": "a dialect of its own, over botocore",
    "bedrock_invoke": "a dialect of its own, over botocore",
    "cohere_any": "a dialect of its own",
    "gemini": "a dialect of its own",
    "gemini_embed": "a dialect of its own",
    "gemini_interactions": "a dialect of its own",
    "hf_tgi": "a dialect of its own",
    "ollama": "a dialect of its own",
    "replicate": "a dialect of its own",
    "watsonx": "a dialect of its own",
}
"""What else the corpus holds, and why it is not measured here."""

OTHER_ENDPOINTS: dict[str, str] = {
    "vertex.anthropic_messages": "Vertex has paths of its own, which name the model: a later route",
    "voyage.rerank": "a reranking in nobody's format but its own",
    "writer.chat.completions": "Writer has a path of its own, /v1/chat: a later route",
}
"""Endpoints filed under one of FORMATS that are not in that format, and why."""


class Counts(NamedTuple):
    """The five numbers that are compared; ``None`` where nobody reported one."""

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None


def load(corpus: Path, ids: str) -> Iterator[Record]:
    """Yield every record of a corpus directory whose id matches."""
    for path in sorted(corpus.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if re.search(ids, record["id"]):
                    yield record


def why_not_here(record: Record) -> str | None:
    """Say why a record is outside these wire formats, or ``None`` when it is inside."""
    if record["format"] in FORMATS:
        return OTHER_ENDPOINTS.get(record["endpoint"])
    return OTHER_FORMATS[str(record["format"])]


def has_usage(record: Record) -> bool:
    """Tell whether the provider reported something to compare with."""
    truth = record["truth"]
    reported = truth and (truth["input_tokens"] is not None or truth["output_tokens"] is not None)
    return record["status"] < 400 and bool(reported)


def truth_of(record: Record) -> Counts:
    """Give what the provider reported, with cache inside input and reasoning inside output."""
    if not has_usage(record):
        return Counts(None, None, None, None, None)
    truth = record["truth"]
    inclusive = truth.get("alt") or {}
    return Counts(
        inclusive.get("input_inclusive", truth["input_tokens"]),
        inclusive.get("output_inclusive", truth["output_tokens"]),
        truth["cache_read"],
        truth["cache_write"],
        truth["reasoning"],
    )


def agree(true: Counts, read: Counts) -> bool:
    """Compare strictly; a number that was not reported may be read as nothing or zero."""
    pairs = zip(true, read, strict=True)
    return all((got or 0) == 0 if want is None else got == want for want, got in pairs)


def body_of(record: Record) -> bytes:
    """Give the response body as it was on the wire."""
    if record["response_encoding"] == "base64":
        return base64.b64decode(record["response_body"])
    return record["response_body"].encode("utf-8", "surrogatepass")


def reading_of(record: Record) -> Reading | None:
    """Read a recorded response by its own host and path, or ``None`` when nothing routes there."""
    path = re.sub(r"^<[^>]*>", "", record["path"])  # some recorders hide the base URL like this
    found = ROUTER[record["method"], record["host"], path]
    if found is None:
        return None
    return read(found.dialect, body_of(record))


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
    if reading is None:
        return Counts(None, None, None, None, None)
    names = ("input", "output", "cache_read", "cache_write", "reasoning")
    return Counts(*(getattr(reading.usage, f"{name}_tokens") for name in names))
