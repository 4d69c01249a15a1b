"""Models that only their vendors serve: Amazon's, xAI's and others."""

from __future__ import annotations

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Tool
from tokenmeter.tokens import estimates

HELLO = Message("user", (Text("hello"),))
TOOL = Tool("add", "Adds.", {"type": "object"})
TOOL_TOKENS = 15


def read(model: str, *messages: Message, tools: tuple[Tool, ...] = ()) -> int:
    return estimates.of_prompt(Prompt(messages=messages, tools=tools), model).weight.tokens


def test_nova_counts_three_tokens_around_each_message_after_the_first_question() -> None:
    assert read("amazon.nova-lite-v1:0", HELLO) == 1
    assert read("amazon.nova-lite-v1:0", Message("system", HELLO.parts), HELLO) == 2
    assert read("amazon.nova-lite-v1:0", HELLO, HELLO, HELLO) == 3 + 6


def test_tools_are_introduced_in_as_many_words_as_each_vendor_has() -> None:
    names = ("amazon.nova-lite-v1:0", "amazon.nova-2-lite-v1:0", "grok-4.3", "palmyra-x4")
    introduced = {n: read(n, HELLO, tools=(TOOL,)) - read(n, HELLO) - TOOL_TOKENS for n in names}
    assert introduced == dict(zip(names, (370, 858, 170, 109), strict=True))


def test_grok_is_told_something_in_every_conversation() -> None:
    assert [read(name, HELLO) for name in ("grok-2-1212", "grok-4.3", "grok-4")] == [8, 155, 688]


def test_of_grok_only_text_is_certain_and_reasoning_may_be_hidden() -> None:
    call = Piece("name", "0", "add"), Piece("arguments", "0", '{"a": 1, "b": 2}')
    weight = estimates.of_answer(Answer.of(call), "grok-4.3").weight
    assert (weight.least, weight.without) == (0, ("hidden",))


def test_perplexity_counts_text_alone() -> None:
    assert read("sonar-pro", HELLO) == 1
