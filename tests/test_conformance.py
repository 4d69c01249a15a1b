"""The conformance kit: what keeps its promises passes, and each check can fail."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shelf as broken
from shelf import Shelf, Store
from tokenmeter.event import UsageEvent
from tokenmeter.sinks import Account
from tokenmeter.testing.conformance import CHECKS, Conformance, trial, values
from tokenmeter.testing.conformance.rig import BrokenError, CannotCheckError, Rig

pytest_plugins = ["tokenmeter.testing.conformance", "pytester"]


@pytest.fixture(scope="module", autouse=True)
def nothing_hangs_any_more() -> Iterator[None]:
    yield
    broken.NEVER.set()


BREAKS: dict[str, list[Callable[[Shelf], Any]]] = {
    "order_of_a_thread": [broken.swaps_the_order, broken.drops_the_last_of_a_batch],
    "thread_storm": [broken.drops_what_comes_at_once, broken.counts_without_a_lock],
    "flushed_in_a_storm": [broken.loses_what_comes_while_it_flushes],
    "returned_is_there": [broken.keeps_without_an_account],
    "exported_is_there": [broken.says_exported_too_early],
    "batches_of_any_size": [broken.cannot_take_nothing, broken.drops_the_last_of_a_batch],
    "two_at_one_sink": [broken.ends_the_others],
    "all_columns": [broken.loses_a_column],
    "only_identity": [broken.wants_a_provider],
    "outcomes_and_runs": [broken.knows_calls_only],
    "decimal_costs": [broken.has_money_as_a_float],
    "zero_is_not_unknown": [broken.takes_zero_for_unknown],
    "large_numbers": [broken.has_numbers_of_32_bits],
    "unicode": [broken.knows_latin_1_only],
    "control_characters": [broken.cannot_bear_nul],
    "lone_surrogates": [broken.encodes_a_batch_at_once],
    "huge_tags": [broken.drops_what_is_large],
    "clock_going_backwards": [broken.sorts_by_time],
    "ids_that_repeat": [broken.takes_a_batch_whole_or_not, broken.is_not_idempotent],
    "fails_before_anything_was_taken": [broken.drops_the_last_of_a_batch],
    "fails_after_a_part_was_taken": [broken.is_not_idempotent],
    "fails_after_all_was_taken": [broken.is_not_idempotent],
    # Complaint C66: a caller that waits.
    "slow_sink": [broken.swaps_the_order],
    # Complaint C75: a flush that hangs.
    "flush_keeps_its_deadline": [broken.flushes_for_ever],
    "failing_sink": [broken.swallows_errors],
    "outage_that_ends": [broken.swallows_errors],
    "sink_that_hangs": [broken.flushes_under_the_lock_of_sending],
    "close_while_the_sink_hangs": [broken.counts_under_the_lock_of_sending],
    # Complaint C73: what is dropped is counted.
    "full_queue_drops_newest": [broken.drops_the_last_of_a_batch],
    "full_queue_drops_oldest": [broken.drops_the_last_of_a_batch],
    "full_queue_blocks": [broken.swaps_the_order],
    "full_queue_spills": [broken.swaps_the_order],
    "close_delivers": [broken.does_not_deliver_when_closed],
    "flush_and_close_twice": [broken.can_be_closed_once],
    "ends_without_events": [broken.must_see_an_event_to_close],
    "called_after_close": [
        broken.says_nothing_after_its_end,
        broken.remembers_the_number_of_its_file,
    ],
    # Complaint C67, C68: leaks.
    "leaves_nothing_open": [broken.keeps_its_file],
    # Complaint C75: what gunicorn preloads sends nothing, or twice.
    "fork_with_events_waiting": [broken.keeps_what_the_parent_had],
    "fork_in_the_middle_of_a_batch": [
        broken.resends_the_last_batch_at_its_end,
        broken.resends_what_the_parent_sent,
    ],
    "fork_at_any_step": [broken.has_a_lock_that_outlives_the_fork],
    "end_of_the_script": [broken.never_delivers_by_itself],
    "end_with_threads_at_work": [broken.never_delivers_by_itself],
    # Complaint C74, C76: workers that are recycled, or never flush.
    "end_by_sigterm": [broken.keeps_until_it_is_closed],
    "end_of_asyncio": [broken.wants_the_loop],
    "after_the_end": [broken.waits_for_a_worker_that_has_ended],
}


def rig(make: Callable[[Shelf], Any], folder: Path) -> Rig:
    shelf = Shelf(folder)
    return Rig(functools.partial(make, shelf), shelf.events, shelf.outage)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE_S", 3.0)


def test_what_keeps_its_promises_passes_every_check(
    conformance: Conformance, tmp_path: Path
) -> None:
    make, arrived, outage, *_ = rig(Store, tmp_path)
    conformance(make=make, arrived=arrived, outage=outage)


def test_every_check_is_known_to_fail() -> None:
    assert list(BREAKS) == list(CHECKS)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("name", "make"),
    [(name, make) for name, makes in BREAKS.items() for make in makes],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_what_breaks_a_promise_fails_its_check(
    name: str, make: Callable[[Shelf], Any], tmp_path: Path
) -> None:
    with pytest.raises(BrokenError) as caught:
        CHECKS[name](rig(make, tmp_path))
    said, expected, do = str(caught.value).splitlines()[:3]
    assert said.startswith("the exporter ")
    assert expected.startswith("expected: ")
    assert do.startswith("to do:    ")


FILE_OF_AN_AUTHOR = """
import functools
from shelf import {exporter}, Shelf

pytest_plugins = ["tokenmeter.testing.conformance"]

def test_it_keeps_its_promises(conformance, tmp_path):
    shelf = Shelf(tmp_path)
    conformance(make=functools.partial({exporter}, shelf), arrived=shelf.events)
"""


def _run(pytester: pytest.Pytester, exporter: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(FILE_OF_AN_AUTHOR.format(exporter=exporter))
    return pytester.runpytest_subprocess("-rs", "-W", "error", "-p", "no:cacheprovider", *arguments)


@pytest.fixture
def author(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return pytester


def test_a_file_of_ten_lines_is_all_that_an_author_writes(author: pytest.Pytester) -> None:
    result = _run(author, "Store", "-k", "columns or order or outage or end_of_the_script")
    result.assert_outcomes(passed=3, skipped=1, deselected=len(CHECKS) - 4)
    result.stdout.fnmatch_lines(["*outage=None: the kit cannot have this sink fail or hang"])


def test_a_broken_promise_is_a_failed_test_that_says_what_to_do(author: pytest.Pytester) -> None:
    result = _run(author, "loses_a_column", "-k", "all_columns")
    result.assert_outcomes(failed=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(
        [
            "_* test_it_keeps_its_promises[[]all_columns[]] _*",
            "An event with every column set.",
            "the exporter changed fingerprint of an event on the way: 'f-1' became None",
            "expected: the event as it was given",
            "to do:    keep every column as it is*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("name", "more", "why"),
    [
        ("failing_sink", {}, "outage=None: the kit cannot have this sink fail or hang"),
        (
            "fails_after_all_was_taken",
            {"idempotent": False},
            "idempotent=False: what is handed over twice is at this sink twice",
        ),
        (
            "fork_with_events_waiting",
            {"shared": False},
            "shared=False: another process does not reach this sink",
        ),
        (
            "end_of_the_script",
            {},
            "make cannot be sent to another process (",
        ),
    ],
)
def test_what_cannot_be_checked_is_skipped_and_says_why(
    name: str, more: dict[str, Any], why: str, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path)
    with pytest.raises(CannotCheckError) as caught:
        CHECKS[name](Rig(lambda: Store(shelf), shelf.events, **more))
    assert str(caught.value).startswith(why)


def test_the_event_with_every_column_has_every_column() -> None:
    assert ["kind", "event_id", "schema", "ts", *values._FULL] == list(UsageEvent.__struct_fields__)


def test_an_account_that_does_not_balance_is_found_while_it_does_not(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    sent: list[UsageEvent] = []
    looked, flushed = threading.Event(), threading.Event()

    def flush() -> None:
        looked.clear()
        assert looked.wait(60)
        flushed.set()

    def account() -> Account:
        known = len(sent) + (not flushed.is_set())  # one too many, which is taken back
        looked.set()
        return Account(known, known)

    store = broken.Calls(
        lambda events: (shelf.add(events), sent.extend(events)), account=account, flush=flush
    )
    with pytest.raises(BrokenError, match="had an account that did not balance"):
        CHECKS["flush_and_close_twice"](Rig(lambda: store, shelf.events))
