"""Open models: their templates as published, written out and counted."""

from __future__ import annotations

import json

import pytest

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Thought, Tool
from tokenmeter.tokens import estimates
from tokenmeter.tokens.vocabularies import length

SYSTEM, USER, REPLY = "You are a poet.", "How are you today?", "Well, thank you."
ADD = Tool("add", "Adds two numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}})


def said(role: str, text: str) -> Message:
    return Message(role, (Text(text),))


ASKED = Prompt(messages=(said("user", USER),))
TURNS = Prompt(
    messages=(
        said("system", SYSTEM),
        said("user", USER),
        said("assistant", REPLY),
        said("user", USER),
    )
)


def cl100k(*texts: str) -> int:
    return sum(length(text, "cl100k_base") for text in texts)


def read(prompt: Prompt, model: str) -> int:
    return estimates.of_prompt(prompt, model).weight.tokens


def test_llama_3_has_headers_and_an_end_for_each_message() -> None:
    header = 3  # <|start_header_id|>, the role, <|end_header_id|>
    frame = header + cl100k("\n\n") + 1
    texts = cl100k(SYSTEM, USER, REPLY, USER)
    assert read(TURNS, "llama3-8b-8192") == 1 + texts + 4 * frame + header + cl100k("\n\n")
    assert read(ASKED, "llama3") == 1 + cl100k(USER) + frame + header + 1
    assert read(Prompt(texts=(USER,)), "llama3") == 1 + cl100k(USER)


def test_llama_since_3_1_is_told_two_dates_in_a_system_message() -> None:
    dates = cl100k("Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n")
    assert read(TURNS, "llama-3.3-70b-versatile") - read(TURNS, "llama3") == dates
    assert read(ASKED, "llama3.1") - read(ASKED, "llama3") == dates + 5


def test_llama_since_3_1_is_told_how_to_call_and_the_tools_with_indents() -> None:
    told = "Given the following functions, please respond with a JSON for a function call with "
    told += "its proper arguments that best answers the given prompt.\n\nRespond in the format "
    told += '{"name": function name, "parameters": dictionary of argument name and its value}.'
    told += "Do not use variables.\n\n"
    said = {"name": ADD.name, "description": ADD.description, "parameters": ADD.parameters}
    written = json.dumps({"type": "function", "function": said}, indent=4)
    more = cl100k("Environment: ipython\n", told, written, "\n\n")
    asked = Prompt(messages=ASKED.messages, tools=(ADD,))
    assert read(asked, "llama3.1") - read(ASKED, "llama3.1") == more


def test_qwen_has_chatml_and_recalls_no_reasoning() -> None:
    frame = 1 + cl100k("user\n") + 1 + cl100k("\n")
    assert read(ASKED, "qwen3-32b") == cl100k(USER) + frame + 1 + cl100k("assistant\n")
    thought = Message("assistant", (Thought("It is a greeting."), Text(REPLY)))
    turns = Prompt(messages=(*TURNS.messages[:2], thought, TURNS.messages[3]))
    assert read(turns, "qwen3-32b") == read(TURNS, "qwen3-32b")


def test_qwen_2_says_who_it_is_where_nobody_else_does() -> None:
    system = cl100k("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
    assert read(ASKED, "qwen2.5-7b") - read(ASKED, "qwen3-32b") == system + 5
    assert read(TURNS, "qwen2.5-7b") == read(TURNS, "qwen3-32b")


def test_deepseek_has_a_token_for_each_speaker_and_an_end_for_each_answer() -> None:
    assert read(ASKED, "deepseek-chat") == 1 + 1 + cl100k(USER) + 1
    answered = 1 + 1 + cl100k(USER) + 1 + cl100k(REPLY) + 1 + 1 + cl100k(USER) + 1
    assert abs(read(TURNS, "deepseek-chat") - cl100k(SYSTEM) - answered) <= 1


def test_reasoning_in_the_text_of_an_earlier_answer_is_not_read_again() -> None:
    thinking = said("assistant", f"<think>\nA greeting.\n</think>\n\n{REPLY}")
    turns = Prompt(messages=(*TURNS.messages[:2], thinking, TURNS.messages[3]))
    for model in ("deepseek-r1", "glm-4.7", "qwen3-32b"):
        assert read(turns, model) == read(TURNS, model)


@pytest.mark.parametrize("model", ["llama3", "llama3.1", "qwen3-32b", "deepseek-chat", "glm-4.7"])
def test_an_answer_is_its_text_and_its_end(model: str) -> None:
    weight = estimates.of_answer(Answer.of([Piece("text", "0", REPLY)]), model).weight
    assert weight.tokens == cl100k(REPLY) + 1
    assert weight.least <= cl100k(REPLY)


def test_reasoning_that_some_servers_do_not_count_is_not_certain() -> None:
    thought, text = Piece("reasoning", "0", "so it is " * 50), Piece("text", "0", REPLY)
    weight = estimates.of_answer(Answer.of([thought, text]), "qwen3:0.6b").weight
    assert weight.tokens > 150
    assert weight.least < cl100k(REPLY)


def test_digits_are_one_token_each_for_qwen_and_three_for_llama() -> None:
    digits = Answer.of([Piece("text", "0", "31415926535")])
    assert estimates.of_answer(digits, "qwen3-32b").weight.tokens == 11 + 1
    assert estimates.of_answer(digits, "llama3").weight.tokens == 4 + 1
