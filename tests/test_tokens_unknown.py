"""A model that nobody here knows is guessed, and the guess says how far off it may be."""

from __future__ import annotations

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Tool
from tokenmeter.tokens import estimates
from tokenmeter.tokens.families import Weight

HELLO = Message("user", (Text("hello world"),))


def test_a_guess_has_a_large_error_and_a_bound() -> None:
    estimate = estimates.of_prompt(Prompt(messages=(HELLO,)), "my-own-model")
    assert estimate.family.name == "unknown"
    assert estimate.estimator == "o200k_base"
    assert estimate.weight == Weight(tokens=2 + 4 + 3, error=1 + 21 + 2, least=0)


def test_tools_are_the_least_sure() -> None:
    asked = Prompt(messages=(HELLO,), tools=(Tool("add", "Adds.", {}),))
    weight = estimates.of_prompt(asked, None).weight
    assert weight.error > 2 * weight.tokens > 200


def test_an_answer_is_guessed_by_what_can_be_seen() -> None:
    weight = estimates.of_answer(Answer.of([Piece("text", "0", "so it is " * 20)]), None).weight
    assert weight == Weight(tokens=62, error=36, least=28)
