"""How an exporter ends: with everything delivered, without a trace, as often as anybody likes."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.rig import Check, Rig, needs, promise
from tokenmeter.testing.conformance.trial import Trial, until

_HANDLES = Path("/proc/self/fd")


def close_delivers(rig: Rig) -> None:
    """Closing delivers what was not flushed, and says nothing bad."""
    with Trial(rig) as trial:
        trial.export(events(100))
        _check_said(trial.close(), "close")
        trial.check_arrived(trial.given)


def flush_and_close_twice(rig: Rig) -> None:
    """Flushing and closing again is nothing, and does nothing again."""
    with Trial(rig) as trial:
        trial.export(events(10))
        for name, end in (("flush", trial.flush), ("close", trial.close)):
            _check_said(end(), name)
            _check_said(end(), f"a second {name}")
        trial.check_arrived(trial.given)


def ends_without_events(rig: Rig) -> None:
    """An exporter that never saw an event is flushed and closed like any other."""
    with Trial(rig) as trial:
        _check_said(trial.flush(), "flush")
    with Trial(rig) as trial:
        _check_said(trial.close(), "close")


def called_after_close(rig: Rig) -> None:
    """An event that comes after the end arrives, or is counted; it never goes elsewhere."""
    with Trial(rig) as trial, ExitStack() as elsewhere:
        trial.export(events(3))
        trial.close()
        # what the exporter had open is closed, so that these have its numbers
        files = [elsewhere.enter_context(tempfile.TemporaryFile()) for _ in range(20)]
        trial.export(events(3))
        trial.flush()
        trial.close()
        written = sum(os.fstat(file.fileno()).st_size for file in files)
        promise(
            not written,
            f"wrote {written} bytes into a file that is not its own, after it was closed",
            "an error, or the event at the sink",
            "forget the number of a file that you close, and raise",
        )
        # leaving the trial checks that what returned has arrived


def leaves_nothing_open(rig: Rig) -> None:
    """Making, using and closing exporters adds no open file and no thread."""
    needs(_HANDLES.is_dir(), "this system does not list open files in /proc")
    for _ in range(2):
        _round(rig)
    before = _open()
    for _ in range(4):
        _round(rig)
    until(  # a server in this process may still be closing its end of a connection
        lambda: all(now <= then for now, then in zip(_open(), before, strict=True)),
        "left files, connections or threads behind after 4 times make, export, close",
        "none",
        "close in close() what the exporter opened, and let its threads end",
    )


def _round(rig: Rig) -> None:
    with Trial(rig) as trial:
        trial.export(events(3))


def _open() -> tuple[int, int]:
    gc.collect()
    return len(list(_HANDLES.iterdir())), threading.active_count()


def _check_said(said: bool, name: str) -> None:
    promise(
        said,
        f"raised in {name}, or gave False",
        "nothing to complain of, where the sink is well",
        f"let {name} be called at any time and more than once; the log says what was raised",
    )


CHECKS: tuple[Check, ...] = (
    close_delivers,
    flush_and_close_twice,
    ends_without_events,
    called_after_close,
    leaves_nothing_open,
)
