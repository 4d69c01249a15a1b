"""What runs a report: DuckDB in this process, or an engine that a company has already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

Watch = Callable[[Callable[[], Any], Callable[[], float], Callable[[], None]], Any]
"""Runs a piece of work, given what says how much of it is done, in per cent, below 0 if nobody
knows, and what stops it."""


@runtime_checkable
class Engine(Protocol):
    """Runs SQL over one source of events; a new engine is a file with one of these."""

    @property
    def dialect(self) -> str:
        """Which SQL it reads: a name of `tokenmeter.reports.portable.DIALECTS`."""
        ...

    @property
    def source(self) -> str:
        """What has the columns of events, in that SQL."""
        ...

    @property
    def is_once(self) -> bool:
        """Whether the source is known to hold each event once."""
        ...

    @property
    def damage(self) -> Sequence[str]:
        """What of the source is no event or is there twice, with its place."""
        ...

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and give its rows."""
        ...


ENGINES: Mapping[str, str] = {
    "duckdb": "tokenmeter.reports.engines.duckdb:opened",
    "spark": "tokenmeter.reports.engines.spark:opened",
    "clickhouse": "tokenmeter.reports.engines.clickhouse:opened",
    "postgres": "tokenmeter.reports.engines.postgres:opened",
}
"""Where each engine is made, by the name that the command line has for it."""
