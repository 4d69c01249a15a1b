"""Chaos: sinks that fail, hang and recover, processes that are killed and forked; accounts balance.

The faults are seeded. The programs are in `chaos`.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from chaos import filling
from chaos.process import Post
from chaos.receiver import FAULTS, Receiver
from tokenmeter import Meter, ledger
from tokenmeter.exporters.background import Background
from tokenmeter.sinks import Account
from tokenmeter.testing import ModelServer

SEED = 20261122
THREADS, CALLS, CHILD_CALLS = 8, 2_000, 200
SIZE, BATCH = 4_000, 250
PROGRAM = Path(__file__).parent / "chaos" / "process.py"
NAMES = ("steady", "forking", "late", "killed")
ENDS = ("exported", "filtered", "dropped", "failed", "pending")


def settings(tmp_path: Path, name: str, receiver: Receiver, model: str) -> dict[str, Any]:
    background = {"size": SIZE, "batch": BATCH, "full": "block", "wait_s": 60, "retry_s": 60}
    return {
        "name": name, "seed": SEED, "threads": THREADS, "calls": CALLS, "socket_every": 40,
        "child_calls": CHILD_CALLS if name == "forking" else 0, "flush_s": 60, "model": model,
        "port": receiver.port, "jsonl": str(tmp_path / "usage.jsonl"),
        "counted": str(tmp_path / name), "background": background,
    }  # fmt: skip


def started(tmp_path: Path, given: dict[str, Any]) -> subprocess.Popen[str]:
    Path(given["counted"]).write_bytes(bytes(8 * THREADS))
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAM), json.dumps(given)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished_calls(given: dict[str, Any]) -> tuple[int, ...]:
    return struct.unpack(f"{THREADS}q", Path(given["counted"]).read_bytes())


def in_jsonl(path: Path) -> dict[str, set[str]]:
    """Give the ids by process and thread; an id that is there twice would show as a missing one."""
    there: dict[str, list[str]] = {}
    with ledger.Ledger(path) as lines:
        for event in lines:
            there.setdefault(event.user or "", []).append(event.event_id)
        assert (lines.skipped, lines.unfinished) == ([], False)
    assert all(len(ids) == len(set(ids)) for ids in there.values())
    return {user: set(ids) for user, ids in there.items()}


def of(name: str, written: dict[str, set[str]]) -> set[str]:
    return set().union(*(ids for user, ids in written.items() if user.startswith(f"{name}.")))


def account(captured: int, **ends: int) -> dict[str, int]:
    return {"captured": captured, **dict.fromkeys(ENDS, 0), **ends}


def check_living(said: dict[str, Any], receiver: Receiver, written: dict[str, set[str]]) -> None:
    made, stats = said["made"], said["stats"]
    ids = of(said["name"], written)
    assert said["unbalanced"] == []
    assert said["looks"] > 100
    assert len(ids) == made
    assert stats["Jsonl"] == account(made, exported=made)
    assert stats["Post"] == account(made, exported=made)
    assert receiver.ids(said["name"]) == ids
    shaky = stats["Shaky"]
    assert shaky["captured"] == made == sum(shaky[end] for end in ENDS)
    assert shaky["exported"] == said["taken"]
    assert shaky["pending"] == 0
    wanted = set().union(*(got for user, got in written.items() if user == f"{said['name']}.3"))
    odd = sum(each.endswith("7") for each in wanted)
    assert stats["odd"] == account(
        made, exported=len(wanted) - odd, filtered=made - len(wanted), failed=odd
    )
    lost = [name for name in ("Shaky", "odd") if stats[name]["dropped"] + stats[name]["failed"]]
    assert [line.split()[2] for line in said["losses"]] == lost


def test_accounts_balance_to_the_event_while_sinks_fail_and_processes_die(tmp_path: Path) -> None:
    with Receiver(SEED, share=0.4) as receiver, ModelServer() as model:
        given = {name: settings(tmp_path, name, receiver, model.openai_url) for name in NAMES}
        processes = {name: started(tmp_path, each) for name, each in given.items()}
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        killed = processes.pop("killed")
        while sum(finished_calls(given["killed"])) < THREADS * CALLS // 3:
            assert killed.poll() is None, killed.communicate()[1]
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
        outputs = [process.communicate(timeout=300) for process in processes.values()]
        assert killed.wait(60) == -signal.SIGKILL
        killed.communicate()
        said = [json.loads(line) for out, _ in outputs for line in out.splitlines()]
        for _, error in outputs:  # nothing but what was lost, and that was lost on purpose
            assert error.splitlines() in [told(each) for each in said]
        assert {each["name"]: each["made"] for each in said} == {
            "steady": THREADS * CALLS,
            "forking": THREADS * CALLS,
            "forking-child": THREADS * CHILD_CALLS,
            "late": THREADS * CALLS,
        }
        written = in_jsonl(tmp_path / "usage.jsonl")
        for each in said:
            check_living(each, receiver, written)
        check_killed(finished_calls(given["killed"]), receiver, written)
        there, again = receiver.times()
        print(f"{there:,} events once, {again:,} of them sent again; {receiver.met}")
        assert there == sum(each["made"] for each in said) + len(receiver.ids("killed"))
        assert again
        assert set(receiver.met) == {*FAULTS, "take"}


def told(said: dict[str, Any]) -> list[str]:
    return [f"tokenmeter: {line}" for line in said["losses"]]


def check_killed(finished: tuple[int, ...], receiver: Receiver, written: Any) -> None:
    """Assert what is stated: in line one event a thread, in the background a queue and a batch."""
    for thread, count in enumerate(finished):
        assert count <= len(written[f"killed.{thread}"]) <= count + 1
    ids, there = of("killed", written), receiver.ids("killed")
    assert there <= ids
    lost = len(ids - there)
    print(f"the killed process lost {lost:,} of {len(ids):,} events in the background")
    assert lost <= SIZE + BATCH + THREADS


ALL = {f"{thread}.{n}" for thread in range(filling.THREADS) for n in range(filling.EVENTS)}
FULL = {"size": 200, "batch": 50}


@pytest.mark.parametrize("full", ["drop_newest", "drop_oldest"])
def test_a_full_queue_drops_what_it_says_and_counts_each(full: Literal["drop_newest"]) -> None:
    with Receiver(SEED, share=1, in_a_row=sys.maxsize) as receiver:
        background = Background(Post(receiver.port, "filling"), **FULL, full=full)
        meter = Meter([background])
        filling.fill(meter)
        waiting = background.account()
        assert waiting == Account(
            len(ALL), dropped=len(ALL) - waiting.pending, pending=waiting.pending
        )
        assert FULL["size"] <= waiting.pending <= FULL["size"] + FULL["batch"] + filling.THREADS
        receiver.healed.set()
        assert meter.flush(60)
        ids = receiver.ids("filling")
        assert background.account() == Account(len(ALL), exported=len(ids), dropped=waiting.dropped)
        first, last = ({f"{n}.{end}" for n in range(8)} for end in (0, filling.EVENTS - 1))
        assert ids & (first if full == "drop_newest" else last)
        meter.shutdown()


def test_callers_that_wait_for_room_lose_nothing() -> None:
    with Receiver(SEED, share=1, in_a_row=sys.maxsize) as receiver:
        background = Background(Post(receiver.port, "filling"), **FULL, full="block", wait_s=60)
        meter = Meter([background])
        callers = threading.Thread(target=filling.fill, args=(meter,))
        callers.start()
        while background.account().pending < FULL["size"]:
            time.sleep(0.005)
        receiver.healed.set()
        background.flush(60)
        callers.join()
        assert meter.flush(60)
        assert meter.stats()["Post"] == account(len(ALL), exported=len(ALL))
        assert receiver.ids("filling") == ALL
        meter.shutdown()


def test_what_is_spilled_arrives_when_there_is_somebody_to_take_it(tmp_path: Path) -> None:
    with Receiver(SEED, share=1, in_a_row=sys.maxsize) as receiver:
        post = Post(receiver.port, "filling")
        background = Background(post, **FULL, full="spill", folder=tmp_path)
        meter = Meter([background])
        filling.fill(meter)
        assert background.account() == Account(len(ALL), pending=len(ALL))
        receiver.healed.set()
        assert meter.flush(60)
        assert background.account() == Account(len(ALL), exported=len(ALL))
        assert (receiver.ids("filling"), receiver.times()[0]) == (ALL, len(ALL))
        meter.shutdown()
    assert [*tmp_path.iterdir()] == []


def spilling(receiver: Receiver, folder: Path, *, wait: bool) -> subprocess.Popen[str]:
    background = {**FULL, "full": "spill", "folder": str(folder)}
    given = {"port": receiver.port, "background": background, "wait": wait}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "chaos.filling", json.dumps(given)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, cwd=PROGRAM.parent.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def delivered_by_the_next(receiver: Receiver, folder: Path) -> Account:
    receiver.healed.set()
    background = Background(Post(receiver.port, "filling"), full="spill", folder=folder)
    assert background.flush(60)
    background.close()
    return background.account()


def test_what_a_process_leaves_on_disk_is_delivered_by_the_next_one(tmp_path: Path) -> None:
    with Receiver(SEED, share=1, in_a_row=sys.maxsize) as receiver:
        process = spilling(receiver, tmp_path, wait=False)
        out, error = process.communicate(timeout=120)
        assert set(out.split()) == ALL
        left = len(ALL)
        assert error == (
            "tokenmeter: the exporter Post did not deliver all events: "
            f"{left:,} captured: {left:,} pending\n"
        )
        assert delivered_by_the_next(receiver, tmp_path) == Account(left, exported=left)
        assert (receiver.ids("filling"), receiver.times()[0]) == (ALL, left)
    assert [*tmp_path.iterdir()] == []


def test_a_killed_process_loses_its_queue_and_nothing_that_was_spilled(tmp_path: Path) -> None:
    with Receiver(SEED, share=1, in_a_row=sys.maxsize) as receiver:
        process = spilling(receiver, tmp_path, wait=True)
        assert process.stdout is not None
        recorded = {line.rstrip() for line in iter(process.stdout.readline, "\n")}
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert recorded == ALL
        left = sum(len(file.read_bytes().splitlines()) for file in tmp_path.glob("*.jsonl"))
        assert delivered_by_the_next(receiver, tmp_path) == Account(left, exported=left)
        ids = receiver.ids("filling")  # and what it took from the killed one, and did not say so
        assert left <= len(ids)
        assert ids <= ALL
        assert len(ALL) - len(ids) <= FULL["size"] + FULL["batch"] + filling.THREADS
