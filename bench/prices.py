"""Measure what pricing costs: ``python bench/prices.py [--quick] [--json FILE]``.

Loading is timed once, in a process of its own; the first call of a model, model by model; later
calls in turns with the same call of a meter without prices, by the CPU time of the thread. Needs
genai-prices.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from attribution import Row, added
from genai_prices.data import providers

from tokenmeter import Meter, UsageEvent

FIRST_MS, LATER_US = 1.0, 3.0
"""What the first call of a model, and each later one, may take more."""

NOON = datetime(2026, 11, 1, 12, 0, 0, 1, tzinfo=UTC)
USAGES = {
    "plain": {"input_tokens": 1000, "output_tokens": 100},
    "cached": {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 500},
    "all parts": {
        "input_tokens": 5000, "output_tokens": 900, "cache_read_tokens": 500,
        "cache_write_tokens": 400, "cache_write_1h_tokens": 100, "reasoning_tokens": 300,
        "other_counts": {"web_search_requests": 2},
    },
}  # fmt: skip
MODELS = {"plain": "gpt-4o", "cached": "gpt-4o", "all parts": "claude-sonnet-4-5"}


def event(model: str, provider: str = "openai", **usage: object) -> UsageEvent:
    return UsageEvent(
        "call", "0", 1, NOON, provider=provider, response_model=model, status="completed",
        input_provenance="reported", output_provenance="reported", **usage,
    )  # fmt: skip


def loading() -> Row:
    code = (
        "import time, tokenmeter; began = time.perf_counter();"
        "tokenmeter.Meter(prices='genai-prices'); print(time.perf_counter() - began)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return Row("loading the prices, s", float(done.stdout), 2.0)


def first_calls() -> list[Row]:
    """Price one call of each model of each provider, and of one that is unknown, the first time.

    The garbage collector is off: it is due after so many new objects, whoever makes them, and what
    it then takes is a matter of all that a program has.
    """
    meter = Meter(prices="genai-prices")
    assert meter.pricing is not None
    spent: list[float] = []
    gc.disable()
    for provider in providers:
        for name in (*(model.id for model in provider.models), "nobody/knows-20251211"):
            call = event(name, provider.id, **USAGES["plain"])
            began = time.thread_time_ns()
            meter.pricing.priced(call)
            spent.append((time.thread_time_ns() - began) / 1e6)
    gc.enable()
    return [
        Row("first call of a model, ms", median(spent), FIRST_MS, f"of {len(spent)}"),
        Row("the slowest of them, ms", max(spent), FIRST_MS),
    ]


def later_calls(times: int) -> list[Row]:
    without, with_prices = Meter([nowhere]), Meter([nowhere], prices="genai-prices")
    rows: list[Row] = []
    for name, usage in USAGES.items():
        provider = "openai" if name != "all parts" else "anthropic"
        call = event(MODELS[name], provider, **usage)
        arms = {
            "without": lambda call=call: without.record(call),
            "with": lambda call=call: with_prices.record(call),
        }
        rows.append(added(arms, times)["with"].row(f"later call, {name}, us", LATER_US))
    return rows


def nowhere(_event: UsageEvent) -> None:
    """Export to nowhere."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    rows = [loading(), *first_calls(), *later_calls(10 if options.quick else 200)]
    for row in rows:
        goal = "" if row.goal is None else f"  (goal {row.goal}: {'met' if row.met else 'missed'})"
        print(f"{row.name:32} {row.value:8.2f}{goal}  {row.beside}")
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
