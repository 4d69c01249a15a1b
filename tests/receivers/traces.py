"""What backends of traces say of spans that `OtelSpans` wrote on is what the ledger says.

Arize Phoenix and MLflow take no metrics. Each is run by the Python of an environment of its own:
``python tests/receivers/traces.py PYTHON_WITH_PHOENIX PYTHON_WITH_MLFLOW [TASKS]``. What it printed
is in docs/receivers.md.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from workload import eventually, free_port, ledger_sums, metered, running, show

from tokenmeter import Meter, attribute
from tokenmeter.exporters.otel_spans import OtelSpans

INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_LEDGER = {
    "gen_ai.client.inference.usage.input_tokens": INPUT,
    "gen_ai.client.inference.usage.output_tokens": OUTPUT,
}


def main(phoenix: str, mlflow: str, tasks: int) -> None:
    for name, receiver in (
        ("Arize Phoenix", Phoenix(phoenix)),
        ("MLflow", MLflow(mlflow)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            _run(name, receiver, Path(folder), tasks)


class Phoenix:
    def __init__(self, python: str) -> None:
        self.port = free_port()
        self.command = [python, "-m", "phoenix.server.main", "serve"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers: dict[str, str] = {}

    def environ(self, folder: Path) -> dict[str, str]:
        return {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(self.port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }

    def is_up(self) -> bool:
        return httpx.get(f"{self.url}/healthz").status_code == 200

    def traces(self) -> Iterator[dict[str, Any]]:
        cursor = None
        while True:
            asked = {"limit": 100} | ({} if cursor is None else {"cursor": cursor})
            answer = httpx.get(f"{self.url}/v1/projects/default/spans", params=asked)
            if answer.status_code == 404:  # no project before the first span
                return
            page = answer.raise_for_status().json()
            for span in page["data"]:
                said = span["attributes"]
                yield {
                    INPUT: said.get("llm.token_count.prompt", said.get(INPUT)),
                    OUTPUT: said.get("llm.token_count.completion", said.get(OUTPUT)),
                }
            cursor = page.get("next_cursor")
            if not cursor:
                return


class MLflow:
    def __init__(self, python: str) -> None:
        self.port = free_port()
        self.command = [
            python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", "1",
        ]  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"x-mlflow-experiment-id": "0"}

    def environ(self, folder: Path) -> dict[str, str]:
        return {
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(folder),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }

    def is_up(self) -> bool:
        return httpx.get(f"{self.url}/health").status_code == 200

    def traces(self) -> Iterator[dict[str, Any]]:
        token = None
        while True:
            where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
            asked: dict[str, Any] = {"locations": [where], "max_results": 100}
            if token:
                asked["page_token"] = token
            answer = httpx.post(f"{self.url}/api/3.0/mlflow/traces/search", json=asked, timeout=60)
            page = answer.raise_for_status().json()
            for trace in page.get("traces", []):
                said = trace.get("trace_metadata", {}).get("mlflow.trace.tokenUsage", "{}")
                usage = json.loads(said)
                yield {INPUT: usage.get("input_tokens"), OUTPUT: usage.get("output_tokens")}
            token = page.get("next_page_token")
            if not token:
                return


def _run(name: str, receiver: Any, folder: Path, tasks: int) -> None:
    ledger, log = folder / "usage.jsonl", folder / "server.log"
    environ = os.environ | receiver.environ(folder)
    environ.pop("PYTHONPATH", None)
    with running(receiver.command, log, env=environ, cwd=folder):
        try:
            eventually(name, receiver.is_up, True)
            _calls(receiver, ledger, tasks)
            wanted = ledger_sums(ledger)
            tokens = {_LEDGER[metric]: wanted[metric] for metric in _LEDGER}
            print(f"== {name}: {tasks} spans, {wanted['calls']} calls")
            show("the ledger", tokens)
            show(name, eventually(name, lambda: _sums(receiver, tasks), tokens))
        except BaseException:
            print(log.read_text()[-3000:], file=sys.stderr)
            raise


def _calls(receiver: Any, ledger: Path, tasks: int) -> None:
    traces = OTLPSpanExporter(f"{receiver.url}/v1/traces", headers=receiver.headers, timeout=60)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(traces))
    tracer = provider.get_tracer("a program")
    meter = Meter([f"jsonl:{ledger}", OtelSpans()])
    with metered(meter) as client:
        for number in range(tasks):
            with attribute(user=f"user-{number % 3}"), tracer.start_as_current_span("task"):
                for more in range(1 + number % 3):
                    _call(client, f"model-{more}", " ".join(["word"] * (1 + number)))
    assert meter.shutdown(), meter.losses()
    provider.shutdown()


def _call(client: httpx.Client, model: str, text: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
    client.post("/chat/completions", json=asked).raise_for_status()
    asked |= {"stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", "/chat/completions", json=asked) as response:
        for _ in response.iter_bytes():
            pass


def _sums(receiver: Any, tasks: int) -> Counter[str] | None:
    found = list(receiver.traces())
    if len(found) < tasks:
        return None
    sums: Counter[str] = Counter()
    for trace in found:
        sums.update({name: count or 0 for name, count in trace.items()})
    return sums


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 30)
