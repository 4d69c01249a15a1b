"""Each way a process can end, and what waits in the background then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sinks_of_tests import LONG

PROGRAM = """
    import multiprocessing, os, signal, sys, threading, time
    from concurrent.futures import ProcessPoolExecutor
    from sinks_of_tests import event
    from tokenmeter import Meter
    from tokenmeter.exporters.background import Background
    from tokenmeter.exporters.jsonl import Jsonl

    path, how = sys.argv[1:3]
    meter = None

    def make():
        global meter
        if meter is None:
            meter = Meter([Background(Jsonl(path), interval_s=600)])
            meter.record(event(99))
            assert meter.flush()  # so that the worker sleeps

    def record(n):
        make()
        meter.record(event(n))
        meter.record(event(n + 10))

    def main():
"""


def run(folder: Path, body: str, how: str = "") -> tuple[int, list[int]]:
    """Run a program; give how it ended and what arrived, but for what made the workers sleep."""
    main = textwrap.indent(textwrap.dedent(body).strip(), " " * 4)
    start = '\n\nif __name__ == "__main__":\n    main()\n'
    program = folder / "program.py"
    program.write_text(f"{textwrap.dedent(PROGRAM)}{main}{start}")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", program,
         folder / "u.jsonl", how],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE, text=True, check=False, timeout=LONG,
    )  # fmt: skip
    assert ended.stderr == ""
    lines = (folder / "u.jsonl").read_bytes().splitlines()
    arrived = [int(json.loads(line)["event_id"], 16) for line in lines]
    return ended.returncode, sorted(n for n in arrived if n != 99)


PROCESS = """
    process = multiprocessing.get_context(how).Process(target=record, args=(1,))
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
def test_what_waits_in_a_process_of_multiprocessing_is_delivered(tmp_path: Path, how: str) -> None:
    assert run(tmp_path, PROCESS, how) == (0, [1, 11])


def test_so_it_is_where_the_meter_was_made_before_the_fork(tmp_path: Path) -> None:
    assert run(tmp_path, f"make()\n{textwrap.dedent(PROCESS)}", "fork") == (0, [1, 11])


def test_workers_that_are_replaced_after_each_task_deliver(tmp_path: Path) -> None:  # C74
    pool = """
        make()
        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
            pool.map(record, range(4), 1)
            pool.close()
            pool.join()
    """
    assert run(tmp_path, pool) == (0, [0, 1, 2, 3, 10, 11, 12, 13])


def test_workers_of_an_executor_deliver(tmp_path: Path) -> None:
    pool = """
        make()
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(record, range(4)))
    """
    assert run(tmp_path, pool) == (0, [0, 1, 2, 3, 10, 11, 12, 13])


def test_workers_that_are_terminated_deliver(tmp_path: Path) -> None:
    pool = """
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(record, range(4), 1)
    """
    assert run(tmp_path, pool) == (0, [0, 1, 2, 3, 10, 11, 12, 13])


STUCK = """
    {before}
    def stuck():
        record(1)
        def terminate():  # by a signal that the main thread hears of only when it goes on
            time.sleep(0.2)
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        threading.Thread(target=terminate).start()
        threading.Event().wait()
    process = multiprocessing.get_context("fork").Process(target=stuck)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGTERM, process.exitcode
"""


@pytest.mark.parametrize("before", ["", "make()"])
def test_a_child_whose_main_thread_waits_without_end_is_terminated(
    tmp_path: Path, before: str
) -> None:
    assert run(tmp_path, STUCK.format(before=before)) == (0, [1, 11])


def test_a_child_outlives_its_own_child_that_is_terminated(tmp_path: Path) -> None:
    terminated = """
        def child():
            record(1)
            if not os.fork():
                signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            pid, status = os.wait()
            assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
            time.sleep(0.2)  # in which it would end
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0, process.exitcode
    """
    assert run(tmp_path, terminated) == (0, [1, 11])


def test_a_child_with_a_handler_of_its_own_is_left_to_it(tmp_path: Path) -> None:
    handled = """
        def child():
            record(1)
            signal.signal(signal.SIGTERM, lambda *_: record(2))
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
            record(3)
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        assert process.exitcode == 0, process.exitcode
    """
    assert run(tmp_path, handled) == (0, [1, 2, 3, 11, 12, 13])


def test_a_signal_in_the_middle_of_the_end_waits_for_it(tmp_path: Path) -> None:
    terminated = """
        jsonl = Jsonl(path)
        def slow(given):
            if given == event(1):
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Event().wait(0.2)  # time for the signal to do what it must not
            jsonl(given)
        background = Background(slow, interval_s=600)
        background(event(99))
        assert background.flush()
        background(event(1))
    """
    assert run(tmp_path, terminated) == (-signal.SIGTERM, [1])


def test_what_ends_at_once_loses_what_waits(tmp_path: Path) -> None:
    assert run(tmp_path, "record(1); os._exit(3)") == (3, [])
    assert run(tmp_path, "record(1); os.kill(os.getpid(), signal.SIGKILL)") == (-9, [])


def test_flushing_before_loses_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "record(1); meter.flush(); os._exit(3)") == (3, [1, 11])


def test_in_line_nothing_waits(tmp_path: Path) -> None:
    program = "jsonl = Jsonl(path); jsonl(event(1)); os.kill(os.getpid(), signal.SIGKILL)"
    assert run(tmp_path, program) == (-9, [1])


def test_an_exception_is_a_normal_end(tmp_path: Path) -> None:
    program = "record(1); sys.excepthook = lambda *_: None; raise KeyError"
    assert run(tmp_path, program) == (1, [1, 11])


def test_what_a_full_disk_does_not_hold_is_dropped_and_counted(tmp_path: Path) -> None:
    spilling = """
        import logging, resource
        logging.disable()
        def refuse(event): raise OSError
        folder = os.path.dirname(path)
        down = Background(refuse, size=2, batch=1, full="spill", folder=folder)
        limit = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit))
        for n in range(100):
            down(event(n))
        captured, *ends = down.account()
        assert captured == sum(ends) == 100 and down.account().dropped > 50
        down.close(0)
        left = down.account()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        class Next(Jsonl): __name__ = "refuse"
        after = Background(Next(path), full="spill", folder=folder)
        assert after.flush(60)
        after.close()
        assert after.account() == (left.pending, left.pending, 0, 0, 0, 0)
    """
    ended, arrived = run(tmp_path, spilling)
    assert ended == 0
    assert 0 < len(arrived) == len(set(arrived)) < 50
