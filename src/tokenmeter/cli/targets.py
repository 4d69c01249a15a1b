"""Where a command writes events to: exporters, each by itself, and what is there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.named import Named
from tokenmeter.ledger import Ledger
from tokenmeter.meter import Meter
from tokenmeter.settings import DISABLED, Settings, is_disabled, of_process

BATCH = 500
"""After how many events it is waited until they arrived, so that no queue overflows."""

PATIENCE_S = 60.0
"""How long that may take."""


class Taken(NamedTuple):
    """What became of events.

    Attributes:
        arrived: How many are where they were to go.
        losses: What was lost, in a line each.
    """

    arrived: int
    losses: list[str]


class Target:
    """One exporter.

    Args:
        settings: The settings of a meter that has this exporter only.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def outcomes(self) -> list[UsageEvent]:
        """The outcomes that are there, where it is a ledger; of others nobody knows."""
        paths = [path for one in self._settings.exporters if (path := ledger_of(one))]
        found: list[UsageEvent] = []
        for path in paths:
            with Ledger(path) as ledger:
                found += [event for event in ledger if event.kind == "outcome"]
        return found

    def new(self, events: Iterable[UsageEvent]) -> list[UsageEvent]:
        """Give those events that are not there."""
        there = {event.event_id for event in self.outcomes}
        return [event for event in events if event.event_id not in there]

    def take(self, events: Sequence[UsageEvent]) -> Taken:
        """Write events, as fast as the exporter takes them."""
        meter = Meter().apply(self._settings)
        for n, event in enumerate(events, 1):
            meter.record(event)
            if n % BATCH == 0 and not meter.flush(PATIENCE_S):
                break
        meter.flush(PATIENCE_S)
        accounts = meter.stats()
        del accounts["guard"]
        meter.shutdown()
        return Taken(
            min(one["exported"] + one["filtered"] for one in accounts.values()), meter.losses()
        )


def targets(to: str | None) -> list[Target]:
    """Give the exporter that is named, or those of the configuration, if there are any.

    A path that ends in ``.jsonl`` is a ledger.

    Raises:
        ConfigurationError: One cannot be used, or metering is switched off.
    """
    if is_disabled():
        raise ConfigurationError(f"{DISABLED} is set, so nothing would be written; unset it")
    if to is not None and ":" not in to and to.endswith(".jsonl"):
        to = f"jsonl:{to}"
    settings = of_process().read()
    if to is not None:  # whatever people are called in events, they are called so here, too
        settings = replace(Settings().given({"exporters": [to]}), pseudonyms=settings.pseudonyms)
    settings.check()
    return [Target(_alone(settings, exporter)) for exporter in settings.exporters]


def _alone(settings: Settings, exporter: Named | Exporter) -> Settings:
    return settings.keeping(lambda one: one is exporter)


def ledger_of(exporter: Named | Exporter) -> Path | None:
    """Give the ledger that an exporter of the settings writes, where it can be read to its end."""
    if not isinstance(exporter, Named) or exporter.name != "jsonl":
        return None
    path = Path("".join(exporter.arguments) or exporter.options.get("path", ""))
    return path if path.is_file() or not path.exists() else None
