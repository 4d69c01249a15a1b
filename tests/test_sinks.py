"""The account of an exporter: every event is in it once, at any moment."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import Meter, UsageEvent
from tokenmeter.guard import Guard
from tokenmeter.sinks import Account, Sink

EVENT = UsageEvent(kind="call", event_id="x", schema=1, ts=datetime(2026, 11, 22, tzinfo=UTC))


def nothing(event: UsageEvent) -> None: ...


def broken(event: UsageEvent) -> None:
    raise OSError


class Waiting:
    """An exporter that is not done with an event when it returns."""

    def __init__(self) -> None:
        self.said = Account()

    def __call__(self, event: UsageEvent) -> None: ...

    def account(self) -> Account:
        return self.said


def balances(account: Account) -> bool:
    return account.captured == sum(account[1:]) and min(account) >= 0


def test_what_returns_is_exported_and_what_raises_has_failed() -> None:
    for exporter, expected in (
        (nothing, Account(captured=2, exported=2)),
        (broken, Account(captured=2, failed=2)),
    ):
        sink = Sink(exporter, Guard())
        sink.export(EVENT)
        sink.export(EVENT)
        assert sink.account() == expected
        assert balances(expected)


def test_an_event_in_the_hands_of_its_exporter_is_pending() -> None:
    begun, held = threading.Event(), threading.Event()

    def slow(event: UsageEvent) -> None:
        begun.set()
        held.wait(60)

    sink = Sink(slow, Guard())
    thread = threading.Thread(target=sink.export, args=(EVENT,))
    thread.start()
    assert begun.wait(60)
    assert sink.account() == Account(captured=1, pending=1)
    held.set()
    thread.join()
    assert sink.account() == Account(captured=1, exported=1)


@given(ends=st.tuples(*[st.integers(0, 5)] * 4), more=st.integers(0, 5))
def test_an_exporter_with_an_account_of_its_own_is_believed_and_the_rest_is_pending(
    ends: tuple[int, int, int, int], more: int
) -> None:
    exporter = Waiting()
    sink = Sink(exporter, Guard())
    for _ in range(sum(ends) + more):
        sink.export(EVENT)
    exporter.said = Account(0, *ends)
    account = sink.account()
    assert account == Account(sum(ends) + more, *ends, pending=more)
    assert balances(account)


def test_where_an_account_cannot_be_had_nobody_knows_what_became_of_the_events() -> None:
    class Silent(Waiting):
        def account(self) -> Account:
            raise KeyError

    guard = Guard()
    sink = Sink(Silent(), guard)
    sink.export(EVENT)
    assert sink.account() == Account(captured=1, pending=1)
    assert guard.failures == {"the exporter Silent": 1}


def test_what_an_exporter_lost_is_said_when_it_ends() -> None:
    exporter = Waiting()
    meter = Meter([nothing, broken, exporter])
    for _ in range(3):
        meter.record(EVENT)
    exporter.said = Account(exported=1, dropped=1)
    assert meter.losses() == []
    meter.configure(exporters=[nothing])
    assert meter.losses() == [
        "the exporter broken did not deliver all events: 3 captured: 3 failed",
        (
            "the exporter Waiting did not deliver all events: "
            "3 captured: 1 exported, 1 dropped, 1 pending"
        ),
    ]
    meter.shutdown()
    assert len(meter.losses()) == 2


def test_the_end_of_the_process_says_what_was_lost_and_nothing_else() -> None:
    program = """
        import logging
        from datetime import UTC, datetime
        from tokenmeter import Meter, UsageEvent
        logging.disable()
        ts = datetime(2026, 11, 22, tzinfo=UTC)
        def broken(event): raise OSError
        def fine(event): pass
        meter = Meter([fine, broken])
        meter.record(UsageEvent(kind="call", event_id="x", schema=1, ts=ts))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stderr == (
        "tokenmeter: the exporter broken did not deliver all events: 1 captured: 1 failed\n"
    )
