"""Every wire format is held to one contract, by the bodies in ``dialects/``."""

from __future__ import annotations

import copy
import importlib
import json
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dialects
from dialects import Exchange, compact
from tokenmeter import Usage
from tokenmeter.dialects import Asked, Reading
from tokenmeter.dialects.fields import decode
from tokenmeter.guard import Guard
from tokenmeter.providers import FORMATS, Format, Route, Router
from tokenmeter.wire.body import StreamReader, read
from wires import cut

NAMES = [module.name for module in pkgutil.iter_modules(dialects.__path__)]
MODULES = {name: importlib.import_module(f"dialects.{name}") for name in NAMES}
EXCHANGES = [
    pytest.param(exchange, id=f"{name}: {exchange.name}")
    for name, module in MODULES.items()
    for exchange in module.EXCHANGES
]
each = pytest.mark.parametrize("exchange", EXCHANGES)


def route_of(exchange: Exchange) -> Route:
    url = urlsplit(exchange.url)
    route = Router()[exchange.method, url.hostname or "", unquote(url.path)]
    assert route is not None, f"nothing routes {exchange.method} {exchange.url}"
    return route


def expected(exchange: Exchange) -> Reading:
    return Reading(usage=Usage(**exchange.usage), **exchange.reading)


def headed(exchange: Exchange, reading: Reading) -> Reading:
    dialect = route_of(exchange).dialect
    given = {name.lower(): value for name, value in exchange.headers.items()}
    return dialect.headed(reading, {name: given.get(name) for name in dialect.headers})


def streamed(exchange: Exchange, chunks: list[bytes]) -> Reading:
    guard = Guard()
    reader = StreamReader(route_of(exchange).dialect, None, guard)
    for chunk in chunks:
        reader.chunks.append(chunk)
        reader.scan()
    reading = reader.reading()
    assert guard.failures == {}
    return reading


def counts(reading: Reading) -> dict[str, Any]:
    known = msgspec.structs.asdict(reading.usage).items()
    return {name: count for name, count in known if count is not None}


@each
def test_the_path_and_the_host_find_the_provider_and_the_model(exchange: Exchange) -> None:
    route = route_of(exchange)
    request = compact(exchange.request) if exchange.request is not None else None
    asked = decode(route.dialect.request, request) if request is not None else Asked()
    found = (route.provider, route.operation, asked.model or route.model)
    assert found == (exchange.provider, exchange.operation, exchange.request_model)


@each
def test_a_body_is_read_exactly(exchange: Exchange) -> None:
    whole = read(route_of(exchange).dialect, exchange.body)
    assert headed(exchange, whole) == expected(exchange)


@each
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_body_in_chunks_is_read_like_the_whole(exchange: Exchange, size: int) -> None:
    assert headed(exchange, streamed(exchange, cut(exchange.body, size))) == expected(exchange)


@each
def test_a_body_that_is_cut_anywhere_never_counts_more_than_the_whole(exchange: Exchange) -> None:
    whole = counts(headed(exchange, read(route_of(exchange).dialect, exchange.body)))
    for size in range(len(exchange.body)):
        part = counts(streamed(exchange, [exchange.body[:size]]))
        for name, count in part.items():
            if name != "other_counts":
                assert count <= whole[name], (size, name)


# Bodies that no documentation describes

ODD: tuple[Any, ...] = (
    *(None, -1, -(2**63), 2**53, 2**70, 1.5, -1e300, True, "", "x", "7", "\ud800"),
    *([], {}, [None], [[]], [{}], {"x": None}, [1, "x", None], {"usage": {"x": []}}),
)
"""Values that stand where something else was; none is a zero, so that no zero can come of them."""

Path = tuple[str | int, ...]


class Parts(NamedTuple):
    """The JSON values of a body, and what is around each."""

    values: list[Any]
    frame: Callable[[list[bytes]], bytes]


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parts(body: bytes) -> Parts | None:
    """Take a body apart, or give ``None`` for one that is not made of JSON."""
    if body.startswith(b"[") and is_json(body):
        return Parts(json.loads(body), lambda items: b"[" + b",".join(items) + b"]")
    texts = [line.removeprefix(b"data: ") for line in body.split(b"\n")]
    before = [
        line[: len(line) - len(text)] for line, text in zip(body.split(b"\n"), texts, strict=True)
    ]
    if is_json(body):
        return Parts([json.loads(body)], b"".join)
    at = [n for n, text in enumerate(texts) if text.startswith(b"{") and is_json(text)]
    if not at:
        return None

    def frame(items: list[bytes]) -> bytes:
        new = dict(zip(at, items, strict=True))
        return b"\n".join(head + new.get(n, texts[n]) for n, head in enumerate(before))

    return Parts([json.loads(texts[n]) for n in at], frame)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Give the path of everything in a value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from places(item, (*path, n))


def changed(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """Copy a value with the item at the path changed; ``...`` leaves it out."""
    if not path:
        return change(value)
    (step, *rest), items = path, copy.copy(value)
    new = changed(items[step], tuple(rest), change)
    if new is ...:
        del items[step]
    else:
        items[step] = new
    return items


def with_unknown(value: Any) -> Any:
    return {**value, "tokenmeter_unknown": {"tokens": 9}} if isinstance(value, dict) else value


EXAMPLES = max(12, settings().max_examples // 25)
"""There are some hundred exchanges, so each is tried less often than a property of one function."""

CHANGES: list[Callable[[Any], Any]] = [
    *((lambda _, odd=odd: odd) for odd in ODD),
    lambda _: ...,
    with_unknown,
    lambda value: [value],
    lambda value: {"x": value},
]


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a body in which some things are others, or missing."""
    taken = parts(body)
    if taken is None:
        flips = draw(
            st.lists(st.tuples(st.integers(0, max(0, len(body) - 1)), st.binary(max_size=3)))
        )
        for at, new in flips:
            body = body[:at] + new + body[at + len(new) :]
        return body
    values = list(taken.values)
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(0, len(values) - 1))
        path = draw(st.sampled_from(list(places(values[n]))))
        values[n] = changed(values[n], path, draw(st.sampled_from(CHANGES)))
        values[n] = {} if values[n] is ... else values[n]
    kept = [json.dumps(value, separators=(",", ":")).encode() for value in values]
    whole = taken.frame(kept)
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


@each
@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data())
def test_no_body_raises_and_none_invents_a_count(exchange: Exchange, data: st.DataObject) -> None:
    body = data.draw(mutated(exchange.body))
    dialect = route_of(exchange).dialect
    zeros = {n for n, count in counts(read(dialect, exchange.body)).items() if count == 0}
    for found in (read(dialect, body), streamed(exchange, cut(body, 50))):
        reading = headed(exchange, found)
        for name, count in counts(reading).items():
            for number in count.values() if isinstance(count, dict) else (count,):
                assert isinstance(number, int), name
                assert number >= 0, name
                assert number or name in zeros or body.count(b'":0'), f"{name} is an invented zero"
        check_text(reading)


def check_text(reading: Reading) -> None:
    for text in (reading.model, reading.response_id, reading.error_type, reading.service_tier):
        assert text is None or isinstance(text, str)
    assert reading.error_type is None or " " not in reading.error_type


# What no recording covers

VERTEX = "us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com/model"
RECORDED = (
    "api.cohere.com/v1/chat",
    "api.cohere.com/v1/generate",
    "api.cohere.com/v1/embed",
    "api.cohere.com/v2/rerank",
    "localhost/api/chat",
    "localhost/api/generate",
    "localhost/api/embed",
    "localhost/api/embeddings",
    "us-south.ml.cloud.ibm.com/ml/v1-beta/generation/text",
    "us-south.ml.cloud.ibm.com/ml/v1-beta/generation/text_stream",
    "api.voyageai.com/v1/embeddings",
    "api.replicate.com/v1/models/meta/llama/predictions",
    "api.aleph-alpha.com/complete",
    "ours.openai.azure.com/openai/deployments/d/chat/completions",
    "ours.openai.azure.com/openai/deployments/d/embeddings",
    "api.writer.com/v1/chat",
    "api.mistral.ai/v1/audio/transcriptions",
    f"{VERTEX}/publishers/google/models/m:generateContent",
    f"{VERTEX}/publishers/google/models/m:streamGenerateContent",
    f"{VERTEX}/publishers/google/models/embedding:predict",
    f"{VERTEX}/publishers/anthropic/models/m:rawPredict",
    f"{VERTEX}/publishers/anthropic/models/m:streamRawPredict",
    "generativelanguage.googleapis.com/v1beta/models/m:generateContent",
    "generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent",
    "generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
    "generativelanguage.googleapis.com/v1beta/interactions",
    "api.openai.com/v1/chat/completions",
    "api.openai.com/v1/completions",
    "api.openai.com/v1/embeddings",
    "api.openai.com/v1/responses",
    "api.openai.com/v1/responses/compact",
    "api.openai.com/v1/images/generations",
    "api.openai.com/v1/images/edits",
    "api.openai.com/v1/audio/transcriptions",
    "api.openai.com/v1/moderations",
    "api.openai.com/v1/threads/t/runs",
    "api.anthropic.com/v1/messages",
    "api.anthropic.com/v1/complete",
    f"{BEDROCK}/m/converse",
    f"{BEDROCK}/m/converse-stream",
    f"{BEDROCK}/m/invoke",
    f"{BEDROCK}/embed/invoke",
    f"{BEDROCK}/m/invoke-with-response-stream",
)
"""One address for each row of the table of which there is recorded traffic, compared elsewhere."""


def row_of(method: str, url: str) -> Format:
    parts = urlsplit(url)
    row = Router().row(method, parts.hostname or "", unquote(parts.path))
    assert row is not None, url
    return row


def test_a_row_that_no_recording_covers_has_five_bodies() -> None:
    recorded = {row_of("POST", f"https://{address}") for address in RECORDED}
    bodies = Counter(row_of(param.values[0].method, param.values[0].url) for param in EXCHANGES)
    too_few = [(row.method, row.path, bodies[row]) for row in FORMATS
               if row not in recorded and bodies[row] < 5]  # fmt: skip
    assert too_few == []
