"""Cohere's models: what is billed."""

from __future__ import annotations

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Thought, Tool
from tokenmeter.tokens import estimates
from tokenmeter.tokens.families import family_of
from tokenmeter.tokens.vocabularies import length

TOOL = Tool("add", "Adds.", {"type": "object"})
HELLO = Message("user", (Text("Hello, how are you?"),))
TOKENS = length("Hello, how are you?", "o200k_base")


def read(prompt: Prompt) -> int:
    return estimates.of_prompt(prompt, "command-a-03-2025").weight.tokens


def test_text_is_billed_and_no_template() -> None:
    system = Message("SYSTEM", HELLO.parts)
    assert read(Prompt(messages=(HELLO,))) == TOKENS
    assert read(Prompt(messages=(system, HELLO))) == 2 * TOKENS


def test_tools_are_billed_also_where_none_may_be_called() -> None:
    asked = Prompt(messages=(HELLO,), tools=(TOOL,))
    assert read(asked) == TOKENS + length('add Adds. {"type":"object"}', "o200k_base")
    assert read(Prompt(messages=(HELLO,), tools=(TOOL,), tool_choice="none")) == read(asked)


def test_reasoning_of_earlier_turns_is_not_billed() -> None:
    turn = Message("assistant", (Thought("so it is"), *HELLO.parts))
    assert read(Prompt(messages=(turn, HELLO))) == 2 * TOKENS


def test_arguments_are_billed_as_short_json() -> None:
    name = Piece("name", "0", "add")
    short = Answer.of([name, Piece("arguments", "0", '{"a": 1}')])
    indented = Answer.of([name, Piece("arguments", "0", '{\n    "a": 1\n}')])
    assert estimates.of_answer(short, "command-r") == estimates.of_answer(indented, "command-r")


def test_reasoning_in_an_answer_is_said_to_be_missing() -> None:
    pieces = Piece("reasoning", "0", "so it is " * 9), Piece("text", "1", "Hello, how are you?")
    weight = estimates.of_answer(Answer.of(pieces), "command-a-reasoning-08-2025").weight
    assert (weight.tokens, weight.without) == (TOKENS, ("hidden",))


def test_an_answer_of_open_weights_is_bounded_by_the_context_window() -> None:
    limits = {
        name: family_of(name).max_output
        for name in ("command", "command-r", "command-a-reasoning-08-2025", "embed-v4.0")
    }
    assert limits == {
        "command": 4_096,
        "command-r": 256_000,
        "command-a-reasoning-08-2025": 256_000,
        "embed-v4.0": None,
    }
