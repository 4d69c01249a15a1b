"""Ids sort by time and never repeat, in whatever thread or process they are made."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import uuid

from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.ids import EventIds, derived_id

TIMES = st.integers(0, 2**62)


@given(TIMES)
def test_an_id_is_a_uuid_of_version_7_that_says_its_time(ts_ns: int) -> None:
    made = EventIds()(ts_ns)
    parsed = uuid.UUID(hex=made)
    assert (len(made), parsed.version, parsed.variant) == (32, 7, uuid.RFC_4122)
    assert int(made[:12], 16) == ts_ns // 1_000_000


@given(st.lists(TIMES, min_size=2, max_size=20))
def test_ids_sort_by_time_to_the_quarter_of_a_microsecond(times: list[int]) -> None:
    ids = EventIds()
    made = [(ids(ts), ts) for ts in times]
    ordered = [ts for _, ts in sorted(made)]
    slots = [(ts // 1_000_000, ts % 1_000_000 // 256) for ts in ordered]
    assert slots == sorted(slots)


def test_ids_of_one_moment_keep_the_order_in_which_they_were_made() -> None:
    ids = EventIds()
    made = [ids(10**18) for _ in range(1000)]
    assert made == sorted(set(made))


def test_ids_of_many_threads_are_all_different() -> None:
    ids, made = EventIds(), []

    def work() -> None:
        made.extend([ids(5) for _ in range(5_000)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 40_000


def test_ids_of_forked_processes_are_all_different() -> None:
    program = """
        import os, sys
        from tokenmeter import Meter
        meter = Meter()
        meter.ids(5)
        for _ in range(4):
            os.fork()
        os.write(1, "".join(meter.ids(5) + " " for _ in range(50)).encode())
        try:
            while True:
                os.wait()
        except ChildProcessError:
            os._exit(0)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    made = run.stdout.split()
    assert len(set(made)) == len(made) == 16 * 50


def test_the_id_of_a_fetched_answer_is_the_same_everywhere_and_its_own() -> None:
    made = derived_id("openai", "resp_1")
    assert made == "31a7ffa52f8e8c358050f8f3241ee066"
    parsed = uuid.UUID(hex=made)
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
    others = [("openai", "resp_2"), ("azure", "resp_1"), ("openai", "resp_1", "0"),
              ("openair", "esp_1"), ("openai", "resp", "_1")]  # fmt: skip
    assert len({made, *(derived_id(*other) for other in others)}) == 6
