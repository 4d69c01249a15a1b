"""The rules that fit most models: text, a template around it, and what is certain of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Part,
    Piece,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.tokens import families, vocabularies
from tokenmeter.tokens.families import Family, Weight
from tokenmeter.tokens.plain import Plain, tool_json, tool_text

TOOL = Tool("add", "Adds.", {"type": "object"})


def words(text: str) -> int:
    return len(text.split())


def family(rules: Plain, **more: Any) -> Family:
    return Family(name="mine", models="", rules=rules, **more)


def read(prompt: Prompt, rules: Plain, **more: Any) -> Weight:
    return rules.read(prompt, family(rules, **more), words)


def wrote(rules: Plain, *pieces: Piece, **more: Any) -> Weight:
    return rules.wrote(Answer.of(pieces), family(rules, **more), words)


def said(role: str, *parts: Part) -> Message:
    return Message(role, parts)


HELLO = said("user", Text("one two three four five"))


def test_text_is_counted_with_what_stands_around_messages_and_opens_the_answer() -> None:
    rules = Plain(opening=1, message=5, roles={"system": 2}, answer=3)
    prompt = Prompt(messages=(said("system", Text("six")), HELLO))
    assert read(prompt, rules) == Weight(tokens=6 + 1 + 5 + 2 + 3, error=7, least=3)


def test_an_error_is_a_share_of_the_text_and_a_larger_one_of_what_stands_around() -> None:
    prompt = Prompt(messages=(HELLO,))
    assert read(prompt, Plain(doubt=0), input_error=0.2).error == 1 + 2
    assert read(prompt, Plain(message=10, answer=0, doubt=0.5), input_error=0.2).error == 1 + 5 + 2


def test_a_preamble_is_there_only_without_a_system_message() -> None:
    rules = Plain(preamble=20, message=0, answer=0)
    assert read(Prompt(messages=(HELLO,)), rules).tokens == 25
    assert read(Prompt(messages=(said("developer"), HELLO)), rules).tokens == 5


def test_bare_texts_and_tokens_have_no_messages_around_them() -> None:
    rules = Plain(opening=1, preamble=20)
    assert read(Prompt(texts=("one two", "three")), rules).tokens == 1 + 3
    assert read(Prompt(ids=7), rules).tokens == 7
    assert read(Prompt(), rules) == Weight(tokens=0, error=2, least=0)


def test_tools_are_written_as_the_family_has_them_and_introduced_once() -> None:
    rules = Plain(message=0, answer=0, tools=50, tool=1, written=lambda tool: f"a {tool.name}")
    assert read(Prompt(messages=(HELLO,), tools=(TOOL, TOOL)), rules).tokens == 5 + 50 + 2 * (1 + 2)


def test_tools_that_must_not_be_called_are_left_out() -> None:
    prompt = Prompt(messages=(HELLO,), tools=(TOOL,), tool_choice="none")
    assert read(prompt, Plain(tools=50)) == read(Prompt(messages=(HELLO,)), Plain())


def test_a_format_is_told_only_to_models_that_read_it() -> None:
    prompt = Prompt(messages=(HELLO,), schema=TOOL)
    rules = Plain(message=0, answer=0, written=lambda _tool: "a format")
    assert read(prompt, rules).tokens == 5
    assert read(prompt, Plain(message=0, answer=0, formats=True, written=rules.written)).tokens == 7


def test_calls_and_results_of_earlier_turns_are_text() -> None:
    prompt = Prompt(
        messages=(
            said("assistant", ToolCall("add", '{"a": 1}', "id")),
            said("tool", ToolResult((Text("it is two"),), id="id")),
        )
    )
    assert read(prompt, Plain(message=0, answer=0, call=10)).tokens == 1 + 2 + 10 + 3


def test_reasoning_of_earlier_turns_is_read_only_by_models_that_recall_it() -> None:
    turns = said("assistant", Thought("so so"), Text("<think>\nwell well\n</think>\nyes"))
    prompt = Prompt(messages=(turns, said("user", Text("ok"))))
    assert read(prompt, Plain(message=0, answer=0)).tokens == 2 + 1 + 1
    assert read(prompt, Plain(message=0, answer=0, recalls=False)).tokens == 1 + 1


def test_what_is_no_text_is_named() -> None:
    result = ToolResult((Image("data:image/png;base64,AA"), Text("two")))
    parts = (Text("one"), Image("https://a/b.png"), Other("audio"), result)
    prompt = Prompt(messages=(said("user", *parts),), elsewhere=("previous_response_id",))
    weight = read(prompt, Plain(message=0, answer=0))
    assert (weight.tokens, weight.without) == (2, ("previous_response_id", "image", "audio"))


def test_an_image_weighs_what_the_family_says_of_its_size() -> None:
    gif = Image("data:image/gif;base64,R0lGODlhCgAUAAAAACw=")
    rules = Plain(message=0, answer=0, image=lambda size: size[0] * size[1])
    asked = Prompt(messages=(said("user", gif), said("tool", ToolResult((gif,)))))
    assert read(asked, rules) == Weight(tokens=400, error=2, least=0)
    named = Prompt(messages=(said("user", gif, Image("https://a/b.gif")),))
    assert read(named, rules) == Weight(tokens=200, error=2, least=0, without=("image",))


def test_an_answer_is_its_text_its_calls_and_what_ends_it() -> None:
    rules = Plain(ending=1, called=10, thought=2)
    weight = wrote(
        rules,
        Piece("reasoning", "0", "so so"),
        Piece("text", "0", "it is "),
        Piece("name", "1", "add"),
        Piece("arguments", "1", '{"a": 1}'),
        Piece("text", "0", "two"),
    )
    assert weight.tokens == 2 + 3 + 1 + 2 + 1 + 10 + 2
    assert weight.least == 8 - 2


def test_reasoning_is_certain_only_where_every_server_counts_it() -> None:
    pieces = Piece("reasoning", "0", "so " * 10), Piece("text", "0", "it is " * 5)
    assert wrote(Plain(), *pieces).least == 20 - 2
    assert wrote(Plain(sure=("text",)), *pieces).least == 10 - 2


def test_reasoning_that_is_not_shown_is_said_to_be_missing() -> None:
    assert wrote(Plain(), Piece("text", "0", "so"), reasons=True).without == ("hidden",)
    shown = Piece("reasoning", "0", "so"), Piece("text", "0", "it is")
    assert wrote(Plain(), *shown, reasons=True).without == ()
    assert wrote(Plain(), Piece("hidden", "0", ""), Piece("other", "1", "")).without == (
        "hidden",
        "other",
    )


def test_digits_are_apart_where_the_family_has_them_apart() -> None:
    text = Piece("text", "0", "in 2026 or 12 or 7")
    assert wrote(Plain(), text).tokens == 6
    assert wrote(Plain(), text, digits=1).tokens == 6 + 2 + 1


def test_other_scripts_have_a_factor_of_their_own_and_are_half_as_certain() -> None:
    text = Piece("text", "0", "это " * 10 + "so it is " * 10)
    weight = wrote(Plain(), text, foreign=0.5)
    assert (weight.tokens, weight.least) == (40 - 5, 40 - 7 - 1 - 2)


def test_a_factor_and_a_worst_error_are_applied() -> None:
    weight = wrote(Plain(), Piece("text", "0", "so " * 100), factor=1.2, output_worst=0.1)
    assert (weight.tokens, weight.least) == (120, 106)


def test_tools_are_json_in_two_ways() -> None:
    assert tool_text(TOOL) == '{"name":"add","description":"Adds.","parameters":{"type":"object"}}'
    assert tool_json(Tool("add", None, {"type": "object"})) == (
        '{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}'
    )


@pytest.mark.parametrize("family", families._families(), ids=lambda family: family.name)
def test_any_family_weighs_nothing_without_an_error(family: Family) -> None:
    read = family.rules.read(Prompt(messages=(said("user"),)), family, words)
    wrote = family.rules.wrote(Answer(), family, words)
    assert read.tokens >= read.least >= 0
    assert wrote.tokens >= wrote.least == 0


@settings(deadline=None)
@given(
    st.text(st.sampled_from("aZ 0123,.\n(){}éяд中国日本語한국어🙂"), max_size=200),
    st.integers(0, 200),
)
@pytest.mark.parametrize("name", ["llama3", "qwen3-32b", "mistral-large-latest", "command-r", "x"])
def test_the_bound_of_a_beginning_is_never_above_the_estimate_of_the_whole(
    name: str, text: str, end: int
) -> None:
    model = families.family_of(name)

    def length(part: str) -> int:
        return vocabularies.length(part, model.vocabulary)

    whole = model.rules.wrote(Answer.of([Piece("text", "0", text)]), model, length)
    begun = model.rules.wrote(Answer.of([Piece("text", "0", text[:end])]), model, length)
    assert begun.least <= whole.tokens
