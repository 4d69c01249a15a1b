"""Shapes times exits, real SDKs against a real server: one event, and nothing else changes.

The cases are tables: ``contract/shapes.py`` has what can be called, ``contract/exits.py`` how a
stream can be left.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from contract.colour import ASYNC_MODES, ASYNCIO, MODES, SYNC, Mode
from contract.exits import CANCELLED, LEFT
from contract.shapes import OPENAI, SHAPES
from contract.stage import TLS, Case, Stage, http_class_of, http_client_of, play, prove
from contract.transports import Raised, keep_what_is_raised

pytestmark = pytest.mark.filterwarnings(
    # trio says so of the SDKs' own generators, with and without us
    r"ignore:Async generator '(openai|anthropic|httpx2?|httpcore2?)\..* was garbage collected"
)


@pytest.fixture(autouse=True)
def _collecting_is_cheap() -> None:
    """Keep what exists out of a case's collections: it collects only its own garbage."""
    gc.freeze()


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
def test_a_stream_under_two_hooks_is_seen_once_however_it_is_left(stream: Case, mode: Mode) -> None:
    prove(stream, mode, "both")


OWN = [
    shape for shape in SHAPES if shape.name in ("chat", "chat stream", "message", "message stream")
]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", OWN, ids=named)
def test_a_call_over_the_http_client_that_the_sdk_makes_itself_is_seen_once(
    shape: Case, mode: Mode
) -> None:
    own = dataclasses.replace(shape, name=f"{shape.name}, own", http_client=lambda *_: None)
    prove(own, mode, "wrap")


def legacy_http_client(vendor: str, mode: Mode) -> Any:
    return (httpx.AsyncClient if mode.is_async else httpx.Client)(verify=TLS)


@pytest.mark.skipif(
    issubclass(http_class_of("openai", SYNC), httpx.Client),
    reason=f"openai {openai.__version__} sits on httpx by itself",
)
@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", OPENAI, ids=named)
def test_a_call_over_the_older_http_library_is_seen_once_and_looks_as_ever(
    shape: Case, mode: Mode
) -> None:
    older = dataclasses.replace(
        shape, name=f"{shape.name} over httpx", http_client=legacy_http_client
    )
    prove(older, mode, "wrap")


FAILURES = ("closed port", "too long", "hung up on", "cut off", "cut off in its body", "stalls")
FAILING = [shape for shape in SHAPES if shape.name.endswith(FAILURES)]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", FAILING, ids=named)
def test_an_exception_of_the_transport_reaches_the_caller_as_the_same_object(
    shape: Case, mode: Mode
) -> None:
    raised: Raised = []
    caught: Raised = []

    def http_client(vendor: str, mode: Mode) -> Any:
        made = http_client_of(vendor, mode)
        keep_what_is_raised(made, raised)
        return made

    async def call(stage: Stage) -> None:
        try:
            await shape.call(stage)
        except Exception as exc:
            caught.append(exc)

    play(dataclasses.replace(shape, call=call, http_client=http_client), mode, "wrap")
    assert len(raised) == len(caught) == 1
    assert raised[0] in (caught[0], caught[0].__cause__)
    assert caught[0].__context__ in (raised[0], raised[0].__context__)
