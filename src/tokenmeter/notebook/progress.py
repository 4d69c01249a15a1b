"""Progress of long loops with the money they cost: a bar of rich in a terminal, HTML in a notebook.

What is shown is all that the default meter sees while the loop goes on, in any thread or task. The
loop itself gets the very items, and its exceptions, as without the bar.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import AsyncIterable, Iterable
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, Self, TypeVar, overload

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.event import UsageEvent
from tokenmeter.meter import default
from tokenmeter.notebook.pace import Pace
from tokenmeter.tallies import Tally

T = TypeVar("T")

INTERVAL_S = 0.2
"""How long a view stays before another one may take its place."""


@overload
def progress(items: Iterable[T], *, total: int | None = None, label: str = "") -> Progress[T]: ...
@overload
def progress(
    items: AsyncIterable[T], *, total: int | None = None, label: str = ""
) -> Progress[T]: ...
@overload
def progress(*, total: int | None = None, label: str = "") -> Progress[NoReturn]: ...
def progress(items: Any = (), *, total: int | None = None, label: str = "") -> Progress[Any]:
    """Show what a loop has cost so far, how fast, and what it will have cost, while it goes on.

    ``for row in progress(rows)``, also ``async for``; the items come unchanged. Without a loop of
    its own it is a context manager: ``with progress(total=100) as bar``, and ``bar.advance()``
    after each.

    Args:
        items: What the loop goes over.
        total: How many items there are, where that cannot be asked by ``len``.
        label: What stands before it.

    Raises:
        ConfigurationError: Nothing can go over the items, or the total is no number of items.
        MissingExtraError: In a terminal: rich is not installed.

    >>> [n * n for n in progress([1, 2, 3])]
    [1, 4, 9]
    """
    if not any(hasattr(items, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        raise ConfigurationError(f"progress() takes what a loop can go over; got {items!r}")
    if total is None and hasattr(items, "__len__"):
        total = len(items) or None
    is_count = isinstance(total, int) and not isinstance(total, bool) and total >= 0
    if total is not None and not is_count:
        raise ConfigurationError(f"progress(total=…) is a number of items; got {total!r}")
    return Progress(items, Live(label, total, _screen()))


class Progress(Generic[T]):
    """A loop that is shown; made by `progress`."""

    def __init__(self, source: Any, live: Live) -> None:
        self._source: Any = source
        self._live = live
        self._iterator: Any = None
        # A loop that is left drops it, and so the view ends, and its source is closed.
        weakref.finalize(self, live.close)

    @property
    def spent(self) -> Tally:
        """What was used since it began."""
        return self._live.spent

    @property
    def done(self) -> int:
        """How many items are done."""
        return self._live.done

    def __iter__(self) -> Self:
        if self._iterator is None:
            self._iterator = iter(self._source)
        return self

    def __aiter__(self) -> Self:
        if self._iterator is None:
            self._iterator = aiter(self._source)
        return self

    def __next__(self) -> T:
        with self._live:
            item: T = next(self._iterator)
        return item

    async def __anext__(self) -> T:
        with self._live:
            item: T = await anext(self._iterator)
        return item

    def advance(self, items: int = 1) -> None:
        """Say that items are done; for those that no loop over this has taken."""
        self._live.advance(items)

    def __enter__(self) -> Self:
        self._live.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.close()
        self._source = self._iterator = None


class Live:
    """What is seen of a loop, apart from the loop, which holds it and which it does not hold.

    Entered for each item that is fetched: the one that was out before is done then.
    """

    def __init__(self, label: str, total: int | None, screen: Screen) -> None:
        self.spent, self.done = Tally(), 0
        self._label, self._total, self._screen = label, total, screen
        self._meter = default()
        self._undo: Any = None
        self._is_out = self._is_over = False
        self._began_s = self._shown_s = 0.0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Begin to count, once."""
        if self._undo is None and not self._is_over:
            self._undo = self._meter.attach(self._heard)
            self._began_s = self._meter.timer_s()
            self._show()

    def __enter__(self) -> None:
        self.begin()
        if self._is_out:
            self._is_out = False
            self.advance(1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if exc is None:
            self._is_out = True
        else:
            self.close()

    def advance(self, items: int) -> None:
        """Count items that are done."""
        self.done += items
        self._refresh()

    def close(self) -> None:
        """Show how it is now, and end; more than once is once."""
        if self._undo is None or self._is_over:
            return
        self._is_over = True
        self._undo()
        with self._lock:
            self._meter.guard.run("a progress bar", self._screen.close, self._pace())

    def _heard(self, event: UsageEvent) -> None:
        self.spent.sum_up(event)
        self._refresh()

    def _refresh(self) -> None:
        if self._meter.timer_s() - self._shown_s >= INTERVAL_S:
            self._show()

    def _show(self) -> None:
        if self._is_over or not self._lock.acquire(blocking=False):
            return  # somebody is at it
        try:
            self._shown_s = self._meter.timer_s()
            self._meter.guard.run("a progress bar", self._screen.show, self._pace())
        finally:
            self._lock.release()

    def _pace(self) -> Pace:
        seconds = self._meter.timer_s() - self._began_s
        return Pace(self._label, self.done, self._total, seconds, self.spent)


class Screen(Protocol):
    """Where it is shown."""

    def show(self, pace: Pace, /) -> None:
        """Show this instead of what was shown."""
        ...

    def close(self, pace: Pace, /) -> None:
        """Show this last."""
        ...


class Notebook:
    """An output of a cell, which is replaced, and of which the last one stays when exported."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, pace: Pace) -> None:
        """Show this instead of what was shown."""
        if self._handle is None:
            self._handle = import_module("IPython.display").display(pace, display_id=True)
        else:
            self._handle.update(pace)

    close = show


class Terminal:
    """A bar of rich on the standard error; where that is no terminal, its last state alone."""

    def __init__(self) -> None:
        self._opened: _Opened | None = None

    def show(self, pace: Pace) -> None:
        """Show this instead of what was shown."""
        if self._opened is None:
            self._opened = _opened(pace)
        bars, task = self._opened
        bars.update(task, completed=pace.done, line=str(pace), refresh=True)

    def close(self, pace: Pace) -> None:
        """Show this last, and leave the line."""
        self.show(pace)
        if self._opened is not None:
            self._opened.bars.stop()


class _Opened(NamedTuple):
    bars: Any
    task: Any


def _opened(pace: Pace) -> _Opened:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[line]}", markup=False),
        console=Console(stderr=True),
        auto_refresh=False,  # no thread: it is shown again when there is something new
    )
    task = bars.add_task(pace.name, total=pace.total, line=str(pace))
    bars.start()
    return _Opened(bars, task)


def _screen() -> Screen:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is not None:
        return Notebook()
    if find_spec("rich") is None:
        raise MissingExtraError("rich, which draws bars in a terminal,", "notebook")
    return Terminal()
