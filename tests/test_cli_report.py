"""``tokenmeter report``: groups, counts, formats, and how it says that it was held wrongly."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokenmeter.cli import main
from tokenmeter.event import UsageEvent
from tokenmeter.ids import derived_id


def event(number: int, **columns: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call",
        "event_id": f"01a2045481ae7862801b{number:012d}",
        "schema": 1,
        "ts": datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC),
        "status": "completed",
        "input_provenance": "reported",
        "output_provenance": "reported",
    }
    return UsageEvent(**facts | columns)


LEDGER = [
    event(
        1,
        user="ada",
        task="T-1",
        request_model="m",
        response_model="m-2026",
        input_tokens=1000,
        output_tokens=200,
        cache_read_tokens=600,
        reasoning_tokens=50,
        attempt=1,
    ),
    event(
        2,
        user="ada",
        task="T-1",
        request_model="m",
        status="failed",
        attempt=0,
        input_provenance="none",
        output_provenance="none",
    ),
    event(3, user="a|b", input_tokens=5, output_tokens=7, tags={"env": "prod"}),
    event(
        4,
        task="T-2",
        request_model="m",
        input_provenance="unknown",
        output_provenance="unknown",
        ts=datetime(2026, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=2))),
    ),
]
ADA = {
    "calls": 1,
    "attempts": 2,
    "failed": 1,
    "input_tokens": 1000,
    "cache_read_tokens": 600,
    "output_tokens": 200,
    "reasoning_tokens": 50,
    "estimated": 0,
    "partial": 0,
    "unknown": 0,
}
PIPE = dict.fromkeys(ADA, 0) | {
    "calls": 1,
    "attempts": 1,
    "input_tokens": 5,
    "output_tokens": 7,
}
UNKNOWN = dict.fromkeys(ADA, 0) | {"calls": 1, "attempts": 1, "unknown": 1}
TOTAL = {name: ADA[name] + PIPE[name] + UNKNOWN[name] for name in ADA}


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    return written(tmp_path / "usage.jsonl", LEDGER)


def written(path: Path, events: list[UsageEvent]) -> str:
    path.write_bytes(b"".join(msgspec.json.encode(e) + b"\n" for e in events))
    return str(path)


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["report", *arguments]) == 0
    return capsys.readouterr().out


def grouped(capsys: pytest.CaptureFixture[str], ledger: str, by: str) -> dict[str | None, int]:
    rows = json.loads(report(capsys, ledger, "--by", by, "--format", "json"))["rows"]
    return {row[by]: row["attempts"] for row in rows}


def test_json_has_every_group_with_exact_counts_and_the_total(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(report(capsys, ledger, "--format", "json")) == {
        "by": ["user", "task", "model"],
        "rows": [
            {"user": "ada", "task": "T-1", "model": "m"} | ADA,
            {"user": "a|b", "task": None, "model": None} | PIPE,
            {"user": None, "task": "T-2", "model": "m"} | UNKNOWN,
        ],
        "total": TOTAL,
    }


def test_csv_has_the_same_numbers_and_no_total_row(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.DictReader(io.StringIO(report(capsys, ledger, "--format", "csv"))))
    assert rows == [
        {"user": "ada", "task": "T-1", "model": "m"} | {k: str(v) for k, v in ADA.items()},
        {"user": "a|b", "task": "", "model": ""} | {k: str(v) for k, v in PIPE.items()},
        {"user": "", "task": "T-2", "model": "m"} | {k: str(v) for k, v in UNKNOWN.items()},
    ]


def test_markdown_escapes_pipes_and_ends_with_the_total(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(capsys, ledger, "--by", "user", "--format", "markdown") == (
        "| user | calls | attempts | failed | input | cached | output | reasoning "
        "| est. | part. | unknown |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| ada | 1 | 2 | 1 | 1000 | 600 | 200 | 50 | 0 | 0 | 0 |\n"
        "| a\\|b | 1 | 1 | 0 | 5 | 0 | 7 | 0 | 0 | 0 | 0 |\n"
        "| (none) | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |\n"
        "| total | 3 | 4 | 1 | 1005 | 600 | 207 | 50 | 0 | 0 | 1 |\n"
    )


@pytest.mark.parametrize(
    ("by", "attempts"),
    [
        ("user", {"ada": 2, "a|b": 1, None: 1}),
        ("task", {"T-1": 2, "T-2": 1, None: 1}),
        ("model", {"m": 3, None: 1}),
        ("request_model", {"m": 3, None: 1}),
        ("response_model", {"m-2026": 1, None: 3}),
        ("status", {"completed": 3, "failed": 1}),
        ("day", {"2026-11-22": 4}),
        ("tag:env", {"prod": 1, None: 3}),
        ("team", {None: 4}),
        ("agent", {None: 4}),
        ("conversation", {None: 4}),
        ("provider", {None: 4}),
        ("operation", {None: 4}),
        ("host", {None: 4}),
    ],
)
def test_every_column_can_group(
    ledger: str,
    capsys: pytest.CaptureFixture[str],
    by: str,
    attempts: dict[str | None, int],
) -> None:
    assert grouped(capsys, ledger, by) == attempts


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_fits_the_terminal_and_hides_no_number(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = written(tmp_path / "long.jsonl", [msgspec.structs.replace(LEDGER[0], user="u" * 90)])
    shown = report(capsys, long)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("u") >= 90
    assert "1,000" in shown
    assert "\x1b" not in shown


def test_a_terminal_narrower_than_the_numbers_still_gets_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    huge = msgspec.structs.replace(LEDGER[0], input_tokens=10**12, output_tokens=10**11)
    shown = report(capsys, written(tmp_path / "huge.jsonl", [huge]))
    assert (shown.count("1,000,000,000,000"), shown.count("100,000,000,000")) == (2, 2)


def test_the_table_leaves_out_counts_that_say_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = written(tmp_path / "plain.jsonl", [LEDGER[2]])
    lines = [line.split() for line in report(capsys, ledger, "--by", "user").splitlines()]
    assert [line for line in lines if line and "─" not in line[0]] == [
        ["user", "calls", "input", "output"],
        ["a|b", "1", "5", "7"],
        ["total", "1", "5", "7"],
    ]


def test_a_name_that_looks_like_markup_is_shown_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = written(tmp_path / "markup.jsonl", [msgspec.structs.replace(LEDGER[2], user="[b]x")])
    assert "[b]x" in report(capsys, ledger, "--by", "user")


def test_several_ledgers_are_added_up_and_a_fetched_answer_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched = event(9, input_tokens=10, output_tokens=1)
    fetched = msgspec.structs.replace(fetched, event_id=derived_id("openai", "resp_1"))
    one = written(tmp_path / "1.jsonl", [LEDGER[2], fetched])
    two = written(tmp_path / "2.jsonl", [fetched])
    found = json.loads(report(capsys, one, two, "--by", "day", "--format", "json"))
    assert (found["total"]["input_tokens"], found["total"]["calls"]) == (15, 2)


def test_outcomes_and_runs_are_no_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = msgspec.structs.replace(LEDGER[0], kind="run")
    ledger = written(tmp_path / "runs.jsonl", [run])
    found = json.loads(report(capsys, ledger, "--format", "json"))
    assert (found["rows"], found["total"]) == ([], dict.fromkeys(ADA, 0))


def test_lines_that_are_no_events_are_said_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"junk\n" + msgspec.json.encode(LEDGER[2]) + b"\n" + b'{"kind":"ca')
    assert main(["report", str(path), "--format", "csv"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        f"tokenmeter: 1 lines of {path} are no events\n"
        f"tokenmeter: the last line of {path} has no end: it is being written, or never will be\n"
    )
    assert captured.out.count("\n") == 2


def test_an_unknown_column_is_answered_with_those_that_exist(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", ledger, "--by", "user,colour"]) == 2
    assert capsys.readouterr().err == (
        "tokenmeter: there is no column 'colour'; use any of: user, team, task, agent, "
        "conversation, provider, model, request_model, response_model, operation, status, day, "
        "host, tag:NAME\n"
    )


def test_a_missing_ledger_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"tokenmeter: there is no ledger {str(path)!r}; name an existing file\n"
    )
