"""What a process does to a meter: it forks, it ends, it is told to end.

Whoever keeps events in memory is registered here, and is told in time. Nothing is installed before
the first one is. A child of multiprocessing ends by ``os._exit``, so that `atexit` does not see it
(before Python 3.13, and never what was registered in its parent); its own finalizers do.
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
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Protocol

END_S = 5.0
"""How long the end of a process waits for what is not delivered yet."""

LATE = -100
"""Among the finalizers of multiprocessing: after those that may still make calls."""


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
_end_lock = threading.Lock()
_installed = _followed = False
_ending = _terminated = False
_pipe: tuple[int, int] | None = None


def care_for(mortal: Mortal, *, last: bool = False) -> None:
    """Have it told when the process forks and when it ends, as long as it lives.

    ``last`` is for what others hand something to when they end.
    """
    global _installed
    with _lock:
        (_last if last else _first).add(mortal)
        if not _installed:
            atexit.register(end)
            os.register_at_fork(after_in_child=_in_child)
            _installed = True
            if multiprocessing := _multiprocessing():
                multiprocessing.Finalize(None, end, exitpriority=LATE)


def end_on_sigterm() -> bool:
    """Deliver before SIGTERM ends the process, and say whether that can be had.

    Only where nobody else handles the signal, and only from the main thread. The process ends as
    it would have: by the signal, without ``finally`` blocks or ``atexit``.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _listen()
    return signal.getsignal(signal.SIGTERM) is _on_sigterm


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    global _terminated
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
    if _ending:  # it is the main thread that was interrupted in it
        _terminated = True
        return
    # In a thread, because the code that was interrupted may hold a lock that is wanted.
    ending = threading.Thread(target=end, name="tokenmeter-end", daemon=True)
    with contextlib.suppress(RuntimeError):  # at its end an interpreter starts no threads
        ending.start()
        ending.join(END_S + 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _listen() -> None:
    """Have SIGTERM end this child of multiprocessing wherever its main thread waits.

    Python runs the handler between two steps of the main thread: where the signal comes just
    before a wait without end, never. A program that is alone is sent another signal then; a parent
    that terminates its pool joins for ever. So the signal is written to a pipe too.
    """
    global _pipe
    if _pipe is not None or "trio" in sys.modules:  # that warns where there is such a pipe
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    if (other := signal.set_wakeup_fd(writing, warn_on_full_buffer=False)) != -1:
        signal.set_wakeup_fd(other)
        os.close(reading)
        os.close(writing)
        return
    _pipe = reading, writing
    threading.Thread(target=_hear, args=(reading,), name="tokenmeter-end", daemon=True).start()


def _hear(reading: int) -> None:
    while True:
        heard = os.read(reading, 64)
        if signal.SIGTERM in heard and signal.getsignal(signal.SIGTERM) in _OURS:
            end()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _deafen() -> None:
    """Leave the pipe to the parent, which else would end with this child."""
    global _pipe
    if _pipe is not None:
        if (other := signal.set_wakeup_fd(-1)) not in (-1, _pipe[1]):
            signal.set_wakeup_fd(other)
        for end_of_pipe in _pipe:
            os.close(end_of_pipe)
        _pipe = None


_OURS = (_on_sigterm, signal.SIG_DFL)  # the second once the first has run


def end() -> None:
    """Tell each that the process ends, once, whoever noticed it first.

    For those who know of an end that nothing here sees.
    """
    global _ending
    with _end_lock:  # whoever comes second has the process wait for the first
        _ending = True
        deadline = time.monotonic() + END_S
        for mortals in (_first, _last):
            while mortals:
                for loss in mortals.pop().at_end(max(0.0, deadline - time.monotonic())):
                    print(f"tokenmeter: {loss}", file=sys.stderr)
        _ending = False
    if _terminated:
        os.kill(os.getpid(), signal.SIGTERM)


def _in_child() -> None:
    global _lock, _end_lock
    _lock = threading.Lock()
    _end_lock = threading.Lock()
    _deafen()
    for mortal in (*_first, *_last):
        mortal.after_fork()
    _follow()


def _follow() -> None:
    """Have the end of this child seen where it is one of multiprocessing.

    That forgets the finalizers of its parent after this, and calls what is registered here then.
    """
    global _followed
    multiprocessing = _multiprocessing()
    if multiprocessing is not None and not _followed:
        multiprocessing.register_after_fork(end, _finalize)
        _followed = True


def _finalize(at_end: Callable[[], None]) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, at_end, exitpriority=LATE)
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        _listen()


def _multiprocessing() -> ModuleType | None:
    """Give what multiprocessing ends with, if that is in use; it is not imported for this."""
    return sys.modules.get("multiprocessing.util")
