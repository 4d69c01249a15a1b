"""What is read of a transcript of Claude Code: the usage of answers, and each line once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokenmeter.frameworks.claude_transcripts import Transcripts, home

SESSION = "0b778e31-594e-490c-a1df-e88054088c1f"
AT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def line(answer: str, output: int, stop: str | None = "end_turn", **others: Any) -> str:
    usage = {"input_tokens": 7, "output_tokens": output, "cache_read_input_tokens": 100}
    message = {
        "id": answer, "type": "message", "model": "claude-x", "stop_reason": stop,
        "content": [{"type": "text", "text": "a secret"}], "usage": usage,
    }  # fmt: skip
    said = {"type": "assistant", "timestamp": "2026-11-23T06:00:00Z", "message": message}
    return json.dumps(said | others) + "\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "projects" / "-home-ada"
    (project / SESSION / "subagents").mkdir(parents=True)
    return project


def told(transcripts: Transcripts, session: str = SESSION) -> list[tuple[Any, ...]]:
    return [
        (t.agent, t.reading.response_id, t.reading.usage.output_tokens, t.reading.final, t.error)
        for t in transcripts.news(session)
    ]


def test_the_answers_of_a_session_and_of_its_sub_agents_are_read_once(project: Path) -> None:
    transcripts = Transcripts(project.parents[1])
    own = project / f"{SESSION}.jsonl"
    own.write_text('{"type":"user"}\n' + line("msg_1", 1, None) + line("msg_1", 30))
    sub = project / SESSION / "subagents" / "agent-a1.jsonl"
    sub.write_text(line("msg_2", 5, agentId="a1"))
    assert told(transcripts) == [
        (None, "msg_1", 1, False, None), (None, "msg_1", 30, True, None),
        ("a1", "msg_2", 5, True, None),
    ]  # fmt: skip
    with own.open("a") as file:
        file.write(line("msg_3", 8))
    assert told(transcripts) == [(None, "msg_3", 8, True, None)]
    assert told(transcripts) == []


def test_totals_are_inclusive_and_times_are_those_of_the_lines(project: Path) -> None:
    (project / f"{SESSION}.jsonl").write_text(line("msg_1", 30))
    (said,) = Transcripts(project.parents[1]).news(SESSION)
    assert (said.reading.usage.input_tokens, said.reading.usage.cache_read_tokens) == (107, 100)
    assert said.ts == AT


def test_a_line_that_is_being_written_is_read_when_it_is_whole(project: Path) -> None:
    own, whole = project / f"{SESSION}.jsonl", line("msg_1", 30)
    transcripts = Transcripts(project.parents[1])
    own.write_text(whole[:-20])
    assert told(transcripts) == []
    own.write_text(whole)
    assert told(transcripts) == [(None, "msg_1", 30, True, None)]


def test_an_answer_that_failed_says_so(project: Path) -> None:
    own = project / f"{SESSION}.jsonl"
    own.write_text(
        line("a", 0, isApiErrorMessage=True, error="rate_limit")
        + line("b", 0, isApiErrorMessage=True)
    )
    assert [error for *_, error in told(Transcripts(project.parents[1]))] == ["rate_limit", "error"]


def test_what_is_no_line_of_an_answer_is_passed_by(project: Path) -> None:
    odd = ['{"usage": ', '["usage"]', '{"type":"assistant","usage":1}', '{"type":7,"usage":{}}']
    (project / f"{SESSION}.jsonl").write_text("\n".join(odd) + "\n" + line("msg_1", 30))
    assert told(Transcripts(project.parents[1])) == [(None, "msg_1", 30, True, None)]


@pytest.mark.parametrize("session", ["", "..", "../../etc/passwd", "*" * 36])
def test_what_is_no_id_of_a_session_becomes_no_path(project: Path, session: str) -> None:
    (project / f"{SESSION}.jsonl").write_text(line("msg_1", 30))
    assert told(Transcripts(project.parents[1]), session) == []


def test_where_nothing_is_kept_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert told(Transcripts(tmp_path / "none")) == []


def test_the_directory_is_the_one_that_claude_code_uses() -> None:
    assert home({"CLAUDE_CONFIG_DIR": "/c", "HOME": "/h"}) == Path("/c")
    assert home({"HOME": "/h"}) == Path("/h/.claude")
    assert home({}) == Path("~/.claude")
