"""DuckDB over events that a test made: the same engine that reports have, without a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings

from tokenmeter import UsageEvent
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines.duckdb import DuckDB, opened
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.values import Result

encode = msgspec.json.Encoder().encode
EXAMPLES = min(settings().max_examples, 100)
"""How many examples a law of reports has: each makes a report or more, which takes 0.1 s."""


def written(events: Iterable[UsageEvent], path: Path) -> Path:
    """Write a ledger."""
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


@contextmanager
def over(events: Iterable[UsageEvent], folder: Path) -> Iterator[DuckDB]:
    """Have the engine over a ledger of these events."""
    with opened(written(events, folder / "usage.jsonl")) as engine:
        yield engine


def reported(report: Report, events: Sequence[UsageEvent], folder: Path, **scope: Any) -> Result:
    """Run a report over events."""
    with over(events, folder) as engine:
        return run(report, engine, Scope(**scope))


def table(result: Result, *names: str) -> list[tuple[Any, ...]]:
    """Give some columns of a result, row by row."""
    return [tuple(record[name] for name in names) for record in result.records()]
