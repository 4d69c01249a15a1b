"""What calls used, on the span they were made in."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from msgspec import structs
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from tokenmeter import Meter, UsageEvent
from tokenmeter.exporters.otel_spans import OtelSpans
from tokenmeter.testing import ModelServer


class Traces:
    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = self.provider.get_tracer("test")

    def finished(self) -> tuple[Any, ...]:
        return self._kept.get_finished_spans()

    def __getitem__(self, name: str) -> dict[str, Any]:
        (found,) = [span for span in self._kept.get_finished_spans() if span.name == name]
        return dict(found.attributes or {})

    def __len__(self) -> int:
        return len(self._kept.get_finished_spans())


@pytest.fixture
def traces() -> Traces:
    return Traces()


def made_in(span: Any, **columns: Any) -> UsageEvent:
    here = span.get_span_context()
    ids = {"trace_id": format_trace_id(here.trace_id), "span_id": format_span_id(here.span_id)}
    return UsageEvent("call", "x", 1, datetime(2026, 11, 22, tzinfo=UTC), **ids, **columns)


REPORTED: dict[str, Any] = {
    "input_tokens": 10,
    "output_tokens": 4,
    "input_provenance": "reported",
    "output_provenance": "reported",
}


def test_a_call_says_on_the_span_of_the_program_what_it_used(traces: Traces) -> None:
    meter = Meter([OtelSpans()])
    with ModelServer() as server, OpenAI(base_url=server.openai_url, api_key="none") as client:
        meter.wrap(client)
        with traces.tracer.start_as_current_span("mine"):
            client.responses.create(model="gpt-5-mini", input="Good morning!")
            client.responses.create(model="gpt-5-mini", input="Good morning!")
    said = traces["mine"]
    assert len(traces) == 1
    assert said["gen_ai.usage.input_tokens"] == 6
    assert said["gen_ai.usage.output_tokens"] == 8
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "gpt-5-mini"
    assert said["tokenmeter.input_provenance"] == "reported"


TRACED = """
    from openai import OpenAI
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import format_span_id
    from tokenmeter import Meter
    from tokenmeter.exporters.otel_spans import OtelSpans
    from tokenmeter.testing import ModelServer

    finished, provider, events = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(finished))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    meter = Meter([OtelSpans(), events.append])
    with ModelServer() as server, OpenAI(base_url=server.openai_url, api_key="n") as client:
        meter.wrap(client).chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "hi there"}]
        )
    (span,), (event,) = finished.get_finished_spans(), events
    assert event.span_id == format_span_id(span.context.span_id)
    said = dict(span.attributes or {})
    assert said["gen_ai.usage.input_tokens"] == event.input_tokens == 3
    assert said["gen_ai.usage.output_tokens"] == event.output_tokens == 4
    assert said["tokenmeter.input_provenance"] == "reported"
"""


def test_a_call_that_an_instrumentation_traces_has_its_span_and_no_second_one() -> None:
    pytest.importorskip("opentelemetry.instrumentation.openai")
    # in a process of its own: an instrumentation that was taken back leaves parts of itself
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRACED)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_what_a_tracer_says_of_the_same_call_is_not_added_to(traces: Traces) -> None:
    meter = Meter([OtelSpans()])
    client = httpx.Client()
    meter.wrap(client)
    start = traces.tracer.start_as_current_span
    with ModelServer() as server, client, start("chat gpt-5-mini") as span:
        answer = client.post(
            f"{server.openai_url}/responses", json={"model": "gpt-5-mini", "input": "hello"}
        )
        usage = answer.json()["usage"]
        span.set_attribute("gen_ai.usage.input_tokens", usage["input_tokens"])
    assert len(traces) == 1
    assert traces["chat gpt-5-mini"]["gen_ai.usage.input_tokens"] == usage["input_tokens"]
    assert traces["chat gpt-5-mini"]["gen_ai.usage.output_tokens"] == usage["output_tokens"]


def test_counts_and_costs_of_several_calls_add_up(traces: Traces) -> None:
    spans = OtelSpans()
    with traces.tracer.start_as_current_span("mine") as span:
        for cost in ("0.1", "0.2"):
            spans(made_in(span, **REPORTED, cost_amount=Decimal(cost), cost_currency="USD"))
    assert traces["mine"] == {
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 8,
        "tokenmeter.input_provenance": "reported",
        "tokenmeter.output_provenance": "reported",
        "tokenmeter.cost_amount": 0.3,
        "tokenmeter.cost_currency": "USD",
    }


def test_an_estimate_is_never_called_usage(traces: Traces) -> None:
    with traces.tracer.start_as_current_span("mine") as span:
        OtelSpans()(made_in(span, **REPORTED | {"output_provenance": "estimated"}))
    assert traces["mine"]["gen_ai.usage.input_tokens"] == 10
    assert traces["mine"]["tokenmeter.estimated.output_tokens"] == 4
    assert "gen_ai.usage.output_tokens" not in traces["mine"]


def test_a_span_that_is_not_the_one_of_the_call_is_left_alone(traces: Traces) -> None:
    spans = OtelSpans()
    with traces.tracer.start_as_current_span("mine") as span:
        event = made_in(span, **REPORTED)
        with traces.tracer.start_as_current_span("other"):
            spans(event)
    spans(event)
    assert traces["other"] == traces["mine"] == {}


def test_only_calls_are_said_on_it(traces: Traces) -> None:
    with traces.tracer.start_as_current_span("work") as span:
        for kind in ("run", "outcome"):
            OtelSpans()(structs.replace(made_in(span, agent="a"), kind=kind))
    assert traces["work"] == {}


def test_a_span_that_is_not_recorded_is_left_alone() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("mine") as span:
        OtelSpans()(made_in(span, **REPORTED))
