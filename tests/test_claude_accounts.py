"""The account of a session: whatever is told how often, each answer is one event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tokenmeter import Attribution, Usage, UsageEvent
from tokenmeter.dialects import Reading
from tokenmeter.frameworks.claude_accounts import REST, Account
from tokenmeter.frameworks.claude_answers import Bill, Seen
from tokenmeter.frameworks.claude_transcripts import Transcripts
from tokenmeter.meter import default

WHO = Attribution(agent="claude", run_id="r", depth=0)

answers = st.dictionaries(
    st.sampled_from("abcde"),
    st.tuples(st.integers(1, 10**6), st.integers(2, 10**6)),
    min_size=1,
)
"""Input and output by the id of the answer."""


@contextmanager
def said() -> Iterator[list[UsageEvent]]:
    events: list[UsageEvent] = []
    with default().attach(events.append):
        yield events


def early(key: str, used: tuple[int, int]) -> Reading:
    """Read a part of an answer: its input is whole, its output a placeholder."""
    usage = Usage(input_tokens=used[0], output_tokens=1)
    return Reading(recognised=True, model="m", response_id=key, usage=usage)


def whole(key: str, used: tuple[int, int]) -> Reading:
    usage = Usage(input_tokens=used[0], output_tokens=used[1])
    return Reading(recognised=True, model="m", response_id=key, usage=usage, final=True)


def bill(of: dict[str, tuple[int, int]], more: tuple[int, int] = (0, 0)) -> dict[str, Bill]:
    used = [*of.values(), more]
    usage = Usage(input_tokens=sum(n for n, _ in used), output_tokens=sum(n for _, n in used))
    return {"m": Bill(usage, Decimal("1.25"), "anthropic")}


def test_the_tier_and_the_region_of_an_answer_are_on_its_event() -> None:
    account, used = Account(Transcripts(Path("none"))), {"a": (10, 5)}
    with said() as events:
        there = replace(whole("a", used["a"]), service_tier="standard", region="us")
        account.learn("a", WHO, there)
        account.close(bill(used), Seen.here(WHO))
    [event] = [event for event in events if event.tags != REST]
    assert (event.service_tier, event.region) == ("standard", "us")


@settings(deadline=None)
@given(answers, st.data())
def test_parts_that_come_again_and_late_are_one_event_each(  # C25, C26, C27, C48
    of: dict[str, tuple[int, int]], data: st.DataObject
) -> None:
    account, ends = Account(Transcripts(Path("none"))), set[str]()
    steps = st.tuples(st.sampled_from(["early", "whole", "settle"]), st.sampled_from(sorted(of)))
    with said() as events:
        for step, key in data.draw(st.lists(steps, max_size=30)):
            if step == "settle":
                account.settle(bill(of))
            else:
                account.learn(key, WHO, (whole if step == "whole" else early)(key, of[key]))
            ends |= {key} if step == "whole" else set()
        for key, used in of.items():
            account.learn(key, WHO, early(key, used))
        account.close(bill(of), Seen.here(WHO))
        account.close({}, None)
    calls = [event for event in events if event.tags != REST]
    assert sorted(event.response_id or "" for event in calls) == sorted(of)
    for event in calls:
        key = event.response_id or ""
        expected = (of[key][1], "reported") if key in ends else (1, "partial")
        assert (event.input_tokens, event.input_provenance) == (of[key][0], "reported")
        assert (event.output_tokens, event.output_provenance) == expected


@settings(deadline=None)
@given(answers, st.tuples(st.integers(0, 99), st.integers(0, 99)), st.booleans())
def test_answers_and_rest_together_are_what_the_sdk_says(
    of: dict[str, tuple[int, int]], more: tuple[int, int], known: bool
) -> None:
    account, bills = Account(Transcripts(Path("none"))), bill(of, more)
    with said() as events:
        for key, used in of.items():
            account.learn(key, WHO, (whole if known else early)(key, used))
        account.close(bills, Seen.here(WHO))
    assert sum(event.input_tokens or 0 for event in events) == bills["m"].usage.input_tokens
    assert sum(event.output_tokens or 0 for event in events) == bills["m"].usage.output_tokens
    amount = sum((event.cost_amount or Decimal() for event in events), start=Decimal())
    assert abs(amount - bills["m"].amount) < Decimal("1e-8")
    rest = [event for event in events if event.tags == REST]
    assert len(rest) == (0 if known and more == (0, 0) else 1)


def test_a_session_that_was_resumed_has_no_rest() -> None:  # C25
    account = Account(Transcripts(Path("none")))
    with said() as events:
        account.learn("a", WHO, whole("a", (5, 7)))
        account.close(bill({"a": (5, 7), "b": (1000, 1000)}), None)
    assert [(event.response_id, event.input_tokens) for event in events] == [("a", 5)]


def test_an_answer_that_was_left_and_never_ended_is_abandoned() -> None:
    account = Account(Transcripts(Path("none")))
    with said() as events:
        account.learn("a", WHO, early("a", (5, 7)))
        account.leave()
        account.close({}, None)
    assert [(event.status, event.output_provenance) for event in events] == [
        ("abandoned", "partial")
    ]
