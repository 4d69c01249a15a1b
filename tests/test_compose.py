"""Exporters made of exporters, and their accounts."""

from __future__ import annotations

from typing import Any

import pytest

from sinks_of_tests import LONG, Batches, Kept, event
from tokenmeter import ConfigurationError, Meter, UsageEvent
from tokenmeter.errors import RejectedError
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.compose import Filter, Redact, Tee
from tokenmeter.sinks import Account


def even(event: UsageEvent) -> bool:
    return int(event.event_id, 16) % 2 == 0


def odd_fails(event: UsageEvent) -> bool:
    if not even(event):
        raise LookupError
    return True


def accounts(meter: Meter) -> dict[str, Account]:
    return {name: Account(**n) for name, n in meter.stats().items() if name != "guard"}


def recorded(exporter: Any, count: int = 6) -> dict[str, Account]:
    meter = Meter([exporter])
    for n in range(count):
        meter.record(event(n, user="ada"))
    meter.flush(LONG)
    found = accounts(meter)
    meter.shutdown()
    return found


def test_what_is_not_wanted_is_filtered_and_counted() -> None:
    sink = Kept()
    assert recorded(Filter(even, sink)) == {"Kept": Account(captured=6, exported=3, filtered=3)}
    assert sink.numbers == [0, 2, 4]
    assert sink.did == ["flush", "flush", "close"]


def test_in_the_background_whole_batches_are_filtered() -> None:
    sink = Batches()
    filtered = Background(Filter(even, sink), sigterm=False)
    assert recorded(filtered) == {"Batches": Account(captured=6, exported=3, filtered=3)}
    assert sink.numbers == [0, 2, 4]


def test_before_a_background_too() -> None:
    sink = Batches()
    filtered = Filter(even, Background(sink, sigterm=False))
    assert recorded(filtered) == {"Batches": Account(captured=6, exported=3, filtered=3)}


def test_a_filter_that_fails_loses_its_event_alone() -> None:
    expected = {"Kept": Account(captured=6, exported=3, failed=3)}
    assert recorded(Filter(odd_fails, Kept())) == expected
    sink = Batches()
    behind = Background(Filter(odd_fails, sink), retry_s=0, sigterm=False)
    assert recorded(behind) == {"Batches": Account(captured=6, exported=3, failed=3)}
    assert sink.numbers == [0, 2, 4]


def test_what_the_sink_rejects_is_counted_once() -> None:
    sink = Batches(RejectedError("no", [event(0)]))
    behind = Background(Filter(even, sink), sigterm=False)
    [account] = recorded(behind).values()
    assert account == Account(captured=6, exported=2, filtered=3, failed=1)
    whole = Batches(*[RejectedError("no")] * 5)
    [account] = recorded(Background(Filter(even, whole), sigterm=False)).values()
    assert account.filtered == 3
    assert account.captured == sum(account[1:]) == 6


def test_a_batch_of_which_nothing_is_wanted_is_not_handed_over() -> None:
    sink = Batches()
    behind = Background(Filter(lambda _: False, sink), sigterm=False)
    assert recorded(behind) == {"Batches": Account(captured=6, filtered=6)}
    assert sink.attempts == []


def test_redacted_columns_are_unknown_at_the_sink_and_nowhere_else() -> None:
    sink, whole = Kept(), Kept()
    meter = Meter([Redact(sink, "user", "tags.email"), whole])
    given = UsageEvent(
        "call", "1", 1, event().ts, user="ada", team="t", tags={"email": "e", "n": 1}
    )
    meter.record(given)
    [seen] = sink.events
    assert (seen.user, seen.team, seen.tags, seen.event_id) == (None, "t", {"n": 1}, "1")
    assert whole.events == [given]


def test_a_function_of_ones_own_may_change_what_is_seen() -> None:
    import msgspec

    sink = Kept()
    upper = Redact(sink, change=lambda e: msgspec.structs.replace(e, user=(e.user or "").upper()))
    upper(event(1, user="ada"))
    assert sink.events[0].user == "ADA"


def test_what_cannot_be_redacted_is_not_exported() -> None:
    def broken(event: UsageEvent) -> UsageEvent:
        raise ValueError

    sink = Kept()
    assert recorded(Redact(sink, change=broken)) == {"Kept": Account(captured=6, failed=6)}
    assert sink.events == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Redact(Kept(), "usr"), "no column 'usr' to redact; did you mean 'user'?"),
        (lambda: Redact(Kept(), "event_id"), "an event must have its event_id"),
        (lambda: Redact(Kept(), change=7), "Redact takes a callable of an event; got 7"),  # type: ignore[arg-type]
        (lambda: Filter("x", Kept()), "Filter takes a callable of an event; got 'x'"),  # type: ignore[arg-type]
        (lambda: Filter(even, "jsonl"), "an exporter takes a callable of an event; got 'jsonl'"),  # type: ignore[arg-type]
        (lambda: Tee(Kept), "Tee takes a callable of an event; got <class"),
    ],
)
def test_what_cannot_work_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert said in str(caught.value)


def test_each_of_several_has_its_own_account_and_none_harms_the_others() -> None:
    def broken(_event: UsageEvent) -> None:
        raise OSError

    sink, slow = Kept(), Batches()
    tee = Tee(broken, sink, Background(slow, sigterm=False))
    assert recorded(tee) == {
        "broken": Account(captured=6, failed=6),
        "Kept": Account(captured=6, exported=6),
        "Batches": Account(captured=6, exported=6),
    }
    assert sink.did == ["flush", "flush", "close"]


def test_what_a_branch_lost_is_said_at_the_end() -> None:
    def broken(_event: UsageEvent) -> None:
        raise OSError

    meter = Meter([Filter(even, Tee(broken, Kept()))])
    for n in range(4):
        meter.record(event(n))
    assert meter.shutdown() is False
    assert meter.losses() == [
        "the exporter broken did not deliver all events: 2 captured: 2 failed"
    ]


def test_one_that_wants_to_see_the_accounts_sees_them_through_all_of_it() -> None:
    class Watcher(Kept):
        def watch(self, stats: Any) -> None:
            self.stats = stats

    watcher = Watcher()
    meter = Meter([Background(Tee(Filter(even, Redact(watcher, "user"))), sigterm=False)])
    assert watcher.stats() == meter.stats()
    meter.shutdown()
