"""What a report is: parameters, one query over events, and what a result says of itself."""

from __future__ import annotations

from typing import ClassVar, Protocol

from tokenmeter.reports.relations import Query
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Column, Result


class Report(Protocol):
    """One kind of report with its parameters; a new one is a file with one of these."""

    name: ClassVar[str]
    """What the command line calls it."""

    @property
    def title(self) -> str:
        """Say what it is about."""
        ...

    def columns(self, scope: Scope, /) -> tuple[Column, ...]:
        """Give the columns of its query, in their order."""
        ...

    def query(self, scope: Scope, /) -> Query:
        """Give its one definition."""
        ...

    def result(self, result: Result, /) -> Result:
        """Make of the rows of its query what a reader sees; the query's own rows at the least."""
        ...
