"""A process that ends in the middle: what it took is delivered, however it ends.

Each check runs ``child.py`` in a process of its own, which is sent the factory.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tokenmeter.event import UsageEvent
from tokenmeter.testing.conformance import trial as patience
from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.rig import CannotCheckError, Check, Rig, needs_shared, promise
from tokenmeter.testing.conformance.trial import Trial

_CHILD = Path(__file__).with_name("child.py")
_COUNT = 100


def end_of_the_script(rig: Rig) -> None:
    """The script is over, and nobody flushed."""
    _delivered(rig, "end_of_the_script")


def end_with_threads_at_work(rig: Rig) -> None:
    """The script is over while daemon threads go on exporting."""
    _delivered(rig, "end_with_threads_at_work")


def end_by_sigterm(rig: Rig) -> None:
    """The process is told to end."""
    _delivered(rig, "end_by_sigterm", ends_with=-signal.SIGTERM)


def end_of_asyncio(rig: Rig) -> None:
    """``asyncio.run`` is over, and has cancelled tasks that export while they end."""
    _delivered(rig, "end_of_asyncio")


def after_the_end(rig: Rig) -> None:
    """An event comes after everything has ended: nothing hangs or breaks."""
    _delivered(rig, "after_the_end", late=1)


def _delivered(rig: Rig, how: str, ends_with: int = 0, late: int = 0) -> None:
    """Have a process export and end, and check that what it was given arrived, once."""
    given = events(_COUNT + late)
    with _orders(rig, how, given) as orders:
        status, said = _run(orders, kill=ends_with != 0)
    promise(
        status == ends_with and "Traceback" not in said,
        f"had a process that ends ({how}) say {status}: {said[-500:]}",
        f"{ends_with}, and no traceback",
        "let close() come back within its deadline, also where no thread can be started any more",
    )
    trial = Trial(rig, lambda _event: None)
    trial.given = given
    trial.check_arrived(given[:_COUNT])
    trial.check_once(trial.arrived())


@contextmanager
def _orders(rig: Rig, how: str, given: Sequence[UsageEvent]) -> Generator[Path]:
    needs_shared(rig)
    with tempfile.TemporaryDirectory() as folder:
        orders = Path(folder) / "orders"
        orders.write_bytes(pickle.dumps(sys.path) + _pickled(rig, how, given))
        yield orders


def _pickled(rig: Rig, how: str, given: Sequence[UsageEvent]) -> bytes:
    try:
        return pickle.dumps((how, rig.make, given))
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        raise CannotCheckError(
            f"make cannot be sent to another process ({exc}): give a function of a module, or "
            f"functools.partial(Exporter, …)"
        ) from None


def _run(orders: Path, *, kill: bool) -> tuple[int, str]:
    """Run a child, tell it to end where it waits for that; give how it ended and what it said."""
    with subprocess.Popen(
        [sys.executable, _CHILD, orders],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as child:  # fmt: skip
        try:
            ready = child.stdout.readline() if kill and child.stdout else ""
            if ready:
                child.terminate()
            said, _ = child.communicate(timeout=patience.PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            said, ready = "it did not come to an end", ""
    return child.returncode, ready.removeprefix("ready\n") + said


CHECKS: tuple[Check, ...] = (
    end_of_the_script,
    end_with_threads_at_work,
    end_by_sigterm,
    end_of_asyncio,
    after_the_end,
)
