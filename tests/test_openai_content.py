"""What is read and written in OpenAI's formats, as neutral values: plain and streamed alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects import compact, sse
from tokenmeter.dialects import Dialect
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
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_media import OpenAIMedia
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.dialects.openai_runs import OpenAIRuns
from tokenmeter.wire.body import pieces

CHAT, RESPONSES, RUNS = OpenAIChat(), OpenAIResponses(), OpenAIRuns()
EMBEDDINGS, MEDIA = OpenAIEmbeddings(), OpenAIMedia()
ALL: tuple[Dialect, ...] = (CHAT, RESPONSES, RUNS, EMBEDDINGS, MEDIA)
each = pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def prompt(dialect: Dialect, **request: Any) -> Prompt | None:
    return dialect.prompt(compact(request))


def answer(dialect: Dialect, body: bytes) -> Answer:
    return Answer.of(pieces(dialect, body))


# Chat completions


def test_a_chat_is_read_with_all_that_its_messages_hold() -> None:
    found = prompt(
        CHAT,
        messages=[
            {"role": "system", "content": "Be short.", "name": "boss"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_data": "data:text/plain;base64,AAAA"}},
                    {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Weather.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "raw"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "20"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "21"},
            {"role": "assistant", "refusal": "No."},
        ],
    )
    assert found == Prompt(
        messages=(
            Message("system", (Text("Be short."),), "boss"),
            Message(
                "user",
                (
                    Text("What is this?"),
                    Image(PNG, "low"),
                    Other("audio", 3),
                    Other("file", 3),
                    Other("video"),
                ),
            ),
            Message(
                "assistant",
                (Thought("Weather."), ToolCall("f", "{}", "c1"), ToolCall("g", "raw", "c2")),
            ),
            Message("tool", (ToolResult((Text("20"),), None, "c1"),)),
            Message("assistant", (ToolCall("f", "{}"),)),
            Message("function", (ToolResult((Text("21"),), "f"),), "f"),
            Message("assistant", (Text("No."),)),
        )
    )


def test_a_chat_says_what_it_asks_for() -> None:
    schema = {"name": "Out", "schema": PARAMETERS, "strict": True, "description": "d"}
    function = {"name": "f", "description": "F.", "parameters": PARAMETERS, "strict": False}
    found = prompt(
        CHAT,
        tools=[{"type": "function", "function": function}],
        functions=[{"name": "g"}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": schema},
        n=2,
        max_tokens=10,
        max_completion_tokens=20,
        reasoning_effort="low",
        web_search_options={},
    )
    assert found == Prompt(
        tools=(Tool("f", "F.", PARAMETERS, "function", strict=False), Tool("g")),
        tool_choice="f",
        schema=Tool("Out", "d", PARAMETERS, "json_schema", strict=True),
        choices=2,
        limit=20,
        reasoning="low",
        elsewhere=("web_search_options",),
    )


@pytest.mark.parametrize(
    ("request_", "reasoning"),
    [
        ({}, None),
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"reasoning": {"enabled": True}}, "enabled"),
        ({"reasoning": {"enabled": False}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "100"),
        ({"thinking": {"type": "disabled"}}, "none"),
    ],
)
def test_reasoning_is_asked_for_in_many_ways(request_: Any, reasoning: str | None) -> None:
    assert prompt(CHAT, **request_) == Prompt(reasoning=reasoning)


def test_a_json_object_is_a_format_without_a_schema() -> None:
    asked = prompt(CHAT, response_format={"type": "json_object"}, tool_choice="none")
    assert asked == Prompt(answer_format="json_object", tool_choice="none")
    assert prompt(CHAT, response_format={"type": "text"}) == Prompt()


def test_a_completion_is_texts_or_tokens() -> None:
    assert prompt(CHAT, prompt="a") == Prompt(texts=("a",))
    assert prompt(CHAT, prompt="a", suffix="z") == Prompt(texts=("a", "z"))
    assert prompt(CHAT, prompt=["a", "b"], n=3) == Prompt(texts=("a", "b"), choices=6)
    assert prompt(CHAT, prompt=[1, 2, 3]) == Prompt(ids=3)
    assert prompt(CHAT, prompt=[[1, 2], [3]], best_of=2) == Prompt(ids=3, choices=2)


MESSAGE = {
    "role": "assistant",
    "reasoning_content": "Let me see.",
    "content": "It is sunny.",
    "refusal": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ],
}
SAID = Answer(
    (
        Piece("reasoning", "0", "Let me see."),
        Piece("text", "0", "It is sunny."),
        Piece("name", "0.0", "f"),
        Piece("arguments", "0.0", '{"a":1}'),
        Piece("name", "0.1", "g"),
        Piece("arguments", "0.1", ""),
    )
)


def delta(**said: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": said, "finish_reason": None}]}


def call(index: int, arguments: str, **said: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **said}
    return delta(tool_calls=[{"index": index, "function": function}])


def test_an_answer_is_the_same_plain_and_streamed() -> None:
    plain = compact({"choices": [{"index": 0, "message": MESSAGE}]})
    streamed = sse(
        delta(role="assistant", content=""),
        delta(reasoning_content="Let me"),
        delta(reasoning_content=" see."),
        delta(content="It is"),
        delta(content=" sunny."),
        call(0, "", name="f"),
        call(0, '{"a"'),
        call(0, ":1}"),
        call(1, "", name="g"),
        {"choices": [], "usage": {"prompt_tokens": 1}},
        b"[DONE]",
    )
    assert answer(CHAT, plain) == answer(CHAT, streamed) == SAID


def test_choices_completions_refusals_and_sound_are_kept_apart() -> None:
    sound = {"id": "a", "data": "AAAA", "transcript": "Hello."}
    body = {
        "choices": [
            {"index": 0, "message": {"content": None, "refusal": "No."}},
            {"index": 1, "message": {"content": None, "audio": sound}},
            {"index": 2, "text": "completed"},
            {"index": 3, "message": {"function_call": {"name": "f", "arguments": "{}"}}},
            {"index": 4, "message": {"content": "see", "images": [{"type": "image_url"}]}},
        ]
    }
    assert answer(CHAT, compact(body)) == Answer(
        (
            Piece("refusal", "0", "No."),
            Piece("text", "1.audio", "Hello."),
            Piece("other", "1.audio", ""),
            Piece("text", "2", "completed"),
            Piece("name", "3.0", "f"),
            Piece("arguments", "3.0", "{}"),
            Piece("text", "4", "see"),
            Piece("other", "4", ""),
        )
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"reasoning": "R"}, [Piece("reasoning", "0", "R")]),
        (
            {"reasoning": "R", "reasoning_details": [{"type": "reasoning.text", "text": "R"}]},
            [Piece("reasoning", "0", "R")],
        ),
        (
            {"reasoning": "R", "reasoning_details": [{"type": "reasoning.summary"}]},
            [Piece("hidden", "0", "")],
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "R"}]},
                    {"type": "text", "text": "T"},
                ]
            },
            [Piece("reasoning", "0", "R"), Piece("text", "0", "T")],
        ),
    ],
)
def test_reasoning_is_shown_in_many_ways(message: Any, said: list[Piece]) -> None:
    assert pieces(CHAT, compact({"choices": [{"index": 0, "message": message}]})) == said
    assert pieces(CHAT, sse({"choices": [{"index": 0, "delta": message}]})) == said


def test_calls_without_an_index_are_told_apart_by_their_ids() -> None:
    calls = [{"id": name, "function": {"name": name, "arguments": "{}"}} for name in "ab"]
    streamed = sse(*(delta(tool_calls=[one]) for one in calls))
    assert [piece.key for piece in pieces(CHAT, streamed)] == ["0.a", "0.a", "0.b", "0.b"]


# Responses


def test_a_response_is_asked_for_with_a_text() -> None:
    found = prompt(RESPONSES, input="Hi", instructions="Be short.", max_output_tokens=9)
    messages = (Message("system", (Text("Be short."),)), Message("user", (Text("Hi"),)))
    assert found == Prompt(messages=messages, limit=9, form="responses")


def test_a_response_is_asked_for_with_items() -> None:
    found = prompt(
        RESPONSES,
        input=[
            {"role": "user", "content": "Hi"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "See"},
                    {"type": "input_image", "image_url": PNG, "detail": "low"},
                    {"type": "input_file", "file_data": "AAAA"},
                    {"type": "input_file", "file_id": "file-1"},
                ],
            },
            {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "AAAA"},
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "20"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "image_url": PNG}],
            },
            {"type": "web_search_call", "id": "ws"},
            {"type": "item_reference", "id": "msg"},
        ],
        previous_response_id="resp",
    )
    assert found == Prompt(
        messages=(
            Message("user", (Text("Hi"),)),
            Message(
                "user", (Text("See"), Image(PNG, "low"), Other("file", 3), Other("file"))
            ),
            Message("assistant", (Other("reasoning", 3),)),
            Message("assistant", (Thought("Hm."),)),
            Message("assistant", (ToolCall("f", "{}", "c1"),)),
            Message("tool", (ToolResult((Text("20"),), None, "c1"),)),
            Message("tool", (ToolResult((Image(PNG),), None, "c2"),)),
            Message("assistant", (Other("web_search_call"),)),
        ),
        elsewhere=("previous_response_id", "item_reference"),
        form="responses",
    )  # fmt: skip


def test_a_response_says_what_it_asks_for() -> None:
    schema = {"type": "json_schema", "name": "Out", "schema": PARAMETERS, "strict": True}
    found = prompt(
        RESPONSES,
        tools=[
            {"type": "function", "name": "f", "parameters": PARAMETERS, "strict": True},
            {"type": "web_search", "search_context_size": "low"},
            {"type": "mcp", "server_label": "wiki", "server_description": "W."},
        ],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": []},
        text={"format": schema},
        reasoning={"effort": "low", "summary": "auto"},
        conversation={"id": "conv"},
        prompt={"id": "pmpt"},
    )
    assert found == Prompt(
        tools=(
            Tool("f", None, PARAMETERS, "function", strict=True),
            Tool("web_search", kind="web_search"),
            Tool("wiki", "W.", kind="mcp"),
        ),
        tool_choice="required",
        schema=Tool("Out", None, PARAMETERS, "json_schema", strict=True),
        reasoning="low",
        elsewhere=("conversation", "prompt"),
        form="responses",
    )


OUTPUT = [
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Thought."}]},
    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]},
    {"type": "web_search_call", "action": {"type": "search", "query": "q"}},
    {"type": "function_call", "name": "f", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "name": "g", "input": "raw"},
    {
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Sunny."},
            {"type": "refusal", "refusal": "No."},
        ],
    },
]


def event(kind: str, at: int = 0, **said: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": at, **said}


def test_a_response_is_the_same_plain_and_streamed() -> None:
    whole = {"object": "response", "status": "completed", "output": OUTPUT}
    opening = {"type": "message", "content": []}
    streamed = sse(
        event("created", response={"object": "response", "output": []}),
        event("output_item.added", 0, item={"type": "reasoning", "summary": []}),
        event("reasoning_summary_text.delta", 0, delta="Thought."),
        event("output_item.done", 0, item=OUTPUT[0]),
        event("output_item.added", 1, item={"type": "reasoning", "content": []}),
        event("reasoning_text.delta", 1, content_index=0, delta="Hm."),
        event("output_item.done", 1, item=OUTPUT[1]),
        event("output_item.added", 2, item={"type": "web_search_call"}),
        event("output_item.done", 2, item=OUTPUT[2]),
        event("output_item.added", 3, item={"type": "function_call", "name": "f"}),
        event("function_call_arguments.delta", 3, delta='{"a"'),
        event("function_call_arguments.delta", 3, delta=":1}"),
        event("function_call_arguments.done", 3, arguments='{"a":1}'),
        event("output_item.done", 3, item=OUTPUT[3]),
        event("output_item.added", 4, item={"type": "custom_tool_call", "name": "g"}),
        event("custom_tool_call_input.delta", 4, delta="raw"),
        event("output_item.done", 4, item=OUTPUT[4]),
        event("output_item.added", 5, item=opening),
        event("output_text.delta", 5, content_index=0, delta="Sun"),
        event("output_text.delta", 5, content_index=0, delta="ny."),
        event("output_text.done", 5, content_index=0, text="Sunny."),
        event("refusal.delta", 5, content_index=1, delta="No."),
        event("output_item.done", 5, item=OUTPUT[5]),
        event("completed", response=whole),
    )
    assert answer(RESPONSES, compact(whole)) == answer(RESPONSES, streamed)
    assert answer(RESPONSES, streamed) == Answer(
        (
            Piece("hidden", "0", ""),
            Piece("reasoning", "1.0", "Hm."),
            Piece("other", "2", ""),
            Piece("name", "3", "f"),
            Piece("arguments", "3", '{"a":1}'),
            Piece("name", "4", "g"),
            Piece("arguments", "4", "raw"),
            Piece("text", "5.0", "Sunny."),
            Piece("refusal", "5.1", "No."),
        )
    )


def test_a_compaction_holds_nothing_but_what_is_not_shown() -> None:
    output = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "compaction", "encrypted_content": "AAAA"},
    ]
    body = compact({"object": "response.compaction", "output": output})
    assert answer(RESPONSES, body) == Answer((Piece("other", "1", ""),))


# Embeddings, media, runs


def test_embeddings_are_texts_or_tokens() -> None:
    assert prompt(EMBEDDINGS, input="a") == Prompt(texts=("a",))
    assert prompt(EMBEDDINGS, input=["a", "b"]) == Prompt(texts=("a", "b"))
    assert prompt(EMBEDDINGS, input=[[1, 2], [3]]) == Prompt(ids=3)


def test_a_transcription_is_text_where_tokens_are_counted() -> None:
    said = {"text": "Hello.", "usage": {"type": "tokens", "input_tokens": 1}}
    streamed = sse(
        {"type": "transcript.text.delta", "delta": "Hel"},
        {"type": "transcript.text.delta", "delta": "lo."},
        {"type": "transcript.text.done", **said},
    )
    heard = Answer((Piece("text", "0", "Hello."),))
    assert answer(MEDIA, compact(said)) == answer(MEDIA, streamed) == heard
    by_time = {"text": "Hello.", "usage": {"type": "duration", "seconds": 9}}
    assert answer(MEDIA, compact(by_time)) == Answer()


def test_speech_and_pictures_are_read_and_not_counted() -> None:
    assert prompt(MEDIA, input="Hi", instructions="Warm") == Prompt(texts=("Hi", "Warm"))
    assert prompt(MEDIA, prompt="A cat", size="1024x1024") == Prompt(texts=("A cat",))
    streamed = sse({"type": "speech.audio.delta", "audio": "AA"}, {"type": "speech.audio.done"})
    assert answer(MEDIA, streamed) == Answer((Piece("other", "0", ""),))


def test_a_run_is_asked_for_beside_its_thread() -> None:
    found = prompt(
        RUNS,
        assistant_id="asst",
        instructions="Be short.",
        additional_messages=[{"role": "user", "content": "Hi"}],
        tools=[{"type": "code_interpreter"}],
        max_completion_tokens=9,
    )
    messages = (Message("system", (Text("Be short."),)), Message("user", (Text("Hi"),)))
    tools = (Tool("code_interpreter", kind="code_interpreter"),)
    assert found == Prompt(messages=messages, tools=tools, limit=9, elsewhere=("thread",))
    found = prompt(RUNS, tool_outputs=[{"tool_call_id": "c1", "output": "20"}])
    result = ToolResult((Text("20"),), None, "c1")
    assert found == Prompt(messages=(Message("tool", (result,)),), elsewhere=("thread",))


def test_a_run_writes_messages_and_calls() -> None:
    def step(**call: Any) -> dict[str, Any]:
        details = {"type": "tool_calls", "tool_calls": [{"index": 0, **call}]}
        return {"object": "thread.run.step.delta", "id": "s", "delta": {"step_details": details}}

    def text(value: str) -> dict[str, Any]:
        content = [{"index": 0, "type": "text", "text": {"value": value}}]
        return {"object": "thread.message.delta", "id": "m", "delta": {"content": content}}

    streamed = sse(
        step(id="c", type="code_interpreter", code_interpreter={"input": "1"}),
        step(type="code_interpreter", code_interpreter={"input": "+1"}),
        text("Tw"),
        text("o"),
        {"object": "thread.message", "id": "m", "content": [{"text": {"value": "Two"}}]},
        b"[DONE]",
    )
    assert answer(RUNS, streamed) == Answer(
        (
            Piece("name", "s.0", "code_interpreter"),
            Piece("arguments", "s.0", "1+1"),
            Piece("text", "m.0", "Two"),
        )
    )


# Odd bodies

FIELDS = (
    *("messages", "content", "role", "tools", "type", "function", "text", "input", "output"),
    *("choices", "delta", "message", "tool_calls", "arguments", "name", "response_format"),
    *("json_schema", "schema", "index", "item", "image_url", "reasoning", "prompt", "n"),
    *("thinking", "summary", "instructions", "conversation", "object", "id", "usage"),
)
KINDS = ("message", "function_call", "text", "response.output_item.done", "input_image", "x")
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=12,
)


@each
@given(value=odd)
def test_odd_bodies_are_read_as_far_as_they_go(dialect: Dialect, value: object) -> None:
    data = json.dumps(value).encode()
    assert isinstance(dialect.prompt(data), Prompt)
    assert all(isinstance(piece, Piece) for piece in dialect.pieces(data))


@each
def test_what_is_no_json_is_a_decode_error(dialect: Dialect) -> None:
    with pytest.raises(msgspec.DecodeError):
        dialect.prompt(b"{")
    assert list(dialect.pieces(b"[DONE]")) == []
