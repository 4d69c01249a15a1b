"""``tokenmeter outcomes``: from an export to a ledger, once, and what is said on the way."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tokenmeter.cli import main
from tokenmeter.event import UsageEvent
from tokenmeter.ledger import read
from tokenmeter.settlement import settle

PULLS = [
    {
        "number": n,
        "title": title,
        "state": "MERGED",
        "mergedAt": f"2026-11-{n:02}T10:00:00Z",
        "closedAt": f"2026-11-{n:02}T10:00:00Z",
        "headRefName": f"topic-{n}",
        "url": f"https://forge/o/r/pull/{n}",
        "reviewDecision": "APPROVED",
    }
    for n, title in ((1, "ABC-1 one"), (2, "ABC-2 two"), (3, "chore"), (4, 'Revert "ABC-2 two"'))
]
OWN = "task,status,evidence,reference,ts\n"


class Run:
    """Runs the command in a folder of its own, and keeps what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.out: list[str] = []
        self.err: list[str] = []

    def __call__(self, *arguments: str, code: int = 0) -> list[str]:
        self._capsys.readouterr()
        assert main(["outcomes", *arguments]) == code
        said = self._capsys.readouterr()
        self.out, self.err = said.out.splitlines(), said.err.splitlines()
        return self.out

    def write(self, name: str, what: Any) -> str:
        text = what if isinstance(what, str) else json.dumps(what)
        (self.folder / name).write_text(text)
        return name

    def ledger(self, name: str = "usage.jsonl") -> list[UsageEvent]:
        return list(read(self.folder / name)) if (self.folder / name).exists() else []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path, capsys)


def test_pull_requests_become_outcomes_in_a_ledger(run: Run) -> None:
    run.write("prs.json", PULLS)
    assert run("prs.json", "--from", "github", "--to", "usage.jsonl") == [
        "3 imported, 1 ignored",
        "ignored: 1 without a task",
    ]
    assert run.err == []
    tasks = settle(run.ledger()).tasks
    assert {
        name: (task.status, task.evidence, task.references) for name, task in tasks.items()
    } == {
        "ABC-1": ("accepted", ("review",), ("https://forge/o/r/pull/1",)),
        "ABC-2": ("revoked", ("review",), ()),
    }
    one = run.ledger()[0]
    assert (one.kind, one.user, one.run_id, one.ts.isoformat()) == (
        "outcome", None, None, "2026-11-01T10:00:00.000001+00:00",
    )  # fmt: skip


def test_importing_again_and_a_newer_export_add_nothing_twice(run: Run) -> None:
    run.write("old.json", PULLS[:2])
    run.write("new.json", PULLS)
    run("old.json", "--from=github", "--to=usage.jsonl")
    assert run("old.json", "--from=github", "--to=jsonl:usage.jsonl") == [
        "0 imported, 2 already there"
    ]
    assert run("new.json", "old.json", "--from=github", "--to=usage.jsonl")[0] == (
        "1 imported, 2 already there, 2 said twice, 1 ignored"
    )
    assert len(run.ledger()) == 3


def test_a_revert_finds_in_the_ledger_what_an_earlier_import_said(run: Run) -> None:
    run.write("old.json", PULLS[:2])
    run("old.json", "--from=github", "--to=usage.jsonl")
    row = {**PULLS[3], "title": 'Revert "XYZ-1"', "headRefName": "revert-2-topic-2"}
    run.write("new.json", [row])
    assert run("new.json", "--from=github", "--to=usage.jsonl") == ["1 imported"]
    assert (run.ledger()[-1].task, run.ledger()[-1].status) == ("ABC-2", "revoked")
    assert run("new.json", "--from=github", "--to=usage.jsonl") == ["0 imported, 1 already there"]


def test_a_task_that_was_reopened_is_said_until_somebody_revokes_it(run: Run) -> None:
    heading = "ID,Completed,Canceled\n"
    run.write("old.csv", heading + "ENG-1,2026-11-01T00:00Z,\nENG-2,2026-11-01T00:00Z,\n")
    run.write("new.csv", heading + "ENG-1,,\nENG-2,2026-11-01T00:00Z,\nENG-3,,\n")
    run("old.csv", "--from=linear", "--to=usage.jsonl")
    assert run("new.csv", "--from=linear", "--to=usage.jsonl") == [
        "0 imported, 1 already there, 2 ignored",
        "ignored: 2 undecided",
    ]
    (said,) = run.err
    assert said.startswith("tokenmeter: ENG-1 is open now and was accepted before")
    run.write("own.csv", OWN + "ENG-1,revoked,,,2026-11-02T00:00Z\n")
    run("own.csv", "--to=usage.jsonl")
    run("new.csv", "--from=linear", "--to=usage.jsonl")
    assert run.err == []


def test_a_dry_run_says_every_statement_and_conflicts_and_writes_nothing(run: Run) -> None:
    both = OWN + "A,accepted,ci,7,2026-11-01T00:00Z\nB,accepted,ci,7,2026-11-02T00:00Z\n"
    run.write("t.csv", both)
    assert run("t.csv", "--dry-run") == [
        "2026-11-01 00:00:00Z  A  accepted by ci  7  t.csv, line 2",
        "2026-11-02 00:00:00Z  B  accepted by ci  7  t.csv, line 3",
        "2 to import",
        "disputed: 2026-11-02 00:00:00Z  B  accepted by ci  7: it is an outcome of A",
    ]
    run("t.csv", "--to", "usage.jsonl", "--dry-run")
    assert run.ledger() == []


def test_a_conflict_with_what_the_ledger_has_is_said_and_imported_all_the_same(run: Run) -> None:
    run.write("a.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\n")
    run.write("b.csv", OWN + "B,accepted,ci,7,2026-11-02T00:00Z\n")
    run("a.csv", "--to", "usage.jsonl")
    assert run("b.csv", "--to", "usage.jsonl") == [
        "1 imported",
        "disputed: 2026-11-02 00:00:00Z  B  accepted by ci  7: it is an outcome of A",
    ]
    assert run("a.csv", "--to", "usage.jsonl") == ["0 imported, 1 already there"]


def test_a_bad_row_is_said_and_the_others_are_imported_unless_it_is_strict(run: Run) -> None:
    run.write("t.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\nB,done,,,2026-11-02T00:00Z\n")
    assert run("t.csv", "--to=usage.jsonl", "--strict", code=1) == ["nothing was imported"]
    (said,) = run.err
    assert said.startswith(
        "tokenmeter: t.csv, line 3, column 'status': found 'done', expected one of"
    )
    assert run.ledger() == []
    assert run("t.csv", "--to=usage.jsonl") == ["1 imported, 1 not usable"]
    assert len(run.ledger()) == 1
    assert run("t.csv", "--to=usage.jsonl", "--strict", "--map=done=accepted") == [
        "1 imported, 1 already there"
    ]


def test_the_same_problem_in_every_row_is_not_said_a_thousand_times(run: Run) -> None:
    run.write("t.csv", OWN + "A,done,,,2026-11-02T00:00Z\n" * 1_000)
    assert run("t.csv", "--to=usage.jsonl") == ["0 imported, 1,000 not usable"]
    assert (len(run.err), run.err[-1]) == (21, "tokenmeter: t.csv: and 980 rows more")


def test_columns_statuses_and_times_may_be_named(run: Run) -> None:
    rows = ("Key State When Link", "A-1 Shipped 1.11.2026 http://x/1", "A-2 Open")
    run.write("t.tsv", "\n".join(row.replace(" ", "\t") for row in rows))
    options = ["--task=Key", "--status=State", "--at=When", "--reference=Link", "--evidence=test"]
    options += ["--map=shipped=accepted,open=ignore", "--at-format=%d.%m.%Y"]
    options += ["--timezone=Europe/Berlin"]
    assert run("t.tsv", "--to=usage.jsonl", *options) == [
        "1 imported, 1 ignored",
        "ignored: 1 with the status 'Open'",
    ]
    (event,) = run.ledger()
    assert (event.task, event.status, event.evidence, event.reference, event.ts.isoformat()) == (
        "A-1", "accepted", "test", "http://x/1", "2026-10-31T23:00:00.000001+00:00",
    )  # fmt: skip


def test_a_pattern_takes_the_task_from_columns_and_a_preset_can_be_changed(run: Run) -> None:
    row = {**PULLS[0], "body": "for eng-7"}
    run.write("prs.json", [row])
    options = ["--task=body", "--task-pattern=eng-[0-9]+", "--uppercase", "--evidence=ci"]
    run("prs.json", "--from=github", "--dry-run", "--map=merged=abandoned", *options)
    assert run.out[0].startswith("2026-11-01 10:00:00Z  ENG-7  abandoned by ci  https://forge")
    run("prs.json", "--from=github", "--dry-run", "--task=headRefName")
    assert run.out[0].startswith("2026-11-01 10:00:00Z  topic-1  accepted by review")


def test_standard_input_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.TextIOWrapper(io.BytesIO(json.dumps(PULLS).encode()))
    monkeypatch.setattr(sys, "stdin", data)
    assert run("--from=github", "--to=usage.jsonl", "-")[0] == "3 imported, 1 ignored"


def test_the_configured_exporters_take_outcomes_each_what_it_lacks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.write(
        "t.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\nB,accepted,ci,8,2026-11-02T00:00Z\n"
    )
    run.write("one.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\n")
    run("one.csv", "--to=a.jsonl")
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "jsonl:a.jsonl,jsonl:b.jsonl")
    assert run("t.csv") == ["2 imported"]
    assert (len(run.ledger("a.jsonl")), len(run.ledger("b.jsonl"))) == (2, 2)


def test_any_exporter_takes_outcomes(run: Run) -> None:
    run.write("t.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\n")
    assert run("t.csv", "--to=stdout") == [
        "00:00:00 outcome accepted (task=A evidence=ci reference=7)",
        "1 imported",
    ]


def test_what_an_exporter_lost_is_said(run: Run) -> None:
    run.write("t.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\n")
    assert run("t.csv", "--to=jsonl:/dev/full", code=1) == ["0 imported"]
    assert run.err == [
        "tokenmeter: the exporter Jsonl did not deliver all events: 1 captured: 1 failed",
        "tokenmeter: 1 were not delivered; import them again",
    ]


def test_many_outcomes_are_more_than_one_batch(run: Run) -> None:
    rows = [f"A-{n},accepted,ci,{n},2026-11-01T00:00Z\n" for n in range(1_234)]
    run.write("t.csv", OWN + "".join(rows))
    assert run("t.csv", "--to=usage.jsonl") == ["1,234 imported"]
    assert len(run.ledger()) == 1_234


def test_what_is_written_in_an_export_does_not_steer_the_terminal(run: Run) -> None:
    run.write("t.json", [{"task": "\x1b[31mA", "status": "accepted", "ts": "2026-11-01T00:00Z"}])
    assert run("t.json", "--dry-run")[0].startswith(r"2026-11-01 00:00:00Z  \x1b[31mA  accepted")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.csv"], "say where to write: --to usage.jsonl, or configure exporters"),
        (["t.csv", "--to=jsnol:x"], "there is no exporter 'jsnol'; did you mean 'jsonl'?"),
        (["t.csv", "--to=x.jsonl", "--map=done"], "--map is STATUS=OUTCOME, such as Done="),
        (["t.csv", "--to=x.jsonl", "--map=a=acepted"], "--map a=acepted: did you mean 'accepted'?"),
        (["t.csv", "--to=x.jsonl", "--timezone=Mars"], "--timezone: there is no zone 'Mars'"),
        (["t.csv", "--to=x.jsonl", "--timezone=../x"], "--timezone: there is no zone '../x'"),
        (["t.csv", "--to=x.jsonl", "--task-pattern=("], "--task-pattern is no regular exp"),
        (["t.csv", "--to=x.jsonl", "--from=jira"], "t.csv has no column 'Issue key' or 'key'"),
        (["none.csv", "--to=x.jsonl"], "No such file or directory: 'none.csv'"),
        (["t.csv", "--to=no/x.jsonl"], "cannot write events to 'no/x.jsonl'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    run: Run, arguments: list[str], message: str
) -> None:
    run.write("t.csv", OWN + "A,accepted,ci,7,2026-11-01T00:00Z\n")
    run(*arguments, code=2)
    assert message in run.err[-1]
    assert [path.name for path in run.folder.iterdir()] == ["t.csv"]


def test_switched_off_it_writes_nothing_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_DISABLED", "1")
    run.write("t.csv", OWN)
    run("t.csv", "--to=x.jsonl", code=2)
    assert "TOKENMETER_DISABLED is set" in run.err[0]


def test_an_offset_is_a_zone(run: Run) -> None:
    run.write("t.csv", OWN + "A,accepted,ci,7,2026-11-01 02:00\n")
    assert run("t.csv", "--dry-run", "--timezone=+02:00")[0].startswith("2026-11-01 00:00:00Z")


def test_every_import_that_the_docs_show_can_be_typed(run: Run) -> None:
    page = (Path(__file__).parent.parent / "docs" / "outcomes.md").read_text()
    shown = [
        line for line in page.replace("\\\n", "").splitlines() if "tokenmeter outcomes" in line
    ]
    assert len(shown) == 4
    for line in shown:
        _, _, file, *options = shlex.split(line)
        run.write(file, "")
        assert run(file, *options, "--dry-run") == ["0 to import"]


def test_an_import_names_somebody_only_when_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, ledger = tmp_path / "prs.csv", tmp_path / "usage.jsonl"
    export.write_text("task,status,ts,author,group\nA,accepted,2026-11-01T10:00:00Z,ada,red\n")
    assert main(["outcomes", str(export), "--to", str(ledger)]) == 0
    assert main(["outcomes", str(export), "--to", str(ledger), "--user", "author",
                 "--team", "group"]) == 0  # fmt: skip
    assert [(event.user, event.team) for event in read(ledger)] == [(None, None), ("ada", "red")]
    assert len(settle(read(ledger)).tasks) == 1
    keys = tmp_path / "keys.toml"
    keys.write_text(f'p1 = "{"k" * 32}"\n')
    monkeypatch.setenv("TOKENMETER_PSEUDONYMS", str(keys))
    hidden = tmp_path / "hidden.jsonl"
    assert main(["outcomes", str(export), "--to", str(hidden), "--user", "author"]) == 0
    (event,) = read(hidden)
    assert event.user is not None
    assert event.user.startswith("p1")
