"""Everything that can be read of a meter: all exporters at once, all reports, all that is logged.

A canary is a word that was planted where content is, and that must be found in none of it.
"""

from __future__ import annotations

import base64
import copy
import gzip
import io
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sinks_of_tests import Batches
from tokenmeter import Meter, UsageEvent
from tokenmeter.cli import main
from tokenmeter.cli.doctor import table
from tokenmeter.diagnosis import diagnose
from tokenmeter.exporters.array import array
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.memory import Memory
from tokenmeter.exporters.otel import Otel
from tokenmeter.exporters.otel_spans import OtelSpans
from tokenmeter.exporters.stdout import Stdout
from tokenmeter.exporters.webhook import Webhook
from tokenmeter.reports.columns import NAMES
from tokenmeter.reports.output import FORMATS
from tokenmeter.trees import tree

CANARY = "zq7canary"


def planted(where: str) -> str:
    """Give a text for a place where content is; it says which one it was."""
    return f"{CANARY} in {where}"


def spellings() -> list[bytes]:
    """Give what the canary looks like, in lower case: plain, in hexadecimal, in base64."""
    word = CANARY.encode()
    shifted = [base64.b64encode(b"x" * n + word)[-(-n * 4 // 3) :] for n in range(3)]
    inner = [text.rstrip(b"=")[1:-1].lower() for text in shifted]
    return [word, word.hex().encode(), *inner]


def found_in(said: bytes) -> list[str]:
    """Give what stands around each canary that is there."""
    low = said.lower()
    places = (low.find(spelling) for spelling in spellings())
    return [said[max(0, at - 60) : at + 60].decode("utf-8", "replace") for at in places if at >= 0]


class Outlets:
    """All exporters there are, those that fail among them, and what can be read of them."""

    def __init__(self, folder: Path, webhook: Any, otlp: Any) -> None:
        self.folder, self._webhook, self._otlp = folder, webhook, otlp
        self.memory, self.text = Memory(), io.StringIO()
        self.spilled = folder / "spilled"
        self.spilled.mkdir()
        self._broken = Batches()
        self._broken.gate.clear()
        self._telemetry()

    def _telemetry(self) -> None:
        self._records, self._spans = InMemoryLogRecordExporter(), InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._logs, self._traces = LoggerProvider(), TracerProvider()
        self._metrics = MeterProvider([self._reader])
        self._logs.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self._traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = self._traces.get_tracer("test")

    def exporters(self) -> list[Any]:
        attributes = ["user", "team", "task", "agent", "tag:tier"]
        return [
            self.memory,
            Stdout(self.text),
            Jsonl(self.folder / "usage.jsonl"),
            Jsonl(self.folder / "closed.jsonl", rotate_bytes=900, compress="gzip"),
            Otel(
                meter_provider=self._metrics,
                logger_provider=self._logs,
                logs=True,
                attributes=attributes,
            ),
            Background(
                Otel(endpoint=self._otlp.url, logs=True, attributes=attributes), sigterm=False
            ),
            OtelSpans(),
            Background(Webhook(self._webhook.url, token="token"), sigterm=False),
            Background(
                self._broken, size=1, batch=1, full="spill", folder=self.spilled, sigterm=False
            ),
            _fails,
        ]

    def spill(self) -> dict[str, bytes]:
        """Read what waits on disk, and then let it go."""
        there = {path.name: path.read_bytes() for path in self.spilled.iterdir()}
        self._broken.gate.set()
        return there

    def read(self, meter: Meter, reports: Any) -> dict[str, bytes]:
        """Give all that can be read, by where: exporters, files, reports, what a meter says.

        ``reports`` is what reads standard output and standard error.
        """
        said: dict[str, Any] = {f"spilled {name}": text for name, text in self.spill().items()}
        meter.flush()
        said |= self._of_meter(meter)
        meter.shutdown()
        said["losses"] = meter.losses()
        said |= {path.name: _unpacked(path) for path in self.folder.rglob("*") if path.is_file()}
        said |= self._of_exporters() | self._of_events(self.memory.events)
        said |= self._of_commands(reports)
        return {where: _bytes(value) for where, value in said.items()}

    def _of_meter(self, meter: Meter) -> dict[str, Any]:
        diagnosis, doctor = diagnose(meter), io.StringIO()
        table(diagnosis, doctor)
        return {
            "stats": meter.stats(),
            "not understood": meter.not_understood(),
            "totals": meter.totals.rows(),
            "unattributed": meter.unattributed(),
            "settings": meter.settings.described(),
            "settings, whole": meter.settings,
            "diagnosis": msgspec.json.encode(diagnosis),
            "doctor": doctor.getvalue(),
        }

    def _of_exporters(self) -> dict[str, Any]:
        logged = [record.to_json() for record in self._records.get_finished_logs()]
        metrics = self._reader.get_metrics_data()
        said = {
            "stdout": self.text.getvalue(),
            "metrics": None if metrics is None else metrics.to_json(),
            "log records": logged,
            "spans": [span.to_json() for span in self._spans.get_finished_spans()],
            "otlp": [str(each) for each in (*self._otlp.metrics, *self._otlp.logs)],
            "headers of otlp": self._otlp.headers,
            "webhook": [tuple(post) for post in self._webhook.posts],
        }
        self._metrics.shutdown()
        self._logs.shutdown()
        self._traces.shutdown()
        return said

    def _of_events(self, events: list[UsageEvent]) -> dict[str, Any]:
        forest = tree(events)
        return {
            "events": events,
            "pickles": pickle.dumps(events),
            "copies": copy.deepcopy(events),
            "array": array(events),
            "tree": str(forest),
            "tree in HTML": forest._repr_html_(),
            "values": [(event.usage, event.attribution, event.cost) for event in events],
        }

    def _of_commands(self, reports: Any) -> dict[str, Any]:
        ledger, parquet = str(self.folder / "usage.jsonl"), self.folder / "usage.parquet"
        for form in FORMATS:
            assert main(["report", ledger, "--by", ",".join(NAMES), "--format", form]) == 0
        assert main(["tail", "-n", "9999", "--no-follow", ledger]) == 0
        assert main(["compact", ledger, "--to", str(parquet)]) == 0
        with duckdb.connect() as base:
            rows = base.execute(f"SELECT columns(*)::VARCHAR FROM '{parquet}'").fetchall()
        return {"parquet": rows, "commands": "".join(reports.readouterr())}


def _fails(event: UsageEvent) -> None:
    raise RuntimeError(planted("the exception of an exporter"))


def _unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else repr(value)).encode("utf-8", "surrogateescape")


def logged(records: list[logging.LogRecord]) -> Iterator[str]:
    """Give what tokenmeter logs: with exceptions and arguments, at every level.

    What an SDK or an HTTP library logs at DEBUG is theirs, and holds prompts and headers.
    """
    formatter = logging.Formatter()
    for record in records:
        if record.name.partition(".")[0] == "tokenmeter":
            yield f"{formatter.format(record)} {json.dumps(repr(vars(record)))}"
