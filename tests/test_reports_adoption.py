"""Active people per week: days and not volume, groups and not persons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tables import reported, table
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.reports.adoption import Adoption
from tokenmeter.reports.leaderboard import Leaderboard

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
COLUMNS = ("week", "team", "people", "active", "active_share", "one_day_only", "no_day")


def use(user: str | None, day: float, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {
        "team": "red", "status": "completed", "input_provenance": "reported",
        "output_provenance": "reported", "input_tokens": 1, "output_tokens": 1, **more,
    }  # fmt: skip
    event_id = f"{user}-{day}-{sorted(more.items())}"
    return UsageEvent("call", event_id, 1, MONDAY + timedelta(days=day), user=user, **names)


def adoption(tmp_path: Path, events: list[UsageEvent], scope: Any = None, **more: Any) -> Any:
    return reported(Adoption(**{"fewest_people": 1, **more}), events, tmp_path, **(scope or {}))


def test_active_is_who_has_use_on_several_days_of_the_week(tmp_path: Path) -> None:
    events = [use("ada", 0), use("ada", 0.1), use("ada", 3), use("bob", 1), use("bob", 1.2),
              use("eve", 8), use("eve", 9)]  # fmt: skip
    assert table(adoption(tmp_path, events), *COLUMNS) == [
        ("2026-11-02", "red", 3, 1, pytest.approx(1 / 3), 1, 1),
        ("2026-11-02", "(everybody)", 3, 1, pytest.approx(1 / 3), 1, 1),
        ("2026-11-09", "red", 3, 1, pytest.approx(1 / 3), 0, 2),
        ("2026-11-09", "(everybody)", 3, 1, pytest.approx(1 / 3), 0, 2),
    ]


def test_failures_cached_answers_and_nobody_are_no_use(tmp_path: Path) -> None:
    nothing = {"input_provenance": "none", "output_provenance": "none", "input_tokens": None,
               "output_tokens": None}  # fmt: skip
    events = [use("ada", 0), use("ada", 1, status="failed"), use("ada", 2, cached=True, **nothing),
              use(None, 3)]  # fmt: skip
    assert table(adoption(tmp_path, events), "active", "one_day_only") == [(0, 1), (0, 1)]


def test_days_and_weeks_are_those_of_the_zone(tmp_path: Path) -> None:
    sunday_night = [use("ada", 5), use("ada", 6.99)]  # 23:45 UTC: in Berlin it is Monday
    utc = adoption(tmp_path, sunday_night)
    assert table(utc, "week", "active") == [("2026-11-02", 1)] * 2
    berlin = adoption(tmp_path, sunday_night, {"zone": "Europe/Berlin"})
    assert table(berlin, "week", "active", "one_day_only")[::2] == [
        ("2026-11-02", 0, 1), ("2026-11-09", 0, 1),
    ]  # fmt: skip


def test_small_groups_are_together_or_not_at_all(tmp_path: Path) -> None:
    people = {"red": 4, "blue": 2, "green": 1}
    events = [use(f"{team}{n}", d, team=team) for team, size in people.items()
              for n in range(size) for d in (0, 1)]  # fmt: skip
    together = adoption(tmp_path, events, fewest_people=3)
    assert table(together, "team", "people") == [
        ("(small groups)", 3), ("red", 4), ("(everybody)", 7),
    ]  # fmt: skip
    not_at_all = adoption(tmp_path, events, fewest_people=4)
    assert table(not_at_all, "team", "people") == [("red", 4), ("(everybody)", 4)]


def test_of_everybody_those_who_never_did_are_a_part(tmp_path: Path) -> None:
    people = {"ada": "red", "bob": "red", "o'brien": None}
    result = adoption(tmp_path, [use("ada", 0), use("ada", 1)], people=people)
    assert table(result, "team", "people", "active", "no_day") == [
        (None, 1, 0, 1), ("red", 2, 1, 1), ("(everybody)", 3, 1, 2),
    ]  # fmt: skip
    assert not any("never did" in note for note in result.notes)


def test_a_week_without_any_use_is_there_where_the_period_says_so(tmp_path: Path) -> None:
    scope = {"since": MONDAY + timedelta(days=1), "until": MONDAY + timedelta(days=21)}
    result = adoption(tmp_path, [use("ada", 2), use("ada", 16)], scope)
    assert table(result, "week", "one_day_only", "no_day")[::2] == [
        ("2026-11-02", 1, 0), ("2026-11-09", 0, 1), ("2026-11-16", 1, 0),
    ]  # fmt: skip
    assert result.notes[-1] == "the week of 2026-11-02 is not wholly in the period"


def test_below_target_is_said_by_nothing(tmp_path: Path) -> None:
    """What is aimed at is in the title; no column, note or mark says who is below it."""
    low = adoption(tmp_path, [use("ada", 0)], target=0.99)
    high = adoption(tmp_path, [use("ada", 0)], target=0.01)
    assert (low.rows, low.notes, low.columns) == (high.rows, high.notes, high.columns)


@pytest.mark.parametrize("of", [Adoption, Leaderboard])
@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_people_are_not_compared_by_when_they_worked(tmp_path: Path, of: Any, by: str) -> None:
    with pytest.raises(ConfigurationError, match=f"a {by} is nobody's"):
        reported(of(by), [use("ada", 0)], tmp_path)


@pytest.mark.parametrize("wrong", [{"target": 80}, {"target": 0}, {"days": 0}, {"days": 8}])
def test_what_cannot_be_a_target_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=str(next(iter(wrong.values())))):
        Adoption(**wrong)
