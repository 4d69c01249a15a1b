"""Exporters made of exporters: only some events, less of each, or to several places."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tokenmeter.endings import END_S
from tokenmeter.errors import ConfigurationError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.guard import Guard
from tokenmeter.sinks import Account, Sink, Stats, shares

IDENTITY = ("kind", "event_id", "schema", "ts")
"""The columns that make an event one."""

_PLACE = "a function on the way to an exporter"


def Filter(keep: Callable[[UsageEvent], object], exporter: Exporter) -> Exporter:  # noqa: N802
    """Export only the events that ``keep`` is true for; the others are counted as filtered.

    >>> from tokenmeter.exporters.memory import Memory
    >>> billed = Filter(lambda event: event.team is not None, Memory())
    """
    _callable("Filter", keep)
    return Through(lambda event: event if keep(event) else None, exporter)


def Redact(  # noqa: N802
    exporter: Exporter,
    *columns: str,
    change: Callable[[UsageEvent], UsageEvent] | None = None,
) -> Exporter:
    """Export events without what nobody there is to see.

    Args:
        exporter: What takes them.
        columns: Columns that become unknown, ``"user"``; one tag is ``"tags.NAME"``.
        change: What else happens to an event, in a function of one's own.

    Raises:
        ConfigurationError: There is no such column, or an event must have it.

    >>> from tokenmeter.exporters.memory import Memory
    >>> nameless = Redact(Memory(), "user", "tags.email")
    """
    tags = tuple(name.removeprefix("tags.") for name in columns if name.startswith("tags."))
    names = tuple(name for name in columns if not name.startswith("tags."))
    for name in names:
        _redactable(name)
    if change is not None:
        _callable("Redact", change)
    unknown = dict.fromkeys(names)

    def less(event: UsageEvent) -> UsageEvent:
        event = event if change is None else change(event)
        kept = {name: value for name, value in (event.tags or {}).items() if name not in tags}
        left = kept or None if len(kept) < len(event.tags or ()) else event.tags
        return msgspec.structs.replace(event, **{"tags": left, **unknown})

    return Through(less, exporter)


class Through:
    """Have each event go through a function on its way; ``None`` is where it ends.

    An event for which the function raises is not exported, and counted as failed.
    """

    def __init__(self, function: Callable[[UsageEvent], UsageEvent | None], to: Exporter) -> None:
        _callable("an exporter", to)
        self.__name__: str = getattr(to, "__name__", type(to).__name__)
        self._function, self._to = function, to
        self._guard = Guard()
        self._sink = Sink(to, self._guard)
        self._begin()
        if hasattr(to, "batch"):
            self.batch = self._batch

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._exported = self._filtered = 0

    def __call__(self, event: UsageEvent) -> None:
        """Hand on what the function makes of an event."""
        wanted = self._function(event)
        if wanted is not None:
            self._to(wanted)
        self._count(exported=wanted is not None, filtered=wanted is None)

    def _batch(self, events: Sequence[UsageEvent]) -> None:
        made: list[UsageEvent | None] = []
        done = self._guard.done
        broken = [event for event in events if not done(_PLACE, self._make, event, made)]
        wanted = [event for event in made if event is not None]
        rejected = self._sent(wanted)
        self._count(exported=len(wanted) - len(rejected), filtered=len(made) - len(wanted))
        if broken or rejected:
            raise RejectedError("some events were rejected", [*broken, *rejected])

    def _make(self, event: UsageEvent, made: list[UsageEvent | None]) -> None:
        made.append(self._function(event))

    def _sent(self, events: list[UsageEvent]) -> Sequence[UsageEvent]:
        """Hand a batch on; give those that were rejected by themselves."""
        to: Any = self._to
        try:
            if events:
                to.batch(events)
        except RejectedError as exc:
            if exc.events is None:
                raise
            return exc.events
        return ()

    def _count(self, exported: int, filtered: int) -> None:
        with self._lock:
            self._exported += exported
            self._filtered += filtered

    @property
    def branches(self) -> tuple[Sink, ...]:
        """The sinks that the exporter behind hands events on to."""
        return getattr(self._to, "branches", ())

    @property
    def recovered(self) -> int:
        """Events that an earlier process left, and that the exporter behind delivers."""
        return getattr(self._to, "recovered", 0)

    def account(self) -> Account:
        """Say what became of the events so far."""
        own: Callable[[], Account] | None = getattr(self._to, "account", None)
        with self._lock:
            exported, filtered = self._exported, self._filtered
        ends = Account(exported, exported) if own is None else own()
        return ends._replace(captured=ends.captured + filtered, filtered=ends.filtered + filtered)

    def flush(self, timeout: float = END_S) -> bool:
        """Have the exporter behind send what it holds; false when it failed."""
        return self._sink.flush(timeout)

    def close(self, timeout: float = END_S) -> None:
        """Close the exporter behind."""
        self._sink.close(timeout)

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        self._begin()
        self._sink.restart()

    def watch(self, stats: Stats) -> None:
        """Show the accounts of all exporters to the one behind."""
        self._sink.watch(stats)


class Tee:
    """Hand each event to several exporters, each of which has an account of its own; it has none.

    One that fails keeps nothing from the others. To have one of them wait and try again, give it a
    `Background` of its own.

    >>> from tokenmeter.exporters.memory import Memory
    >>> both = Tee(Memory(), Memory())
    """

    def __init__(self, *exporters: Exporter) -> None:
        for to in exporters:
            _callable("Tee", to)
        guard = Guard()
        self.branches = tuple(Sink(to, guard) for to in exporters)
        """The exporters at work."""

    def __call__(self, event: UsageEvent) -> None:
        """Hand on one event."""
        for sink in self.branches:
            sink.export(event)

    def flush(self, timeout: float = END_S) -> bool:
        """Have each send what it holds; false when one did not."""
        done = [sink.flush(share) for sink, share in shares(self.branches, timeout)]
        return all(done)

    def close(self, timeout: float = END_S) -> None:
        """Close each."""
        for sink, share in shares(self.branches, timeout):
            sink.close(share)

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        for sink in self.branches:
            sink.restart()

    def watch(self, stats: Stats) -> None:
        """Show the accounts of all exporters to each."""
        for sink in self.branches:
            sink.watch(stats)


def _redactable(name: str) -> None:
    if name in IDENTITY:
        raise ConfigurationError(f"an event must have its {name}; it cannot be redacted")
    if name not in UsageEvent.__struct_fields__:
        near = difflib.get_close_matches(name, UsageEvent.__struct_fields__, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"there is no column {name!r} to redact{hint} (a tag is 'tags.NAME')"
        )


def _callable(who: str, given: object) -> None:
    if not callable(given) or isinstance(given, type):
        raise ConfigurationError(f"{who} takes a callable of an event; got {given!r}")
