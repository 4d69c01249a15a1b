"""What became of tasks: one answer, whatever the order in which statements arrive."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import UsageEvent
from tokenmeter.settlement import Settlement, settle

BEGAN = datetime(2026, 11, 23, tzinfo=UTC)


def said(
    at: int, task: str | None, status: Any, reference: str | None = None, **more: Any
) -> UsageEvent:
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
    settlement = settle([second, said(1, "A", "accepted", "7")])
    assert standing(settlement) == {"A": ("accepted", ("7",), ("ci",)), "B": (None, (), ())}
    assert settlement.disputed == (second,)


def test_what_was_claimed_second_stands_once_the_first_is_taken_back() -> None:
    settlement = settle([said(1, "A", "accepted", "7"), said(2, "B", "accepted", "7"),
                         said(3, "A", "revoked", "7")])  # fmt: skip
    assert standing(settlement) == {
        "A": ("revoked", (), ("ci",)),
        "B": ("accepted", ("7",), ("ci",)),
    }
    assert settlement.tasks["B"].decided == BEGAN + timedelta(hours=2)


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


def test_a_repetition_changes_nothing_whatever_came_between() -> None:
    said_once = [said(1, "A", "rejected", "7"), said(2, "A", "abandoned", "8")]
    for statements in (said_once, [*said_once, said(3, "A", "rejected", "7")]):
        account = settle(statements).tasks["A"]
        assert (account.status, account.decided) == ("abandoned", BEGAN + timedelta(hours=2))


def test_a_rejection_holds_since_it_was_first_said() -> None:
    account = settle([said(1, "A", "rejected"), call(2, "A", 3), said(3, "A", "rejected")]).tasks[
        "A"
    ]
    assert (account.decided, account.spent_after.input_tokens) == (BEGAN + timedelta(hours=1), 3)


def test_revoking_a_task_leaves_what_was_rejected_as_it_was() -> None:
    statements = [said(1, "A", "rejected", "7"), said(2, "A", "accepted", "8"),
                  said(3, "A", "revoked"), said(4, "A", "rejected", "7")]  # fmt: skip
    account = settle(statements).tasks["A"]
    assert (account.status, account.decided) == ("revoked", BEGAN + timedelta(hours=3))


def test_a_task_that_is_revoked_twice_is_decided_by_the_one_that_took_something_back() -> None:
    statements = [said(1, "A", "revoked"), said(2, "A", "accepted", "7"), said(3, "A", "revoked"),
                  said(4, "A", "revoked")]  # fmt: skip
    account = settle(statements).tasks["A"]
    assert (account.status, account.decided) == ("revoked", BEGAN + timedelta(hours=3))


def test_of_one_moment_what_takes_back_comes_last() -> None:
    for first, second in ("ab", "ba"):
        statements = [said(1, "A", "revoked", "7", event_id=first),
                      said(1, "A", "accepted", "7", event_id=second)]  # fmt: skip
        assert standing(settle(statements)) == {"A": ("revoked", (), ("ci",))}


def test_two_statements_with_one_id_count_once_and_it_does_not_matter_which_came_first() -> None:
    forged = [said(1, "A", "accepted", "7"), said(1, "B", "accepted", "8")]
    there, back = settle(forged), settle(reversed(forged))
    assert standing(there) == standing(back)
    assert standing(there) == {"A": ("accepted", ("7",), ("ci",)), "B": (None, (), ())}


def test_what_names_no_task_or_no_such_status_says_nothing() -> None:
    odd: list[Any] = [said(1, "A", None), said(2, "A", "completed"), said(3, None, "accepted")]
    settlement = settle(odd)
    assert standing(settlement) == {"A": (None, (), ())}
    assert list(settlement.senseless) == odd


def test_a_time_that_lost_its_zone_is_one_in_utc() -> None:
    bare = msgspec.structs.replace(said(2, "A", "revoked"), ts=datetime(2026, 11, 23, 2))
    account = settle([bare, said(1, "A", "accepted"), call(3, "A", 1)]).tasks["A"]
    assert (account.status, account.decided) == ("revoked", BEGAN + timedelta(hours=2))
    assert account.spent_after.calls == 1


def test_a_task_may_have_an_outcome_and_no_call_or_calls_and_no_outcome() -> None:
    settlement = settle([said(1, "A", "accepted"), call(1, "B", 7)])
    assert standing(settlement) == {"A": ("accepted", (), ("ci",)), "B": (None, (), ())}
    assert (settlement.tasks["A"].spent.attempts, settlement.tasks["B"].spent.calls) == (0, 1)


def test_a_retry_is_spent_on_the_task_and_no_call_of_its_own() -> None:
    first, again = call(1, "A", 0, attempt=0, status="failed"), call(2, "A", 7, attempt=1)
    spent = settle([first, again]).tasks["A"].spent
    assert (spent.calls, spent.attempts, spent.failed, spent.input_tokens) == (1, 2, 1, 7)


def test_that_calls_and_runs_completed_is_no_outcome() -> None:
    """Complaint C84: success of a call or of a run says nothing about the task."""
    run = UsageEvent("run", "r", 1, BEGAN, task="A", status="completed")
    settlement = settle([call(1, "A", 7, status="completed"), run])
    assert standing(settlement) == {"A": (None, (), ())}


def test_one_witness_among_the_claims_makes_a_task_more_than_self_declared() -> None:
    own = said(1, "A", "accepted", "7", evidence="self")
    account = settle([own, said(2, "A", "accepted", "8", evidence="review")]).tasks["A"]
    assert (account.evidence, account.is_self_declared) == (("self", "review"), False)
    unsaid = settle([said(1, "A", "accepted", evidence=None)]).tasks["A"]
    assert (unsaid.evidence, unsaid.is_self_declared) == (("self",), True)


STATEMENT = st.tuples(
    st.sampled_from("ABC"),
    st.sampled_from(["accepted", "rejected", "revoked", "abandoned"]),
    st.sampled_from([None, "7", "8"]),
)
STATEMENTS = st.lists(STATEMENT, max_size=12)

Stands = dict[str, tuple[Any, ...]]


def whole(settlement: Settlement) -> Stands:
    return {
        task: (a.status, a.decided, a.evidence, a.references, str(a.spent), str(a.spent_after))
        for task, a in settlement.tasks.items()
    }


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


ODD = st.builds(
    lambda at, task, status, reference, number, zone: msgspec.structs.replace(
        said(at, task, status, reference, event_id=f"{number:032x}"),
        ts=(BEGAN + timedelta(hours=at)).replace(tzinfo=zone),
    ),
    st.integers(0, 3),
    st.sampled_from(["A", "B", None]),
    st.sampled_from(["accepted", "revoked", "completed", None]),
    st.sampled_from([None, "7", ""]),
    st.integers(0, 5),
    st.sampled_from([UTC, None]),
)


@settings(deadline=None)
@given(st.lists(ODD, max_size=10), st.integers(0, 1_000))
def test_forged_and_odd_statements_are_answered_and_always_the_same(
    made: list[UsageEvent], seed: int
) -> None:
    shuffled = list(made)
    random.Random(seed).shuffle(shuffled)
    assert whole(settle(made)) == whole(settle(shuffled))


@settings(deadline=None)
@given(STATEMENTS, st.data())
def test_saying_it_again_at_once_changes_nothing(
    made: list[tuple[str, str, str | None]], data: st.DataObject
) -> None:
    statements = [said(2 * at, *what) for at, what in enumerate(made)]
    again = [said(2 * at + 1, *what) for at, what in enumerate(made) if data.draw(st.booleans())]
    calls = [call(data.draw(st.integers(0, 24)), task, 1) for task in "ABC"]
    assert whole(settle([*statements, *calls])) == whole(settle([*statements, *again, *calls]))


@settings(deadline=None)
@given(STATEMENTS)
def test_what_is_disputed_makes_nothing_accepted(made: list[tuple[str, str, str | None]]) -> None:
    statements = [said(at, *what) for at, what in enumerate(made)]
    settlement = settle(statements)
    without = settle(s for s in statements if s not in settlement.disputed)
    assert without.disputed == ()
    assert accepted(without) == accepted(settlement)


def accepted(settlement: Settlement) -> dict[str, Any]:
    return {task: holds for task, holds in standing(settlement).items() if holds[0] == "accepted"}


@settings(deadline=None)
@given(STATEMENTS)
def test_when_all_is_revoked_nothing_is_accepted_and_every_reference_is_free(
    made: list[tuple[str, str, str | None]],
) -> None:
    statements = [said(at, *what) for at, what in enumerate(made)]
    end = [said(100, task, "revoked") for task in "ABC"]
    anew = [said(101, "D", "accepted", reference) for reference in ("7", "8")]
    end = [msgspec.structs.replace(e, event_id=f"e{n}") for n, e in enumerate([*end, *anew])]
    settlement = settle([*statements, *end])
    assert accepted(settlement) == {"D": ("accepted", ("7", "8"), ("ci",))}


CALLS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["A", "B", None]), st.integers(0, 9)), max_size=12
)


@settings(deadline=None)
@given(STATEMENTS, CALLS)
def test_what_is_spent_adds_up_whatever_is_said_of_it(
    made: list[tuple[str, str, str | None]], spent: list[tuple[int, str | None, int]]
) -> None:
    calls = [call(at, task, n, event_id=f"c{i}") for i, (at, task, n) in enumerate(spent)]
    settlement = settle([*calls, *(said(at, *what) for at, what in enumerate(made))])
    accounts = settlement.tasks.values()
    total = sum(a.spent.input_tokens for a in accounts) + settlement.without_task.input_tokens
    assert total == sum(n for _, _, n in spent)
    for account in accounts:
        assert account.spent_after.input_tokens <= account.spent.input_tokens
        assert account.decided is not None or account.spent_after.calls == 0
