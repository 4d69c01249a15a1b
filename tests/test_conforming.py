"""Our own exporters, in the conformance kit that we give to authors of others."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import resource
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pg import Server, server
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.compose import Filter, Redact, Tee
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.memory import Memory
from tokenmeter.exporters.otel import Otel
from tokenmeter.exporters.postgres import Postgres
from tokenmeter.exporters.stdout import Stdout, line
from tokenmeter.exporters.webhook import Webhook
from tokenmeter.ledger import read
from tokenmeter.testing.conformance import Conformance

pytest_plugins = ["tokenmeter.testing.conformance"]


# A file


@contextlib.contextmanager
def file_too_large(path: Path, how: str) -> Iterator[None]:
    if how == "hangs":
        pytest.skip("a local file does not hang")
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = path.stat().st_size if path.exists() else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_jsonl(conformance: Conformance, tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    conformance(
        make=functools.partial(Jsonl, path),
        arrived=lambda: read(path),
        outage=functools.partial(file_too_large, path),
        idempotent=False,
    )


# Lists and lines


def test_memory(conformance: Conformance) -> None:
    events: list[UsageEvent] = []
    conformance(
        make=lambda: remembering(events), arrived=events.copy, shared=False, idempotent=False
    )


def remembering(events: list[UsageEvent]) -> Memory:
    memory = Memory()
    memory.events = events
    return memory


def test_stdout(conformance: Conformance) -> None:
    """A line has no id, so what stands in it says which event it is of."""
    stream = io.StringIO()
    given: dict[str, list[str]] = defaultdict(list)

    def make() -> Exporter:
        stdout = Stdout(stream)

        def export(event: UsageEvent) -> None:
            given[line(event)].append(event.event_id)
            stdout(event)

        export.flush = stdout.flush  # type: ignore[attr-defined]
        return export

    def arrived() -> list[str]:
        left = {said: iter(names) for said, names in given.items()}
        return [next(left[said]) for said in stream.getvalue().split("\n")[:-1]]

    conformance(make=make, arrived=arrived, shared=False, idempotent=False)


# Exporters around others


def in_background(path: Path, **settings: Any) -> Exporter:
    return Background(Jsonl(path), batch=50, **settings)


@pytest.mark.parametrize("full", ["drop_newest", "drop_oldest", "block", "spill"])
def test_background(conformance: Conformance, tmp_path: Path, full: str) -> None:
    path = tmp_path / "usage.jsonl"
    settings: dict[str, Any] = {"full": full, "folder": tmp_path if full == "spill" else None}
    conformance(
        make=functools.partial(in_background, path, **settings),
        arrived=lambda: read(path),
        outage=functools.partial(file_too_large, path),
        idempotent=False,
    )


def spilling_at_once(path: Path) -> Exporter:
    return Background(Jsonl(path), size=2, batch=5, full="spill", folder=path.parent)


def test_background_that_spills_nearly_everything(conformance: Conformance, tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    conformance(
        make=functools.partial(spilling_at_once, path),
        arrived=lambda: read(path),
        idempotent=False,  # and no outage, which would be one of the spill too
    )


def everything(_event: UsageEvent) -> bool:
    return True


def tee(*exporters: Exporter) -> Exporter:
    """Look at the last of several exporters, and at the account of that one."""
    made = Tee(*exporters)
    made.account = made.branches[-1].account  # type: ignore[attr-defined]
    return made


COMPOSED: dict[str, Callable[[Path], Exporter]] = {
    "filter": lambda path: Filter(everything, Jsonl(path)),
    "redact": lambda path: Redact(Jsonl(path), "tags.email"),
    "tee": lambda path: tee(Memory(), Jsonl(path)),
    "tee of backgrounds": lambda path: tee(Background(Memory()), Background(Jsonl(path))),
    "background of filter of background": lambda path: Background(
        Filter(everything, Background(Jsonl(path)))
    ),
}


def composed(name: str, path: Path) -> Exporter:
    return COMPOSED[name](path)


@pytest.mark.parametrize("name", COMPOSED)
def test_composed(conformance: Conformance, tmp_path: Path, name: str) -> None:
    path = tmp_path / "usage.jsonl"
    conformance(
        make=functools.partial(composed, name, path),
        arrived=lambda: read(path),
        idempotent=False,
    )


# OpenTelemetry


@pytest.mark.filterwarnings("ignore:.*attribute:UserWarning")
def test_otel(conformance: Conformance) -> None:
    records = InMemoryLogRecordExporter()
    logs, metrics = LoggerProvider(), MeterProvider([InMemoryMetricReader()])
    logs.add_log_record_processor(SimpleLogRecordProcessor(records))

    def arrived() -> list[str]:
        found = (record.log_record.attributes or {} for record in records.get_finished_logs())
        return [str(attributes["tokenmeter.event_id"]) for attributes in found]

    conformance(
        make=lambda: Otel(meter_provider=metrics, logger_provider=logs, logs=True),
        arrived=arrived,
        shared=False,
        idempotent=False,
    )


# PostgreSQL


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as started:
        yield started


@pytest.fixture
def dsn(running: Server) -> str:
    dsn = running.database()
    ledger = Postgres(dsn)
    ledger.batch([])  # so that there is a table, also before the first event
    ledger.close()
    return dsn


def test_postgres(conformance: Conformance, running: Server, dsn: str) -> None:
    def arrived() -> list[str]:
        with psycopg.connect(dsn) as connection:
            rows = connection.execute("SELECT event_id FROM tokenmeter_events ORDER BY ctid")
            return [name for (name,) in rows]

    @contextlib.contextmanager
    def outage(how: str) -> Iterator[None]:
        name = dsn.partition("@/")[2].partition("?")[0]
        with psycopg.connect(running.dsn(), autocommit=True) as connection:
            if how == "fails":
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )
                try:
                    yield
                finally:
                    connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
            else:
                with psycopg.connect(dsn) as other:
                    other.execute("LOCK TABLE tokenmeter_events IN ACCESS EXCLUSIVE MODE")
                    yield

    conformance(make=functools.partial(Postgres, dsn), arrived=arrived, outage=outage)


# A webhook


class Receiver:
    """A server that takes an event once, by its id, as receivers of webhooks must."""

    def __init__(self) -> None:
        self.taken: dict[str, None] = {}
        self._fails = False
        self._answers = threading.Event()
        self._answers.set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def outage(self, how: str) -> Iterator[None]:
        self._fails = how == "fails"
        if how == "hangs":
            self._answers.clear()
        try:
            yield
        finally:
            self._fails = False
            self._answers.set()

    def _take(self, body: bytes) -> int:
        self._answers.wait(60)
        if self._fails:
            return 503
        with self._lock:
            self.taken |= dict.fromkeys(each["event_id"] for each in json.loads(body))
        return 200

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two kinds of self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.send_response(
                    receiver._take(self.rfile.read(int(self.headers["Content-Length"])))
                )
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_webhook(conformance: Conformance, receiver: Receiver) -> None:
    conformance(
        make=functools.partial(Webhook, receiver.url),
        arrived=lambda: list(receiver.taken),
        outage=receiver.outage,
    )
