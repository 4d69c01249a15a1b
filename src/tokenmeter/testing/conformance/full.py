"""A queue that is full, under each policy: what arrives, what is counted."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenmeter.event import UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.link import Link, held
from tokenmeter.testing.conformance.rig import Check, Rig, promise
from tokenmeter.testing.conformance.trial import Gate, Trial, patiently, until

SIZE, MORE = 8, 12


def full_queue_drops_newest(rig: Rig) -> None:
    """The newest are dropped and counted; the others arrive once, in order."""
    given = events(1 + SIZE + MORE)
    with _stuck(rig, given[0], full="drop_newest") as (trial, gate):
        trial.export(given[1:])
        _check_dropped(trial, MORE)
        gate.open()
        _check_kept(trial, given[: 1 + SIZE])


def full_queue_drops_oldest(rig: Rig) -> None:
    """Those that waited longest are dropped and counted; the others arrive once, in order."""
    given = events(1 + SIZE + MORE)
    with _stuck(rig, given[0], full="drop_oldest") as (trial, gate):
        trial.export(given[1:])
        _check_dropped(trial, MORE)
        gate.open()
        _check_kept(trial, [given[0], *given[-SIZE:]])


def full_queue_blocks(rig: Rig) -> None:
    """The caller waits for room; everything arrives once, in order."""
    given = events(1 + SIZE + MORE)
    with _stuck(rig, given[0], full="block") as (trial, gate):
        caller = threading.Thread(target=trial.export, args=[given[1:]], daemon=True)
        caller.start()
        until(
            lambda: trial.account().captured == 1 + SIZE + 1,
            "was not called again while the queue had room",
            "one event on its way, a full queue, and a caller that waits",
            "return when the event is there",
        )
        gate.open()
        patiently(caller.join, "a call that waits for room")
        _check_kept(trial, given)


def full_queue_spills(rig: Rig) -> None:
    """What the queue does not hold goes to disk; everything arrives once, in order."""
    given = events(1 + SIZE + MORE)
    with (
        tempfile.TemporaryDirectory() as folder,
        _stuck(rig, given[0], full="spill", folder=folder) as (trial, gate),
    ):
        trial.export(given[1:])
        _check_dropped(trial, 0)
        gate.open()
        _check_kept(trial, given)
        trial.close()
        left = [path.name for path in Path(folder).iterdir()]
        promise(
            not left,
            f"left {left} on disk after all was delivered",
            "an empty folder",
            "return when the events are there",
        )


@contextmanager
def _stuck(rig: Rig, first: UsageEvent, **settings: Any) -> Generator[tuple[Trial, Gate]]:
    """Have a worker that holds one event, and a queue with room for a few behind it."""
    gate = Gate()
    link = Link(rig.make(), held(gate))
    with Trial(rig, Background(link, size=SIZE, batch=4, **settings)) as trial:
        trial.export([first])
        gate.wait()
        yield trial, gate


def _check_dropped(trial: Trial, dropped: int) -> None:
    account = trial.account()
    promise(
        account.dropped == dropped and account.pending == len(trial.given) - dropped,
        f"has the account {account} while its queue of {SIZE} is full",
        f"{dropped} dropped, and the others pending",
        "count in account() only what the exporter was given",
    )


def _check_kept(trial: Trial, kept: Sequence[UsageEvent]) -> None:
    trial.flush()
    trial.check_arrived(kept)
    trial.check_order(kept)
    trial.check_balance()


CHECKS: tuple[Check, ...] = (
    full_queue_drops_newest,
    full_queue_drops_oldest,
    full_queue_blocks,
    full_queue_spills,
)
