"""A session of a notebook: its cells, and what the calls that began in each used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

from tokenmeter.event import UsageEvent, timestamp
from tokenmeter.frames import Backend, by_column, frame
from tokenmeter.meter import Meter
from tokenmeter.notebook.spending import COLUMNS, RARE, hints, shown, spent
from tokenmeter.notebook.tables import Table, as_html, as_text, bars, shortened
from tokenmeter.tallies import COUNTED, Tally
from tokenmeter.watching import unwatch, watch

SHOWN = 30
"""How many cells a view shows, the latest ones; a frame has all of them."""

_REMEMBERED = 1_000
_NONE = "no call so far"


class Cell:
    """One execution of a cell.

    Attributes:
        number: Its number, as the notebook shows it; ``None`` where it has none.
        name: What ``%%tokens`` calls it.
        spent: What the calls that began in it used, also those that ended later.
    """

    def __init__(self, number: int | None, name: str, meter: Meter) -> None:
        self.number, self.name, self.spent = number, name, Tally()
        self._meter = meter
        self._began_s = meter.timer_s()
        self._began, self._ended = timestamp(meter.now_ns()), datetime.max
        self._seconds: float | None = None
        self._view: Any = None

    @property
    def label(self) -> str:
        """Its number and its name."""
        number = "[ ]" if self.number is None else f"[{self.number}]"
        return f"{number} {self.name}".rstrip()

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        if self._seconds is not None:
            return self._seconds
        return self._meter.timer_s() - self._began_s

    def end(self) -> None:
        """Say that it is over."""
        self._seconds, self._ended = self.seconds, timestamp(self._meter.now_ns())

    def was_at(self, ts: datetime) -> bool:
        """Say whether it ran at a time."""
        if self._ended is datetime.max:
            return self._began <= ts
        return self._began <= ts <= self._ended

    def add(self, event: UsageEvent) -> None:
        """Count a call; a view that is shown already says it, too."""
        self.spent.sum_up(event)
        if self._view is not None:
            self._view.update(self.table())

    def show(self, name: str) -> None:
        """Show it below what the cell itself has shown."""
        self.name = name
        self._view = import_module("IPython.display").display(self.table(), display_id=True)

    def table(self) -> Table:
        """Give what it shows."""
        return shown(self.spent, shortened(self.name or "tokens"), self.seconds, _NONE)


class Session:
    """The cells that made calls since the extension was loaded, and what was made in none.

    A call belongs to the cell in which it began, whichever task or later cell ends it. One from a
    thread that the cell has not told of (`propagate`) belongs to the cell that ran when it began.
    """

    def __init__(self, meter: Meter) -> None:
        self._cells: dict[Cell, None] = {}
        self.outside = Tally()
        self._meter = meter
        self._recent: deque[tuple[Cell, Callable[[UsageEvent], None]]] = deque(maxlen=_REMEMBERED)
        self._here = threading.local()
        self._lock = threading.Lock()

    def listen(self) -> Callable[[], object]:
        """Begin to hear of calls that no cell watches; give the undo."""
        return self._meter.attach(self._heard)

    def begin(self, number: int | None, name: str | None) -> Cell:
        """Begin a cell: calls that begin here are its."""
        cell = Cell(number, name or "", self._meter)

        def saw(event: UsageEvent) -> None:
            self._here.event = event
            self._add(cell, event)

        self._recent.append((cell, saw))
        watch(saw)
        return cell

    def end(self, cell: Cell) -> None:
        """End a cell; what it has begun stays its."""
        cell.end()
        for each, saw in self._recent:
            if each is cell:
                unwatch(saw)

    def _add(self, cell: Cell, event: UsageEvent) -> None:
        if event.kind != "call":
            return
        with self._lock:
            self._cells.setdefault(cell)
        cell.add(event)

    def _heard(self, event: UsageEvent) -> None:
        """Count what no cell has seen: an exporter comes after the watchers, in their thread."""
        if getattr(self._here, "event", None) is event:
            return
        for cell, _ in reversed(self._recent):
            if cell.was_at(event.ts):
                self._add(cell, event)
                return
        self.outside.sum_up(event)

    @property
    def cells(self) -> list[Cell]:
        """The cells that made calls, in the order of their first one."""
        with self._lock:
            return list(self._cells)

    @property
    def spent(self) -> Tally:
        """All of it."""
        total = Tally()
        for part in (*(cell.spent for cell in self.cells), self.outside):
            total.include(part)
        return total

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Give a frame with a row for each cell that made calls: pandas, polars or pyarrow.

        Raises:
            ConfigurationError: There is no such backend.
            MissingExtraError: narwhals is not installed, or no library for frames is.
        """
        return frame(by_column([_row(cell) for cell in self.cells]), backend)

    def table(self) -> Table:
        """Give what it shows."""
        total, cells = self.spent, self.cells
        latest = cells[-SHOWN:]
        drawn = bars(float(cell.spent.cost_amount or 0) for cell in latest)
        rows = [
            (shortened(cell.label), *spent(cell.spent, cell.seconds, bar))
            for cell, bar in zip(latest, drawn, strict=True)
        ]
        if self.outside.attempts:
            rows.append(("in no cell", *spent(self.outside, None)))
        rows.append(("all", *spent(total, sum(cell.seconds for cell in cells))))
        earlier = len(cells) - len(latest)
        notes = (f"{earlier} earlier cells are in the sum and not shown",) if earlier else ()
        table = Table(
            "this session", ("cell", *COLUMNS), tuple(rows), (*notes, *hints(total, _NONE))
        )
        return table.without_empty(*RARE)

    __str__ = as_text
    __repr__ = as_text
    _repr_html_ = as_html


def _row(cell: Cell) -> dict[str, object]:
    row: dict[str, object] = {"cell": cell.number, "name": cell.name, "seconds": cell.seconds}
    row |= {name: getattr(cell.spent, name) for name in COUNTED}
    return row | {f"cost.{currency}": amount for currency, amount in cell.spent.costs.items()}
