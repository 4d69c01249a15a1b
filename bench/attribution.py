"""Measure what saying who and what costs: ``python bench/attribution.py [--quick] [--json FILE]``.

What is compared takes turns in one process, a few hundred times in a row, in one order and in its
reverse; the clock is the CPU time of the thread; what is reported is the median of the paired
differences, and beside it the least, the difference of the quickest rounds, which a busy machine
changes less. Needs openai, for the call through an SDK.
"""

from __future__ import annotations

import argparse
import contextvars
import gc
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import vendors

import tokenmeter
from tokenmeter import Meter, UsageEvent, attribute, extract, inject, propagate
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.jsonl import Jsonl

IN_A_ROW = 200

Arms = dict[str, Callable[[], object]]
"""By name, what is done again and again; the first is what the others are compared with."""


class Row(NamedTuple):
    """One line; ``goal`` is what the value may be at most."""

    name: str
    value: float
    goal: float | None = None
    beside: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.value <= self.goal


class Added(NamedTuple):
    """What an arm takes more than the first one, in microseconds; of the first, all that it takes.

    Attributes:
        median_us: In most rounds.
        least_us: In the quickest ones.
    """

    median_us: float
    least_us: float

    def row(self, name: str, goal: float | None = None, beside: str = "") -> Row:
        return Row(name, self.median_us, goal, f"least {self.least_us:.2f}{beside}")


def added(arms: Arms, times: int, in_a_row: int = IN_A_ROW) -> dict[str, Added]:
    """Measure arms."""
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for n in range(times + 2):
        for name, arm in list(arms.items())[:: 1 if n % 2 else -1]:
            began = time.thread_time_ns()
            for _ in range(in_a_row):
                arm()
            if n > 1:
                spent[name].append((time.thread_time_ns() - began) / in_a_row / 1e3)
    first, *others = spent
    least = min(spent[first])
    more = {
        name: Added(
            median(a - b for a, b in zip(spent[name], spent[first], strict=True)),
            min(spent[name]) - least,
        )
        for name in others
    }
    return {first: Added(median(spent[first]), least), **more}


def nothing() -> None:
    """Do nothing: what every other arm is compared with."""


def ignores(_event: UsageEvent) -> None:
    """Export nothing."""


def names_alone() -> None:
    with attribute(user="ada", task="T-1042"):
        pass


def agent() -> None:
    with attribute(user="ada", task="T-1042", agent="planner"):
        pass


def blocks(times: int) -> Iterator[Row]:
    """Measure blocks with nothing in them; nobody hears of a run before there is a meter."""
    ready = attribute(user="ada", task="T-1042")

    def entered() -> None:
        with ready:
            pass

    arms: Arms = {"nothing": nothing, "names": names_alone, "ready": entered, "unheard": agent}
    spent = added(arms, times)
    yield spent["names"].row("attribute(user, task), made and entered", 2)
    yield spent["ready"].row("the same, made before")
    yield spent["unheard"].row("attribute(user, task, agent), and no meter")


def runs(times: int) -> Iterator[Row]:
    """Measure an agent's block with its event, whatever takes it."""
    with tempfile.TemporaryDirectory() as folder:
        exporters: dict[str, Callable[[], list[Callable[[UsageEvent], object]]]] = {
            "a meter without exporters": list,
            "an exporter that does nothing": lambda: [ignores],
            "JSONL in the background": lambda: [
                Background(Jsonl(f"{folder}/later.jsonl"), size=10**6, interval_s=3600)
            ],
            "JSONL, in line": lambda: [Jsonl(f"{folder}/usage.jsonl")],
        }
        for name, made in exporters.items():
            meter = Meter(made())
            spent = added({"nothing": nothing, "agent": agent}, times)
            goal = 6 if name == "an exporter that does nothing" else None
            yield spent["agent"].row(f"attribute(user, task, agent), {name}", goal)
            meter.shutdown(60)
            del meter
            gc.collect()


def calls(times: int) -> Iterator[Row]:
    """Measure one metered call inside of a tree and outside, in two contexts that take turns."""
    meter = Meter([ignores])
    ask = tokenmeter.metered(lambda: {"input_tokens": 1, "output_tokens": 1}, meter=meter)
    chat = vendors.chat(meter.wrap(vendors.openai_client(is_async=False)))
    for name, call, in_a_row in (
        ("a metered function", ask, IN_A_ROW),
        ("OpenAI SDK, chat", chat, 10),
    ):
        inside, outside = contextvars.copy_context(), contextvars.copy_context()
        outside.run(attribute(user="ada", task="T-1042").__enter__)
        open_run = attribute(user="ada", task="T-1042", agent="planner")
        below = attribute(agent="researcher")
        inside.run(open_run.__enter__)
        inside.run(below.__enter__)
        arms: Arms = {
            "outside": lambda call=call, there=outside: there.run(call),
            "inside": lambda call=call, there=inside: there.run(call),
        }
        spent = added(arms, times, in_a_row)
        beside = f"; outside {spent['outside'].median_us:.1f}"
        yield spent["inside"].row(f"{name}, for being in a tree", 1, beside)
        inside.run(below.__exit__)
        inside.run(open_run.__exit__)
    meter.shutdown()


def boundaries(times: int) -> Iterator[Row]:
    """Measure what crosses threads and programs."""
    with attribute(task="T-1042", agent="planner"), attribute(agent="researcher"):
        carried, headers = propagate(nothing), inject({})

        def taken() -> None:
            with extract(headers):
                pass

        arms: Arms = {
            "nothing": nothing,
            "propagate": lambda: propagate(nothing),
            "carried": carried,
            "inject": lambda: inject({}),
            "extract": taken,
        }
        spent = added(arms, times)
    yield spent["propagate"].row("propagate(function)")
    yield spent["carried"].row("calling what it gave")
    yield spent["inject"].row("inject(headers)")
    yield spent["extract"].row("with extract(headers)")


PARTS = {"blocks": blocks, "runs": runs, "calls": calls, "boundaries": boundaries}


def line(row: Row) -> str:
    goal = "" if row.goal is None else f"<= {row.goal:g}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    return f"{row.name:<62} {row.value:7.2f} us  {goal:>5}  {verdict:<6}  {row.beside}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians\n")
    rows: list[Row] = []
    for name in given.only or PARTS:
        for row in PARTS[name](5 if given.quick else 301):
            rows.append(row)
            print(line(row), flush=True)
    if given.json is not None:
        said = [{**row._asdict(), "met": row.met} for row in rows]
        given.json.write_text(json.dumps(said, indent=1) + "\n")
    if not given.quick and any(row.met is False for row in rows):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
