"""What a process does to a meter: it forks, it ends, it is told to end.

Whoever keeps events in memory is registered here, and is told in time. Nothing is installed before
the first one is.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from types import FrameType
from typing import Protocol

END_S = 5.0
"""How long the end of a process waits for what is not delivered yet."""


class Mortal(Protocol):
    """What cares how the process goes on."""

    def after_fork(self) -> None:
        """Begin anew in a forked child, without what is the parent's."""

    def at_end(self, timeout: float) -> Iterable[str]:
        """Deliver what there is within ``timeout`` seconds; say, a line each, what was lost."""
        ...


_first: weakref.WeakSet[Mortal] = weakref.WeakSet()
_last: weakref.WeakSet[Mortal] = weakref.WeakSet()
_lock = threading.Lock()
_installed = False


def care_for(mortal: Mortal, *, last: bool = False) -> None:
    """Have it told when the process forks and when it ends, as long as it lives.

    ``last`` is for what others hand something to when they end.
    """
    global _installed
    with _lock:
        (_last if last else _first).add(mortal)
        if not _installed:
            atexit.register(_at_exit)
            os.register_at_fork(after_in_child=_in_child)
            _installed = True


def end_on_sigterm() -> bool:
    """Deliver before SIGTERM ends the process, and say whether that can be had.

    Only where nobody else handles the signal, and only from the main thread. The process ends as
    it would have: by the signal, without ``finally`` blocks or ``atexit``.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)
    return signal.getsignal(signal.SIGTERM) is _on_sigterm


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
    # In a thread, because the code that was interrupted may hold a lock that is wanted.
    ending = threading.Thread(target=_at_exit, name="tokenmeter-end", daemon=True)
    with contextlib.suppress(RuntimeError):  # at its end an interpreter starts no threads
        ending.start()
        ending.join(END_S + 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _at_exit() -> None:
    deadline = time.monotonic() + END_S
    for mortal in (*_first, *_last):
        for loss in mortal.at_end(max(0.0, deadline - time.monotonic())):
            print(f"tokenmeter: {loss}", file=sys.stderr)


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for mortal in (*_first, *_last):
        mortal.after_fork()
