"""What models read and wrote in Converse is found, plain and streamed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from amazon import event
from dialects import compact
from tokenmeter.dialects.bedrock_converse import BedrockConverse
from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Piece,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.wire.body import pieces

CONVERSE = BedrockConverse()


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def answer(body: bytes) -> Answer:
    return Answer.of(pieces(CONVERSE, body))


def test_a_conversation_is_read_with_its_tools() -> None:
    schema = {"type": "object", "properties": {}}
    spec = {"name": "weather", "description": "W", "inputSchema": {"json": schema}, "strict": True}
    asked = {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "Look"},
                {"guardContent": {"text": {"text": "at this", "qualifiers": ["query"]}}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": encoded(b"123456")}},
                {"toolUse": {"toolUseId": "t", "name": "weather", "input": {"city": "Rome"}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t", "content": [{"json": {"sky": 1}}, {"text": "!"}]}}
            ]},
        ],
        "toolConfig": {
            "tools": [{"toolSpec": spec}, {"systemTool": {"name": "nova_grounding"}}],
            "toolChoice": {"any": {}},
        },
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"name": "City", "description": "A city.", "schema": '{"type":"object"}'},
        }}},
        "inferenceConfig": {"maxTokens": 50},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "promptVariables": {"a": {"text": "b"}},
    }  # fmt: skip
    assert CONVERSE.prompt(compact(asked)) == Prompt(
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look"), Text("at this"))),
            Message("assistant", (
                Thought("Hm."), Thought(""), ToolCall("weather", '{"city":"Rome"}', "t"),
            )),
            Message("user", (ToolResult((Text('{"sky":1}'), Text("!")), id="t"),)),
        ),
        tools=(
            Tool("weather", "W", schema, strict=True),
            Tool("nova_grounding", kind="nova_grounding"),
        ),
        tool_choice="required",
        schema=Tool("City", "A city.", {"type": "object"}, strict=True),
        answer_format="json_schema",
        limit=50,
        reasoning="1024",
        elsewhere=("promptVariables",),
    )  # fmt: skip


def test_documents_that_are_text_are_read_and_other_media_have_a_size() -> None:
    there = {"s3Location": {"uri": "s3://bucket/a"}}
    content = [
        {"image": {"format": "png", "source": {"bytes": "aGk="}}},
        {"image": {"format": "png", "source": there}},
        {"document": {"format": "txt", "name": "D", "source": {"bytes": encoded(b"hello")}}},
        {"document": {"format": "pdf", "name": "D", "source": {"bytes": encoded(b"%PDF-1")}}},
        {"document": {"format": "pdf", "name": "D", "source": there}},
        {"document": {"format": "txt", "name": "D", "source": {"text": "plain"}}},
        {"document": {"format": "txt", "name": "D", "source": {"bytes": "a"}}},
        {"video": {"format": "mp4", "source": {"bytes": encoded(b"123")}}},
    ]
    read = CONVERSE.prompt(compact({"messages": [{"role": "user", "content": content}]}))
    assert read.messages[0].parts == (
        Image("aGk="),
        Image("s3://bucket/a"),
        Text("hello"),
        Other("document", 6),
        Other("document"),
        Text("plain"),
        Other("document", 0),
        Other("video", 3),
    )


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "adaptive"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, "high"),
        ({"reasoning_config": "high"}, "high"),
        ({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({}, None),
    ],
)
def test_each_models_word_for_reasoning_is_known(
    fields: dict[str, Any], reasoning: str | None
) -> None:
    asked = compact({"additionalModelRequestFields": fields})
    assert CONVERSE.prompt(asked) == Prompt(reasoning=reasoning)


def test_a_stream_and_the_plain_answer_hold_the_same() -> None:
    content = [
        {"reasoningContent": {"reasoningText": {"text": "Hm, yes", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "Hello"},
        {"toolUse": {"toolUseId": "t", "name": "weather", "input": {"a": 1}}},
        {"citationsContent": {"content": [{"text": " there"}], "citations": [{"title": "T"}]}},
    ]
    plain = answer(compact({"output": {"message": {"role": "assistant", "content": content}}}))

    def delta(index: int, **said: Any) -> bytes:
        return event("contentBlockDelta", {"contentBlockIndex": index, "delta": said})

    tool = {"toolUse": {"toolUseId": "t", "name": "weather"}}
    streamed = answer(b"".join([
        event("messageStart", {"role": "assistant"}),
        delta(0, reasoningContent={"text": "Hm, "}),
        delta(0, reasoningContent={"text": "yes"}),
        delta(0, reasoningContent={"signature": "s"}),
        delta(1, reasoningContent={"redactedContent": "eA=="}),
        delta(2, text="Hel"),
        delta(2, text="lo"),
        event("contentBlockStop", {"contentBlockIndex": 2}),
        event("contentBlockStart", {"contentBlockIndex": 3, "start": tool}),
        delta(3, toolUse={"input": '{"a"'}),
        delta(3, toolUse={"input": ":1}"}),
        delta(4, text=" there"),
        delta(4, citation={"title": "T"}),
        event("messageStop", {"stopReason": "end_turn"}),
    ]))  # fmt: skip
    assert plain == streamed == Answer((
        Piece("reasoning", "0", "Hm, yes"),
        Piece("hidden", "0", "s"),
        Piece("hidden", "1", "eA=="),
        Piece("text", "2", "Hello"),
        Piece("name", "3", "weather"),
        Piece("arguments", "3", '{"a":1}'),
        Piece("text", "4", " there"),
    ))  # fmt: skip


def test_what_a_tool_of_the_server_gave_back_was_not_written() -> None:
    result = {"toolResult": {"toolUseId": "t", "content": [{"json": {"stdOut": "7"}}]}}
    body = {"output": {"message": {"role": "assistant", "content": [result, {"text": "Seven"}]}}}
    assert answer(compact(body)).parts == (Piece("text", "1", "Seven"),)
    delta = {"contentBlockIndex": 0, "delta": {"toolResult": [{"json": {"stdOut": "7"}}]}}
    assert answer(event("contentBlockDelta", delta)).parts == ()
