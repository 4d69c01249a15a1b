"""Shapes times exits, with the real SDKs against a real server: one event, and nothing else changes.

The cases are tables: ``contract/shapes.py`` has what can be called, ``contract/exits.py`` how a
stream can be left.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from contract.colour import ASYNC_MODES, ASYNCIO, MODES, SYNC, Mode
from contract.exits import CANCELLED, LEFT
from contract.shapes import SHAPES
from contract.stage import Case, prove


pytestmark = pytest.mark.filterwarnings(
    # trio says so of the SDKs' own generators, with and without us
    r"ignore:Async generator '(openai|anthropic|httpx2?|httpcore2?)\..* was garbage collected"
)


@pytest.fixture(autouse=True)
def _collecting_is_cheap() -> Iterator[None]:
    """Keep what exists out of a case's collections: it collects only its own garbage."""
    gc.freeze()
    yield


@pytest.fixture(scope="module", autouse=True)
def _thawing() -> Iterator[None]:
    yield
    gc.unfreeze()


def named(case: Case) -> str:
    return f"{case.vendor} {case.name}"


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_a_call_of_a_wrapped_client_is_seen_once_and_looks_as_ever(shape: Case, mode: Mode) -> None:
    prove(shape, mode, "wrap")


@pytest.mark.parametrize("wiring", ["instrument", "both"])
@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_a_call_in_an_instrumented_process_is_seen_once_and_looks_as_ever(
    shape: Case, mode: Mode, wiring: str
) -> None:
    prove(shape, mode, wiring)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("stream", LEFT, ids=named)
def test_a_stream_is_seen_once_however_it_is_left(stream: Case, mode: Mode) -> None:
    prove(stream, mode, "wrap")


@pytest.mark.parametrize("mode", ASYNC_MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("stream", CANCELLED, ids=named)
def test_a_stream_is_seen_once_when_its_reader_is_cancelled(stream: Case, mode: Mode) -> None:
    prove(stream, mode, "wrap")


@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize("stream", LEFT, ids=named)
def test_a_stream_under_two_hooks_is_seen_once_however_it_is_left(
    stream: Case, mode: Mode
) -> None:
    prove(stream, mode, "both")
