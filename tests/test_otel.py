"""Metrics of OpenTelemetry, read back from the SDK."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tokenmeter import BusyError, ConfigurationError, Meter, UsageEvent
from tokenmeter.errors import RejectedError
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.otel import Otel
from tokenmeter.sinks import Account


class Telemetry:
    """A provider of a program, and what is in it."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def metrics(self) -> Iterator[Any]:
        data = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "tokenmeter"
                yield from scope.metrics

    def points(self) -> dict[tuple[Any, ...], Any]:
        return {
            (metric.name, *sorted(point.attributes.items())): getattr(
                point, "value", getattr(point, "sum", None)
            )
            for metric in self.metrics()
            for point in metric.data.data_points
        }

    def totals(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for (name, *_), value in self.points().items():
            found[name] += value
        return found


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    there = Telemetry()
    yield there
    there.provider.shutdown()


def event(number: int = 0, **columns: Any) -> UsageEvent:
    ts = datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)
    return UsageEvent("call", f"e{number}", 1, ts, **columns)


CALL: dict[str, Any] = {
    "provider": "openai",
    "operation": "chat",
    "request_model": "m",
    "status": "completed",
    "duration_s": 0.5,
    "input_tokens": 10,
    "output_tokens": 4,
    "input_provenance": "reported",
    "output_provenance": "reported",
}
SAID = (
    ("gen_ai.operation.name", "chat"),
    ("gen_ai.provider.name", "openai"),
    ("gen_ai.request.model", "m"),
)


def test_what_was_recorded_is_in_the_provider_of_the_program(telemetry: Telemetry) -> None:
    exporter = Otel(meter_provider=telemetry.provider)
    exporter.batch([event(1, **CALL), event(2, **CALL)])
    unknown, kind = ("gen_ai.token.modality", "unknown"), "gen_ai.token.type"
    assert telemetry.points() == {
        ("gen_ai.client.inference.usage.input_tokens", *SAID, unknown): 20,
        ("gen_ai.client.inference.usage.output_tokens", *SAID, unknown): 8,
        ("gen_ai.client.inference.operation.input_tokens", *SAID): 20,
        ("gen_ai.client.inference.operation.output_tokens", *SAID): 8,
        ("gen_ai.client.inference.duration", *SAID): 1.0,
        ("gen_ai.client.token.usage", *SAID, (kind, "input")): 20,
        ("gen_ai.client.token.usage", *SAID, (kind, "output")): 8,
        ("gen_ai.client.operation.duration", *SAID): 1.0,
    }
    assert exporter.account() == Account(captured=2, exported=2)


def test_every_metric_has_its_unit_and_the_buckets_hold_with_any_provider(
    telemetry: Telemetry,
) -> None:
    exporter = Otel(meter_provider=telemetry.provider, strict=True)
    exporter.watch(lambda: {"x": Account()._asdict()})
    whole = CALL | {
        "cache_read_tokens": 1,
        "cache_write_tokens": 1,
        "reasoning_tokens": 1,
        "time_to_first_chunk_s": 0.1,
        "cost_amount": Decimal("0.5"),
        "cost_currency": "USD",
    }
    estimated = {
        "input_provenance": "estimated",
        "output_provenance": "partial",
    }
    exporter.batch([event(**whole), event(**CALL | estimated), event()])
    found = {
        metric.name: (metric.unit, getattr(metric.data.data_points[0], "explicit_bounds", None))
        for metric in telemetry.metrics()
    }
    assert found == {name: (metric.unit, metric.buckets) for name, metric in names.METRICS.items()}


def test_a_failed_call_says_its_error_in_durations_alone(telemetry: Telemetry) -> None:
    failed = CALL | {"status": "failed", "error_type": "429", "time_to_first_chunk_s": 0.1}
    Otel(meter_provider=telemetry.provider)(event(**failed))
    with_error = {name for name, *said in telemetry.points() if ("error.type", "429") in said}
    assert with_error == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
        "gen_ai.client.operation.duration",
    }


def test_a_duration_leads_to_the_trace_of_its_call(telemetry: Telemetry) -> None:
    exporter = Otel("current", meter_provider=telemetry.provider)
    exporter(event(**CALL, trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331"))
    exemplars = {
        (f"{e.trace_id:032x}", f"{e.span_id:016x}")
        for metric in telemetry.metrics()
        for point in metric.data.data_points
        for e in point.exemplars
    }
    assert exemplars == {("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")}


def test_without_exemplars_no_metric_leads_anywhere(telemetry: Telemetry) -> None:
    exporter = Otel(meter_provider=telemetry.provider, exemplars=False)
    exporter(event(**CALL, trace_id="1" * 32, span_id="2" * 16))
    assert all(not p.exemplars for m in telemetry.metrics() for p in m.data.data_points)


def test_the_accounts_of_the_meter_are_sent_along(telemetry: Telemetry) -> None:
    exporter = Otel(meter_provider=telemetry.provider)
    exporter.watch(
        lambda: {
            "Jsonl": Account(captured=5, exported=3, failed=2)._asdict(),
            "guard": {"the exporter Jsonl": 2},
        }
    )
    exporter(event(**CALL))
    found = {
        (dict(said)["tokenmeter.exporter"], dict(said)["tokenmeter.state"]): value
        for (name, *said), value in telemetry.points().items()
        if name == "tokenmeter.events"
    }
    assert found == {
        ("Jsonl", "captured"): 5,
        ("Jsonl", "exported"): 3,
        ("Jsonl", "filtered"): 0,
        ("Jsonl", "dropped"): 0,
        ("Jsonl", "failed"): 2,
        ("Jsonl", "pending"): 0,
    }
    exporter.close()
    assert telemetry.totals()["tokenmeter.events"] == 0


def test_no_event_is_said_to_be_exported_before_there_is_a_provider() -> None:
    exporter = Otel()
    with pytest.raises(BusyError, match="OpenTelemetry has no MeterProvider"):
        exporter.batch([event(**CALL)])
    assert exporter.account() == Account()


def test_where_opentelemetry_is_switched_off_no_event_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    exporter = Otel(meter_provider=MeterProvider(shutdown_on_exit=False))
    exporter.batch([event(**CALL)] * 2)
    assert exporter.account() == Account(captured=2, filtered=2)


def test_many_threads_record_each_event_once(telemetry: Telemetry) -> None:
    exporter = Otel(meter_provider=telemetry.provider)

    def record() -> None:
        for _ in range(100):
            exporter.batch([event(**CALL)] * 3)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = telemetry.totals()
    assert totals[names.INPUT] == totals[names.INPUT_PER_CALL] == 12_000
    assert totals[names.TOKEN_USAGE] == 16_800
    assert exporter.account() == Account(captured=1200, exported=1200)


def test_arbitrary_models_do_not_grow_the_metrics_without_bound(telemetry: Telemetry) -> None:
    """C78: what a gateway answers is a name that anybody may make up."""
    exporter = Otel("current", meter_provider=telemetry.provider, series=10)
    exporter.batch([event(**CALL | {"response_model": f"m{n}"}) for n in range(500)])
    points = [said for name, *said in telemetry.points() if name == names.INPUT]
    assert len(points) == 11
    assert telemetry.totals()[names.INPUT] == 5000


def test_user_and_task_are_in_no_metric(telemetry: Telemetry) -> None:
    who = {"user": "ada@example.org", "task": "T-1", "agent": "planner", "conversation": "c-7"}
    Otel(meter_provider=telemetry.provider)(event(**CALL, **who, tags={"secret": "xyz"}))
    said = str(telemetry.points())
    assert not [word for word in (*who.values(), "xyz") if word in said]


def test_a_number_that_is_none_harms_nothing(telemetry: Telemetry) -> None:
    Otel(meter_provider=telemetry.provider)(event(**CALL | {"duration_s": math.nan}))
    assert telemetry.totals()[names.INPUT] == 10


@pytest.mark.parametrize(
    "odd_columns",
    [
        {"input_tokens": "many"},
        {"input_tokens": 10**13},
        {"cache_read_tokens": 2**63},
        {"response_model": "half a surrogate: \ud83d"},
        {"response_model": ["a", "list"]},
    ],
)
def test_an_event_that_cannot_be_measured_costs_itself_alone(
    telemetry: Telemetry, odd_columns: dict[str, Any]
) -> None:
    exporter = Otel(meter_provider=telemetry.provider)
    fine, odd = event(1, **CALL), event(2, **CALL | odd_columns)
    with pytest.raises(RejectedError, match="holds what cannot be measured") as raised:
        exporter.batch([fine, odd, fine])
    assert raised.value.events == [odd]
    assert exporter.account() == Account(captured=2, exported=2)
    assert telemetry.totals()[names.INPUT] == 20


def test_each_event_is_a_log_record_when_that_is_wanted(telemetry: Telemetry) -> None:
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    exporter = Otel(meter_provider=telemetry.provider, logs=True, logger_provider=provider)
    exporter(event(1, **CALL, trace_id="1" * 32, span_id="2" * 16, user="ada"))
    (found,) = kept.get_finished_logs()
    record = found.log_record
    assert (record.event_name, record.timestamp) == ("tokenmeter.event", 1795341600250000000)
    assert (record.trace_id, record.span_id) == (int("1" * 32, 16), int("2" * 16, 16))
    assert dict(record.attributes or {}) == {
        "tokenmeter.kind": "call",
        "tokenmeter.event_id": "e1",
        "tokenmeter.schema": 1,
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "tokenmeter.status": "completed",
        "tokenmeter.duration_s": 0.5,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 4,
        "tokenmeter.input_provenance": "reported",
        "tokenmeter.output_provenance": "reported",
        "user.id": "ada",
    }
    provider.shutdown()


def test_it_is_an_exporter_of_a_meter(telemetry: Telemetry) -> None:
    meter = Meter([Otel(meter_provider=telemetry.provider)])
    meter.record(event(**CALL))
    assert meter.stats()["Otel"] == Account(captured=1, exported=1)._asdict()
    meter.shutdown()
    assert meter.losses() == []
    assert telemetry.totals()[names.INPUT] == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"profile": "newest"}, "one of both, current, legacy; got 'newest'"),
        ({"meter_provider": "mine"}, "meter_provider is a MeterProvider"),
        ({"series": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Otel(**options)
