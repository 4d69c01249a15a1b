"""The documentation: every block of Python in it runs, and it names what there is."""

from __future__ import annotations

import gc
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import tokenmeter
from tokenmeter.cli import main
from tokenmeter.meter import Undo

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TYPED_BY_A_NEWCOMER = 2
"""The README's first shell blocks; ``.ci/run`` runs them in a copy of the checkout."""


@pytest.fixture(autouse=True)
def default_meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tokenmeter.meter._default", None)
    yield
    tokenmeter.shutdown()
    gc.collect()  # here, because the pages do not close their clients


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] in ("127.0.0.1", "::1"), address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def examples(page: Path, parser: Any) -> list[Example]:
    return list(Sybil(parsers=[parser], encoding="utf-8").parse(page).examples())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("loopback_only", "folder")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_python_runs(page: Path) -> None:
    names: dict[str, Any] = {}
    try:
        for example in examples(page, PythonCodeBlockParser()):
            names = example.namespace
            example.evaluate()
    finally:
        for undo in [each for each in names.values() if isinstance(each, Undo)]:
            undo()


def test_the_readme_tells_a_newcomer_what_to_type_in_its_first_two_blocks() -> None:
    assert [block.parsed.splitlines() for block in _shell_blocks()[:TYPED_BY_A_NEWCOMER]] == [
        [
            "python3 -m venv .venv && . .venv/bin/activate",
            "pip install -e '.[demo]'",
            "tokenmeter demo",
        ],
        ["pip install -e '.[test]'", "pytest -n auto --dist loadfile"],
    ]


@pytest.mark.usefixtures("folder")
def test_the_commands_of_the_readme_run_on_the_file_of_the_demo() -> None:
    assert main(["demo"]) == 0
    for line in _commands("tokenmeter"):
        assert main(shlex.split(line, comments=True)[1:]) == 0


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_filters_of_the_readme_run_on_the_file_of_the_demo(folder: Path) -> None:
    assert main(["demo"]) == 0
    for line in _commands("jq"):
        subprocess.run(shlex.split(line, comments=True), cwd=folder, check=True, timeout=60)


def test_the_readme_shows_what_the_report_prints(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "tokenmeter report usage.jsonl --by user,status"
    _, _, shown = (ROOT / "README.md").read_text().partition(f"$ {command}\n")
    assert main(["demo"]) == 0
    capsys.readouterr()
    assert main(command.split()[1:]) == 0
    assert _words(capsys.readouterr().out) == _words(shown.partition("```")[0])


def test_the_page_about_the_event_lists_exactly_the_columns_of_an_event() -> None:
    page = (ROOT / "docs" / "event.md").read_text()
    columns = page.partition("\n## Columns\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", columns, re.MULTILINE)
    assert listed == list(tokenmeter.UsageEvent.__struct_fields__)


def _shell_blocks() -> list[Example]:
    return examples(ROOT / "README.md", CodeBlockParser(language="sh", evaluator=lambda _: None))


def _commands(program: str) -> list[str]:
    blocks = _shell_blocks()[TYPED_BY_A_NEWCOMER:]
    lines = [line for block in blocks for line in block.parsed.splitlines()]
    found = [line for line in lines if line.startswith(f"{program} ")]
    assert found
    return found


def _words(table: str) -> list[list[str]]:
    """Give the words of each line; of a day and of seconds, which are of this run, their kind.

    The rule below the headings is as wide as the seconds are long.
    """
    lines = re.sub(r"\d+\.\d+(?! %)", "seconds", re.sub(r"\d{4}-\d\d-\d\d", "day", table))
    return [line.split() for line in lines.splitlines() if line.strip(" ─")]
