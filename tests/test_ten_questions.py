"""The page of ten questions shows what the commands say about the company of `company`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

import company
from tables import written
from tokenmeter.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "ten-questions.md"
SKIPPED = "…"


class Tried(NamedTuple):
    command: str
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        """Two where the page shows nothing but what is wrong with the command."""
        return 2 if all(line.startswith("tokenmeter: ") for line in self.shown) else 0


def tried() -> list[Tried]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    sessions = "".join(blocks).split("$ tokenmeter ")[1:]
    return [Tried(first, tuple(shown)) for first, *shown in map(str.splitlines, sessions)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(company.events(), tmp_path_factory.mktemp("company") / "usage.jsonl")


@pytest.mark.parametrize("one", tried(), ids=lambda one: one.command)
def test_a_command_of_the_page_says_what_the_page_shows(
    one: Tried, ledger: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ledger.parent)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(shlex.split(one.command)) == one.code
    said = [line.rstrip() for text in capsys.readouterr() for line in text.splitlines()]
    assert [line for line in one.shown if line != SKIPPED and line.rstrip() not in said] == []


def test_the_page_asks_ten_questions_and_tries_a_command_for_each() -> None:
    parts = re.split(r"^## \d+\. ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert len(parts) == 10
    assert all("$ tokenmeter " in part and "**Answer.**" in part for part in parts)
