"""The promises of exporters, kept by ``otlp``: looked at by the log records that arrived."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is absent")

from otlp import Receiver, plain, receiving
from tokenmeter.exporters.otel import otlp

if TYPE_CHECKING:
    from tokenmeter.testing.conformance import Conformance

pytest_plugins = ["tokenmeter.testing.conformance"]


def ids(receiver: Receiver) -> list[str]:
    return [
        plain(record.attributes)["tokenmeter.event_id"]
        for request in list(receiver.logs)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def test_it_keeps_the_promises_of_exporters(
    conformance: Conformance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry")
    with receiving() as receiver:

        @contextlib.contextmanager
        def outage(how: Literal["fails", "hangs"]) -> Iterator[None]:
            if how == "hangs":
                receiver.may_answer.clear()
            else:
                receiver.default = 400
            try:
                yield
            finally:
                receiver.default = 200
                receiver.may_answer.set()

        conformance(
            make=lambda: otlp(receiver.url, logs=True, timeout_s=2, interval_s=0.1),
            arrived=lambda: ids(receiver),
            outage=outage,
            idempotent=False,
        )
