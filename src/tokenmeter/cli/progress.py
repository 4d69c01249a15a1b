"""How far a long piece of work is, on a terminal; Ctrl-C stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from threading import Thread
from typing import Any

from tokenmeter.errors import MissingExtraError
from tokenmeter.reports.engines import Watch

_POLL_S = 0.1


@contextmanager
def shown(what: str) -> Generator[Watch]:
    """Have what runs work, so that Ctrl-C stops it, and shows how far it is where somebody looks.

    That is where stderr is a terminal. Elsewhere work is in a thread, too: DuckDB does not see
    Ctrl-C in the main thread, or ends with an error of its own (2.0, tried 2026-11-23).

    Raises:
        MissingExtraError: rich is not installed.
    """
    if not sys.stderr.isatty():
        yield lambda work, done, stop: watched(work, done, stop, lambda _: None)
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError as missing:
        raise MissingExtraError("rich", "cli") from missing
    looks = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *looks, console=Console(stderr=True), transient=True, redirect_stdout=False
    ) as progress:
        bar = progress.add_task(what, total=None)

        def say(percent: float) -> None:
            if percent >= 0:
                progress.update(bar, completed=percent, total=100)

        yield lambda work, done, stop: watched(work, done, stop, say)


def watched(
    work: Callable[[], Any],
    done: Callable[[], float],
    stop: Callable[[], None],
    say: Callable[[float], None],
) -> Any:
    """Run work in a thread and say now and then how much of it is done, in per cent.

    Whatever ends the waiting, Ctrl-C for example, stops the work, and goes on when it has ended.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:  # noqa: BLE001 (whoever waits raises it)
            future.set_exception(exc)

    thread = Thread(target=run, daemon=True)
    try:
        thread.start()
        while wait([future], _POLL_S).not_done:
            say(done())
    except BaseException:
        if thread.is_alive():
            _stop(future, stop)
        raise
    return future.result()


def _stop(future: Future[Any], stop: Callable[[], None]) -> None:
    stop()
    while wait([future], _POLL_S).not_done:  # it may not have begun when it was stopped
        stop()
