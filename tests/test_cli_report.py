"""``tokenmeter report``: groups, counts, formats, and how it says that it was held wrongly."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tokenmeter.cli import main
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.ids import derived_id
from tokenmeter.reports.output import FORMATS


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
COUNTS = ("calls", "attempts", "failed", "input_tokens", "cache_read_tokens", "output_tokens",
          "reasoning_tokens", "cost_amount", "unpriced", "unknown")  # fmt: skip
ADA = (1, 2, 1, 1000, 600, 200, 50, None, 1, 0)
PIPE = (1, 1, 0, 5, None, 7, None, None, 1, 0)
UNKNOWN = (1, 1, 0, None, None, None, None, None, 1, 1)
TOTAL = (3, 4, 1, 1005, 600, 207, 50, None, 3, 1)


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


def counts(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COUNTS)


def test_json_has_every_group_with_exact_counts_and_the_total(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(report(capsys, ledger, "--format", "json"))
    assert [(r["user"], r["task"], r["model"], counts(r)) for r in found["rows"]] == [
        ("ada", "T-1", "m", ADA),
        ("a|b", None, None, PIPE),
        (None, "T-2", "m", UNKNOWN),
    ]
    assert counts(found["total"]) == TOTAL
    assert found["facts"]["shares"] == {
        "estimated": 0.0, "partial": 0.0, "unknown": 1 / 3, "unpriced": 1.0, "unattributed": 0.0,
    }  # fmt: skip


def test_csv_has_the_same_numbers_and_no_total_row_and_says_the_rest_on_stderr(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", ledger, "--format", "csv"]) == 0
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [(row["user"], row["task"], row["calls"], row["output_tokens"]) for row in rows] == [
        ("ada", "T-1", "1", "200"),
        ("a|b", "", "1", "7"),
        ("", "T-2", "1", ""),
    ]
    assert said.err == (
        "tokenmeter: all calls, 2026-11-22 · UTC · USD\n"
        "tokenmeter: 4 attempts, 3 countable · coverage 66.7 % · estimated 0 % · partial 0 % · "
        "unknown 33.3 % (1) · unpriced 100 % (3) · unattributed 0 % · rules version 1\n"
        "tokenmeter: nothing is priced in USD; tokenmeter reprice --help says what to do\n"
    )


def test_markdown_escapes_pipes_and_ends_with_the_total(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = report(capsys, ledger, "--by", "user", "--format", "markdown").splitlines()
    totals = ["3", "4", "1", "1,005", "600", "207", "50", "1"]
    heads = [
        "user",
        "calls",
        "attempts",
        "failed",
        "input",
        "cached",
        "output",
        "reasoning",
        "unknown",
    ]
    assert shown[4:10] == [
        f"| {' | '.join(heads)} | p50 s | p95 s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| ada | 1 | 2 | 1 | 1,000 | 600 | 200 | 50 | 0 | – | – |",  # noqa: RUF001
        "| a\\|b | 1 | 1 | 0 | 5 | ? | 7 | ? | 0 | – | – |",  # noqa: RUF001
        "| (none) | 1 | 1 | 0 | ? | ? | ? | ? | 1 | – | – |",  # noqa: RUF001
        f"| **total** | {' | '.join(f'**{n}**' for n in totals)} |  |  |",
    ]


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


def test_the_table_states_what_is_true_of_it(
    ledger: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    shown = report(capsys, ledger, "--by", "user", "--timezone", "Asia/Tokyo")
    assert "all calls, 2026-11-22 to 2026-11-23 · Asia/Tokyo · USD" in shown
    assert "unattributed 0 % · rules version 1" in shown
    assert "total" in shown


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
    assert (found["rows"], found["facts"]["attempts"]) == ([], 0)


@pytest.mark.parametrize("form", ["json", "csv", "html"])
def test_lines_that_are_no_events_are_said_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"junk\n" + msgspec.json.encode(LEDGER[2]) + b"\n" + b'{"kind":"ca')
    assert main(["report", str(path), "--format", form]) == 0
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"tokenmeter: {path}: 1 line (1) is no event",
        f"tokenmeter: {path}: the last line has no end; it is being written, or never will be",
    ]


def test_lines_that_are_no_events_are_said_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b"junk\n" + msgspec.json.encode(LEDGER[2]) + b"\n")
    assert main(["report", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"damage: {path}: 1 line (1) is no event"
    assert said.err == ""


def test_closed_and_packed_files_of_a_ledger_are_read_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage.jsonl"
    exporter = Jsonl(path, rotate_bytes=1, compress="gzip")
    for each in LEDGER:
        exporter(each)
    exporter.close()
    assert len(list(tmp_path.iterdir())) > 1
    assert grouped(capsys, str(path), "status") == {"completed": 3, "failed": 1}
    assert grouped(capsys, str(tmp_path / "*.jsonl"), "status") == {"completed": 3, "failed": 1}


def test_only_what_is_asked_for_is_counted_and_that_is_said(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = report(capsys, ledger, "--only", "user=ada", "--only", "status=completed", "--by", "")
    assert "only user = ada · only status = completed" in shown
    found = json.loads(report(capsys, ledger, "--only", "tag:env=prod", "--format", "json"))
    assert (found["total"]["attempts"], found["only"]) == (1, {"tag:env": "prod"})


def test_a_period_has_its_last_day_and_days_are_those_of_the_zone(
    ledger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    days = ["--since", "2026-11-23", "--until", "2026-11-23", "--by", "day", "--format", "json"]
    assert json.loads(report(capsys, ledger, *days))["rows"] == []
    found = json.loads(report(capsys, ledger, *days, "--timezone", "Asia/Tokyo"))
    assert [(row["day"], row["attempts"]) for row in found["rows"]] == [("2026-11-23", 1)]
    assert found["period"] == {"since": "2026-11-22T15:00:00Z", "until": "2026-11-23T15:00:00Z"}


def test_what_is_below_the_top_is_added_up(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(report(capsys, ledger, "--by", "user", "--top", "1", "--format", "json"))
    assert [(row["user"], row["attempts"]) for row in found["rows"]] == [
        ("ada", 2),
        ("(others)", 2),
    ]
    assert found["notes"][-1] == "(others) are 2 more rows"


def test_two_periods_are_compared(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--since", "2026-11-22", "--until", "2026-11-22", "--by", "user", "--format", "json"]
    for period in ("previous", "2026-11-01..2026-11-21"):
        found = json.loads(report(capsys, ledger, *asked, "--compare", period))
        first = found["rows"][0]
        assert (first["user"], first["calls"], first["calls_before"]) == ("ada", 1, 0)
        assert found["before"]["facts"]["attempts"] == 0


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("page.html", "<!DOCTYPE html>"),
        ("rows.csv", "user,task,model,"),
        ("all.json", "{\n"),
        ("table.md", "## Usage by"),
        ("table.txt", "Usage by"),
    ],
)
def test_the_ending_of_a_file_says_its_format(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, begins: str
) -> None:
    assert report(capsys, ledger, "--output", str(tmp_path / name)) == ""
    assert (tmp_path / name).read_text().startswith(begins)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "usage.jsonl"])


def test_a_report_that_fails_leaves_the_file_of_before_and_nothing_else(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("before")
    assert main(["report", ledger, "--by", "colour", "--output", str(out)]) == 2
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "usage.jsonl"]


def test_a_link_stays_one_and_a_pipe_is_written_into(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "there.json")
    report(capsys, ledger, "--output", str(link))
    assert link.is_symlink()
    assert json.loads(link.read_text())["report"] == "report"
    report(capsys, ledger, "--output", "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert json.loads(report(capsys, ledger, "--output", "-", "--format", "json"))["rules"] == 1


def test_a_folder_that_does_not_exist_is_said_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none" / "out.csv"
    assert main(["report", str(tmp_path / "no.jsonl"), "--output", str(out)]) == 2
    assert "No such file or directory" in capsys.readouterr().err


def test_a_report_never_replaces_what_it_is_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, link = tmp_path / "usage", tmp_path / "link.html"
    written(source, LEDGER)
    link.hardlink_to(source)
    before = source.read_bytes()
    for output in (source, link):
        assert main(["report", str(source), "--output", str(output)]) == 2
        assert capsys.readouterr().err == (
            f"tokenmeter: --output {str(output)!r} is one of the files that are reported on, and "
            "it would be replaced by the report; name another file\n"
        )
        assert source.read_bytes() == before


def test_the_output_has_a_name(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", ledger, "--output", ""])
    assert "--output: it is empty; name a file" in capsys.readouterr().err


def test_what_is_said_on_stderr_controls_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "o\x1b[31m\nd.jsonl"
    path.write_bytes(b"[]\n")
    main(["report", str(path), "--format", "csv"])
    shown = str(path).replace("\x1b", "\\x1b").replace("\n", "\\n")
    assert f"tokenmeter: {shown}: 1 line (1) is no event\n" in capsys.readouterr().err


def test_the_sql_is_printed_for_any_engine(capsys: pytest.CaptureFixture[str]) -> None:
    spark = report(capsys, "--sql", "--by", "team", "--dialect", "spark", "--source", "lake.events")
    assert "FROM lake.events" in spark
    assert "tokenmeter_events" in report(capsys, "--sql")
    assert report(capsys, "--sql", "--by", "team", "--engine", "spark") == spark.replace(
        "lake.events", "tokenmeter_events"
    )


BEYOND = " is beyond the calendar, which has the years 1 to 9999; leave it out where there is no "


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--by", "user,colour"], "there is no column 'colour': known columns are agent, "),
        (["--by", "user,user"], "each column is named once; got ['user', 'user']"),
        (["--since", "yesterday"], "'yesterday' is neither a day such as 2026-11-01 nor a time "),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "a period ends after it begins; "),
        (["--timezone", "Berlin"], "there is no time zone 'Berlin'; use an IANA name such as UTC "),
        (["--only", "gpt-5"], "--only 'gpt-5' is no condition; expected COLUMN=VALUE, for "),
        (["--compare", "October"], "--compare 'October' is no period; expected previous, or two "),
        (["--compare", "previous"], "a period is compared with the one before it where it has a "),
        (["--by", "day", "--compare", "2026-10-01..2026-10-31"], "no day is in two periods, so "),
        (
            ["--only", "user=ada", "--only", " user=bob"],
            "--only says user=ada and user=bob, and no ",
        ),
        (
            ["--only", "user=\udcff"],
            "'\\udcff' is no text in UTF-8, and reports read nothing else; ",
        ),
        (["--by", "tag:\udcff"], "'\\udcff' is no text in UTF-8, and reports read nothing else; "),
        (["--since", "20261101"], "'20261101' is neither a day such as 2026-11-01 nor a time "),
        (["--until", "20261101"], "'20261101' is neither a day such as 2026-11-01 nor a time "),
        (["--until", "2026-W44"], "'2026-W44' is neither a day such as 2026-11-01 nor a time "),
        (
            ["--compare", "20261001..20261031"],
            "'20261001' is neither a day such as 2026-11-01 nor ",
        ),
        (["--since", "0001-01-01T00:00", "--timezone", "Asia/Tokyo"], f"0001-01-01T00:00{BEYOND}"),
        (
            ["--since", "0001-01-01T00:00Z", "--timezone", "America/New_York"],
            f"since 0001-01-01 00:00:00+00:00{BEYOND}",
        ),
        (["--until", "0001-01-01T00:00"], f"until 0001-01-01 00:00:00+00:00{BEYOND}"),
        (
            ["--until", "9999-12-31T23:00", "--timezone", "America/New_York"],
            f"9999-12-31T23:00{BEYOND}",
        ),
        (["--until", "9999-12-31"], f"9999-12-31{BEYOND}"),
        (
            ["--since", "0001-01-01", "--until", "2026-11-30", "--compare", "previous"],
            "the period before 0001-01-01 00:00:00+00:00, as long as that to ",
        ),
        (
            ["--compare", "2026-10-01..2026-10-31", "--sql"],
            "--sql prints the SQL of one report, and ",
        ),
        (["--output", "x.JSONL.gz"], "--output 'x.JSONL.gz' ends as a ledger does, and a report "),
        (
            ["--output", "no/such/x.html"],
            "--output 'no/such/x.html' cannot be written: No such file or directory; name a file ",
        ),
        (
            ["--output", "/dev/null/x.html"],
            "--output '/dev/null/x.html' cannot be written: Not a directory; name a file in a ",
        ),
        (
            ["--output", "/"],
            "--output '/' cannot be written: Is a directory; name a file in a folder ",
        ),
        (["--source", "t"], "--source is for other engines, and the engine is duckdb, which "),
        (["--dsn", "x"], "--dsn is for other engines, and the engine is duckdb, which reads "),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_to_do(
    ledger: str, capsys: pytest.CaptureFixture[str], wrong: list[str], said: str
) -> None:
    assert main(["report", ledger, *wrong]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"tokenmeter: {said}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_report_on_nothing_is_answered_with_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["report"]) == 2
    assert "for example  tokenmeter report usage.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_stream_that_cannot_write_every_letter_loses_none(tmp_path: Path, form: str) -> None:
    ledger = written(tmp_path / "usage.jsonl", [msgspec.structs.replace(LEDGER[2], user="Zoë 山")])
    done = subprocess.run(
        [sys.executable, "-m", "tokenmeter", "report", ledger, "--by", "user", "--format", form],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    shown = done.stdout.decode("latin-1")
    assert ("Zo\\u00eb \\u5c71" if form == "json" else "Zoë \\u5c71") in shown


@pytest.mark.parametrize("top", ["0", "-1", "ten"])
def test_a_number_of_rows_is_one(ledger: str, capsys: pytest.CaptureFixture[str], top: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", ledger, f"--top={top}"])
    assert ended.value.code == 2
    assert "is no whole number from 1" in capsys.readouterr().err


def test_every_example_of_the_help_is_a_command_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "usage.jsonl", LEDGER)
    (tmp_path / "logs").mkdir()
    written(tmp_path / "logs" / "usage.jsonl", LEDGER)
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    commands = [line.partition(" | ")[0] for line in lines if line.startswith("tokenmeter report ")]
    assert len(commands) == 9
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0, command


def test_a_missing_ledger_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"tokenmeter: there is no ledger {str(path)!r}; name an existing file\n"
    )
