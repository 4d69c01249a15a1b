"""What real receivers of metrics say afterwards is what the ledger says, to the token.

The collector ``rotel`` receives OTLP and forwards it, here to a receiver that adds up; Prometheus
scrapes. Needs the dependency group ``receivers`` and Debian's ``prometheus``:
``python tests/receivers/metrics.py [CALLS]``. It exits with 77 where something is absent.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from workload import (
    ESTIMATED,
    METRICS,
    calls,
    eventually,
    free_port,
    ledger_sums,
    metered,
    running,
    show,
)

sys.path.append(str(Path(__file__).parent.parent))
SKIPPED = 77


def main(count: int) -> None:
    if absent := _absent():
        print(f"SKIPPED: the receivers, for want of {', '.join(absent)}")
        raise SystemExit(SKIPPED)
    with tempfile.TemporaryDirectory() as folder:
        _run(count, Path(folder))


def _absent() -> list[str]:
    modules = (
        "rotel",
        "opentelemetry.exporter.prometheus",
        "opentelemetry.exporter.otlp.proto.http",
    )
    found = [name for name in modules if not _is_there(name)]
    return found if shutil.which("prometheus") else [*found, "prometheus"]


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _run(count: int, folder: Path) -> None:
    import prometheus_client
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from opentelemetry.sdk.metrics import MeterProvider

    from otlp import receiving
    from tokenmeter import Meter
    from tokenmeter.exporters.background import Background
    from tokenmeter.exporters.otel import Otel, otlp

    scraped, collector, prometheus = free_port(), free_port(), free_port()
    provider = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    server, _ = prometheus_client.start_http_server(scraped, "127.0.0.1")
    ledger = folder / "usage.jsonl"
    with (
        receiving() as target,
        running(_rotel(collector, target.url), folder / "rotel.log"),
        running(_prometheus(folder, scraped, prometheus), folder / "prometheus.log"),
    ):
        _wait_for(f"http://127.0.0.1:{collector}/", "rotel")
        _wait_for(f"http://127.0.0.1:{prometheus}/-/ready", "Prometheus")
        meter = Meter(
            [
                f"jsonl:{ledger}",
                Background(otlp(f"http://127.0.0.1:{collector}", interval_s=1)),
                Background(Otel(meter_provider=provider)),
            ]
        )
        with metered(meter) as client:
            calls(client, count)
            assert meter.flush(60)
        wanted = ledger_sums(ledger)
        show("the ledger", wanted)
        names = [*METRICS.values(), f"{ESTIMATED}input_tokens", f"{ESTIMATED}output_tokens"]
        of_metrics = Counter({name: n for name, n in wanted.items() if name in names and n})
        seen = eventually("rotel", lambda: +target.sums(*names), of_metrics)
        show("rotel", seen)
        address = f"http://127.0.0.1:{prometheus}/api/v1/query"
        seen = eventually("Prometheus", lambda: +_queried(address, names), of_metrics)
        show("Prometheus", seen)
        stats: dict[str, Any] = meter.stats()
        assert meter.shutdown(), meter.losses()
        for name, account in stats.items():
            print(f"-- {name}: {account}")
    server.shutdown()
    print("the sums that rotel and Prometheus say are those of the ledger")


def _rotel(port: int, target: str) -> list[str]:
    import rotel

    program = str(Path(rotel.__file__).parent / "rotel-agent")
    own = f"127.0.0.1:{free_port()}"
    return [
        program, "start", "--otlp-http-endpoint", f"127.0.0.1:{port}",
        "--otlp-grpc-endpoint", own, "--exporter", "otlp",
        "--otlp-exporter-endpoint", target, "--otlp-exporter-protocol", "http",
    ]  # fmt: skip


def _prometheus(folder: Path, scraped: int, port: int) -> list[str]:
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: tokenmeter, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}\n"
    )
    return [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip


def _wait_for(url: str, what: str) -> None:
    eventually(what, lambda: httpx.get(url).status_code < 500, True)


def _queried(address: str, names: list[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in names:
        series = name.replace(".", "_") + "_total"
        answer = httpx.get(address, params={"query": f"sum({series})"}).json()
        for result in answer["data"]["result"]:
            found[name] = int(float(result["value"][1]))
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
