"""The company that reports are tried on has everything that it is said to have."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import company
from tokenmeter.event import Provenance, check_invariants


def test_the_same_seed_gives_the_same_company_and_another_one_another() -> None:
    assert company.events(3) == company.events(3)
    assert company.events(3) != company.events(4)


def test_it_has_what_ledgers_have() -> None:
    made = company.events()
    calls = [event for event in made if event.kind == "call"]
    assert Counter(event.kind for event in made).keys() == {"call", "run", "outcome"}
    assert {e.input_provenance for e in calls} == {None, *get_args(Provenance)} - {"partial"}
    assert {e.output_provenance for e in calls} == {None, *get_args(Provenance)} - {"estimated"}
    assert {e.cost_currency for e in calls} == {None, "USD", "EUR"}
    assert {e.attempt for e in calls} == {None, 0, 1, 2}
    assert {e.status for e in calls} == {None, "completed", "failed", "abandoned", "refused"}
    assert {e.user for e in calls} >= {None, *company.ODD[:7]}
    assert len({e.event_id for e in made}) < len(made)
    assert {e.status for e in made if e.kind == "outcome"} >= {"accepted", "revoked", "abandoned"}


def test_none_of_its_events_contradicts_itself() -> None:
    for event in company.events():
        check_invariants(event)
