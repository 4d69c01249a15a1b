"""Mistral's models: the template of each generation."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.dialects.content import (
    Answer,
    Message,
    Piece,
    Prompt,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.tokens import estimates
from tokenmeter.tokens.families import family_of

HELLO = Message("user", (Text("hello"),))
CALL = Answer.of([Piece("name", "0", "add"), Piece("arguments", "0", "{}")])


def read(model: str, *messages: Message, tools: tuple[Tool, ...] = ()) -> int:
    return estimates.of_prompt(Prompt(messages=messages, tools=tools), model).weight.tokens


def test_a_question_stands_between_three_tokens() -> None:
    assert read("mistral-large-latest", HELLO) == len(["<s>", "[INST]", "hello", "[/INST]"])


def test_a_system_message_has_two_tokens_around_it_and_an_answer_has_its_end() -> None:
    assert read("mistral-large-latest", Message("system", (Text("hello"),)), HELLO) == 4 + 3
    assert read("mistral-large-latest", HELLO, Message("assistant", (Text("hello"),)), HELLO) == 9


def test_small_4_is_told_in_every_conversation_how_much_to_reason() -> None:
    assert read("mistral-small-latest", HELLO) == 4 + 12


def test_tools_are_json_between_two_tokens_and_have_a_description_always() -> None:
    bare, told = Tool("add", None, {}), Tool("add", "", {})
    assert read("mistral-large-latest", HELLO, tools=(bare,)) == read(
        "mistral-large-latest", HELLO, tools=(told,)
    )


def test_a_call_was_json_with_an_id_until_2025() -> None:
    now = estimates.of_answer(CALL, "mistral-large-latest").weight.tokens
    assert now == len(["[TOOL_CALLS]", "add", "[ARGS]", "{}", "</s>"])
    assert estimates.of_answer(CALL, "pixtral-12b-latest").weight.tokens == now + 10


def test_the_older_vocabulary_has_more_tokens() -> None:
    answer = Answer.of([Piece("text", "0", "so it is, and so be it " * 20)])
    old, new = (
        estimates.of_answer(answer, m).weight.tokens for m in ("mistral-tiny", "ministral-8b")
    )
    assert 1.1 < old / new < 1.2


@pytest.mark.parametrize(
    ("name", "day", "family"),
    [
        ("mistral-large-latest", date(2024, 3, 1), "mistral v1"),
        ("mistral-large-latest", date(2024, 7, 24), "mistral large 2"),
        ("mistral-large-latest", date(2024, 11, 17), "mistral large 2"),
        ("mistral-large-latest", date(2024, 11, 18), "mistral large 2.1"),
        ("mistral-large-latest", date(2025, 8, 12), "mistral"),
        ("mistral-small-latest", date(2025, 1, 29), "mistral v1"),
        ("mistral-small-latest", date(2025, 1, 30), "mistral v3"),
        ("mistral-small-latest", date(2026, 3, 16), "mistral small 4"),
        ("mistral-medium-latest", date(2025, 5, 6), "mistral v1"),
        ("codestral-latest", date(2025, 1, 12), "mistral v1"),
        ("ministral-8b-latest", date(2025, 12, 1), "mistral v3"),
        ("magistral-small-latest", date(2026, 3, 15), "mistral"),
    ],
)
def test_latest_is_what_it_was_on_the_day(name: str, day: date, family: str) -> None:
    assert family_of(name, day).name == family


@given(st.dates(), st.sampled_from(["mistral-large-2407", "mistral-small-2603", "gpt-4o", "x"]))
def test_a_name_that_means_one_model_always_meant_it(day: date, name: str) -> None:
    assert family_of(name, day) == family_of(name)


def test_an_answer_is_weighed_as_the_model_of_its_day() -> None:
    asked = Prompt(messages=(HELLO,), on=date(2024, 10, 1))
    then = estimates.of_answer(msgspec.structs.replace(CALL, asked=asked), "mistral-large-latest")
    assert (then.family.name, then.weight.tokens) == ("mistral large 2", 15)


def test_large_2_reads_the_ids_of_calls_and_results_again() -> None:
    turns = (
        Message("assistant", (ToolCall("add", "{}", "c1"),)),
        Message("tool", (ToolResult((Text("2"),), id="c1"),)),
    )
    first, second, third = (
        read(f"mistral-large-{version}", HELLO, *turns) for version in ("2402", "2407", "2411")
    )
    assert (second - first, third - second) == (10 + 18, -10)


def test_tools_are_terser_than_other_text_in_the_older_vocabulary() -> None:
    tool = Tool("add", "Adds two numbers.", {"type": "object", "properties": {}})
    bare, with_tool = (read("mistral-large-2402", HELLO, tools=tools) for tools in ((), (tool,)))
    now = read("mistral-large-2512", HELLO, tools=(tool,)) - read("mistral-large-2512", HELLO)
    assert with_tool - bare == pytest.approx(now * 1.06 / 1.02, abs=2)
