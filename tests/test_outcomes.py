"""Outcomes: statements about tasks, as events with the identity of whoever makes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

import tokenmeter
from tokenmeter import ConfigurationError, UsageEvent, attribute, outcome, task
from tokenmeter.attribution import current
from tokenmeter.ids import is_derived


@pytest.fixture(autouse=True)
def events() -> Iterator[list[UsageEvent]]:
    events: list[UsageEvent] = []
    with tokenmeter.configure().attach(events.append):
        yield events


def said(event: UsageEvent) -> tuple[Any, ...]:
    return event.kind, event.task, event.status, event.evidence, event.reference


def test_an_outcome_is_an_event_of_who_says_it(events: list[UsageEvent]) -> None:
    with attribute(user="ada", team="t", task="other", agent="reviewer", tier=1):
        here = current()
        event = outcome("T-1", "accepted", evidence="ci", reference="pull/7")
    assert events[0] == event
    assert said(event) == ("outcome", "T-1", "accepted", "ci", "pull/7")
    assert (event.user, event.team, event.agent, event.run_id, event.tags) == (
        "ada",
        "t",
        "reviewer",
        here.run_id,
        {"tier": 1},
    )


def test_without_a_witness_it_is_self_declared(events: list[UsageEvent]) -> None:
    outcome("T-1", "rejected")
    assert said(events[0]) == ("outcome", "T-1", "rejected", "self", None)


def test_two_statements_are_two_events_and_one_that_has_a_time_is_the_same_again() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert outcome("T", "accepted").event_id != outcome("T", "accepted").event_id
    first = outcome("T", "accepted", reference="7", ts=at)
    assert first.ts == at.replace(microsecond=1)
    assert first.event_id == outcome("T", "accepted", reference="7", ts=at).event_id
    assert is_derived(first.event_id)
    others = [
        outcome("T2", "accepted", reference="7", ts=at),
        outcome("T", "revoked", reference="7", ts=at),
        outcome("T", "accepted", reference="8", ts=at),
        outcome("T", "accepted", reference="7", evidence="ci", ts=at),
        outcome("T", "accepted", reference="7", ts=at.replace(hour=1)),
        outcome("T", "accepted", ts=at),
        outcome("T", "accepted", reference="None", ts=at),
    ]
    assert len({first.event_id, *(other.event_id for other in others)}) == 8


def test_no_two_statements_have_the_same_id_however_they_are_cut() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    whole = outcome("T", "accepted", evidence="a\0b", reference="c", ts=at)
    assert (
        whole.event_id != outcome("T", "accepted", evidence="a", reference="b\0c", ts=at).event_id
    )


def test_a_time_is_kept_in_utc_so_that_its_text_sorts(events: list[UsageEvent]) -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    there, here = (outcome("T", "accepted", ts=ts) for ts in (noon, noon.astimezone(UTC)))
    assert there.event_id == here.event_id
    assert b'"ts":"2026-11-01T10:00:00.000001Z"' in msgspec.json.encode(there)


def test_a_task_is_a_block_whose_outcome_is_said_inside_or_later(events: list[UsageEvent]) -> None:
    with task("ABC-12", user="ada", team="t", conversation="c", tier=1) as t:
        assert (current().task, current().user, current().tags) == ("ABC-12", "ada", {"tier": 1})
        t.accept(evidence="ci", reference="pull/7")
    assert current().task is None
    t.revoke(reference="pull/7")
    t.reject(evidence="review")
    t.abandon()
    assert [said(event)[1:] for event in events] == [
        ("ABC-12", "accepted", "ci", "pull/7"),
        ("ABC-12", "revoked", "self", "pull/7"),
        ("ABC-12", "rejected", "review", None),
        ("ABC-12", "abandoned", "self", None),
    ]
    assert events[0].user == "ada"


def test_leaving_the_block_says_nothing(events: list[UsageEvent]) -> None:
    with pytest.raises(LookupError), task("T"):
        raise LookupError
    assert events == []


def test_a_task_decorates_functions_and_generators_too() -> None:
    @task("T")
    def steps() -> Iterator[str | None]:
        yield current().task

    assert [(inside, current().task) for inside in steps()] == [("T", None)]


def test_a_task_in_a_generator_goes_with_it() -> None:
    def steps() -> Iterator[None]:
        with task("T"):
            yield

    with attribute(user="ada"):
        generator = steps()
        next(generator)
    assert current().task is None
    assert list(generator) == []


def test_what_is_switched_off_says_nothing(events: list[UsageEvent]) -> None:
    with tokenmeter.disabled():
        outcome("T", "accepted")
    assert events == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": ""}, r"task is a non-empty string; got ''"),
        ({"task": None}, "task is a non-empty string; got None"),
        ({"status": "accept"}, r"knows no status 'accept'; did you mean 'accepted'\?"),
        ({"evidence": ""}, "evidence is a non-empty string"),
        ({"reference": 7}, "reference is a non-empty string; got 7"),
        ({"ts": datetime(2026, 1, 1)}, r"takes a time with its zone"),
        ({"ts": "2026-01-01T00:00:00Z"}, r"takes a time with its zone.* got '2026"),
        ({"status": None}, "status is a non-empty string; got None"),
        ({"task": "\ud800"}, r"task is a non-empty string; got '\\ud800'"),
    ],
)
def test_what_cannot_be_said_is_refused_at_once(
    given: dict[str, Any], message: str, events: list[UsageEvent]
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        outcome(**{"task": "T", "status": "accepted", **given})
    assert events == []


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_task_has_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="task is a non-empty string"):
        task(name)


@pytest.mark.parametrize("name", ["task", "agent"])
def test_what_means_something_else_is_no_tag_of_a_task(name: str) -> None:
    given: dict[str, Any] = {name: "a"}
    with pytest.raises(ConfigurationError, match=rf"task\({name}=…\) is no tag"):
        task("T", **given)
