"""Every wire format is held to one contract, by the bodies in ``dialects/``."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

import dialects
from dialects import Exchange, compact
from tokenmeter import Usage
from tokenmeter.dialects import Asked, Reading
from tokenmeter.dialects.fields import decode
from tokenmeter.guard import Guard
from tokenmeter.providers import Route, Router
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
