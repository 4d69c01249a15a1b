"""Two periods side by side."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reported import result
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.reports.comparison import compare, compared
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.output.table import plain
from tokenmeter.reports.scope import Scope, moment
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Column, Facts, Result

COLUMNS = (Column("team", "name"), Column("calls", "count"), Column("cost_amount", "money", "cost"))


def period(*rows: Any, total: Any = None, **changes: Any) -> Result:
    found = {"columns": COLUMNS, "rows": rows, "total": total, **changes}
    return result(**found)


def test_rows_are_joined_by_their_names_and_those_of_one_period_only_are_kept() -> None:
    now = period(
        ("a", 3, Decimal(6)), ("new", 1, Decimal(1)), (None, 1, None), total=(None, 5, Decimal(7))
    )
    before = period(
        ("a", 2, Decimal(4)), ("gone", 4, Decimal(9)), (None, 1, Decimal(2)),
        total=(None, 7, Decimal(15)), title="earlier",
    )  # fmt: skip
    both = compared(now, before)
    assert [column.name for column in both.columns] == [
        "team", "cost_amount", "cost_amount_before", "cost_amount_difference", "cost_amount_ratio",
        "calls", "calls_before", "calls_difference", "calls_ratio",
    ]  # fmt: skip
    assert both.rows == (
        ("a", Decimal(6), Decimal(4), Decimal(2), 1.5, 3, 2, 1, 1.5),
        ("new", Decimal(1), Decimal(0), Decimal(1), None, 1, 0, 1, None),
        ("gone", Decimal(0), Decimal(9), Decimal(-9), 0.0, 0, 4, -4, 0.0),
        (None, None, Decimal(2), None, None, 1, 1, 0, 1.0),
    )
    assert both.total == (None, Decimal(7), Decimal(15), Decimal(-8), 7 / 15, 5, 7, -2, 5 / 7)
    assert both.before == before


def test_a_period_without_calls_is_zero_and_not_unknown() -> None:
    now = period(("a", 1, Decimal(2)), total=(None, 1, Decimal(2)))
    nothing = period(total=(None, None, None), facts=Facts())
    assert compared(now, nothing).total == (None, 2, 0, 2, None, 1, 0, 1, None)


def test_days_cannot_be_compared() -> None:
    columns = (Column("day", "day"), *COLUMNS[1:])
    days = period(columns=columns)
    with pytest.raises(ConfigurationError, match="no day is in two periods"):
        compared(days, days)


def test_amounts_of_two_currencies_cannot_be_compared() -> None:
    with pytest.raises(ConfigurationError, match="one currency"):
        compared(period(), period(currency="EUR"))


def event(number: int, day: str, **columns: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call",
        "event_id": f"01a2045481ae7862801b{number:012d}",
        "schema": 1,
        "ts": datetime.fromisoformat(f"{day}T12:00:00+00:00"),
        "status": "completed",
        "input_tokens": 10,
        "output_tokens": 1,
        "input_provenance": "reported",
        "output_provenance": "reported",
        "cost_currency": "EUR",
    }
    return UsageEvent(**facts | columns)


def test_two_periods_of_a_ledger_are_in_one_currency_and_the_top_is_of_both(tmp_path: Path) -> None:
    events = [
        event(1, "2026-11-02", user="a", cost_amount=Decimal(5)),
        event(2, "2026-11-03", user="b", cost_amount=Decimal(3)),
        event(3, "2026-11-03", user="c", cost_amount=Decimal(1)),
        event(4, "2026-10-30", user="b", cost_amount=Decimal(4)),
        event(5, "2026-10-30", user="d", cost_amount=Decimal(2)),
        event(6, "2026-10-30", user="d", cost_amount=Decimal(9), cost_currency="USD"),
        event(7, "2026-10-30", user="d", cost_amount=Decimal(9), cost_currency="USD"),
    ]
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in events))
    now = Scope(since=moment("2026-11-01", "UTC"), until=moment("2026-11-30", "UTC", is_end=True))
    before = Scope(since=moment("2026-10-01", "UTC"), until=now.since)
    with opened(path) as engine:
        both = compare(Usage(("user",), top=2), engine, now, before)
    ends = [both.index(name) for name in ("user", "cost_amount", "cost_amount_before")]
    assert [tuple(row[at] for at in ends) for row in both.rows] == [
        ("a", Decimal(5), Decimal(0)),
        ("b", Decimal(3), Decimal(4)),
        ("(others)", Decimal(1), Decimal(2)),
    ]
    assert both.total is not None
    assert both.total[1:5] == (Decimal(9), Decimal(6), Decimal(3), 1.5)
    assert both.notes == ("(others) are 2 more rows",)
    assert both.before is not None
    assert (both.currency, both.before.currency, both.before.facts.unpriced) == ("EUR", "EUR", 2)
    assert "before: 2026-10-01 to 2026-10-31" in plain(both)


def test_the_period_before_begins_at_midnight_where_the_clocks_change_in_between() -> None:
    zone = "Europe/Berlin"
    november = Scope(
        since=moment("2026-11-01", zone), until=moment("2026-11-30", zone, is_end=True), zone=zone
    )
    before = november.before()
    assert before.since == datetime(2026, 10, 1, 22, tzinfo=UTC)  # midnight of October 2nd
    assert before.until == november.since
