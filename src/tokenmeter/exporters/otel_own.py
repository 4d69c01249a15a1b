"""Sending by OTLP over HTTP, with a MeterProvider of our own; and knowing what arrived.

OpenTelemetry's own ``force_flush`` says true where an export failed (open-telemetry/opentelemetry-
python #5020, read 2026-11-23), so the result of each export is looked at here. One thread collects
and exports: what was recorded before a collection began is in it, or in an earlier one.

The global provider stays what it is, and nothing here has a hook on forking or on the end of the
process: the meter has.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
import uuid
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.exporters.otel_given import scope
from tokenmeter.guard import Guard
from tokenmeter.sinks import Account
from tokenmeter.wire.claim import passing_through

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricsData

_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"


class Own:
    """A provider, an OTLP exporter and a thread, made at the first event of a process.

    Args:
        endpoint: The base URL of the receiver; empty: what ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
        headers: What requests carry in addition; ``None``: what the environment says.
        timeout_s: How long one export may take; ``None``: what the environment says, else 10.
        interval_s: The time between exports; ``None``: what the environment says, else 60.
        series: How many attribute sets there may be.
    """

    def __init__(
        self,
        endpoint: str,
        headers: dict[str, str] | None,
        timeout_s: float | None,
        interval_s: float | None,
        series: int,
    ) -> None:
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ConfigurationError(
                "endpoint is the URL of an OTLP receiver, such as 'http://localhost:4318'; "
                "got something that begins with neither http:// nor https://"
            )
        for name, value in (("timeout_s", timeout_s), ("interval_s", interval_s)):
            if value is not None and value <= 0:
                raise ConfigurationError(f"{name} is seconds, more than 0; got {value!r}")
        _otlp("metric_exporter")  # a missing extra is said now, not at the first event
        self._endpoint = endpoint.rstrip("/")
        self._options: dict[str, Any] = {"headers": headers, "timeout": timeout_s}
        self._interval_s = _interval_s() if interval_s is None else interval_s
        self._series = series
        self._guard = Guard()
        self._pid = os.getpid()
        self.after_fork()

    def after_fork(self) -> None:
        """Forget the provider, its connection and what it has counted: all of it is the parent's.

        Nothing is closed, so no word goes to the server; and a provider made anew has a new
        ``service.instance.id`` and new start times, so its sums do not continue the parent's.
        """
        self._changed = threading.Condition()
        self._recorded = self._exported = self._failed = self._unwanted = 0
        self._begun = self._done = self._noted = 0
        self._wanted = self._closed = False
        self._provider: MeterProvider | None = None
        self._exporter: Any = None
        self._reader: Any = None
        self._logs: Any = None
        self._resource: Any = None

    def meter(self) -> Meter:
        """Give the meter of our provider; makes the provider and starts the thread at first."""
        with self._changed:
            provider = self._provider or self._made()
        return provider.get_meter(**scope())

    def _made(self) -> MeterProvider:
        from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        make = _otlp("metric_exporter").OTLPMetricExporter
        self._exporter = exporter = make(self._url("metrics"), **self._options)
        room = 8 * self._series  # of modality, type and error each series has some
        self._reader = InMemoryMetricReader(
            exporter._preferred_temporality,
            exporter._preferred_aggregation,
            **_if_known("CardinalityLimits", cardinality_limits={Counter: room, Histogram: room}),
        )
        self._provider = provider = MeterProvider(
            [self._reader], self._described(), shutdown_on_exit=False
        )
        threading.Thread(target=self._run, name="tokenmeter-otlp", daemon=True).start()
        return provider

    def _url(self, signal: str) -> str | None:
        return f"{self._endpoint}/v1/{signal}" if self._endpoint else None

    def _described(self) -> Any:
        """Describe this process, apart from any other, forked ones included."""
        from opentelemetry.sdk.resources import Resource

        if self._resource is None:
            said = Resource.create({"process.pid": os.getpid()})
            given = said.attributes.get("service.instance.id")  # which a child must not share
            own = given if given and os.getpid() == self._pid else str(uuid.uuid4())
            self._resource = said.merge(Resource({"service.instance.id": own}))
        return self._resource

    # -- the thread

    def _run(self) -> None:
        with passing_through(), _untraced():
            while self._waited():
                arrived = self._guard.run("the OTLP export", self._export)
                self._ended(arrived or "not")

    def _waited(self) -> bool:
        """Wait for the time, or for somebody who wants it now; false at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._closed, self._interval_s)
            self._wanted = False
            self._begun += 1
            self._noted = self._recorded
            return not self._closed

    def _export(self) -> str:
        """Export what there is: it ``arrived``, is ``in the next`` export again, or did ``not``."""
        from opentelemetry.sdk.metrics.export import MetricExportResult

        data = self._reader.get_metrics_data()
        if data is None or self._exporter.export(data) is MetricExportResult.SUCCESS:
            return "arrived"
        return "in the next" if _is_cumulative(data) else "not"

    def _ended(self, how: str) -> None:
        """Take note of the end of an export: of everything that was recorded before it began."""
        with self._changed:
            if how == "arrived" and not self._closed:
                self._exported = self._noted - self._failed
            elif how == "not" and not self._closed:
                self._failed = self._noted - self._exported
            self._done = self._begun
            self._changed.notify_all()

    # -- what others see

    def recorded(self, events: int) -> None:
        """Take note that so many events have been recorded."""
        with self._changed:
            self._recorded += events

    def unwanted(self, events: int) -> None:
        """Take note of events that are sent nowhere, because OpenTelemetry is switched off."""
        with self._changed:
            self._unwanted += events

    def account(self) -> Account:
        """Say what became of the events; one that waits for its export is pending.

        Sums grow (cumulative temporality): an export that failed is made good by the next, so its
        events are pending until the end. Where they begin anew (delta), its events have failed.
        """
        with self._changed:
            return Account(
                captured=self._recorded + self._unwanted,
                exported=self._exported,
                filtered=self._unwanted,
                failed=self._failed,
                pending=self._recorded - self._exported - self._failed,
            )

    def flush(self, timeout: float) -> bool:
        """Export now, and say whether all that was recorded before has arrived."""
        with self._changed:
            if self._provider is None or self._closed:
                return True
            recorded, failed, wanted = self._recorded, self._failed, self._begun + 1
            self._wanted = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= wanted, timeout)
            return self._exported + failed >= recorded

    def close(self, timeout: float) -> None:
        """Export for the last time; what did not arrive by then has failed."""
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._failed = self._recorded - self._exported
        left_ms = max(0.0, deadline - time.monotonic()) * 1_000
        for end in (self._provider, self._exporter):
            if end is not None:
                end.shutdown(timeout_millis=left_ms)
        if self._logs is not None:
            self._logs.shutdown()

    # -- log records

    def send(self, records: list[Any]) -> None:
        """Send log records and wait for the answer.

        Raises:
            ConnectionError: The receiver did not take them.
        """
        from opentelemetry.sdk._logs import ReadableLogRecord
        from opentelemetry.sdk._logs.export import LogRecordExportResult
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        with self._changed:
            if self._logs is None:
                self._logs = self._log_exporter()
            described, by = self._described(), InstrumentationScope(**scope())
        with _untraced():
            result = self._logs.export([ReadableLogRecord(r, described, by) for r in records])
        if result is not LogRecordExportResult.SUCCESS:
            raise ConnectionError("the OTLP receiver did not take the log records")

    def _log_exporter(self) -> Any:
        return _otlp("_log_exporter").OTLPLogExporter(self._url("logs"), **self._options)


def _is_cumulative(data: MetricsData) -> bool:
    """Say whether sums go on growing, so that what did not arrive is in the next export again."""
    from opentelemetry.sdk.metrics.export import AggregationTemporality

    temporalities = {
        getattr(metric.data, "aggregation_temporality", None)
        for resource in data.resource_metrics
        for scoped in resource.scope_metrics
        for metric in scoped.metrics
    }
    return AggregationTemporality.DELTA not in temporalities


def _if_known(name: str, **options: Any) -> dict[str, Any]:
    """Give options that older versions of the SDK do not have."""
    from opentelemetry.sdk.metrics import export

    return options if hasattr(export, name) else {}


@contextlib.contextmanager
def _untraced() -> Generator[None]:
    """Keep instrumentations of HTTP libraries from tracing what we send."""
    from opentelemetry import context

    suppressed = context._SUPPRESS_INSTRUMENTATION_KEY  # pyright: ignore[reportPrivateUsage]
    token = context.attach(context.set_value(suppressed, True))
    try:
        yield
    finally:
        context.detach(token)


def _otlp(module: str) -> Any:
    try:
        return importlib.import_module(f"opentelemetry.exporter.otlp.proto.http.{module}")
    except ImportError:
        raise MissingExtraError("opentelemetry-exporter-otlp-proto-http", "otlp") from None


def _interval_s() -> float:
    said = os.environ.get(_INTERVAL, "60000")
    if not said.isdecimal() or int(said) == 0:
        raise ConfigurationError(f"{_INTERVAL} is milliseconds, such as 60000; got {said!r}")
    return int(said) / 1_000
