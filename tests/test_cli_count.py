"""``tokenmeter count``: texts, requests and files of requests, and what cannot be read of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tokenmeter import count
from tokenmeter.cli import main

ASKED = {"model": "gpt-5", "messages": [{"role": "user", "content": "Good morning!"}]}
INPUT = {"custom_id": "1", "url": "/v1/responses", "body": {"model": "gpt-4o", "input": "Hi"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("tokenmeter.meter._default", None)
    return tmp_path


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def counted(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["count", *arguments, "--format", "json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def row(file: str, *requests: Any, model: str | None = None) -> dict[str, Any]:
    counts = [count(request, model) for request in requests]
    return {
        "file": file,
        "model": counts[0].model,
        "family": counts[0].family,
        "estimator": counts[0].estimator,
        "requests": len(counts),
        "tokens": sum(c.tokens for c in counts),
        "error": sum(c.error for c in counts),
        "is_guess": counts[0].is_guess,
        "without": list(counts[0].without),
    }


def test_files_are_texts_requests_or_lines_of_requests_by_their_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.md").write_text("# Good morning\n")
    (folder / "b.json").write_text(json.dumps(ASKED))
    (folder / "c.jsonl").write_text(lines(ASKED, INPUT) + "\n" + lines(ASKED))
    found = counted(capsys, "b.json", "c.jsonl")
    rows = [row("b.json", ASKED), row("c.jsonl", ASKED, ASKED), row("c.jsonl", INPUT)]
    assert found == {
        "rows": rows,
        "total": {name: sum(r[name] for r in rows) for name in ("requests", "tokens", "error")},
    }
    assert counted(capsys, "a.md", "b.json", "--model", "gpt-4o")["rows"] == [
        row("a.md", "# Good morning\n", model="gpt-4o"),
        row("b.json", ASKED, model="gpt-4o"),
    ]


def test_what_a_file_holds_can_be_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.json").write_text(json.dumps(ASKED))
    assert counted(capsys, "a.json", "--as", "text", "--model", "gpt-5")["rows"] == [
        row("a.json", json.dumps(ASKED), model="gpt-5")
    ]
    (folder / "a.txt").write_text(json.dumps(ASKED["messages"]))
    assert counted(capsys, "a.txt", "--as", "request", "--model", "gpt-5")["rows"] == [
        row("a.txt", ASKED)
    ]


def test_standard_input_is_a_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Grüße\n".encode())))
    assert counted(capsys, "-", "--model", "gpt-5")["rows"] == [row("-", "Grüße\n", model="gpt-5")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_of_an_encoding_are_understood(
    encoding: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.txt").write_text("Grüße", encoding=encoding)
    assert counted(capsys, "a.txt", "--model", "m")["rows"] == [row("a.txt", "Grüße", model="m")]


def test_what_is_not_utf_8_is_counted_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.txt").write_bytes(b"caf\xe9")
    assert main(["count", "a.txt", "--model", "gpt-5", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == [row("a.txt", "caf\ufffd", model="gpt-5")]
    assert err.startswith("tokenmeter: a.txt: not UTF-8 from byte 3 on")


def test_lines_that_are_no_requests_are_named_and_the_others_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.jsonl").write_text(lines(ASKED) + "nonsense\n" + lines({"choices": []}))
    assert main(["count", "a.jsonl", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == [row("a.jsonl", ASKED)]
    first, second = err.splitlines()
    assert first.startswith("tokenmeter: a.jsonl, line 2: not JSON (")
    assert second.startswith("tokenmeter: a.jsonl, line 3: count() takes a text, a list")


def test_a_table_has_a_row_for_each_model_of_a_file_and_a_total(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.jsonl").write_text(lines(ASKED, INPUT))
    assert main(["count", "a.jsonl"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    asked, said = row("a.jsonl", ASKED), row("a.jsonl", INPUT)
    assert shown[0] == ["file", "model", "requests", "tokens", "±", "counted", "as", "note"]
    assert shown[2][:4] == ["a.jsonl", "gpt-5", "1", str(asked["tokens"])]
    assert shown[3][:4] == ["a.jsonl", "gpt-4o", "1", str(said["tokens"])]
    assert shown[4][:3] == ["total", "2", str(asked["tokens"] + said["tokens"])]


def test_a_table_of_one_row_has_no_total_and_says_what_is_a_guess(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "[b]a.txt").write_text("Good morning!")
    assert main(["count", "[b]a.txt", "--model", "nobody-knows-it"]) == 0
    out = capsys.readouterr().out
    assert "[b]a.txt" in out
    assert "a guess" in out
    assert "total" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.txt"], "name a model for the text a.txt, such as --model gpt-5"),
        (["missing.txt", "--model", "m"], "[Errno 2] No such file or directory: 'missing.txt'"),
        ([".", "--model", "m"], "[Errno 21] Is a directory: '.'"),
    ],
)
def test_a_command_that_was_held_wrongly_says_so(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["count", *arguments]) == 2
    assert capsys.readouterr().err == f"tokenmeter: {message}\n"
