"""Batches on their way: tried again, halved, given up, and counted."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks_of_tests import LONG, Batches, Kept, event, numbers
from tokenmeter import UsageEvent
from tokenmeter.errors import BusyError, RejectedError
from tokenmeter.exporters.delivery import Delivery

EVENTS = [event(n) for n in range(8)]


def delivered(delivery: Delivery, events: Sequence[UsageEvent] = EVENTS) -> tuple[int, int, int]:
    ended = sum(delivery.deliver(events))
    assert ended == delivery.taken + delivery.failed
    return delivery.taken, delivery.failed, len(events) - ended


def test_a_batch_that_is_taken_is_handed_over_once() -> None:
    sink = Batches()
    assert delivered(Delivery(sink, LONG)) == (8, 0, 0)
    assert sink.attempts == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_what_fails_is_tried_again_as_it_was() -> None:
    sink = Batches(OSError(), TimeoutError())
    assert delivered(Delivery(sink, LONG)) == (8, 0, 0)
    assert sink.attempts == [[0, 1, 2, 3, 4, 5, 6, 7]] * 3
    assert sink.numbers == [0, 1, 2, 3, 4, 5, 6, 7]


def test_what_fails_until_its_time_is_over_has_failed() -> None:
    sink = Batches(*[OSError()] * 100)
    assert delivered(Delivery(sink, retry_s=0)) == (0, 8, 0)
    assert len(sink.attempts) == 1
    assert delivered(Delivery(Batches(*[OSError()] * 100), retry_s=0.3)) == (0, 8, 0)


def test_one_bad_event_costs_itself_alone() -> None:
    class Picky(Kept):
        def batch(self, events: Sequence[UsageEvent]) -> None:
            if {3, 6} & set(numbers(events)):
                raise RejectedError("three and six are not for us")
            self.events += events

    sink = Picky()
    assert delivered(Delivery(sink, LONG)) == (6, 2, 0)
    assert sink.numbers == [0, 1, 2, 4, 5, 7]


@given(bad=st.sets(st.integers(0, 40)), count=st.integers(0, 41))
def test_halving_keeps_the_order_and_loses_what_is_bad_alone(bad: set[int], count: int) -> None:
    class Picky(Kept):
        def batch(self, events: Sequence[UsageEvent]) -> None:
            if bad & set(numbers(events)):
                raise RejectedError("no")
            self.events += events

    sink, events = Picky(), [event(n) for n in range(count)]
    good = [n for n in range(count) if n not in bad]
    assert delivered(Delivery(sink, LONG), events) == (len(good), count - len(good), 0)
    assert sink.numbers == good


def test_a_sink_may_name_what_it_rejects_and_take_the_others() -> None:
    sink = Batches(RejectedError("two", EVENTS[:2]))
    assert delivered(Delivery(sink, LONG)) == (6, 2, 0)
    assert len(sink.attempts) == 1


def test_without_batches_each_event_is_tried_by_itself() -> None:
    fates = {2: [OSError()], 5: [RejectedError("no")]}

    class Single(Kept):
        def __call__(self, event: UsageEvent) -> None:
            for fate in fates.get(int(event.event_id, 16), []):
                fates[int(event.event_id, 16)] = []
                raise fate
            super().__call__(event)

    sink = Single()
    assert delivered(Delivery(sink, LONG)) == (7, 1, 0)
    assert sink.numbers == [0, 1, 2, 3, 4, 6, 7]


def test_a_busy_sink_is_not_asked_before_it_wants_to_be() -> None:
    waited: list[float] = []
    sink = Batches(BusyError("later", 7.5), BusyError("later"), OSError())
    delivery = Delivery(sink, LONG)
    delivery._retrying.sleep = waited.append
    assert delivered(delivery) == (8, 0, 0)
    first, second, third = waited
    assert first == 7.5
    assert 0.2 <= second <= 0.3  # the second pause of the back-off, with its jitter
    assert 0.4 <= third <= 0.5


def test_the_random_numbers_of_the_program_stay_its_own() -> None:
    random.seed(42)
    before = random.getstate()
    delivery = Delivery(Batches(OSError(), OSError()), LONG)
    delivery._retrying.sleep = lambda _: None
    assert delivered(delivery) == (8, 0, 0)
    assert random.getstate() == before


def test_what_waits_to_be_tried_again_can_be_hurried() -> None:
    sink = Batches(BusyError("in an hour", 3600.0))
    delivery, ends = Delivery(sink, LONG), list[int]()
    thread = threading.Thread(target=lambda: ends.extend(delivery.deliver(EVENTS)))
    thread.start()
    assert sink.entered.wait(LONG)
    delivery.hurry()
    thread.join(LONG)
    assert (ends, sink.numbers) == ([8], [0, 1, 2, 3, 4, 5, 6, 7])


def test_what_is_still_tried_when_it_is_stopped_is_neither_taken_nor_failed() -> None:
    sink = Batches(*[OSError()] * 100)
    delivery, ends = Delivery(sink, LONG), list[int]()
    thread = threading.Thread(target=lambda: ends.extend(delivery.deliver(EVENTS)))
    thread.start()
    assert sink.entered.wait(LONG)
    delivery.stop()
    thread.join(LONG)
    assert (ends, delivery.taken, delivery.failed) == ([], 0, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_thread_is_not_swallowed(error: type[BaseException]) -> None:
    with pytest.raises(error):
        delivered(Delivery(Batches(error()), LONG))
