"""The commands of the reports beside ``tokenmeter report``: what each is asked, and says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tables import written
from tokenmeter import UsageEvent
from tokenmeter.cli import main
from tokenmeter.reports.output import FORMATS
from tokenmeter.reports.portable import DIALECTS

COMMANDS = ("report", "tasks", "tree", "coverage", "leaderboard", "adoption")
MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)


def call(n: int, user: str, **more: Any) -> UsageEvent:
    names: dict[str, Any] = {
        "team": "red", "task": f"{user}-1", "agent": "plan/search", "run_id": f"run-{user}",
        "parent_run_id": "above", "status": "completed", "input_tokens": 10, "output_tokens": 1,
        "input_provenance": "reported", "output_provenance": "reported", "service": "web", **more,
    }  # fmt: skip
    return UsageEvent("call", f"c{n}", 1, MONDAY + timedelta(days=n % 3), user=user, **names)


def accepted(user: str, n: int) -> UsageEvent:
    return UsageEvent("outcome", f"o-{user}-{n}", 1, MONDAY, task=f"{user}-{n}", user=user,
                      team="red", status="accepted", evidence="ci")  # fmt: skip


PEOPLE = ("ada", "bob", "eve")
EVENTS = [
    *(call(n, user) for n, user in enumerate(PEOPLE * 3)),
    *(accepted(user, n) for user in PEOPLE for n in range(2)),
]


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return str(written(EVENTS, tmp_path / "usage.jsonl"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FORMATS)
def test_each_report_has_each_format(
    ledger: str, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    assert main([command, ledger, "--format", name]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_report_gives_its_sql(
    capsys: pytest.CaptureFixture[str], command: str, dialect: str
) -> None:
    assert main([command, "--sql", "--dialect", dialect, "--source", "lake.events"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("WITH")
    assert "lake.events" in said


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main([*arguments, "--format", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rows"]
    return found


def test_tasks_are_asked_by_group_and_number(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "tasks", ledger, "--by", "team")
    assert [(row["team"], row["tasks"], row["accepted"]) for row in found] == [("red", 3, 6)]
    assert [row["task"] for row in rows(capsys, "tasks", ledger, "--top", "1")][1:] == ["(others)"]


def test_a_tree_is_of_agents_or_of_the_runs_of_a_task(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "tree", ledger)
    assert [(row["agent"], row["runs"]) for row in found] == [("plan", None), ("  search", 3)]
    found = rows(capsys, "tree", ledger, "--task", "ada-1")
    assert [(row["run_id"], row["subtree_input_tokens"]) for row in found] == [
        ("above", 30), ("run-ada", 30),
    ]  # fmt: skip
    assert len(rows(capsys, "tree", ledger, "--runs")) == 4


def test_the_limits_of_the_leaderboard_are_options(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {row["place_by_accepted"] for row in rows(capsys, "leaderboard", ledger)} == {None}
    found = rows(capsys, "leaderboard", ledger, "--fewest-outcomes", "2", "--fewest-entries", "1")
    assert [(row["user"], row["place_by_accepted"]) for row in found] == [
        ("ada", 1), ("bob", 1), ("eve", 1),
    ]  # fmt: skip


def test_adoption_is_of_everybody_that_a_file_names(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("﻿user,team\nada,red\nbob,red\nzoe,\n", encoding="utf-8")
    found = rows(capsys, "adoption", ledger, "--people", str(people), "--fewest-people", "1")
    assert [(row["team"], row["people"], row["active"]) for row in found] == [
        (None, 1, 0), ("red", 2, 0), ("(everybody)", 3, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,team\nada,red\n", "has the columns name, team; expected user"),
        ("", r"has the columns \(none\); expected user"),
        ("user,team\nada,red\n,blue\n", "line 3: user is empty"),
        ("user,team\nada,red\nada,red\nada,blue\n", "line 4: 'ada' is in 'blue' and in 'red'"),
    ],
)
def test_a_file_of_people_that_is_none_is_refused(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    people = tmp_path / "people.csv"
    people.write_text(content)
    assert main(["adoption", ledger, "--people", str(people)]) == 2
    assert said.replace("\\", "") in capsys.readouterr().err


def test_a_file_of_people_is_never_replaced(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("user\nada\n")
    assert main(["adoption", ledger, "--people", str(people), "--output", str(people)]) == 2
    assert "is one of the files that are reported on" in capsys.readouterr().err
    assert people.read_text() == "user\nada\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["leaderboard", "--by", "planet"], "there is no column 'planet'"),
        (["adoption", "--target", "80"], "a share from 0 to 1"),
        (["adoption", "--days", "9"], "1 to 7 days"),
        (["tasks", "--by", "user,user"], "named once"),
        (["leaderboard", "--only", "model=m"], "outcomes do not say the model of calls"),
        (["leaderboard", "--only", "modle=m"], "did you mean 'model'?"),
    ],
)
def test_what_cannot_be_reported_is_said(
    ledger: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([arguments[0], ledger, *arguments[1:]]) == 2
    assert said in capsys.readouterr().err
