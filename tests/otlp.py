"""A receiver of OTLP on loopback that takes, refuses or keeps one waiting, as a test wants."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

FORMS = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/logs": ExportLogsServiceRequest}


class Receiver:
    """What was received, and what is answered next: a status, 200 where nothing is said."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: list[int] = []
        self.default = 200
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.logs: list[ExportLogsServiceRequest] = []
        self.headers: list[dict[str, str]] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.asked.release()
        self.may_answer.wait(60)
        self.headers.append(headers)
        status = self.statuses.pop(0) if self.statuses else self.default
        if status == 200:
            kept: Any = self.metrics if path == "/v1/metrics" else self.logs
            kept.append(FORMS[path].FromString(body))
        return status

    def points(self) -> Iterator[tuple[str, str, dict[str, Any], Any]]:
        """Give the points that were taken: the process, the metric, its attributes, the point."""
        for request in self.metrics:
            for resource in request.resource_metrics:
                process = plain(resource.resource.attributes)["service.instance.id"]
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        for point in getattr(metric, metric.WhichOneof("data")).data_points:
                            yield process, metric.name, plain(point.attributes), point

    def sums(self, *metrics: str) -> Counter[str]:
        """Give the last state of cumulative sums, added up over attributes and beginnings."""
        last = {
            (process, name, point.start_time_unix_nano, *sorted(said.items())): point.as_int
            for process, name, said, point in self.points()
            if name in metrics
        }
        found: Counter[str] = Counter()
        for (_, name, *_rest), value in last.items():
            found[str(name)] += value
        return found


def plain(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            status = receiver.answer(self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
