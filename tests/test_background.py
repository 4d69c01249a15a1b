"""An exporter in the background: order, full queues, flushing, ending, forking, the account."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks_of_tests import LONG, Batches, Kept, event
from tokenmeter import ConfigurationError, Meter, UsageEvent
from tokenmeter.errors import RejectedError
from tokenmeter.exporters.background import Background
from tokenmeter.sinks import Account


@pytest.fixture
def made() -> Iterator[Any]:
    """Make backgrounds that end with the test."""
    all_of_them: list[Background] = []

    def make(exporter: Any, **settings: Any) -> Background:
        settings.setdefault("sigterm", False)
        all_of_them.append(Background(exporter, **settings))
        return all_of_them[-1]

    yield make
    for background in all_of_them:
        gate = getattr(background.exporter, "gate", None)
        if gate is not None:
            gate.set()
        background.close(LONG)
        balances(background.account())


def balances(account: Account) -> None:
    assert account.captured == sum(account[1:])
    assert min(account) >= 0


def held(background: Background, sink: Batches) -> None:
    """Have the worker stand in the sink with one event."""
    sink.gate.clear()
    sink.entered.clear()
    background(event(0))
    background._wake()
    assert sink.entered.wait(LONG)


# The way of an event


def test_events_arrive_in_batches_and_in_order(made: Any) -> None:
    sink = Batches()
    background = made(sink, batch=3)
    held(background, sink)
    for n in range(1, 8):
        background(event(n))
    assert background.account() == Account(captured=8, pending=8)
    sink.gate.set()
    assert background.flush(LONG) is True
    assert sink.attempts == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert background.account() == Account(captured=8, exported=8)


def test_nobody_has_to_flush(made: Any) -> None:
    sink = Batches()
    background = made(sink, interval_s=0.01)
    background(event(1))
    assert sink.entered.wait(LONG)


def test_an_exporter_without_batches_is_called_event_by_event(made: Any) -> None:
    sink = Kept()
    background = made(sink)
    for n in range(5):
        background(event(n))
    background.close(LONG)
    assert sink.numbers == [0, 1, 2, 3, 4]
    assert sink.did == ["flush", "close"]


def test_many_threads_each_keep_their_order_and_nothing_is_lost(made: Any) -> None:
    sink = Batches()
    background = made(sink, batch=7, size=100_000)

    def storm(thread: int) -> None:
        for n in range(500):
            background(event(n, user=str(thread)))

    threads = [threading.Thread(target=storm, args=(t,)) for t in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        balances(background.account())
    assert background.flush(LONG) is True
    assert background.account() == Account(captured=8000, exported=8000)
    for t in range(16):
        assert [n for n, e in zip(sink.numbers, sink.events, strict=True) if e.user == str(t)] == [
            *range(500)
        ]


def test_what_fails_is_counted_and_does_not_hold_up_the_rest(made: Any) -> None:
    sink = Batches(RejectedError("no"), None)
    background = made(sink, batch=1)
    held(background, sink)
    background(event(1))
    background(event(2))
    said: list[bool] = []
    flushing = threading.Thread(target=lambda: said.append(background.flush(LONG)))
    flushing.start()
    while not background._changed._waiters:  # type: ignore[attr-defined]
        assert flushing.is_alive()
    sink.gate.set()
    flushing.join(LONG)
    assert said == [False]  # not all of it arrived
    assert background.flush(LONG) is True
    assert sink.numbers == [1, 2]
    assert background.account() == Account(captured=3, exported=2, failed=1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exporter_that_ends_its_thread_loses_its_batch_alone(made: Any) -> None:
    sink = Batches(SystemExit())
    background = made(sink)
    held(background, sink)
    worker = background._worker
    sink.gate.set()
    worker.join(LONG)
    background(event(1))
    assert background.flush(LONG) is True
    assert background.account() == Account(captured=2, exported=1, failed=1)


# Full queues


def full_queue(made: Any, **settings: Any) -> tuple[Background, Batches]:
    sink = Batches()
    background = made(sink, size=2, **settings)
    held(background, sink)
    background(event(1))
    background(event(2))
    return background, sink


def test_the_newest_are_dropped_by_default(made: Any) -> None:
    background, sink = full_queue(made)
    background(event(3))
    assert background.account() == Account(captured=4, dropped=1, pending=3)
    sink.gate.set()
    assert background.flush(LONG) is True
    background(event(4))
    assert background.flush(LONG) is True
    assert sink.numbers == [0, 1, 2, 4]


def test_the_oldest_are_dropped_where_the_newest_matter_more(made: Any) -> None:
    background, sink = full_queue(made, full="drop_oldest")
    background(event(3))
    background(event(4))
    assert background.account() == Account(captured=5, dropped=2, pending=3)
    sink.gate.set()
    assert background.flush(LONG) is True
    assert sink.numbers == [0, 3, 4]


def test_blocking_waits_for_room(made: Any) -> None:
    background, sink = full_queue(made, full="block", wait_s=LONG)
    waiting = threading.Thread(target=background, args=(event(3),))
    waiting.start()
    sink.gate.set()
    waiting.join(LONG)
    assert background.flush(LONG) is True
    assert sink.numbers == [0, 1, 2, 3]


def test_blocking_has_an_end(made: Any) -> None:
    background, _ = full_queue(made, full="block", wait_s=0)
    background(event(3))
    assert background.account() == Account(captured=4, dropped=1, pending=3)


def test_who_waits_for_room_is_released_by_the_end(made: Any) -> None:
    background, _ = full_queue(made, full="block", wait_s=LONG)
    waiting = threading.Thread(target=background, args=(event(3),))
    waiting.start()
    background.close(0)
    waiting.join(LONG)
    assert not waiting.is_alive()


def test_what_does_not_fit_goes_to_disk_and_keeps_its_order(made: Any, tmp_path: Path) -> None:
    background, sink = full_queue(made, full="spill", folder=tmp_path, batch=2)
    for n in range(3, 8):
        background(event(n))
    [file] = tmp_path.glob("batches-*.jsonl")
    assert len(file.read_bytes().splitlines()) == 5
    assert background.account() == Account(captured=8, pending=8)
    sink.gate.set()
    assert background.flush(LONG) is True
    assert sink.attempts == [[0], [1, 2], [3, 4], [5, 6], [7]]
    background(event(8))
    assert len(background._queue) == 1 or sink.numbers[-1] == 8  # memory again
    background.close(LONG)
    assert sink.numbers == [*range(9)]
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_sent_waits_on_disk_for_the_next_process(
    made: Any, tmp_path: Path
) -> None:
    down = Batches(*[OSError()] * 1000)
    background = made(down, size=2, full="spill", folder=tmp_path)
    held(background, down)
    for n in range(1, 6):
        background(event(n))
    down.gate.set()
    background.close(0)
    assert background.account() == Account(captured=6, pending=6)
    sink = Batches()
    after = made(sink, full="spill", folder=tmp_path)
    assert after.recovered == 6
    assert after.flush(LONG) is True
    assert sorted(sink.numbers) == [0, 1, 2, 3, 4, 5]
    assert after.account() == Account(captured=6, exported=6)
    after.close()
    assert list(tmp_path.iterdir()) == []


# Flushing and ending


def test_flushing_covers_what_was_given_before_and_nothing_else(made: Any) -> None:
    sink = Batches()
    background = made(sink)
    held(background, sink)
    assert background.flush(0) is False
    sink.gate.set()
    assert background.flush(LONG) is True
    assert sink.did == ["flush", "flush"]


def test_a_sink_that_hangs_ends_neither_flushing_nor_closing(made: Any) -> None:
    sink = Batches()
    background = made(sink)
    held(background, sink)
    background(event(1))
    assert background.flush(0.01) is False
    background.close(0.01)
    assert sink.did == ["flush", "flush"]  # what is in the middle of something is not closed
    assert background.account() == Account(captured=2, dropped=1, pending=1)
    worker = background._worker
    sink.gate.set()
    worker.join(LONG)
    assert sink.did == ["flush", "flush", "close"]  # once it has come back, it is
    assert background.account() == Account(captured=2, exported=1, dropped=1)


def test_what_arrives_after_the_end_is_dropped(made: Any) -> None:
    background = made(Batches())
    background.close()
    background(event(1))
    background.close()
    assert background.account() == Account(captured=1, dropped=1)


def test_the_end_gives_up_what_is_only_tried_again(made: Any) -> None:
    sink = Batches(*[OSError()] * 1000)
    background = made(sink, batch=1)
    held(background, sink)
    background(event(1))
    sink.gate.set()
    background.close(0.01)
    assert background.account() == Account(captured=2, dropped=1, failed=1)
    assert sink.did[-1] == "close"


def test_a_queue_that_nobody_used_has_no_thread(made: Any) -> None:
    before = threading.active_count()
    background = made(Batches())
    assert background.flush() is True
    background.close()
    assert threading.active_count() == before


def test_in_a_meter_its_account_is_the_one_of_the_exporter(made: Any) -> None:
    sink = Batches(RejectedError("no"))
    meter = Meter([made(sink)])
    meter.record(event(1))
    meter.flush()  # true where it was rejected before
    meter.record(event(2))
    assert meter.flush() is True
    assert meter.stats()["Batches"] == Account(captured=2, exported=1, failed=1)._asdict()
    assert meter.shutdown() is False
    assert meter.losses() == [
        "the exporter Batches did not deliver all events: 2 captured: 1 exported, 1 failed"
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 0}, "Background(size=0): size is a number of at least 1"),
        ({"batch": -1}, "batch is a number of at least 1"),
        ({"retry_s": "x"}, "Background(retry_s='x'): retry_s is a number of at least 0"),
        ({"full": "wait"}, "full is one of block, drop_newest, drop_oldest, spill; got 'wait'"),
        ({"full": "spill"}, "full='spill' and a folder to write to belong together"),
        ({"folder": "x"}, "full='spill' and a folder to write to belong together"),
        ({"full": "spill", "folder": "no/where"}, "cannot spill events to 'no/where'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Background(Kept(), **settings)
    assert said in str(caught.value)


def test_what_is_in_the_background_already_is_not_put_there_again(made: Any) -> None:
    with pytest.raises(ConfigurationError, match="Kept is in the background already"):
        Background(made(Kept()))


# How processes end

PROGRAM = """
    import asyncio, json, os, signal, sys, threading, time
    from sinks_of_tests import event
    from tokenmeter import Meter
    from tokenmeter.exporters.background import Background
    from tokenmeter.exporters.jsonl import Jsonl

    path, seconds = sys.argv[1], float(sys.argv[2])
    meter = Meter([Background(Jsonl(path), interval_s=seconds)])

    def record():
        for n in range(3):
            meter.record(event(n))

"""


def run(path: Path, program: str, interval_s: float = LONG) -> subprocess.CompletedProcess[str]:
    whole = textwrap.dedent(PROGRAM) + textwrap.dedent(program).strip()
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", whole, str(path), str(interval_s)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=LONG,
    )  # fmt: skip


def written(path: Path) -> list[int]:
    return [int(json.loads(line)["event_id"], 16) for line in path.read_bytes().splitlines()]


ENDS = {
    "end": "record()",
    "exit": "record(); sys.exit(3)",
    "SIGTERM": "record(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    "asyncio": "asyncio.run(asyncio.to_thread(record))",
    "SIGTERM in asyncio": """
        async def main():
            record()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        asyncio.run(main())
    """,
    "thread": "threading.Thread(target=record).start()",
    "at exit": "import atexit; atexit.register(record)",
}
CODES = {"exit": 3, "SIGTERM": -signal.SIGTERM, "SIGTERM in asyncio": -signal.SIGTERM}


@pytest.mark.parametrize("how", ENDS)
def test_what_waits_is_delivered_before_the_process_ends(tmp_path: Path, how: str) -> None:
    done = run(tmp_path / "u.jsonl", ENDS[how])
    assert (done.returncode, done.stderr) == (CODES.get(how, 0), "")
    assert written(tmp_path / "u.jsonl") == [0, 1, 2]


def test_the_handler_of_a_program_is_left_alone(tmp_path: Path) -> None:
    program = """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        background = Background(Jsonl(path))
        meter.record(event(1))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    """
    done = run(tmp_path / "u.jsonl", program)
    assert (done.returncode, done.stderr) == (7, "")
    assert written(tmp_path / "u.jsonl") == [1]


def test_a_forked_child_sends_its_own_events_and_the_parent_its_own(tmp_path: Path) -> None:
    program = """
        meter.record(event(0))
        assert meter.flush() is True
        for n in range(1, 3): meter.record(event(n))  # they wait, since the worker sleeps
        child = os.fork()
        if child == 0:
            meter.record(event(10))
            assert meter.flush() is True
            assert meter.stats()["Jsonl"]["captured"] == 1
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        meter.record(event(3))
    """
    done = run(tmp_path / "u.jsonl", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path / "u.jsonl") == [0, 10, 1, 2, 3]


def test_a_fork_in_the_middle_of_a_batch_sends_nothing_twice(tmp_path: Path) -> None:
    program = """
        begun, parent, (gate, opener) = threading.Event(), os.getpid(), os.pipe()
        class Slow(Jsonl):
            def batch(self, events):
                begun.set()
                if os.getpid() == parent:
                    os.read(gate, 1)  # no lock, which the child would inherit
                super().batch(events)
        slow = Background(Slow(path), interval_s=0.01)
        for n in range(3): slow(event(n))
        assert begun.wait(60)
        child = os.fork()
        os.close(opener)  # in both: then there is something to read
        if child == 0:
            slow(event(10))
            assert slow.flush() is True
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert slow.flush() is True
    """
    done = run(tmp_path / "u.jsonl", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(written(tmp_path / "u.jsonl")) == [0, 1, 2, 10]


def test_what_an_unheard_of_end_loses_is_said(tmp_path: Path) -> None:
    program = """
        def broken(e): raise OSError
        import logging; logging.disable()
        alone = Background(broken, retry_s=0)
        alone(event(1))
    """
    done = run(tmp_path / "u.jsonl", program)
    assert done.returncode == 0
    assert done.stderr == (
        "tokenmeter: the exporter broken did not deliver all events: 1 captured: 1 failed\n"
    )


def test_an_event_loop_goes_on_while_its_events_are_delivered(made: Any) -> None:
    sink = Batches()
    background = made(sink)

    async def main() -> None:
        held(background, sink)
        for n in range(1, 100):
            background(event(n))
        await asyncio.sleep(0)
        sink.gate.set()

    asyncio.run(main())
    assert background.flush(LONG) is True
    assert sink.numbers == [*range(100)]


def test_exporting_is_not_metered(made: Any) -> None:
    from tokenmeter.wire.claim import claimed

    seen: list[bool] = []

    def look(_event: UsageEvent) -> None:
        seen.append(bool(claimed()))

    background = made(look)
    background(event(1))
    assert background.flush(LONG) is True
    assert seen == [True]
