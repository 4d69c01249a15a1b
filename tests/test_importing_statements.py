"""Rows become statements: what each tracker's export means, and what is said of the rest."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from tokenmeter import ConfigurationError
from tokenmeter.importing.layouts import LAYOUTS, Layout
from tokenmeter.importing.rows import export
from tokenmeter.importing.statements import Reading, read
from tokenmeter.outcomes import VERDICTS

AT = "2026-11-{:02}T10:00:00Z"


def reading(rows: list[dict[str, Any]] | str, layout: str | Layout) -> Reading:
    data = rows if isinstance(rows, str) else json.dumps(rows)
    name = "t.csv" if isinstance(rows, str) else "t.json"
    used = LAYOUTS[layout] if isinstance(layout, str) else layout
    return read([export(name, data.encode())], used)


def said(found: Reading) -> list[tuple[Any, ...]]:
    """Say it shortly: the day is enough of a time, the last part of a reference."""
    return [
        (
            s.task,
            s.status,
            s.evidence,
            s.reference and s.reference.rpartition("/")[2],
            s.ts and s.ts.day,
        )
        for s in (one.statement for one in found.said)
    ]


def gh(number: int, title: str, *, day: int | None = None, **more: Any) -> dict[str, Any]:
    """Make a pull request as `gh pr list --json` says it."""
    at = day and AT.format(day)
    return {
        "number": number,
        "title": title,
        "state": "MERGED" if day else "OPEN",
        "mergedAt": at,
        "closedAt": at,
        "headRefName": f"topic-{number}",
        "url": f"https://forge/o/r/pull/{number}",
        "reviewDecision": "",
        "labels": [{"name": "bug"}],
        **more,
    }


def test_of_gh_what_is_merged_is_accepted_and_what_is_closed_rejected() -> None:
    found = reading(
        [
            gh(1, "ABC-1 one", day=1, reviewDecision="APPROVED"),
            gh(2, "two", day=2, headRefName="feature/ABC-2-two"),
            gh(3, "ABC-3", day=3, state="CLOSED", mergedAt=None),
            gh(
                4, "ABC-4", day=4, state="CLOSED", mergedAt=None, reviewDecision="CHANGES_REQUESTED"
            ),
            gh(5, "ABC-5 not yet"),
            gh(6, "no task", day=6),
        ],
        "github",
    )
    assert said(found) == [
        ("ABC-1", "accepted", "review", "1", 1),
        ("ABC-2", "accepted", "github", "2", 2),
        ("ABC-3", "rejected", "github", "3", 3),
        ("ABC-4", "rejected", "review", "4", 4),
    ]
    assert found.ignored == {"with the status 'OPEN'": 1, "without a task": 1}
    assert (found.problems, found.remarks) == ([], [])


def test_the_rest_api_of_github_says_the_same() -> None:
    def pull(number: int, **more: Any) -> dict[str, Any]:
        return {
            "number": number,
            "url": f"https://api.forge/repos/o/r/pulls/{number}",
            "html_url": f"https://forge/o/r/pull/{number}",
            "title": "t",
            "state": "closed",
            "merged_at": None,
            "closed_at": AT.format(number),
            "head": {"ref": f"ABC-{number}"},
            **more,
        }

    rows = [pull(1, merged_at=AT.format(1)), pull(2), pull(3, state="open", closed_at=None)]
    found = reading(rows, "github")
    assert said(found) == [
        ("ABC-1", "accepted", "github", "1", 1),
        ("ABC-2", "rejected", "github", "2", 2),
    ]
    assert found.said[0].statement.reference == "https://forge/o/r/pull/1"
    assert found.ignored == {"with the status 'open'": 1}


def gitlab(number: int, **more: Any) -> dict[str, Any]:
    return {
        "iid": number,
        "title": f"ABC-{number}",
        "description": None,
        "state": "merged",
        "merged_at": f"2026-11-{number:02}T11:16:17.520Z",
        "closed_at": None,
        "source_branch": f"topic-{number}",
        "web_url": f"https://lab/g/p/-/merge_requests/{number}",
        "merge_commit_sha": f"{number:040x}",
        **more,
    }


def test_merge_requests_of_gitlab() -> None:
    closed = {"state": "closed", "merged_at": None, "closed_at": AT.format(2)}
    open_ones = [gitlab(3, state=state, merged_at=None) for state in ("opened", "locked")]
    found = reading([gitlab(1), gitlab(2, **closed), *open_ones], "gitlab")
    assert said(found) == [
        ("ABC-1", "accepted", "gitlab", "1", 1),
        ("ABC-2", "rejected", "gitlab", "2", 2),
    ]
    assert found.ignored == {"with the status 'opened'": 1, "with the status 'locked'": 1}


JIRA = """Summary,Issue key,Issue id,Status,Labels,Labels,Resolution,Resolved
one,ABC-1,1,Closed,a,b,Done,01/Nov/26 1:42 PM
two,ABC-2,2,Closed,,,Won\u2019t Do,02/Nov/26 11:59 PM
three,ABC-3,3,Closed,,,Duplicate,03/Nov/26 12:00 AM
four,ABC-4,4,In Progress,,,,
five,ABC-5,5,In Progress,,,Unresolved,
six,ABC-6,6,Shipped,,,Shipped,06/Nov/26 1:42 PM
"""


def test_the_csv_of_jira_needs_a_zone_and_says_what_it_does_not_know() -> None:
    found = reading(JIRA, replace(LAYOUTS["jira"], zone=UTC))
    assert said(found) == [
        ("ABC-1", "accepted", "jira", None, 1),
        ("ABC-2", "rejected", "jira", None, 2),
        ("ABC-3", "abandoned", "jira", None, 3),
    ]
    assert found.ignored == {"undecided": 1, "with the status 'Unresolved'": 1}
    (problem,) = map(str, found.problems)
    assert problem.startswith(
        "t.csv, line 7, column 'Resolution': found 'Shipped', expected one of"
    )
    assert problem.endswith("say what it means with --map 'Shipped'=accepted")
    bare = reading(JIRA, "jira")
    assert str(bare.problems[0]) == (
        "t.csv, line 2, column 'Resolved': found '01/Nov/26 1:42 PM', "
        "expected a time with its zone; say --timezone where there is none"
    )


def test_the_search_of_jiras_api_says_the_same() -> None:
    def issue(key: str, resolution: str | None, at: str | None) -> dict[str, Any]:
        fields = {"resolution": resolution and {"name": resolution}, "resolutiondate": at}
        return {"id": "1", "key": key, "fields": {**fields, "status": {"name": "Done"}}}

    issues = [issue("ABC-1", "Fixed", "2026-11-01T13:42:00.000+0000"), issue("ABC-2", None, None)]
    found = read(
        [export("-", json.dumps({"isLast": True, "issues": issues}).encode())], LAYOUTS["jira"]
    )
    assert said(found) == [("ABC-1", "accepted", "jira", None, 1)]
    assert found.ignored == {"undecided": 1}


@pytest.mark.parametrize("heading", ["ID", "Id"])
def test_the_csv_of_linear(heading: str) -> None:
    text = f"""{heading},Team,Status,Created,Completed,Canceled,Archived
ENG-1,Eng,Done,2026-11-01T08:00:00.000Z,2026-11-01T10:00:00.000Z,,
ENG-2,Eng,Canceled,,,Mon Nov 02 2026 09:00:00 GMT+0000 (GMT+00:00),
ENG-3,Eng,Todo
"""
    found = reading(text, "linear")
    assert said(found) == [
        ("ENG-1", "accepted", "linear", None, 1),
        ("ENG-2", "abandoned", "linear", None, 2),
    ]
    assert found.ignored == {"undecided": 1}


def test_a_table_with_our_own_names_needs_nothing_else() -> None:
    text = "task,status,evidence,reference,ts\n"
    text += f"T,accepted,ci,7,{AT.format(1)}\nU,Revoked,,,{AT.format(2)}\n"
    assert said(reading(text, "csv")) == [
        ("T", "accepted", "ci", "7", 1),
        ("U", "revoked", "self", None, 2),
    ]


def test_several_tasks_in_one_pull_request_are_said_and_the_first_has_it() -> None:
    row = gh(1, "XYZ-2: and ABC-3", day=1, headRefName="ABC-1/XYZ-2")
    found = reading([row], "github")
    assert said(found) == [("ABC-1", "accepted", "github", "1", 1)]
    assert found.remarks == [
        "t.json, item 1: names ABC-1, XYZ-2, ABC-3; it is an outcome of the first"
    ]


def test_a_task_may_be_the_group_of_a_pattern_and_in_upper_case() -> None:
    pattern = re.compile(r"ada/(eng-\d+)|(?!)")
    layout = replace(LAYOUTS["github"], pattern=pattern, uppercase=True)
    rows = [gh(1, "one", day=1, headRefName="ada/eng-12-one"), gh(2, "ENG-2", day=2)]
    assert said(reading(rows, layout)) == [("ENG-12", "accepted", "github", "1", 1)]


def test_a_status_may_mean_something_else_or_nothing_and_there_is_a_word_for_the_others() -> None:
    verdicts = {"done": "accepted", "todo": None, "*": "abandoned"}
    layout = replace(LAYOUTS["csv"], verdicts=verdicts)
    text = "task,status,ts\n" + "".join(
        f"{s},{s},2026-11-01T00:00:00Z\n" for s in ("Done", "TODO", "x")
    )
    found = reading(text, layout)
    assert [(task, status) for task, status, *_ in said(found)] == [
        ("Done", "accepted"),
        ("x", "abandoned"),
    ]
    assert found.ignored == {"with the status 'TODO'": 1}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"task": ""}, "column 'task': found nothing, expected a task"),
        ({"task": "\ud800"}, r"line 1: found '\ud800', expected text"),
        (
            {"status": "merged"},
            "column 'status': found 'merged', expected one of abandoned, accepted",
        ),
        ({"status": None}, "column 'status': found nothing, expected one of"),
        ({"ts": "soon"}, "column 'ts': found 'soon', expected a time such as"),
        ({"ts": ""}, "column 'ts': found nothing, expected a time such as"),
        ({"ts": "\x1b[31m" + "x" * 99}, r"found '\x1b[31mxxxxx"),
    ],
)
def test_what_cannot_be_used_says_where_what_was_found_and_what_was_expected(
    row: dict[str, Any], problem: str
) -> None:
    whole = {"task": "T", "status": "accepted", "ts": AT.format(1), **row}
    found = read([export("t.jsonl", json.dumps(whole).encode())], LAYOUTS["csv"])
    assert found.said == []
    assert problem in str(found.problems[0])
    assert str(found.problems[0]).startswith("t.jsonl, line 1")


@pytest.mark.parametrize("without", ["state", "headRefName", "url", "closedAt"])
def test_a_pull_request_without_what_is_needed_is_a_problem(without: str) -> None:
    row = gh(1, "ABC-1", day=1, state="CLOSED", mergedAt=None)
    gone = {"state": ("state", "mergedAt"), "headRefName": ("headRefName", "title")}
    found = reading(
        [{k: v for k, v in row.items() if k not in gone.get(without, (without,))}], "github"
    )
    assert (len(found.problems), found.said) == (1, [])


def test_a_table_without_a_column_is_refused_as_a_whole() -> None:
    with pytest.raises(ConfigurationError) as refused:
        reading("Isue key,Resolution,Resolved\nA-1,Done,2026-11-01T00:00:00Z\n", "jira")
    assert str(refused.value) == (
        "t.csv has no column 'Issue key' or 'key'; say another one with --task; did you mean "
        "'Isue key'? Known columns are Isue key, Resolution, Resolved"
    )


# -- reverts


def revert(number: int, of: str = "", **more: Any) -> dict[str, Any]:
    return {**gh(number, f'Revert "{of}"', day=number), **more}


@pytest.mark.parametrize(
    "how",
    [
        {"body": "Reverts o/r#1"},
        {"body": "This reverts PR #1."},
        {"body": "It broke.\n\nReverts #1"},
        {"body": "This reverts pull request https://forge/o/r/pull/1"},
        {"body": f"This reverts commit {7:040x}."},
        {"headRefName": "revert-1-topic-1"},
        {"headRefName": f"revert-{7:040x}"[:15]},
        {},
        {"title": 'revert(core): "ABC-1 one"'},
        {"title": "revert: it broke", "body": "Reverts o/r#1"},
        {"title": "Take it back", "body": "Reverts o/r#1"},
    ],
)
def test_what_a_revert_takes_back_is_known_by_its_body_its_branch_or_its_title(
    how: dict[str, Any],
) -> None:
    one = gh(1, "ABC-1 one", day=1, mergeCommit={"oid": f"{7:040x}"})
    found = reading([revert(3, "ABC-1 one", **how), one, gh(2, "ABC-2", day=2)], "github")
    assert said(found)[0] == ("ABC-1", "revoked", "github", "1", 3)
    assert len(found.said) == 3


def test_a_merge_request_of_gitlab_is_reverted_by_number_or_commit() -> None:
    for how in (
        {"description": "This reverts merge request !1"},
        {"description": "This reverts merge request g/p!1"},
        {"source_branch": f"revert-{1:040x}"[:15], "description": f"This reverts commit {1:040x}"},
    ):
        found = reading([gitlab(1), gitlab(2, title='Revert "ABC-1"', **how)], "gitlab")
        assert said(found)[1] == ("ABC-1", "revoked", "gitlab", "1", 2)


def test_a_revert_that_is_reverted_has_the_first_stand_again() -> None:
    rows = [
        gh(1, "ABC-1", day=1),
        revert(2, "ABC-1", body="Reverts o/r#1"),
        revert(3, 'Revert "ABC-1"', body="Reverts o/r#2"),
        revert(4, 'Revert "Revert "ABC-1""', body="Reverts o/r#3"),
    ]
    assert said(reading(rows, "github")) == [
        ("ABC-1", "accepted", "github", "1", 1),
        ("ABC-1", "revoked", "github", "1", 2),
        ("ABC-1", "accepted", "github", "1", 3),
        ("ABC-1", "revoked", "github", "1", 4),
    ]


def test_what_is_not_among_the_rows_may_be_known_from_before_or_from_the_title() -> None:
    row = revert(3, "ABC-9 one", body="Reverts o/r#1")
    assert said(reading([row], "github")) == [("ABC-9", "revoked", "github", "1", 3)]
    before = {"https://forge/o/r/pull/1": "ABC-1"}
    known = read([export("-", json.dumps([row]).encode())], LAYOUTS["github"], before)
    assert said(known) == [("ABC-1", "revoked", "github", "1", 3)]


@pytest.mark.parametrize(
    "rows",
    [
        [revert(3, "one")],
        [revert(3, "one", body="Reverts o/r#1")],
        [revert(3, "one", body="Reverts other/r#1")],
        [revert(3, "one"), *(gh(n, "one", day=n, headRefName=f"ABC-{n}") for n in (1, 2))],
        [revert(3, "one", body="Reverts o/r#3")],
        [revert(3, "one", body="Reverts o/r#4"), revert(4, "two", body="Reverts o/r#3")],
        [revert(3, "one"), gh(1, "one", day=1, url="https://forge/o/other/pull/1")],
    ],
    ids=["nothing", "no task", "elsewhere", "two of a title", "itself", "a circle", "a namesake"],
)  # fmt: skip
def test_what_cannot_be_known_is_revoked_nowhere_and_said(rows: list[dict[str, Any]]) -> None:
    found = reading(rows, "github")
    assert [one for one in said(found) if one[1] == "revoked"] == []
    assert found.remarks[0].startswith(
        "t.json, item 1: reverts what is not known, or is for no task"
    )


def test_a_revert_that_was_not_merged_takes_nothing_back() -> None:
    row = revert(3, "ABC-1", state="CLOSED", mergedAt=None, body="Reverts o/r#1")
    found = reading([gh(1, "ABC-1", day=1), row], "github")
    assert [one[1] for one in said(found)] == ["accepted"]
    assert found.ignored == {"reverts that were not merged": 1}


def test_a_title_about_reverting_is_no_revert() -> None:
    found = reading([gh(1, "Revert button of ABC-1 is blue", day=1, body="see #7")], "github")
    assert said(found) == [("ABC-1", "accepted", "github", "1", 1)]


# -- laws

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "task": st.text(min_size=1).filter(lambda text: text == text.strip() != ""),
            "status": st.sampled_from(VERDICTS),
            "evidence": st.sampled_from(["ci", "review", "self"]),
            "reference": st.none() | st.sampled_from(["pull/7", "é,\n;\"'"]),
            "ts": st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)).map(
                lambda ts: ts.replace(tzinfo=UTC).isoformat()
            ),
        }
    ),
    max_size=5,
)


@settings(deadline=None)
@given(ROWS)
def test_what_is_said_is_read_back_whole(rows: list[dict[str, Any]]) -> None:
    found = reading(rows, "csv")
    statements = [asdict(one.statement) for one in found.said]
    nobody = {"user": None, "team": None}
    assert [{**one, "ts": one["ts"].isoformat()} for one in statements] == [
        {**row, **nobody} for row in rows
    ]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(
        ["ABC-1", "merged", "MERGED", "Done", AT.format(1), "Reverts #1", 'Revert "x"']
    ),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["ref", "name", "oid", "x"]), inner),
    max_leaves=4,
)  # fmt: skip
COLUMNS = sorted(
    {
        column.split(".")[0]
        for layout in LAYOUTS.values()
        for column in (*layout.task, *layout.status, *layout.signs, *layout.at, *layout.reference)
    }
    | {"body", "description", "number", "iid", "mergeCommit", "reviewDecision"}
)


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), ANY), max_size=4),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_each_row_is_a_statement_a_problem_or_ignored_whatever_it_holds(
    rows: list[dict[str, Any]], layout: str
) -> None:
    found = reading(rows, layout)
    assert len(found.said) + len(found.problems) + found.ignored.total() == len(rows)
    assert all(one.statement.status in VERDICTS and one.statement.ts for one in found.said)
