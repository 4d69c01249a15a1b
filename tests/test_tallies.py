"""Totals: inclusive, live, bounded, and honest about what they do not know."""

from __future__ import annotations

import decimal
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import Tally, UsageEvent
from tokenmeter.tallies import OTHERS, Totals


def event(**more: Any) -> UsageEvent:
    given: dict[str, Any] = {"kind": "call", **more}
    return UsageEvent(event_id="x", schema=1, ts=datetime(2026, 11, 22, tzinfo=UTC), **given)


def test_a_tally_adds_up_calls_and_says_what_is_not_known() -> None:
    tally = Tally()
    known: dict[str, Any] = {"input_provenance": "reported", "output_provenance": "reported"}
    for one in (
        event(input_tokens=5, output_tokens=3, cache_read_tokens=2, cache_write_tokens=1,
              reasoning_tokens=1, status="completed", cost_amount=Decimal("0.25"),
              cost_currency="USD", **known),
        event(attempt=0, status="failed", input_provenance="none", output_provenance="none"),
        event(attempt=1, input_tokens=5, output_tokens=3, status="completed", **known),
        event(input_tokens=1, output_tokens=1, status="abandoned", input_provenance="reported",
              output_provenance="partial"),
        event(status="completed", input_provenance="unknown", output_provenance="unknown"),
        event(output_tokens=4, input_provenance="unknown", output_provenance="estimated"),
        event(kind="outcome", input_tokens=1000),
        event(kind="run", status="failed"),
    ):  # fmt: skip
        tally.add(one)
    assert vars(tally) | {"_lock": None} == {
        "calls": 5,
        "attempts": 6,
        "failed": 1,
        "abandoned": 1,
        "input_tokens": 11,
        "output_tokens": 11,
        "cache_read_tokens": 2,
        "cache_write_tokens": 1,
        "reasoning_tokens": 1,
        "unknown": 2,
        "estimated": 1,
        "partial": 1,
        "costs": {"USD": Decimal("0.25")},
        "unpriced": 3,
        "_lock": None,
        "_forest": None,
    }
    assert tally.total_tokens == 22
    assert str(tally) == (
        "5 calls, 11 input + 11 output tokens, 0.25 USD (1 retried, 1 failed, 1 abandoned, "
        "2 with unknown tokens, 1 with partial tokens, 1 with estimated tokens, "
        "3 without a price)"
    )
    assert tally.cost_amount == Decimal("0.25")
    tally.add(event(status="completed", cost_amount=Decimal(2), cost_currency="EUR"))
    assert tally.costs == {"USD": Decimal("0.25"), "EUR": Decimal(2)}
    assert tally.cost_amount is None  # nobody adds these up
    both = Tally()
    both.include(tally)
    both.include(tally)
    assert both.costs == {"USD": Decimal("0.50"), "EUR": Decimal(4)}
    assert repr(both) == f"<Tally: {both}>"


def test_a_tally_that_knows_everything_says_so_by_saying_nothing() -> None:
    tally = Tally()
    tally.add(event(input_tokens=5, output_tokens=3, input_provenance="reported"))
    assert str(tally) == "1 call, 5 input + 3 output tokens"


EVENTS = st.lists(
    st.builds(
        event,
        user=st.sampled_from([None, "ada", "bob"]),
        task=st.sampled_from([None, "T"]),
        request_model=st.just("asked"),
        response_model=st.sampled_from([None, "served"]),
        input_tokens=st.none() | st.integers(0, 9),
        output_tokens=st.none() | st.integers(0, 9),
    ),
    max_size=600,
)


@settings(max_examples=30, deadline=None)
@given(EVENTS, st.integers(0, 5))
def test_rows_are_the_events_split_up_and_the_limit_is_one_visible_row(
    events: list[UsageEvent], limit: int
) -> None:
    totals, whole = Totals(limit), Tally()
    for one in events:
        totals.add(one)
        whole.add(one)
    rows = totals.rows()
    assert len(rows) <= limit + 1
    for name in ("calls", "input_tokens", "output_tokens"):
        assert sum(getattr(row, name) for row in rows.values()) == getattr(whole, name)
    keys = {(e.user, e.task, e.response_model or e.request_model) for e in events}
    assert (OTHERS in rows) == (len(keys) > limit)
    assert set(rows) - {OTHERS} <= keys
    assert totals.rows().keys() == rows.keys()


def test_no_event_of_many_threads_is_lost() -> None:
    totals, stop = Totals(), threading.Event()

    def add() -> None:
        for _ in range(5_000):
            totals.add(event(input_tokens=1))

    def look() -> None:
        while not stop.is_set():
            totals.rows()

    threads = [threading.Thread(target=add) for _ in range(4)]
    looking = threading.Thread(target=look)
    looking.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    looking.join()
    assert totals.rows()[None, None, None].input_tokens == 20_000


def test_an_event_that_a_thread_is_just_adding_is_not_lost() -> None:
    totals = Totals()
    adding = totals._recent.append  # where a thread may be interrupted
    totals.rows()
    adding(event(input_tokens=7))
    assert totals.rows()[None, None, None].input_tokens == 7


def test_an_event_that_arises_while_its_own_thread_folds_waits_for_the_next_fold() -> None:
    totals = Totals()

    class Odd(str):
        """A name that, when it is looked up, does what a finaliser may do at any time."""

        __slots__ = ()

        def __hash__(self) -> int:
            for _ in range(300):
                totals.add(event(input_tokens=1))
            return super().__hash__()

    totals.add(event(user=Odd("ada"), input_tokens=1))
    rows = totals.rows()
    assert rows.keys() == {("ada", None, None)}
    later = totals.rows()[None, None, None].input_tokens
    assert later % 300 == 0
    assert later > 0


def test_money_does_not_depend_on_the_programs_own_arithmetic() -> None:
    spent = Tally()
    with decimal.localcontext(prec=2, traps=[decimal.Inexact]):
        for amount in ("0.001234", "12"):
            spent.add(event(cost_amount=Decimal(amount), cost_currency="USD"))
        both = Tally()
        both.include(spent, times=2)
        assert str(both).endswith("24.002468 USD")
    assert spent.costs == {"USD": Decimal("12.001234")}
