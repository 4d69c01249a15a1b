"""What users of other meters complain about: events that get lost, loops that block, leaks."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import tracemalloc
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from sinks_of_tests import LONG, Batches, event
from tokenmeter import Meter, UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.sinks import Account

ELSEWHERE = {
    66: "test_background.py::test_an_event_loop_goes_on_while_its_events_are_delivered",
    68: "test_seam_rules.py::test_a_stream_dropped_unread_becomes_abandoned",
    69: "test_seam_rules.py::"
    "test_an_async_generator_over_a_stream_can_be_closed_in_another_context_and_task",
    70: "test_seam_rules.py::test_importing_the_package_imports_no_third_party_package",
    71: "test_counting.py::test_the_first_count_is_right_when_all_network_is_refused",
    72: "test_attribution.py::test_a_thread_with_a_copied_context_keeps_what_it_copied",
    73: "test_chaos.py::test_a_full_queue_drops_what_it_says_and_counts_each",
    74: "test_celery.py::test_a_task_can_be_a_run_what_follows_it_is_beside_it_and_nothing_is_lost",
    75: "test_background.py::test_a_forked_child_sends_its_own_events_and_the_parent_its_own",
    76: "test_background.py::test_nobody_has_to_flush",
    77: "test_jsonl_processes.py::"
    "test_eight_processes_close_and_pack_one_ledger_while_one_is_killed",
    78: "test_otel_series.py",
}
"""Where a complaint has its test, or one of them, in another file."""

HERE = Path(__file__).parent


def test_every_complaint_about_losses_and_at_run_time_has_a_test() -> None:
    here = {int(label) for label in re.findall(r"# C(\d\d)$", Path(__file__).read_text(), re.M)}
    assert here | set(ELSEWHERE) == {*range(66, 79)}
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}" in (HERE / file).read_text() if name else (HERE / file).exists()


def test_an_event_loop_goes_on_while_a_sink_that_hangs_is_flushed() -> None:  # C66
    sink = Batches()
    sink.gate.clear()  # only the loop opens it, so a loop that is blocked waits for ever
    meter = Meter([Background(sink)])

    async def main() -> bool:
        meter.record(event(1))
        flushing = asyncio.create_task(asyncio.to_thread(meter.flush, LONG))
        await asyncio.to_thread(sink.entered.wait, LONG)
        sink.gate.set()
        return await flushing

    assert asyncio.run(main())
    assert sink.numbers == [1]
    meter.shutdown()


class Refusing:
    """Refuse all that comes."""

    def __call__(self, event: UsageEvent) -> None:
        raise OSError

    def batch(self, events: Sequence[UsageEvent]) -> None:
        raise OSError


class Forgetful:
    """Take all that comes and keep none of it."""

    def __call__(self, event: UsageEvent) -> None: ...


ANSWER = {"id": "x", "model": "m", "choices": [], "usage": {"prompt_tokens": 3}}
CHUNKS = [b'data: {"id":"x","model":"m","choices":[{"delta":{"content":"hi"}}]}\n\n'] * 20


def answer(request: httpx.Request) -> httpx.Response:
    if b'"stream"' in request.content:
        kind = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=kind, content=iter(CHUNKS))
    return httpx.Response(200, json=ANSWER)


def make_calls(client: httpx.Client, count: int) -> None:
    """Make calls, and as many streams, of which one half is left in the middle."""
    for n in range(count):
        client.post("/chat/completions", json={"model": "m"})
        asked = {"model": "m", "stream": True}
        with client.stream("POST", "/chat/completions", json=asked) as stream:
            for _ in stream.iter_raw() if n % 2 else ():
                pass


def test_nothing_grows_with_calls_with_streams_or_with_sinks_that_fail() -> None:  # C67
    sinks = (
        Background(Refusing(), size=10, batch=5, retry_s=0),
        Background(Refusing(), size=10, batch=5, retry_s=600),  # always full
        Background(Forgetful(), full="drop_oldest", size=10),
        Refusing(),
    )
    meter = Meter(sinks, estimates=False)
    with meter.wrap(
        httpx.Client(base_url="https://api.openai.com/v1", transport=httpx.MockTransport(answer))
    ) as client:
        make_calls(client, 300)
        tracemalloc.start()
        held: list[int] = []
        for _ in range(3):
            make_calls(client, 200)
            meter.flush(0)
            meter.totals.rows()
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    print(held)
    assert held[2] - held[1] < 64 * 1024  # 400 exchanges would be some 200 KiB of events alone
    assert meter.open_calls == set()
    assert all(account["captured"] == 1800 for name, account in meter.stats().items()
               if name != "guard")  # fmt: skip
    meter.shutdown(0)


@pytest.mark.parametrize("full", ["drop_newest", "drop_oldest"])
def test_flushing_a_full_queue_that_nobody_takes_from_has_an_end(full: str) -> None:  # C75
    sink = Batches()
    sink.gate.clear()
    background = Background(sink, size=3, batch=1, full=full)  # type: ignore[arg-type]
    background(event(0))
    assert sink.entered.wait(LONG)
    for n in range(1, 9):
        background(event(n))
    assert background.flush(0.01) is False
    assert background.account() == Account(captured=9, dropped=5, pending=4)
    sink.gate.set()
    assert background.flush(LONG) is True
    background.close()


APP = """
    import os
    import tokenmeter
    from sinks_of_tests import event
    from tokenmeter.exporters.background import Background
    from tokenmeter.exporters.jsonl import Jsonl

    path, seconds = os.environ["EVENTS"], float(os.environ["INTERVAL"])
    tokenmeter.configure(exporters=[Background(Jsonl(path), interval_s=seconds)])
    tokenmeter.record(event(1))
    tokenmeter.flush()  # so that there is a worker, which no child has
    tokenmeter.record(event(2))

    def app(environ, start_response):
        tokenmeter.record(event(int(environ["PATH_INFO"][1:])))
        start_response("204 No Content", [])
        return []
"""


@pytest.mark.parametrize("interval_s", [0.05, 600])
def test_workers_of_a_preloaded_server_deliver_without_being_told(
    tmp_path: Path, interval_s: float
) -> None:  # C75
    pytest.importorskip("gunicorn")
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    path = tmp_path / "u.jsonl"
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--preload", "--workers=2", "--bind=127.0.0.1:0",
         "--no-control-socket", "app:app"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "EVENTS": str(path),
             "INTERVAL": str(interval_s)},
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    url = next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
    for n in range(10, 16):
        urllib.request.urlopen(f"{url}/{n}", timeout=LONG).close()
    while interval_s < 1 and len(path.read_bytes().splitlines()) < 8:
        assert server.poll() is None  # nobody flushes, nobody ends
    server.send_signal(signal.SIGTERM)
    said = server.communicate(timeout=LONG)[1]
    arrived = [int(json.loads(line)["event_id"], 16) for line in path.read_bytes().splitlines()]
    assert sorted(arrived) == [1, 2, *range(10, 16)]
    assert "tokenmeter" not in said
