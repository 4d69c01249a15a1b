"""Measure what reports cost: ``python bench/reports.py [--quick] [--sizes …] [--json FILE]``.

Each report of a Parquet ledger that is made for it is timed in a process of its own, in turns with
a query that is written by hand for DuckDB, which does or does not look whether events are there
twice; both must count the same. Memory is the most that the process had (resident). CPU is what
all of its threads took, which a busy machine changes less than the time on the clock. Needs duckdb.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import duckdb
import ledgers
import msgspec
from by_hand import ONCE, QUERIES

from tokenmeter.compaction import columns_of
from tokenmeter.event import UsageEvent
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.leaderboard import Leaderboard
from tokenmeter.reports.running import run
from tokenmeter.reports.tasks import Tasks
from tokenmeter.reports.tree import Tree
from tokenmeter.reports.usage import Usage

MILLION = 1_000_000
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS, MEGABYTES, RATIO = 5.0, 1000.0, 1.5
"""Goals for 10 million events; the ratio is that to the query by hand that counts each once."""

REPORTS: dict[str, Report] = {
    "report": Usage(), "tasks": Tasks(), "tree": Tree(), "coverage": Coverage(),
    "leaderboard": Leaderboard(), "adoption": Adoption(fewest_people=1),
}  # fmt: skip

COUNTED = {
    "report": ("cost_amount", "calls"), "tasks": ("cost_amount", "accepted"),
    "tree": ("cost_amount", "runs"), "coverage": ("countable", "unattributed"),
    "leaderboard": ("cost_amount", "accepted"), "adoption": ("active", "one_day_only"),
}  # fmt: skip
"""What both must add up to, over all rows."""


class Measured(NamedTuple):
    """What one process took.

    Attributes:
        seconds: On the clock, from opening the file to having the rows.
        cpu_s: Of all its threads.
        megabytes: The most that was resident.
        counted: The sums of `COUNTED`, and how many rows.
    """

    seconds: float
    cpu_s: float
    megabytes: float
    counted: list[str]


def ours(name: str, file: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with opened(file) as engine:
        result = run(REPORTS[name], engine)
    names = [column.name.replace("subtree_", "sub_") for column in result.columns]
    return names, list(result.rows)


def by_hand(name: str, file: str, *, once: bool = True) -> tuple[list[str], list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if once:
            assert connection.execute(ONCE.format(file=file)).fetchall() == [(True,)]
        found = connection.execute(QUERIES[name].format(file=file))
        names = [str(column[0]) for column in found.description]
        return names[:-1], [row[:-1] for row in found.fetchall() if not row[-1]]


def trusting(name: str, file: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    return by_hand(name, file, once=False)


ARMS: dict[str, Callable[[str, str], tuple[list[str], list[tuple[Any, ...]]]]] = {
    "tokenmeter": ours, "by hand": by_hand, "trusting": trusting,
}  # fmt: skip


def one(arm: str, name: str, file: str) -> Measured:
    """Run one arm of one report; the process has done nothing else."""
    began, cpu = time.perf_counter(), time.process_time()
    names, rows = ARMS[arm](name, file)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    at = [names.index(column) for column in COUNTED[name]]
    sums = [sum(row[n] or 0 for row in rows) for n in at]
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(seconds, cpu_s, kilobytes / 1000, [f"{s:f}" for s in sums] + [str(len(rows))])


def apart(arm: str, name: str, file: Path) -> Measured:
    command = [sys.executable, __file__, "--one", arm, name, str(file)]
    env = os.environ | {"TMPDIR": str(file.parent)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env)
    return Measured(*json.loads(done.stdout))


def made(file: Path, events: int) -> int:
    """Make a ledger in another process, because a child begins with the memory of its parent."""
    command = [sys.executable, ledgers.__file__, str(file), str(events)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


class Row(NamedTuple):
    """One report of one ledger: medians, and ratios of CPU."""

    name: str
    events: int
    seconds: float
    cpu_s: float
    megabytes: float
    to_by_hand: float
    to_trusting: float

    def missed(self) -> list[str]:
        if self.events < 10 * MILLION:
            return []
        goals = {"time": (self.seconds, SECONDS), "memory": (self.megabytes, MEGABYTES),
                 "ratio": (self.to_by_hand, RATIO)}  # fmt: skip
        return [name for name, (value, goal) in goals.items() if value > goal]


def measured(name: str, file: Path, events: int, rounds: int) -> Row:
    found: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
    for _ in range(rounds):
        for arm in ARMS:
            found[arm].append(apart(arm, name, file))
    counted = {tuple(each.counted) for arm in found.values() for each in arm}
    assert len(counted) == 1, f"{name} is not counted alike: {counted}"
    mine = found["tokenmeter"]
    ratios = [
        median(a.cpu_s / b.cpu_s for a, b in zip(mine, found[arm], strict=True))
        for arm in ("by hand", "trusting")
    ]
    return Row(
        name, events, median(m.seconds for m in mine), median(m.cpu_s for m in mine),
        max(m.megabytes for m in mine), *ratios,
    )  # fmt: skip


def lines(parquet: Path, file: Path) -> Path:
    """Write the events of a ledger as the exporter writes them."""
    encode, names = msgspec.json.Encoder().encode, [name for name in columns_of() if name != "ts"]
    with duckdb.connect() as connection, file.open("wb") as out:
        connection.execute("SET TimeZone = 'UTC'")
        names.append("us")
        found = connection.execute(f"SELECT * EXCLUDE ts, epoch_us(ts) FROM '{parquet}'")
        while rows := found.fetchmany(10_000):
            for row in rows:
                known = {n: v for n, v in zip(names, row, strict=True) if v is not None}
                ts = _BEGIN + timedelta(microseconds=known.pop("us"))
                out.write(encode(UsageEvent(**known, ts=ts)) + b"\n")
    return file


def of_lines(parquet: Path, file: Path, events: int) -> None:
    """Say what reading lines takes, beside the same report of Parquet, which counts the same."""
    lines(parquet, file)
    packed, plain = apart("tokenmeter", "report", parquet), apart("tokenmeter", "report", file)
    assert plain.counted == packed.counted
    print(
        f"report of {events:,} lines of JSON ({file.stat().st_size / MILLION:.0f} MB): "
        f"{plain.seconds:.2f} s, CPU {plain.cpu_s:.2f} s, {plain.megabytes:.0f} MB"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    parser.add_argument("--sizes", type=float, nargs="+", metavar="MILLIONS", default=[0.1, 1, 10])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--one", nargs=3, metavar=("ARM", "REPORT", "FILE"), help="for itself")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one)))
        return 0
    sizes, rounds = ([0.1], 1) if options.quick else (options.sizes, options.rounds)
    rows: list[Row] = []
    print(
        f"{'report':12} {'events':>10} {'s':>7} {'CPU s':>7} {'MB':>6} {'by hand':>8} "
        f"{'trusting':>8}"
    )
    with tempfile.TemporaryDirectory(prefix="tokenmeter-bench-") as folder:
        for size in sizes:
            file = Path(folder) / f"{size}.parquet"
            events = made(file, int(size * MILLION))
            for name in REPORTS:
                row = measured(name, file, events, rounds)
                rows.append(row)
                print(
                    f"{row.name:12} {row.events:10,} {row.seconds:7.2f} {row.cpu_s:7.2f} "
                    f"{row.megabytes:6.0f} {row.to_by_hand:8.2f} {row.to_trusting:8.2f}"
                    + "".join(f"  {goal} missed" for goal in row.missed()),
                    flush=True,
                )
            if size <= 1:
                of_lines(file, file.with_suffix(".jsonl"), events)
            for path in Path(folder).glob(f"{size}.*"):
                path.unlink()
        left = [path.name for path in Path(folder).iterdir()]
    print(f"left in the temporary folder: {left or 'nothing'}")
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
