"""Exporters by name and as objects; those that keep and those that print."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokenmeter import ConfigurationError, Meter, UsageEvent
from tokenmeter.exporters import exporter
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.memory import Memory
from tokenmeter.exporters.stdout import Stdout, line


def event(**more: Any) -> UsageEvent:
    ts = datetime(2026, 11, 22, 9, 8, 7, tzinfo=UTC)
    columns = {"kind": "call", "event_id": "x", "schema": 1, "ts": ts, **more}
    return UsageEvent(**columns)


def test_a_name_makes_its_exporter(tmp_path: Path) -> None:
    assert isinstance(exporter("memory"), Memory)
    assert isinstance(exporter("stdout"), Stdout)
    jsonl = exporter(f"jsonl:{tmp_path}/with:colon.jsonl")
    assert isinstance(jsonl, Jsonl)
    assert jsonl.path == tmp_path / "with:colon.jsonl"


@pytest.mark.parametrize("given", [[].append, print, Memory(), lambda event: None])
def test_a_callable_is_taken_as_it_is(given: Any) -> None:
    assert exporter(given) is given


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("stdin", "there is no exporter 'stdin'; known names are jsonl, memory, otel"),
        ("", "there is no exporter ''"),
        (":", "there is no exporter ''"),
        ("JSONL:x", "there is no exporter 'JSONL'"),
        ("jsnol:x", "there is no exporter 'jsnol'; did you mean 'jsonl'? Known names are"),
        ("usage.jsonl", "there is no exporter 'usage.jsonl'"),
        ("jsonl", "the exporter 'jsonl' needs 'path', an option or what is behind the colon"),
        ("memory:x", "the exporter 'memory' takes no argument: write its name alone"),
        ("stdout:", "stream is a text stream such as sys.stderr; got a str"),
        (None, "an exporter is a name such as 'jsonl:usage.jsonl' or a callable of an event"),
        (7, "got 7"),
        (Memory, "got <class"),
        (b"memory", "got b'memory'"),
    ],
)
def test_what_is_no_exporter_is_refused_at_once(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Meter([given])
    assert said in str(caught.value)


def test_memory_keeps_events_in_order_until_it_is_cleared() -> None:
    memory = Memory()
    first, second = event(user="ada"), event(user="bob")
    memory(first)
    memory(second)
    assert memory.events == [first, second]
    memory.clear()
    assert memory.events == []


def test_stdout_is_what_it_is_at_that_moment(capsys: pytest.CaptureFixture[str]) -> None:
    Stdout()(event(provider="openai"))
    assert capsys.readouterr().out == "09:08:07 openai -: ? in, ? out, None\n"


def test_each_event_is_one_write_and_flush_flushes() -> None:
    class Stream(io.StringIO):
        said: list[str] = []  # noqa: RUF012 - the record of one test

        def write(self, text: str) -> int:
            self.said.append(text)
            return len(text)

        def flush(self) -> None:
            self.said.append("flush")

    stream = Stream()
    stdout = Stdout(stream)
    stdout(event(status="completed"))
    stdout.flush()
    assert Stream.said == ["09:08:07 - -: ? in, ? out, completed\n", "flush"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"provider": "openai", "request_model": "asked", "response_model": "served",
             "status": "completed", "input_tokens": 12, "output_tokens": 0, "duration_s": 0.005,
             "input_provenance": "reported", "output_provenance": "reported"},
            "09:08:07 openai served: 12 in, 0 out, completed in 0.01 s",
        ),
        (
            {"request_model": "asked", "status": "failed", "error_type": "429",
             "input_provenance": "none", "output_provenance": "none"},
            "09:08:07 - asked: 0 in, 0 out, failed (429)",
        ),
        (
            {"status": "abandoned", "input_tokens": 5, "input_provenance": "estimated",
             "output_tokens": 2, "output_provenance": "partial", "user": "ada", "team": "core",
             "task": "T-1", "agent": "planner"},
            "09:08:07 - -: ~5 in, >=2 out, abandoned (user=ada team=core task=T-1 agent=planner)",
        ),
        (
            {"status": "completed", "input_provenance": "unknown", "output_provenance": "unknown"},
            "09:08:07 - -: ? in, ? out, completed",
        ),
        (
            {"kind": "run", "status": "failed", "error_type": "ValueError", "duration_s": 2,
             "agent": "planner/critic"},
            "09:08:07 run failed (ValueError) in 2.00 s (agent=planner/critic)",
        ),
        (
            {"kind": "outcome", "status": "accepted", "task": "T-1", "evidence": "ci",
             "reference": "pull/7"},
            "09:08:07 outcome accepted (task=T-1 evidence=ci reference=pull/7)",
        ),
    ],
)  # fmt: skip
def test_a_line_says_what_is_known_and_how_well(columns: dict[str, Any], expected: str) -> None:
    assert line(event(**columns)) == expected
