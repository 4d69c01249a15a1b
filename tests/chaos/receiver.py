"""A ledger behind HTTP that fails, hangs and recovers as its script says: each event counts once.

Run by a test in its own process; what it received is in a real database.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

HANG_S = 1.0
"""How long a request hangs; the processes wait for half of it."""

FAULTS = ("refuse", "take and refuse", "take and cut", "hang", "hang and take", "busy")


class Receiver:
    """Receive batches of events by POST.

    Args:
        seed: What makes the script of faults: ``share`` of the first attempts at a batch meet one,
            and so do the attempts after it, but never more than ``in_a_row`` of one sender.
        share: 0 to 1.
        in_a_row: So many faults at most follow each other.
    """

    def __init__(self, seed: int, share: float, in_a_row: int = 4) -> None:
        self._lock = threading.Lock()
        self._seed, self._share, self._in_a_row = seed, share, in_a_row
        self._scripts: dict[str, Iterator[str]] = {}
        self._rows = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._rows.execute("CREATE TABLE event (id TEXT PRIMARY KEY, sender TEXT, times INTEGER)")
        self.healed = threading.Event()
        self.met: dict[str, int] = {}
        self.batches: dict[str, int] = {}
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = False  # so that closing waits for them
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.healed.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._rows.close()

    def next_step(self, sender: str) -> str:
        """Say what becomes of the next request of a sender."""
        with self._lock:
            script = self._scripts.setdefault(sender, self._script(sender))
            step = "take" if self.healed.is_set() else next(script)
            self.met[step] = self.met.get(step, 0) + 1
            return step

    def _script(self, sender: str) -> Iterator[str]:
        dice = random.Random(f"{self._seed} {sender}")
        while True:
            faults = 0
            while faults < self._in_a_row and dice.random() < self._share:
                faults += 1
                yield dice.choice(FAULTS)
            yield "take"

    def take(self, sender: str, ids: list[str]) -> None:
        """Note events in one transaction; one that is known is not noted again."""
        with self._lock:
            self.batches[sender] = self.batches.get(sender, 0) + 1
            self._rows.execute("BEGIN")
            self._rows.executemany(
                "INSERT INTO event VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1",
                [(each, sender) for each in ids],
            )
            self._rows.execute("COMMIT")

    def ids(self, sender: str) -> set[str]:
        """Give what is there of a sender."""
        with self._lock:
            rows = self._rows.execute("SELECT id FROM event WHERE sender = ?", (sender,))
            return {row[0] for row in rows}

    def times(self) -> tuple[int, int]:
        """Say how many events are there, and how many came more than once."""
        with self._lock:
            counted = "SELECT COUNT(*), COALESCE(SUM(times > 1), 0) FROM event"
            there, again = self._rows.execute(counted).fetchone()
        return there, again


class _Handler(BaseHTTPRequestHandler):
    receiver: ClassVar[Any]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sender = self.path.rpartition("/")[2]
        ids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        step = self.receiver.next_step(sender)
        if "hang" in step:
            self.receiver.healed.wait(HANG_S)
        if "take" in step:
            self.receiver.take(sender, ids)
        self.close_connection = True
        if "cut" not in step:
            self._answer({"take": 204, "busy": 429}.get(step, 500))

    def _answer(self, status: int) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if status == 429:
                self.send_header("Retry-After", "0.2")
            self.end_headers()
        except OSError:
            pass  # whoever asked did not wait

    def log_message(self, *said: object) -> None: ...
