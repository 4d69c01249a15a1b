"""What Ollama's models read and wrote is found."""

from __future__ import annotations

from typing import Any

import pytest

from dialects import compact, lines
from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Piece,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.ollama import Ollama, OllamaEmbed
from tokenmeter.wire.body import pieces

OLLAMA, EMBED = Ollama(), OllamaEmbed()


def answer(body: bytes) -> Answer:
    return Answer.of(pieces(OLLAMA, body))


def test_a_conversation_is_read_with_its_tools() -> None:
    schema = {"type": "object", "properties": {}}
    function = {"name": "weather", "description": "W", "parameters": schema}
    call = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}
    asked = {
        "messages": [
            {"role": "user", "content": "Look", "images": ["aGk="]},
            {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
            {"role": "tool", "tool_name": "weather", "content": "blue"},
        ],
        "tools": [{"type": "function", "function": function}],
        "format": schema,
        "think": "high",
        "options": {"num_predict": 50},
    }
    assert OLLAMA.prompt(compact(asked)) == Prompt(
        messages=(
            Message("user", (Text("Look"), Image("aGk="))),
            Message("assistant", (Thought("Hm."), ToolCall("weather", '{"city":"Rome"}'))),
            Message("tool", (ToolResult((Text("blue"),), "weather"),)),
        ),
        tools=(Tool("weather", "W", schema),),
        schema=Tool("", parameters=schema),
        limit=50,
        reasoning="high",
    )


@pytest.mark.parametrize(
    ("asked", "prompt"),
    [
        (
            {"prompt": "Hi", "system": "Be brief.", "context": [1, 2, 3], "think": False},
            Prompt(
                messages=(Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),))),
                ids=3,
                reasoning="none",
            ),
        ),
        ({"prompt": "Hi", "raw": True, "format": "json"},
         Prompt(texts=("Hi",), answer_format="json")),
        ({"prompt": "a(", "suffix": ")"}, Prompt(texts=("a(", ")"))),
        ({"prompt": "Hi", "options": {"num_predict": -1}, "think": True},
         Prompt(messages=(Message("user", (Text("Hi"),)),), reasoning="enabled")),
    ],
)  # fmt: skip
def test_a_prompt_goes_through_the_template_unless_it_is_raw(
    asked: dict[str, Any], prompt: Prompt
) -> None:
    assert OLLAMA.prompt(compact(asked)) == prompt


def test_texts_to_embed_are_bare_texts() -> None:
    assert EMBED.prompt(compact({"input": ["a", "b"]})) == Prompt(texts=("a", "b"))
    assert EMBED.prompt(compact({"input": "a"})) == Prompt(texts=("a",))
    assert EMBED.prompt(compact({"prompt": "a"})) == Prompt(texts=("a",))


def test_a_stream_and_the_plain_answer_hold_the_same() -> None:
    call = {"function": {"name": "weather", "arguments": {"a": 1}}}
    message = {"role": "assistant", "thinking": "Hm, yes", "content": "Hello", "tool_calls": [call]}
    plain = answer(compact({"model": "m", "message": message, "done": True}))
    streamed = answer(
        lines(
            {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "Hm, "}},
            {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "yes"}},
            {"model": "m", "message": {"role": "assistant", "content": "Hel"}},
            {"model": "m", "message": {"role": "assistant", "content": "lo"}},
            {"model": "m", "message": {"role": "assistant", "content": "", "tool_calls": [call]}},
            {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True},
        )
    )
    assert plain == streamed == Answer((
        Piece("reasoning", "0", "Hm, yes"),
        Piece("text", "0", "Hello"),
        Piece("name", "0", "weather"),
        Piece("arguments", "0", '{"a":1}'),
    ))  # fmt: skip


def test_a_completion_is_found_with_its_thinking() -> None:
    body = lines({"response": "Hel", "thinking": "Hm"}, {"response": "lo"}, {"done": True})
    assert answer(body).parts == (Piece("reasoning", "0", "Hm"), Piece("text", "0", "Hello"))
