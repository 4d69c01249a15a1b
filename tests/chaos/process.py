"""One process of the chaos test: threads that make metered calls, exporters that fail and recover.

Started with its settings as JSON in the first argument; says on stdout, as JSON, what it did.
"""

from __future__ import annotations

import http.client
import json
import logging
import mmap
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tokenmeter import Meter, UsageEvent, attribute
from tokenmeter.errors import BusyError
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.compose import Filter
from tokenmeter.exporters.jsonl import Jsonl

ANSWER = {
    "id": "x",
    "model": "model-small",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}
PATIENCE_S = 0.5
"""How long a request to the receiver may take."""


class Post:
    """Post the ids of batches to the receiver; a refusal is raised."""

    def __init__(self, port: int, sender: str) -> None:
        self.port, self.sender = port, sender

    def __call__(self, event: UsageEvent) -> None:
        self.batch([event])

    def batch(self, events: Sequence[UsageEvent]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(
                "POST", f"/{self.sender}", json.dumps([event.event_id for event in events])
            )
            answer = connection.getresponse()
        finally:
            connection.close()
        if answer.status == 429:
            raise BusyError("later", float(answer.headers["Retry-After"]))
        if answer.status != 204:
            raise OSError(f"answered {answer.status}")


class Shaky:
    """Take events in the process, fail for good now and then, and be too slow for what comes."""

    def __init__(self, seed: str) -> None:
        self.dice, self.taken = random.Random(seed), 0

    def __call__(self, event: UsageEvent) -> None:
        if self.dice.random() < 0.02:
            raise OSError
        if self.dice.random() < 0.1:
            time.sleep(0.02)
        self.taken += 1

    def after_fork(self) -> None:
        self.taken = 0


def odd(event: UsageEvent) -> None:
    """Fail in line for one event of sixteen."""
    if event.event_id.endswith("7"):
        raise ValueError


class Witness:
    """Look at the accounts again and again while everything runs."""

    def __init__(self, meter: Meter) -> None:
        self.looks, self.unbalanced = 0, list[Any]()
        self._meter, self._over = meter, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for name, account in self._meter.stats().items():
                if name != "guard":
                    self.looks += 1
                    self._check(name, account)

    def _check(self, name: str, account: Any) -> None:
        captured, *ends = account.values()
        if captured != sum(ends) or min(ends) < 0:
            self.unbalanced.append([name, account])

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Calls:
    """Make metered calls in threads: some over a socket, most answered in the process."""

    def __init__(self, meter: Meter, given: Any, name: str, counted: mmap.mmap | None) -> None:
        self.meter, self.given, self.name, self.counted = meter, given, name, counted
        self.made = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def run(self, count: int) -> None:
        threads = [
            threading.Thread(target=self._thread, args=(n, count))
            for n in range(self.given["threads"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _thread(self, number: int, count: int) -> None:
        remote = self.meter.wrap(httpx.Client(base_url=self.given["model"], timeout=60))
        local = self.meter.wrap(
            httpx.Client(
                base_url="https://api.openai.com/v1",
                transport=httpx.MockTransport(lambda _: httpx.Response(200, json=ANSWER)),
            )
        )
        asked = {"model": "model-small", "messages": [{"role": "user", "content": "good morning"}]}
        with attribute(user=f"{self.name}.{number}"), remote, local:
            for n in range(count):
                client = remote if n % self.given["socket_every"] == 0 else local
                client.post("/chat/completions", json=asked)
                self._count(number, n + 1)

    def _count(self, number: int, count: int) -> None:
        if self.counted is not None:
            self.counted[8 * number : 8 * number + 8] = count.to_bytes(8, "little")
        with self._changed:
            self.made += 1
            self._changed.notify_all()

    def wait_for(self, made: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.made >= made)


def exporters(given: Any, name: str) -> tuple[list[Any], Shaky]:
    shaky = Shaky(f"{given['seed']} {name}")
    return [
        Jsonl(given["jsonl"]),
        Background(Post(given["port"], name), **given["background"]),
        Background(shaky, size=500, batch=50, retry_s=0),
        Filter(lambda event: (event.user or "").endswith("3"), odd),
    ], shaky


def report(meter: Meter, calls: Calls, shaky: Shaky, seen: Witness, name: str) -> str:
    before = meter.stats()
    whole = meter.flush(given["flush_s"])
    stats = meter.stats()
    meter.shutdown(5)
    said = {
        "name": name, "made": calls.made, "stats": stats, "before": before, "flushed": whole,
        "losses": meter.losses(), "taken": shaky.taken,
        "looks": seen.looks, "unbalanced": seen.unbalanced,
    }  # fmt: skip
    return json.dumps(said)


def child(meter: Meter, post: Any, shaky: Shaky) -> None:
    """Make calls of one's own in a forked child, and end."""
    name = f"{given['name']}-child"
    post.exporter.sender = name
    calls = Calls(meter, given, name, None)
    with Witness(meter) as seen:
        calls.run(given["child_calls"])
    print(report(meter, calls, shaky, seen, name), flush=True)


def main() -> None:
    made, shaky = exporters(given, given["name"])
    meter = Meter(made)
    with Path(given["counted"]).open("r+b") as file:
        calls = Calls(meter, given, given["name"], mmap.mmap(file.fileno(), 0))
    sys.stdin.readline()  # all begin together
    with Witness(meter) as seen:
        caller = threading.Thread(target=calls.run, args=(given["calls"],))
        caller.start()
        if given["child_calls"]:
            calls.wait_for(given["threads"] * given["calls"] // 2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # newer Pythons warn of forks among threads
                pid = os.fork()
            if not pid:
                child(meter, made[1], shaky)
                os._exit(0)
        caller.join()
    print(report(meter, calls, shaky, seen, given["name"]), flush=True)
    if given["child_calls"]:
        assert os.waitpid(pid, 0)[1] == 0


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    logging.disable()  # what goes wrong on purpose
    main()
