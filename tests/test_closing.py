"""The table that demo and run close with."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tokenmeter.cli.closing import Closing
from tokenmeter.event import UsageEvent
from tokenmeter.ids import derived_id

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def event(event_id: str, **columns: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call",
        "schema": 1,
        "ts": AT,
        "status": "completed",
        "input_tokens": 10,
        "output_tokens": 1,
    }
    return UsageEvent(event_id=event_id, **facts | columns)


def shown(*events: UsageEvent) -> list[list[str]]:
    out = io.StringIO()
    Closing(events).write(out)
    return [line.split() for line in out.getvalue().splitlines() if line.strip(" ─")]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_calls_are_added_up_by_user_task_and_model_and_what_says_nothing_is_left_out() -> None:
    assert shown(
        event("1", user="ada", task="T", request_model="m"),
        event("2", user="ada", task="T", request_model="m", response_model="m-2026"),
        event("3", kind="run", user="ada"),
        event("4", output_tokens=None, output_provenance="unknown"),
    ) == [
        ["user", "task", "model", "calls", "input", "output", "unknown"],
        ["ada", "T", "m", "2", "20", "2", "0"],
        ["(none)", "(none)", "(none)", "1", "10", "?", "1"],
        ["total", "3", "30", "2", "1"],
    ]


def test_money_is_shown_where_there_is_some_of_one_currency() -> None:
    paid = {"cost_amount": Decimal("0.25"), "cost_currency": "EUR"}
    assert shown(event("1", **paid), event("2"))[0][-3:] == ["cost", "EUR", "unpriced"]
    dollars = {"cost_amount": Decimal(1), "cost_currency": "USD"}
    assert "cost" not in shown(event("1", **paid), event("2", **dollars))[0]


@pytest.mark.parametrize("order", [1, -1])
def test_of_an_answer_that_several_processes_fetched_the_earliest_counts(order: int) -> None:
    fetched = derived_id("openai", "resp_1")
    both = [event(fetched, user="ada"), event(fetched, user="bob", ts=AT + timedelta(1))]
    assert [row[0] for row in shown(*both[::order])] == ["user", "ada", "total"]
