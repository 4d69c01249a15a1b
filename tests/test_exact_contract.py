"""Exact streams with the real SDKs: what a caller sees without usage asked for, and what we count.

Every shape of a call and every way to leave a stream, where nobody asks for the usage: with the
meter asking, the caller sees what it sees without a meter, and the event is that of a caller that
asked. Only the bytes of the other chunks have ``"usage": null``, as the vendor writes it then.
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from contract.colour import ASYNC_MODES, ASYNCIO, MODES, SYNC, Mode, do, each
from contract.exits import CANCELLED, LEFT
from contract.shapes import CHAT, LEGACY, OPENAI
from contract.stage import (
    TLS,
    WELL,
    Case,
    CaseKey,
    Lack,
    Stage,
    bare,
    check_event,
    play,
    summary,
    told,
)
from tokenmeter.wire.exact import REFUSALS

pytestmark = pytest.mark.filterwarnings(
    r"ignore:Async generator '(openai|anthropic|httpx2?|httpcore2?)\..* was garbage collected"
)
NULL = ',"usage":null'


@pytest.fixture(autouse=True)
def _collecting_is_cheap() -> None:
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _thawing() -> Iterator[None]:
    yield
    gc.unfreeze()


def is_ours(case: Case) -> bool:
    """Say whether a case can be a stream of ours; a scripted refusal is one answer, not two."""
    return case.vendor == "openai" and not any(a.status in REFUSALS for a in case.script)


def silent(case: Case) -> Case:
    """Give the same case where nobody asks for the usage, and with the events of one that asks."""

    async def call(stage: Any) -> Any:
        return await case.call(stage.silent_about("stream_options"))

    asked = case.name.startswith(("chat", "legacy")) and "without usage" in case.name
    events = case.events
    if asked and [event.status for event in events] == ["completed"]:
        events = (LEGACY if "legacy" in case.name else WELL,)
    return dataclasses.replace(case, name=f"{case.name}, silent", call=call, events=events)


def plain(seen: Any) -> Any:
    """Take out what the vendor writes into every chunk when it is asked for the usage."""
    if isinstance(seen, str):
        return seen.replace(NULL, "")
    if isinstance(seen, BaseModel) and "usage" in (seen.model_extra or ()):
        seen = seen.model_copy()  # of openai 1.0, which does not know the field
        assert (seen.model_extra or {}).pop("usage") is None
        return seen
    return [plain(item) for item in seen] if isinstance(seen, list | tuple) else seen


def prove(case: Case, mode: Mode, wiring: str) -> None:
    expected = bare(CaseKey(case, mode, f"{case.vendor} {case.name} {mode.name}"))
    if isinstance(expected.seen, Lack):
        pytest.skip(expected.seen)
    played = play(case, mode, wiring)
    assert plain(played.seen) == plain(expected.seen)
    reported = [dataclasses.replace(served, reported=True) for served in played.account]
    assert reported == [dataclasses.replace(served, reported=True) for served in expected.account]
    assert [summary(event) for event in played.events] == [
        told(want, case.vendor, played.account) for want in case.events
    ]
    for event, want in zip(played.events, case.events, strict=True):
        check_event(event, want, played.account)


def named(case: Case) -> str:
    return case.name


SHAPES = [silent(case) for case in OPENAI if is_ours(case)]
EXITS = [silent(case) for case in LEFT if is_ours(case)]
CANCELLATIONS = [silent(case) for case in CANCELLED if is_ours(case)]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_a_call_looks_as_ever_and_is_counted(shape: Case, mode: Mode) -> None:
    prove(shape, mode, "exact")


@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_a_call_in_an_instrumented_process_looks_as_ever_and_is_counted(
    shape: Case, mode: Mode
) -> None:
    prove(shape, mode, "exact, instrumented")


@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize("shape", SHAPES, ids=named)
def test_a_call_over_the_older_http_library_looks_as_ever_and_is_counted(
    shape: Case, mode: Mode
) -> None:
    def older(_vendor: str, mode: Mode) -> Any:
        return (httpx.AsyncClient if mode.is_async else httpx.Client)(verify=TLS)

    name = f"{shape.name}, over httpx"
    prove(dataclasses.replace(shape, name=name, http_client=older), mode, "exact")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("stream", EXITS, ids=named)
def test_a_stream_looks_as_ever_and_is_seen_once_however_it_is_left(
    stream: Case, mode: Mode
) -> None:
    prove(stream, mode, "exact")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_a_server_that_refuses_to_be_asked_is_asked_once_and_no_call_fails(mode: Mode) -> None:
    async def three_streams(stage: Stage) -> list[Any]:
        create = stage.client.chat.completions.create
        streams = [await do(create(**CHAT, stream=True)) for _ in range(3)]
        return [[chunk async for chunk in each(stream)] for stream in streams]

    case = Case(name="refused", vendor="openai", call=three_streams, refuses=("stream_options",))
    expected, played = play(case, mode, "bare"), play(case, mode, "exact")
    assert plain(played.seen) == plain(expected.seen)
    assert [served.status for served in played.account] == [400, 200, 200, 200]
    assert [(e.status, e.http_status, e.output_provenance) for e in played.events] == [
        ("completed", 200, "unknown")
    ] * 3


@pytest.mark.parametrize("mode", ASYNC_MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("stream", CANCELLATIONS, ids=named)
def test_a_stream_is_seen_once_when_its_reader_is_cancelled(stream: Case, mode: Mode) -> None:
    prove(stream, mode, "exact")
