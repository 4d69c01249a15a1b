"""Sending by OTLP: what arrived is exported, what did not is not."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is absent")

from otlp import Receiver, plain, receiving
from tokenmeter import ConfigurationError, Meter, UsageEvent
from tokenmeter.exporters import exporter
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.otel import Otel, otlp
from tokenmeter.exporters.otel_spans import OtelSpans
from tokenmeter.sinks import Account

EVENT = UsageEvent(
    "call",
    "x",
    1,
    datetime(2026, 11, 22, tzinfo=UTC),
    provider="openai",
    operation="chat",
    request_model="m",
    status="completed",
    duration_s=0.25,
    input_tokens=10,
    output_tokens=4,
    input_provenance="reported",
    output_provenance="reported",
)
LONG = 1e6
"""Seconds between two exports: no export comes by itself during a test."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as there:
        yield there


def test_what_the_receiver_took_is_exported(receiver: Receiver) -> None:
    exporter = otlp(receiver.url, interval_s=LONG)
    exporter.batch([EVENT, EVENT])
    assert exporter.account() == Account(captured=2, pending=2)
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=2, exported=2)
    assert receiver.sums(names.INPUT, names.OUTPUT) == {names.INPUT: 20, names.OUTPUT: 8}
    exporter.close(60)


def test_a_failed_export_is_made_good_by_the_next_since_sums_grow(receiver: Receiver) -> None:
    exporter = otlp(receiver.url, interval_s=LONG)
    receiver.statuses = [400, 200]
    exporter(EVENT)
    assert not exporter.flush(60)
    assert exporter.account() == Account(captured=1, pending=1)
    exporter(EVENT)
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=2, exported=2)
    assert receiver.sums(names.INPUT) == {names.INPUT: 20}
    exporter.close(60)


def test_a_failed_export_of_what_begins_anew_has_failed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    exporter = otlp(receiver.url, interval_s=LONG)
    receiver.statuses = [200, 400, 200]
    for flushed, expected in (
        (True, Account(captured=2, exported=2)),
        (False, Account(captured=4, exported=2, failed=2)),
        (True, Account(captured=6, exported=4, failed=2)),
    ):
        exporter.batch([EVENT, EVENT])
        assert exporter.flush(60) is flushed
        assert exporter.account() == expected
    exporter.close(60)
    assert sum(p.as_int for _, name, _, p in receiver.points() if name == names.INPUT) == 40


def test_what_never_arrived_has_failed_when_the_exporter_is_closed(receiver: Receiver) -> None:
    exporter = otlp(receiver.url, interval_s=LONG)
    receiver.default = 400
    exporter.batch([EVENT] * 3)
    exporter.close(60)
    assert exporter.account() == Account(captured=3, failed=3)


def test_a_receiver_that_hangs_costs_a_flush_its_time_and_no_more(receiver: Receiver) -> None:
    exporter = otlp(receiver.url, interval_s=LONG, timeout_s=60)
    receiver.may_answer.clear()
    exporter(EVENT)
    assert not exporter.flush(0.01)
    assert receiver.asked.acquire(timeout=60)
    assert exporter.account() == Account(captured=1, pending=1)
    receiver.may_answer.set()
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=1, exported=1)
    exporter.close(60)


def test_a_receiver_that_is_not_there_takes_nothing() -> None:
    with receiving() as gone:
        url = gone.url
    exporter = otlp(url, interval_s=LONG, timeout_s=0.2)
    exporter(EVENT)
    assert not exporter.flush(60)
    exporter.close(60)
    assert exporter.account() == Account(captured=1, failed=1)


def test_exports_come_by_themselves(receiver: Receiver) -> None:
    exporter = otlp(receiver.url, interval_s=0.01)
    exporter(EVENT)
    assert receiver.asked.acquire(timeout=60)
    assert exporter.flush(60)
    exporter.close(60)


def test_an_event_is_never_called_exported_before_all_of_it_has_arrived(
    receiver: Receiver,
) -> None:
    exporter = otlp(receiver.url, interval_s=1e-4)
    wrong: list[tuple[int, int]] = []

    def record() -> None:
        for _ in range(200):
            exporter(EVENT)
            exported = exporter.account().exported
            there = receiver.sums(names.INPUT)[names.INPUT]
            if there < exported * 10:
                wrong.append((exported, there))

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=600, exported=600)
    assert receiver.sums(names.INPUT, names.OUTPUT) == {names.INPUT: 6000, names.OUTPUT: 2400}
    assert wrong == []
    exporter.close(60)


def test_the_environment_says_where_to_and_who(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "86400000")
    exporter = otlp()
    exporter(EVENT)
    assert exporter.flush(60)
    (request,) = receiver.metrics
    said = plain(request.resource_metrics[0].resource.attributes)
    assert said["service.name"] == "shop"
    assert said["deployment.environment.name"] == "test"
    assert said["process.pid"] == os.getpid()
    assert receiver.headers[0]["x-key"] == "abc"
    exporter.close(60)


@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6),
    delta=st.booleans(),
)
def test_whatever_the_receiver_answers_the_account_balances_and_says_what_is_there(
    steps: list[tuple[int, bool]], delta: bool
) -> None:
    preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    with receiving() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv(preference, "delta" if delta else "cumulative")
        exporter = otlp(receiver.url, interval_s=LONG)
        for count, takes in steps:
            exporter.batch([EVENT] * count)
            receiver.default = 200 if takes else 400
            exporter.flush(60)
            account = exporter.account()
            assert account.captured == sum(account[1:])
            assert min(account) >= 0
            assert not account.pending or not (takes or delta)
            sent = [p.as_int for _, name, _, p in receiver.points() if name == names.INPUT]
            assert (sum(sent) if delta else max(sent, default=0)) == account.exported * 10
        exporter.close(60)
        assert exporter.account().pending == 0


def test_where_opentelemetry_is_switched_off_nothing_is_sent_and_nothing_is_said_to_be(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    exporter = otlp(receiver.url, interval_s=LONG)
    exporter.batch([EVENT, EVENT])
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=2, filtered=2)
    exporter.close(60)
    assert receiver.metrics == []


def test_the_global_provider_stays_what_it_is(receiver: Receiver) -> None:
    from opentelemetry import metrics

    before = metrics.get_meter_provider()
    exporter = otlp(receiver.url, interval_s=LONG)
    exporter(EVENT)
    exporter.close(60)
    assert metrics.get_meter_provider() is before


def test_a_log_record_that_did_not_arrive_is_an_error_and_nothing_is_counted_twice(
    receiver: Receiver,
) -> None:
    exporter = otlp(receiver.url, interval_s=LONG, logs=True)
    receiver.statuses = [400, 200, 200]
    with pytest.raises(ConnectionError, match="did not take the log records"):
        exporter.batch([EVENT, EVENT])
    assert exporter.account() == Account()
    exporter.batch([EVENT, EVENT])
    assert exporter.flush(60)
    assert exporter.account() == Account(captured=2, exported=2)
    assert receiver.sums(names.INPUT) == {names.INPUT: 20}
    (request,) = receiver.logs
    records = request.resource_logs[0].scope_logs[0].log_records
    assert [plain(r.attributes)["tokenmeter.event_id"] for r in records] == ["x", "x"]
    exporter.close(60)


def test_a_forked_child_sends_its_own_points_and_none_of_its_parent(receiver: Receiver) -> None:
    """C75: what a parent had recorded before it forked is sent by the parent alone."""
    exporter = otlp(receiver.url, interval_s=LONG)
    exporter.batch([EVENT] * 5)
    assert exporter.flush(60)
    exporter.batch([EVENT] * 2)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            exporter.after_fork()
            exporter.batch([EVENT] * 3)
            arrived = exporter.flush(60)
            exporter.close(60)
            code = 0 if arrived and exporter.account() == Account(3, exported=3) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    exporter.close(60)
    assert exporter.account() == Account(captured=7, exported=7)
    last = {
        process: point.as_int
        for process, name, _, point in receiver.points()
        if name == names.INPUT
    }
    assert sorted(last.values()) == [30, 70]


def test_in_the_background_what_is_refused_for_a_while_arrives_once(receiver: Receiver) -> None:
    meter = Meter([Background(otlp(receiver.url, interval_s=LONG, logs=True), interval_s=0.01)])
    receiver.statuses = [400, 200, 400, 200]  # log records, twice, and then metrics
    meter.record(EVENT)
    assert not meter.flush(60)
    assert meter.stats()["Otel"] == Account(captured=1, pending=1)._asdict()
    assert meter.flush(60)
    assert meter.stats()["Otel"] == Account(captured=1, exported=1)._asdict()
    assert meter.shutdown(60)
    assert receiver.sums(names.INPUT) == {names.INPUT: 10}
    assert len(receiver.logs) == 1


def test_the_account_of_the_loss_arrives_with_the_metrics(receiver: Receiver) -> None:
    def broken(event: UsageEvent) -> None:
        raise OSError

    meter = Meter([broken, Background(otlp(receiver.url, interval_s=LONG), interval_s=0.01)])
    meter.record(EVENT)
    assert meter.flush(60)
    states = {
        (said["tokenmeter.exporter"], said["tokenmeter.state"]): point.as_int
        for _, name, said, point in receiver.points()
        if name == names.EVENTS
    }
    assert states["broken", "captured"] == states["broken", "failed"] == 1
    assert states["Otel", "captured"] == states["Otel", "pending"] == 1
    meter.shutdown(60)


def test_by_name_it_comes_in_the_background(receiver: Receiver) -> None:
    table = {"name": "otlp", "endpoint": receiver.url, "interval_s": LONG, "attributes": ["team"]}
    for made in map(exporter, (f"otlp:{receiver.url}", table)):
        assert isinstance(made, Background)
        made(EVENT)
        assert made.flush(60)
        assert made.account() == Account(captured=1, exported=1)
        made.close(60)
    assert receiver.sums(names.INPUT) == {names.INPUT: 20}
    assert isinstance(exporter("otel:current"), Background)
    assert isinstance(exporter("otel-spans"), OtelSpans)


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'otlp' has no option 'intervall'; it has attrib"):
        otlp("http://127.0.0.1:1", intervall=3)


def test_a_program_that_forks_its_workers_after_it_is_configured_sends_from_each_of_them(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C75, C76: configured before the fork, flushed by nobody but the meter."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one")
    meter = Meter([Background(otlp(receiver.url, interval_s=LONG), interval_s=0.01)])
    meter.record(EVENT)
    assert meter.flush(60)
    children: list[int] = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                meter.record(EVENT)
                meter.record(EVENT)
                code = 0 if meter.shutdown(60) else 2
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert meter.shutdown(60)
    assert receiver.sums(names.INPUT) == {names.INPUT: 50}
    last = {process: p.as_int for process, name, _, p in receiver.points() if name == names.INPUT}
    assert last.pop("one") == 10
    assert sorted(last.values()) == [20, 20]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint": "localhost:4318"}, "endpoint is the URL of an OTLP receiver"),
        ({"endpoint": "", "timeout_s": 0}, "timeout_s is seconds, more than 0; got 0"),
        ({"endpoint": "", "interval_s": -1}, "interval_s is seconds, more than 0; got -1"),
        ({"endpoint": "", "meter_provider": object()}, "meter_provider not beside endpoint"),
        ({"timeout_s": 3}, "timeout_s only beside endpoint"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Otel(**options)  # type: ignore[arg-type]


def test_an_interval_of_the_environment_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "often")
    with pytest.raises(ConfigurationError, match="OTEL_METRIC_EXPORT_INTERVAL is milliseconds"):
        otlp("http://127.0.0.1:1")
