"""Measure what metering costs: ``python bench/overhead.py [--quick] [--json FILE]``.

Bare and metered calls take turns in one process over a mock transport, so that both see the same
machine; the clock is the CPU time of the thread; what is reported is the median of the paired
differences. The same run measures the *floor*, a hook that does next to nothing, and single
operations, so that numbers of two machines can be compared. Needs openai and anthropic.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import vendors
from vendors import EVENTS, STREAM_OF_CHAT, Call, Case

import tokenmeter

Spent = dict[str, list[int]]
"""CPU of each call in nanoseconds, by arm."""


class Size(NamedTuple):
    """How much is measured."""

    calls: int
    streams: int
    rounds: int
    calls_a_round: int
    processes: int
    growth_calls: int
    growth_streams: int


FULL = Size(2_000, 120, 9, 1_000, 11, 100_000, 2_000)
QUICK = Size(60, 6, 2, 300, 2, 2_000, 50)


class Row(NamedTuple):
    """One line of the result; ``target`` is what the value may be at most, or at least."""

    part: str
    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    beside: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


# -- calls and streams ------------------------------------------------------------------------


@contextmanager
def jsonl_meter() -> Iterator[tokenmeter.Meter]:
    """Give a meter that writes JSONL, inside an attribution."""
    with tempfile.TemporaryDirectory() as folder:
        meter = tokenmeter.Meter([f"jsonl:{folder}/usage.jsonl"])
        with tokenmeter.attribute(user="ada", team="search", task="T-1042", tier="gold"):
            yield meter
        meter.shutdown()


async def take_turns(arms: dict[str, Call], turns: int, *, is_async: bool) -> Spent:
    """Make every arm's call in turn, each time beginning with another one."""
    spent: Spent = {name: [] for name in arms}
    orders = itertools.cycle(_rotations(list(arms.items())))
    for order in itertools.islice(orders, turns):
        for name, call in order:
            began = time.thread_time_ns()
            made = call()
            if is_async:
                await made
            spent[name].append(time.thread_time_ns() - began)
    return spent


def _rotations(arms: list[tuple[str, Call]]) -> list[list[tuple[str, Call]]]:
    return [arms[n:] + arms[:n] for n in range(len(arms))]


def added_us(spent: Spent, arm: str) -> float:
    """Give the median of the paired differences between an arm and the bare calls."""
    return median(a - b for a, b in zip(spent[arm], spent["bare"], strict=True)) / 1e3


async def measure(case: Case, turns: int, *, with_floor: bool) -> Spent:
    """Measure one case: bare, metered and, where it means something, at the floor."""
    with jsonl_meter() as meter, tempfile.TemporaryFile() as file:
        clients = {"bare": case.client(), "metered": meter.wrap(case.client())}
        if with_floor:
            clients["floor"] = floor_hook(case.client(), file.fileno(), is_async=case.is_async)
        arms = {name: case.call(client) for name, client in clients.items()}
        await take_turns(arms, turns // 10 + 5, is_async=case.is_async)  # warms up
        return await take_turns(arms, turns, is_async=case.is_async)


def calls(size: Size) -> Iterator[Row]:
    """Measure what metering adds to a call."""
    for case in vendors.call_cases():
        spent = asyncio.run(measure(case, size.calls, with_floor=True))
        bare = median(spent["bare"]) / 1e3
        beside = f"bare {bare:.0f}, floor +{added_us(spent, 'floor'):.1f}"
        yield Row("added to a call", case.name, added_us(spent, "metered"), "us", 8, beside=beside)


def streams(size: Size) -> Iterator[Row]:
    """Measure what metering adds to an event of a stream."""
    for case in vendors.stream_cases():
        spent = asyncio.run(measure(case, size.streams, with_floor=False))
        bare = median(spent["bare"]) / 1e3 / EVENTS
        added = added_us(spent, "metered") / EVENTS
        yield Row("added to an event", case.name, added, "us", 0.8, beside=f"bare {bare:.1f}")


# -- the floor of this machine ----------------------------------------------------------------


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Answer(msgspec.Struct):
    model: str | None = None
    usage: _Usage | None = None


class _Record(msgspec.Struct, gc=False):
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    user: str
    team: str
    task: str
    tier: str
    status: int
    provider: str
    kind: str


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def floor_hook(client: Any, fd: int, *, is_async: bool) -> Any:
    """Hook a client with as little as could be called metering: read two fields, write a line."""
    http_client = getattr(client, "_client", client)
    send = http_client.send

    def note(response: Any) -> Any:
        answer = _decode(response.content)
        usage = answer.usage or _Usage()
        counts = (usage.prompt_tokens or usage.input_tokens, usage.completion_tokens)
        who = ("ada", "search", "T-1042", "gold")
        record = _Record(answer.model, *counts, *who, response.status_code, "openai", "call")
        os.write(fd, _encode(record) + b"\n")
        return response

    async def async_send(*args: Any, **kwargs: Any) -> Any:
        return note(await send(*args, **kwargs))

    def sync_send(*args: Any, **kwargs: Any) -> Any:
        return note(send(*args, **kwargs))

    http_client.send = async_send if is_async else sync_send
    return client


def _sleeper() -> Callable[[], object]:
    """Start a thread that sleeps until it is woken, again and again; gives what wakes it."""
    jobs: queue.SimpleQueue[None] = queue.SimpleQueue()

    def sleep() -> None:
        while True:
            jobs.get()

    threading.Thread(target=sleep, daemon=True).start()
    return lambda: jobs.put(None)


def operations(size: Size) -> Iterator[Row]:
    """Measure single operations in a loop, and *cold*: once after each call through an SDK."""
    shelf: queue.Queue[int] = queue.Queue()
    event = STREAM_OF_CHAT[7][6:]
    record = _Record("gpt-4o", 1024, 196, "ada", "search", "T-1042", "gold", 200, "openai", "call")
    with Path(os.devnull).open("wb", buffering=0) as null:
        singles: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "str(uuid4())": lambda: str(uuid.uuid4()),
            "json.loads(event)": lambda: json.loads(event),
            "msgspec encode, os.write": lambda: os.write(null.fileno(), _encode(record)),
            "queue.Queue.put": lambda: shelf.put(1),
        }
        call = vendors.chat(vendors.openai_client(is_async=False))
        hot = _hot(singles, size.calls)
        # A thread that is woken in a loop never gets to sleep, so it is measured cold alone.
        cold = _cold({**singles, "wake a thread": _sleeper()}, size.calls // 2, call)
    for name in list(cold)[1:]:
        in_loop = f"in a loop {hot[name]:.1f}" if name in hot else ""
        yield Row("for scale, cold", name, cold[name], "us", beside=in_loop)


def _hot(singles: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    spent = {name: _loop_us(single, turns) for name, single in singles.items()}
    return {name: max(0.0, us - spent["nothing"]) for name, us in spent.items()}


def _loop_us(single: Callable[[], object], turns: int) -> float:
    began = time.thread_time_ns()
    for _ in range(turns):
        single()
    return (time.thread_time_ns() - began) / turns / 1e3


def _cold(singles: dict[str, Callable[[], object]], turns: int, call: Call) -> dict[str, float]:
    spent: Spent = {name: [] for name in singles}
    for _, (name, single) in itertools.product(range(turns), singles.items()):
        time.sleep(1e-4)  # lets the woken thread go back to sleep
        call()
        began = time.thread_time_ns()
        single()
        spent[name].append(time.thread_time_ns() - began)
    nothing = median(spent["nothing"])
    return {name: max(0.0, median(times) - nothing) / 1e3 for name, times in spent.items()}


# -- throughput -------------------------------------------------------------------------------


def in_threads(call: Call, calls: int, threads: int = 16) -> None:
    """Make calls in threads that share one client."""

    def some() -> None:
        for _ in range(calls // threads):
            call()

    crowd = [threading.Thread(target=some) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()


def in_tasks(call: Call, calls: int) -> None:
    """Make calls in as many tasks that share one client."""

    async def together() -> None:
        await asyncio.gather(*[call() for _ in range(calls)])

    asyncio.run(together())


def throughput(size: Size) -> Iterator[Row]:
    """Measure calls a second, metered over bare, in rounds that take turns."""
    for name, is_async, handler, crowd in (
        ("16 threads", False, vendors.answer, in_threads),
        ("1,000 tasks", True, vendors.answer_later, in_tasks),
    ):
        with jsonl_meter() as meter:
            bare = vendors.chat(vendors.openai_client(is_async, handler))
            metered = vendors.chat(meter.wrap(vendors.openai_client(is_async, handler)))
            arms = {
                "bare": lambda call=bare, crowd=crowd: crowd(call, size.calls_a_round),
                "metered": lambda call=metered, crowd=crowd: crowd(call, size.calls_a_round),
            }
            spent = _rounds(arms, size.rounds)
        ratios = [b / m for b, m in zip(spent["bare"], spent["metered"], strict=True)]
        bare_rate = size.calls_a_round / median(spent["bare"]) * 1e9
        beside = f"bare {bare_rate:,.0f} calls/s"
        yield Row("throughput", name, median(ratios), "x", 0.95, at_least=True, beside=beside)


def _rounds(arms: dict[str, Callable[[], object]], rounds: int) -> Spent:
    """Time whole rounds by the wall clock, because throughput is what a wall clock sees."""
    spent: Spent = {name: [] for name in arms}
    orders = itertools.cycle(_rotations(list(arms.items())))
    for n, order in enumerate(itertools.islice(orders, rounds + 2)):
        for name, crowd in order:
            began = time.perf_counter_ns()
            crowd()
            if n >= 2:
                spent[name].append(time.perf_counter_ns() - began)
    return spent


# -- import and memory ------------------------------------------------------------------------

_STEPS = """
import time
{before}
t = [time.process_time_ns()]
import tokenmeter
t.append(time.process_time_ns())
tokenmeter.Meter()
t.append(time.process_time_ns())
print(t[1] - t[0], t[2] - t[1])
"""


def imports(size: Size) -> Iterator[Row]:
    """Measure the CPU of the import above the interpreter's own, and of the first meter."""
    for where, before in (("bare", ""), ("after import openai", "import openai")):
        steps = [_steps(before) for _ in range(size.processes + 1)][1:]  # the first one compiles
        imported, made = (median(times) / 1e6 for times in zip(*steps, strict=True))
        yield Row("import", f"import tokenmeter, {where}", imported, "ms", 40)
        yield Row("import", f"first Meter(), {where}", made, "ms")


def _steps(before: str) -> tuple[int, int]:
    code = _STEPS.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    imported, made = done.stdout.split()
    return int(imported), int(made)


_MEMORY = Path("/proc/self/smaps_rollup")


def rss_mib() -> float:
    """Give what this process holds in memory now (Linux), to the page."""
    gc.collect()
    said = dict(line.split(":") for line in _MEMORY.read_text().splitlines()[1:])
    return int(said["Rss"].split()[0]) / 1024


def growth(size: Size) -> Iterator[Row]:
    """Measure what a long run leaves in memory, after a warm-up."""
    if not _MEMORY.exists():
        return
    with jsonl_meter() as meter:
        client = meter.wrap(vendors.http_client(is_async=False))
        for name, call, turns in (
            (f"{size.growth_calls:,} calls", vendors.post(client), size.growth_calls),
            (f"{size.growth_streams:,} streams", vendors.post_stream(client), size.growth_streams),
        ):
            for _ in range(turns // 10):
                call()
            before = rss_mib()
            for _ in range(turns):
                call()
            yield Row("memory growth", name, rss_mib() - before, "MiB", 1)


# -- the table --------------------------------------------------------------------------------

PARTS = {
    "calls": calls,
    "streams": streams,
    "throughput": throughput,
    "imports": imports,
    "growth": growth,
    "operations": operations,
}


def line(row: Row) -> str:
    """Say one row."""
    sign = ">=" if row.at_least else "<="
    target = f"{sign} {row.target:g}" if row.target is not None else ""
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    value = f"{row.value:8.2f} {row.unit:<3}"
    return f"{row.part:<18} {row.name:<38} {value} {target:>8}  {verdict:<6}  {row.beside}".rstrip()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to a file")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    began = time.monotonic()
    rows: list[Row] = []
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians\n")
    for name in given.only or PARTS:
        for row in PARTS[name](QUICK if given.quick else FULL):
            rows.append(row)
            print(line(row), flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")
    if given.json is not None:
        said = [{**row._asdict(), "met": row.met} for row in rows]
        given.json.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
