"""Measure what counting costs: ``python bench/counting.py [--quick] [--json FILE]``.

Ours and tiktoken's own ``len(encode(…))``, with the same encoding, take turns in one process; the
clock is the CPU time of the thread; what is reported is the median of the paired ratios. A count
may take 10 % more than tiktoken alone. What a text of one line takes more is shown and has no
target: there, the few microseconds are those of Python itself.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import tokenmeter
from tokenmeter.tokens.vocabularies import encoding, length

Call = Callable[[], object]

TARGET = 1.10
MODEL, VOCABULARY = "gpt-4o", "o200k_base"

CODE = inspect.getsource(textwrap) + inspect.getsource(argparse)


class Row(NamedTuple):
    """One line of the result."""

    name: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.target is None else self.value <= self.target


def ratio(ours: Call, theirs: Call, rounds: int, calls: int) -> float:
    """Give the median of what one costs beside the other, each first in turn."""
    found: list[float] = []
    for n in range(rounds):
        order = (ours, theirs) if n % 2 else (theirs, ours)
        spent = {arm: _cpu_s(arm, calls) for arm in order}
        found.append(spent[ours] / spent[theirs])
    return median(found)


def _cpu_s(arm: Call, calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        arm()
    return time.thread_time() - began


TEXTS = {
    "a line, 80 characters": (CODE[:80], 500, None),
    "a page, 3,000 characters": (CODE[:3_000], 40, TARGET),
    "a file, 50,000": (CODE[:50_000], 2, TARGET),
    "a book, 1,000,000": ((CODE * 20)[:1_000_000], 1, TARGET),
}
"""A text of each size, how often it is counted in a round, and the target."""


def ratios(rounds: int) -> Iterator[Row]:
    encode = encoding(VOCABULARY).encode
    for name, (text, calls, target) in TEXTS.items():

        def theirs(text: str = text) -> int:
            return len(encode(text, disallowed_special=()))

        def counted(text: str = text) -> object:
            return tokenmeter.count(text, MODEL)

        def of_text(text: str = text) -> int:
            return length(text, VOCABULARY)

        for way, ours in (("count()", counted), ("an estimate's text", of_text)):
            yield Row(f"{way}: {name}", ratio(ours, theirs, rounds, calls), "x", target)


FIRST = """
import time
began = time.process_time()
import tokenmeter
tokenmeter.count("hello", "gpt-4o")
print(time.process_time() - began)
"""


def first(processes: int) -> Row:
    """Measure the first count of a process, from the start of the interpreter on."""
    runs = [
        float(subprocess.run([sys.executable, "-c", FIRST], capture_output=True, check=True).stdout)
        for _ in range(processes)
    ]
    return Row("the first count of a process", median(runs), "s", 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians\n")
    rows = [*ratios(5 if given.quick else 101), first(1 if given.quick else 7)]
    for row in rows:
        verdict = {True: "met", False: "MISSED", None: ""}[row.met]
        target = f"<= {row.target:g}" if row.target is not None else ""
        print(f"{row.name:<48} {row.value:6.2f} {row.unit} {target:>8}  {verdict}".rstrip())
    if given.json is not None:
        said = [{**row._asdict(), "met": row.met} for row in rows]
        given.json.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
