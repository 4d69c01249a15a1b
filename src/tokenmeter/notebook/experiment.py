"""Experiments: a named block that is metered and kept, so that its runs can be compared later."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from msgspec.structs import replace

from tokenmeter.attribution import attribute, current, is_text, lay, lift
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import HOST, UsageEvent, timestamp
from tokenmeter.meter import WAIT_S, default
from tokenmeter.notebook import records
from tokenmeter.notebook.records import Plain, Record, RunStatus
from tokenmeter.notebook.spending import UNSEEN, shown
from tokenmeter.notebook.tables import Table, as_html, as_text, rounded, shortened
from tokenmeter.status import ABANDONED, end_by
from tokenmeter.tallies import Tally

RUN_TAG = "experiment_run"

_here: ContextVar[None] = ContextVar("tokenmeter_experiment", default=None)


class Run:
    """One run of an experiment: a context manager, live inside and kept when it is left.

    Made by `experiment`. It shows itself: as text when printed, as a table in a notebook.

    Attributes:
        name: What the experiment is called.
        params: What is tried, by name.
        spent: What the calls that began inside used so far.
        scores: What was said to have come out of it.
        file: Where it is kept.
    """

    def __init__(self, name: str, params: Mapping[str, Plain], file: Path, timeout: float) -> None:
        self.name, self.params, self.file = name, dict(params), file
        self.spent = Tally()
        self.scores: dict[str, float] = {}
        self._timeout = timeout
        self._meter = default()
        self._record: Record | None = None
        self._ended = False
        self._entered: Token[None] | None = None
        self._end = datetime.max.replace(tzinfo=UTC)
        """What began later is not counted."""
        self._metered = True
        self._began_s = 0.0
        self._lock = threading.Lock()
        self._inside = contextlib.ExitStack()

    @property
    def run_id(self) -> str | None:
        """Its id, which its calls have as a tag; ``None`` before it has begun."""
        return None if self._record is None else self._record.run_id

    @property
    def ts(self) -> datetime | None:
        """When it began; ``None`` before it has."""
        return None if self._record is None else self._record.ts

    @property
    def status(self) -> RunStatus:
        """How it ended; ``unfinished`` before it has."""
        return "unfinished" if self._record is None else self._record.status

    @property
    def duration_s(self) -> float:
        """How long it took, or has taken so far."""
        if self._record is None:
            return 0.0
        if self._record.duration_s is not None:
            return self._record.duration_s
        return self._meter.timer_s() - self._began_s

    def __enter__(self) -> Self:
        if self._record is not None:
            raise ConfigurationError(
                f"the run of experiment {self.name!r} has begun already; for another run call "
                f"experiment({self.name!r}) again"
            )
        now_ns, parent = self._meter.now_ns(), (current().tags or {}).get(RUN_TAG)
        record = Record(
            kind="experiment",
            run_id=self._meter.ids(now_ns),
            name=self.name,
            ts=timestamp(now_ns),
            status="unfinished",
            schema=records.SCHEMA,
            parent_run_id=None if parent is None else str(parent),
            params=dict(self.params),  # what is put in later is not kept
            host=HOST,
            pid=self._meter.pid,
        )
        records.begun(record, self.file)
        self._record, self._began_s = record, self._meter.timer_s()
        self._metered = self._meter.is_enabled
        lay(attribute(experiment=self.name, experiment_run=record.run_id), self)
        self._inside.callback(lift, self)
        self._entered = _here.set(None)
        self._inside.enter_context(self._meter.filling(self.spent, self._heard, self._timeout))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end = None if exc is None else end_by(exc)
        status: RunStatus = "completed"
        if end is not None:
            status = "interrupted" if end == ABANDONED else "failed"
        if not self._is_left_here():
            self._end = timestamp(self._meter.now_ns())
        duration_s, error_type = self.duration_s, None if exc is None else type(exc).__name__
        try:
            self._inside.close()  # which waits for what is pending
        finally:
            if self._record is not None:
                self._record = replace(
                    self._record,
                    status=status,
                    error_type=error_type,
                    duration_s=round(duration_s, 6),
                )
            self._ended = True
            self._keep()

    def score(self, **scores: float) -> Self:
        """Say what came out of it: ``run.score(accuracy=0.9)``; inside of the block or later.

        Said again a score replaces what was said before.

        Args:
            scores: Numbers by name. A comparison also says what one of each cost.

        Raises:
            ConfigurationError: A score is not a finite number.
        """
        self.scores.update({name: _score(name, score) for name, score in scores.items()})
        if self._ended:
            self._keep()
        return self

    def _heard(self, event: UsageEvent) -> None:
        """Count it; and keep what ends after the block: a task that goes on, a late estimate."""
        if event.ts > self._end:
            return
        self.spent.add(event)
        if self._ended:
            self._keep()

    def _is_left_here(self) -> bool:
        """Say whether it is left in the context in which it was entered.

        Where not, as in another thread, or in an asynchronous generator that was abandoned, it goes
        on to be shown what begins there.
        """
        entered, self._entered = self._entered, None
        try:
            if entered is not None:
                _here.reset(entered)
        except ValueError:
            return False
        return True

    def _keep(self) -> None:
        """Write it as it is now; a full disk harms nobody's block, and is counted by the guard."""
        with self._lock:
            if self._record is None or self._record.pid != self._meter.pid:
                return  # in a forked child: the run is the parent's
            spent = self.spent if self._metered else None
            self._record = self._record.counting(spent, self.scores)
            place = "the file of experiments"
            self._meter.guard.run(place, records.append, self._record, self.file)

    def table(self) -> Table:
        """Give what it shows."""
        said = [f"{key} = {value}" for key, value in self.params.items()]
        said += [f"{key}: {rounded(score)}" for key, score in self.scores.items()]
        title = f"experiment {shortened(self.name)}, {self.status}"
        unseen = UNSEEN if self._metered else "metering was switched off: nothing is known of it"
        table = shown(self.spent, title, self.duration_s, unseen)
        return replace(table, notes=(*filter(None, [", ".join(said)]), *table.notes, _kept(self)))

    __str__ = as_text
    __repr__ = as_text
    _repr_html_ = as_html


def experiment(
    name: str,
    params: Mapping[str, Plain] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    timeout: float = WAIT_S,
) -> Run:
    """Meter a block as one run of an experiment, and keep what it used in a file.

    For ``with``, in synchronous and asynchronous code. Calls that begin inside, in threads and
    tasks as far as `tally` sees them, carry the tags ``experiment`` and ``experiment_run``. Each
    block is a run of its own, also when it is run again. What a run inside another one uses is in
    both; its calls carry the inner one's tags.

    Args:
        name: What is tried, for example ``"prompt-v2"``; runs of one name are compared together.
        params: What it is tried with, by name: strings, numbers, booleans.
        file: Where runs are kept, as JSON lines; else ``TOKENMETER_EXPERIMENTS`` in the
            environment says so, else it is ``tokenmeter-experiments.jsonl`` in the working folder.
        timeout: How many seconds leaving waits for calls whose end is pending.

    Raises:
        ConfigurationError: A name or a parameter cannot be used, or, when the block is entered, the
            file cannot be written.

    >>> with experiment("prompt-v2", {"temperature": 0.2}, file="/dev/null") as run:
    ...     pass
    >>> run.status, run.spent.calls
    ('completed', 0)
    """
    if not (name and is_text(name)):
        raise ConfigurationError(f"experiment() takes a non-empty name; got {name!r}")
    return Run(name, _params(params), records.place(file), timeout)


def number(value: object) -> int | float | None:
    """Give a number as JSON can hold it, that of another library too; ``None``: it cannot."""
    if isinstance(value, Integral):
        return int(value) if -(2**63) <= int(value) < 2**63 else None
    if not isinstance(value, Real | Decimal):
        return None
    try:
        given = float(value)
    except (OverflowError, ValueError):  # a fraction that is too large, a signalling NaN
        return None
    return given if math.isfinite(given) else None


def _score(name: str, given: object) -> float:
    score = None if isinstance(given, bool) else number(given)
    if score is None:
        raise ConfigurationError(
            f"score({name}=…) takes a finite number, such as 0.9; got {given!r}"
        )
    return float(score)


def _switch(given: object) -> object:
    """Give the boolean that one of numpy is, which is a type of its own."""
    is_numpy = type(given).__module__ == "numpy" and type(given).__name__ in {"bool", "bool_"}
    return bool(given) if is_numpy else given


def _param(key: object, given: object) -> tuple[str, Plain]:
    given = _switch(given)
    is_plain = given is None or isinstance(given, bool) or is_text(given)
    plain = cast("Plain", given) if is_plain else number(given)
    if not is_text(key) or (plain is None and given is not None):
        raise ConfigurationError(
            f"experiment(params=…): {key!r} is a string, a finite number, a boolean or None; "
            f"got {given!r}. Put what is nested as text: json.dumps(…)"
        )
    return key, plain


def _params(given: Mapping[str, Plain] | None) -> dict[str, Plain]:
    if not isinstance(given, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"experiment(params=…) takes names and values, such as "
            f"{{'temperature': 0.2}}; got {given!r}"
        )
    return dict(_param(key, value) for key, value in (given or {}).items())


def _kept(run: Run) -> str:
    return f"kept in {run.file}" if run.run_id else f"to be kept in {run.file}"
