"""Calls of every kind, and what the ledger says of them: the measure of the receivers."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from tokenmeter import Meter, UsageEvent
from tokenmeter.ledger import read
from tokenmeter.testing import ModelServer

PATIENCE_S = 300
METRICS = {
    "input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "reasoning_tokens": "gen_ai.client.inference.usage.reasoning.output_tokens",
}
ESTIMATED = "tokenmeter.estimated."


def calls(client: httpx.Client, count: int) -> None:
    """Make calls: plain ones, streams, streams that are left, embeddings, refused ones."""
    words = random.Random(7)
    for number in range(count):
        text = " ".join(["word"] * words.randint(1, 40))
        model = f"model-{number % 5}"
        match number % 4:
            case 0:
                client.post("/responses", json={"model": model, "input": text}).raise_for_status()
            case 1:
                _stream(client, {"model": model, "messages": [{"role": "user", "content": text}]})
            case 2:
                client.post("/embeddings", json={"model": model, "input": text}).raise_for_status()
            case _:
                client.post("/responses", json={"model": model})


def _stream(client: httpx.Client, asked: dict[str, Any]) -> None:
    asked |= {"stream": True}
    with client.stream("POST", "/chat/completions", json=asked) as response:
        for _ in response.iter_bytes():
            pass


@contextlib.contextmanager
def metered(meter: Meter) -> Iterator[httpx.Client]:
    with ModelServer() as server, httpx.Client(base_url=server.openai_url) as client:
        yield meter.wrap(client)


def ledger_sums(ledger: Path) -> Counter[str]:
    """Add up what the ledger says, by metric: reported counts, and estimated ones apart."""
    return sums_of(read(ledger))


def sums_of(events: Iterable[UsageEvent]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for event in events:
        sums["calls"] += 1
        for column, metric in METRICS.items():
            side = "input" if column.startswith("input") else "output"
            how, count = getattr(event, f"{side}_provenance"), getattr(event, column) or 0
            if how == "reported":
                sums[metric] += count
            elif how in ("estimated", "partial") and not column.startswith("reasoning"):
                sums[ESTIMATED + column] += count
    return sums


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and the workers that it started
            process.wait()


def eventually(what: str, ask: Callable[[], Any], wanted: Any) -> Any:
    """Ask a receiver, which takes its time, until it says what is wanted; else fail."""
    deadline = time.monotonic() + PATIENCE_S
    said: Any = None
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            said = ask()
            if said == wanted:
                return said
        time.sleep(0.2)
    raise SystemExit(f"{what} says {said!r}; wanted {wanted!r}")


def show(where: str, sums: dict[str, Any]) -> None:
    print(f"-- {where}")
    for name in sorted(sums):
        print(f"   {sums[name]:>10,}  {name}")
