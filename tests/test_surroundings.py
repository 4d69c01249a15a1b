"""The span, the service and the environment that a call stands in."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import format_span_id, format_trace_id

import tokenmeter
from tokenmeter import Meter, UsageEvent
from tokenmeter.surroundings import Place, place
from tokenmeter.testing import ModelServer

ASKED = {"model": "gpt-5-mini", "input": "hello"}


def test_a_call_says_the_span_that_is_current_where_it_is_made() -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    tracer = TracerProvider().get_tracer("test")
    with ModelServer() as server, meter.wrap(httpx.Client(base_url=server.openai_url)) as client:
        client.post("/responses", json=ASKED)
        with tracer.start_as_current_span("mine") as span:
            client.post("/responses", json=ASKED)
            stream = client.stream("POST", "/responses", json=ASKED)
            with stream as response, tracer.start_as_current_span("reading"):
                response.read()
    mine = span.get_span_context()
    ids = format_trace_id(mine.trace_id), format_span_id(mine.span_id)
    assert [(e.trace_id, e.span_id) for e in events] == [(None, None), ids, ids]


def test_opentelemetry_is_not_imported_for_it() -> None:
    program = (
        "import sys, httpx, tokenmeter\n"
        "from tokenmeter.testing import ModelServer\n"
        "events = []\n"
        "meter = tokenmeter.Meter([events.append])\n"
        "with ModelServer() as server, httpx.Client(base_url=server.openai_url) as client:\n"
        "    meter.wrap(client).post('/responses', json={'model': 'm', 'input': 'x'})\n"
        "assert events[0].trace_id is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Place()),
        ({"OTEL_SERVICE_NAME": "shop"}, Place("shop")),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%20b, x=y"}, Place("a b")),
        (
            {"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other"},
            Place("shop"),
        ),
        (
            {
                "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=old,"
                "deployment.environment.name=production"
            },
            Place(None, "production"),
        ),
        ({"OTEL_RESOURCE_ATTRIBUTES": "nonsense,,="}, Place()),
    ],
)
def test_the_environment_says_the_service_and_the_environment(
    environ: dict[str, str], expected: Place
) -> None:
    assert place(environ) == expected


def test_events_carry_them_as_they_were_when_the_meter_was_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    monkeypatch.setenv("OTEL_SERVICE_NAME", "another")

    @tokenmeter.metered(model="m", meter=meter)
    def call() -> dict[str, int]:
        return {"input_tokens": 1}

    call()
    meter.configure()
    call()
    assert [(e.service, e.environment) for e in events] == [("shop", "test"), ("another", "test")]
