"""Mistral's models: the template of each generation."""

from __future__ import annotations

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Tool
from tokenmeter.tokens import estimates

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
