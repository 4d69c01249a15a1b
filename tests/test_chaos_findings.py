"""What the chaos found: a regression test for each defect."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tokenmeter import UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.sinks import Account

TS = datetime(2026, 11, 22, tzinfo=UTC)
EVENTS = [UsageEvent(kind="call", event_id=str(n), schema=1, ts=TS) for n in range(6)]


class Sick:
    """Take all events but one, until it is well; or hold on to that one until it is let go."""

    def __init__(self, sick_of: UsageEvent, *, hangs: bool = False) -> None:
        self.sick_of, self.hangs = sick_of, hangs
        self.taken: list[UsageEvent] = []
        self.met, self.well = threading.Event(), threading.Event()

    def __call__(self, event: UsageEvent) -> None:
        if event == self.sick_of and not self.well.is_set():
            self.met.set()
            if not self.hangs or not self.well.wait(60):
                raise OSError
        self.taken.append(event)


def recovered(folder: Path) -> list[UsageEvent]:
    arrived: list[UsageEvent] = []
    background = Background(Named(arrived), full="spill", folder=folder)
    assert background.flush(60)
    background.close()
    assert [*folder.iterdir()] == []
    return arrived


class Named:
    def __init__(self, arrived: list[UsageEvent]) -> None:
        self.__name__, self.arrived = "Sick", arrived

    def __call__(self, event: UsageEvent) -> None:
        self.arrived.append(event)


@pytest.mark.parametrize("sick_of", [0, 2])
def test_what_follows_an_event_that_could_not_be_sent_stays_behind_it_on_disk(
    tmp_path: Path, sick_of: int
) -> None:
    sick = Sick(EVENTS[sick_of])
    background = Background(sick, size=2, batch=4, full="spill", folder=tmp_path, interval_s=60)
    for event in EVENTS:  # two in the queue, or on their way already, the others on disk
        background(event)
    assert sick.met.wait(60)
    background.close(0)
    assert sick.taken == EVENTS[:sick_of]
    assert background.account() == Account(6, exported=sick_of, pending=6 - sick_of)
    assert sorted(event.event_id for event in recovered(tmp_path)) == [
        event.event_id for event in EVENTS[sick_of:]
    ]


@pytest.mark.parametrize("sick_of", [0, 4])
def test_what_an_exporter_holds_while_the_process_ends_is_on_disk_too(
    tmp_path: Path, sick_of: int
) -> None:
    sick = Sick(EVENTS[sick_of], hangs=True)
    background = Background(sick, size=2, batch=4, full="spill", folder=tmp_path, interval_s=60)
    for event in EVENTS:
        background(event)
    assert sick.met.wait(60)
    background.close(0)
    account = background.account()
    assert account == Account(6, exported=len(sick.taken), pending=6 - len(sick.taken))
    arrived = [*sick.taken, *recovered(tmp_path)]
    assert {event.event_id for event in arrived} == {event.event_id for event in EVENTS}
    sick.well.set()


def test_an_account_balances_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    sick = Sick(EVENTS[1])
    background = Background(sick, batch=2)
    for event in EVENTS:
        background(event)
    assert not background.flush(0.01)
    assert background.account() == Account(6, exported=1, pending=5)
    assert not background.flush(0.01)
    assert background.account() == Account(6, exported=1, pending=5)
    sick.well.set()
    assert background.flush(60)
    assert sick.taken == EVENTS
    assert background.account() == Account(6, exported=6)
