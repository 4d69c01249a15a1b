"""What became of tasks: one answer, whatever the order in which statements arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import UsageEvent
from tokenmeter.settlement import Settlement, settle

BEGAN = datetime(2026, 11, 23, tzinfo=UTC)


def said(at: int, task: str, status: Any, reference: str | None = None, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {"evidence": "ci", "event_id": f"{at:032x}", **more}
    ts = BEGAN + timedelta(hours=at)
    return UsageEvent(
        kind="outcome", schema=1, ts=ts, task=task, status=status, reference=reference, **names
    )


def call(at: int, task: str | None, tokens: int, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {"event_id": f"call-{at}", **more}
    ts = BEGAN + timedelta(hours=at)
    return UsageEvent(kind="call", schema=1, ts=ts, task=task, input_tokens=tokens, **names)


def standing(settlement: Settlement) -> dict[str, Any]:
    return {
        task: (account.status, account.references, account.evidence)
        for task, account in settlement.tasks.items()
    }


def test_spending_is_joined_by_task_before_and_after_the_outcome() -> None:
    settlement = settle(
        [call(1, "A", 10), call(2, None, 5), call(3, "B", 7), said(4, "A", "accepted", "7"),
         call(5, "A", 3), call(6, "A", 4)]
    )  # fmt: skip
    a, b = settlement.tasks["A"], settlement.tasks["B"]
    assert (a.is_accepted, a.decided, a.references) == (True, BEGAN + timedelta(hours=4), ("7",))
    assert (a.spent.input_tokens, a.spent_after.input_tokens) == (17, 7)
    assert (b.status, b.decided, b.spent.input_tokens, b.spent_after.calls) == (None, None, 7, 0)
    assert settlement.without_task.input_tokens == 5


def test_a_late_outcome_counts_like_one_in_time() -> None:
    early = settle([said(4, "A", "accepted"), call(1, "A", 10)])
    assert early.tasks["A"].is_accepted
    assert early.tasks["A"].spent_after.calls == 0


def test_a_repeated_statement_holds_since_it_was_first_said() -> None:
    once, again = said(1, "A", "accepted", "7"), said(9, "A", "accepted", "7")
    account = settle([again, once, once, call(5, "A", 3)]).tasks["A"]
    assert account.decided == BEGAN + timedelta(hours=1)
    assert account.spent_after.input_tokens == 3


def test_a_witness_who_comes_later_makes_a_self_declared_outcome_more_than_that() -> None:
    claimed = said(1, "A", "accepted", "7", evidence="self")
    assert settle([claimed]).tasks["A"].is_self_declared
    proved = settle([claimed, said(2, "A", "accepted", "7", evidence="review")]).tasks["A"]
    assert not proved.is_self_declared
    assert (proved.evidence, proved.decided) == (("review",), BEGAN + timedelta(hours=1))


@pytest.mark.parametrize("status", ["revoked", "rejected", "abandoned"])
def test_what_is_taken_back_is_accepted_no_more(status: str) -> None:
    taken = settle([said(1, "A", "accepted", "7"), said(2, "A", status, "7")])
    assert standing(taken) == {"A": (status, (), ("ci",))}
    again = settle([said(1, "A", "accepted", "7"), said(2, "A", status, "7"),
                    said(3, "A", "accepted", "7")])  # fmt: skip
    assert standing(again) == {"A": ("accepted", ("7",), ("ci",))}
    assert again.tasks["A"].decided == BEGAN + timedelta(hours=3)


def test_revoking_one_of_two_leaves_the_other() -> None:
    settlement = settle([said(1, "A", "accepted", "7"), said(2, "A", "accepted", "8"),
                         said(3, "A", "revoked", "7")])  # fmt: skip
    assert standing(settlement) == {"A": ("accepted", ("8",), ("ci",))}


def test_revoking_a_task_takes_back_everything_that_it_claimed() -> None:
    settlement = settle([said(1, "A", "accepted", "7"), said(2, "A", "accepted"),
                         said(3, "A", "revoked"), said(4, "B", "accepted", "7")])  # fmt: skip
    assert standing(settlement) == {
        "A": ("revoked", (), ("ci",)),
        "B": ("accepted", ("7",), ("ci",)),
    }
    assert settlement.disputed == ()


def test_one_outcome_cannot_be_claimed_by_two_tasks() -> None:
    second = said(2, "B", "accepted", "7")
    settlement = settle([second, said(1, "A", "accepted", "7"), said(3, "B", "revoked", "7")])
    assert standing(settlement) == {"A": ("accepted", ("7",), ("ci",)), "B": (None, (), ())}
    assert [event.event_id for event in settlement.disputed] == [second.event_id, f"{3:032x}"]


def test_what_was_revoked_may_be_claimed_by_another_task_afterwards() -> None:
    settlement = settle([said(1, "A", "accepted", "7"), said(2, "A", "revoked", "7"),
                         said(3, "B", "accepted", "7")])  # fmt: skip
    assert standing(settlement) == {
        "A": ("revoked", (), ("ci",)),
        "B": ("accepted", ("7",), ("ci",)),
    }


def test_what_was_rejected_at_first_can_be_accepted() -> None:
    settlement = settle([said(1, "A", "rejected", "7"), said(2, "A", "accepted", "8")])
    assert standing(settlement) == {"A": ("accepted", ("8",), ("ci",))}


def test_an_answer_that_several_processes_fetched_is_spent_once() -> None:
    fetched = call(1, "A", 7, event_id="0123456789ab8def8123456789abcdef")
    assert settle([fetched, fetched]).tasks["A"].spent.input_tokens == 7


STATEMENTS = st.lists(
    st.tuples(
        st.sampled_from("ABC"),
        st.sampled_from(["accepted", "rejected", "revoked", "abandoned"]),
        st.sampled_from([None, "7", "8"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(STATEMENTS, st.integers(0, 1_000))
def test_the_order_of_arrival_does_not_matter_and_no_reference_has_two_tasks(
    made: list[tuple[str, str, str | None]], seed: int
) -> None:
    statements = [said(at, *what) for at, what in enumerate(made)]
    shuffled = [*statements, *statements]
    random.Random(seed).shuffle(shuffled)
    settlement = settle(shuffled)
    assert standing(settlement) == standing(settle(statements))
    references = [ref for account in settlement.tasks.values() for ref in account.references]
    assert len(references) == len(set(references))
