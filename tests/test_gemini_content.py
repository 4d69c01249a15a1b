"""Google: what a request gives to read and an answer holds, in each of the three formats."""

from __future__ import annotations

import base64
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
from tokenmeter.dialects.gemini import Gemini, GeminiOnVertex
from tokenmeter.dialects.gemini_embeddings import GeminiEmbeddings
from tokenmeter.dialects.gemini_interactions import GeminiInteractions
from tokenmeter.wire.body import pieces

SCHEMA = {"type": "object", "properties": {"cityName": {"type": "string"}}}


def answer(dialect: Dialect, body: bytes) -> Answer:
    return Answer.of(pieces(dialect, body))


# generateContent

ASKED: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "user"},
    "contents": [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "I look", "thought": True},
                {
                    "functionCall": {"name": "look", "args": {"cityName": "Rome"}, "id": "c1"},
                    "thoughtSignature": "c2ln",
                },
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "look", "response": {"skyColour": "blue"}}},
                {"inlineData": {"mimeType": "image/png", "data": "_-8="}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "look", "description": "Look.", "parametersJsonSchema": SCHEMA}
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "generationConfig": {
        "candidateCount": 2,
        "maxOutputTokens": 100,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingBudget": 0},
    },
    "cachedContent": "cachedContents/1",
}
READ = Prompt(
    messages=(
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Weather?"),)),
        Message(
            "model",
            (Thought("I look"), Thought("", "c2ln"), ToolCall("look", '{"cityName":"Rome"}', "c1")),
        ),
        Message(
            "user",
            (
                ToolResult((Text('{"skyColour":"blue"}'),), "look"),
                Image("data:image/png;base64,/+8=", "low"),
            ),
        ),
    ),
    tools=(Tool("look", "Look.", SCHEMA), Tool("google_search", kind="google_search")),
    tool_choice="look",
    schema=Tool("", parameters=SCHEMA, kind="schema"),
    answer_format="application/json",
    choices=2,
    limit=100,
    reasoning="none",
    elsewhere=("cachedContent",),
)


def snake(value: Any) -> Any:
    names = {"cityName", "skyColour"}
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        k if k in names else "".join(f"_{c.lower()}" if c.isupper() else c for c in k): snake(v)
        for k, v in value.items()
    }


@pytest.mark.parametrize("asked", [ASKED, snake(ASKED)])
def test_a_request_is_the_same_in_camel_case_and_in_snake_case(asked: dict[str, Any]) -> None:
    assert Gemini().prompt(compact(asked)) == READ


def test_a_limit_below_zero_is_none() -> None:
    asked = {"contents": "hi", "generationConfig": {"maxOutputTokens": -1}}
    limited = {"contents": "hi", "generationConfig": {"maxOutputTokens": 1}}
    assert [limit(Gemini().prompt(compact(given))) for given in (asked, limited)] == [None, 1]
    asked = {"input": "hi", "generation_config": {"max_output_tokens": -1}}
    limited = {"input": "hi", "generation_config": {"max_output_tokens": 1}}
    prompts = [GeminiInteractions().prompt(compact(given)) for given in (asked, limited)]
    assert [limit(prompt) for prompt in prompts] == [None, 1]


def limit(prompt: Prompt | None) -> int | None:
    assert prompt is not None
    return prompt.limit


def test_a_schema_of_googles_own_is_told_from_a_json_schema() -> None:
    own = {"type": "OBJECT"}
    asked = {"tools": {"functionDeclarations": [{"name": "f", "parameters": own}]}}
    assert Gemini().prompt(compact(asked)) == Prompt(tools=(Tool("f", None, own, native=True),))


def test_a_prompt_on_vertex_ai_says_so() -> None:
    asked = compact({"contents": [{"parts": [{"text": "a"}]}]})
    prompt = GeminiOnVertex().prompt(asked)
    assert prompt == Prompt(messages=(Message("user", (Text("a"),)),), form="vertex_ai")
    assert Gemini().prompt(asked) == Prompt(messages=(Message("user", (Text("a"),)),))


def test_a_turn_may_stand_alone_and_an_instruction_be_a_text() -> None:
    asked = {"contents": {"parts": {"text": "a"}}, "systemInstruction": "b"}
    assert Gemini().prompt(compact(asked)) == Prompt(
        messages=(Message("system", (Text("b"),)), Message("user", (Text("a"),)))
    )


def test_a_file_is_an_image_text_or_something_else() -> None:
    data = base64.urlsafe_b64encode(b"hello").decode()
    parts = [
        {"inlineData": {"mimeType": "text/plain", "data": data}},
        {"inlineData": {"mimeType": "audio/wav", "data": data}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://a/b.png"}},
        {"inlineData": {"mimeType": "application/pdf", "data": data}},
        {"inlineData": {"mimeType": "text/plain", "data": "x"}},
    ]
    prompt = Gemini().prompt(compact({"contents": [{"parts": parts}]}))
    assert prompt is not None
    assert prompt.messages[0].parts == (
        Text("hello"),
        Other("audio", 6),
        Other("video"),
        Image("gs://a/b.png"),
        Other("file", 6),
        Other("file", 0),
    )


def test_what_the_model_ran_is_read_again() -> None:
    parts = [
        {"executableCode": {"code": "print(1)", "language": "PYTHON"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
    ]
    prompt = Gemini().prompt(compact({"contents": [{"role": "model", "parts": parts}]}))
    assert prompt is not None
    assert prompt.messages[0].parts == (
        ToolCall("code_execution", "print(1)"),
        ToolResult((Text("1\n"),), "code_execution"),
    )


def test_reasoning_is_a_budget_or_a_level() -> None:
    for said, expected in (
        ({"thinkingBudget": 1024}, "1024"),
        ({"thinkingBudget": -1}, "-1"),
        ({"thinkingLevel": "HIGH"}, "high"),
        ({"includeThoughts": True}, None),
    ):
        asked = {"contents": [], "generationConfig": {"thinkingConfig": said}}
        prompt = Gemini().prompt(compact(asked))
        assert prompt is not None
        assert prompt.reasoning == expected


def chunk(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}


CALLS = [
    {"functionCall": {"name": "look", "args": {"cityName": city}}} for city in ("Rome", "Oslo")
]
PARTS: list[dict[str, Any]] = [
    {"text": "**Thinking** aloud", "thought": True},
    {"text": "Hel"},
    {"text": "lo"},
    {"executableCode": {"code": "print(1)", "language": "PYTHON"}},
    {"codeExecutionResult": {"output": "1"}},
    *CALLS,
    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    {"text": "", "thoughtSignature": "c2ln"},
]
WRITTEN = Answer(
    (
        Piece("hidden", "0", ""),
        Piece("text", "0", "Hello"),
        Piece("text", "0.code", "print(1)"),
        Piece("name", '0.look{"cityName":"Rome"}', "look"),
        Piece("arguments", '0.look{"cityName":"Rome"}', '{"cityName":"Rome"}'),
        Piece("name", '0.look{"cityName":"Oslo"}', "look"),
        Piece("arguments", '0.look{"cityName":"Oslo"}', '{"cityName":"Oslo"}'),
        Piece("other", "0.image", ""),
        Piece("hidden", "0.signature", "c2ln"),
    )
)


def test_an_answer_is_the_same_plain_and_as_a_stream_of_either_kind() -> None:
    chunks = [chunk(part, index=0) for part in PARTS]
    for body in (compact(chunk(*PARTS)), sse(*chunks), compact(chunks)):
        assert answer(Gemini(), body) == WRITTEN


def test_equal_calls_beside_each_other_are_told_apart() -> None:
    assert answer(Gemini(), compact(chunk(CALLS[0], CALLS[0]))).texts("name") == ["look", "look"]


def test_candidates_are_told_apart() -> None:
    candidates = [{"index": 1, "content": {"parts": [{"text": "b"}]}}, {"content": {"parts": []}}]
    assert answer(Gemini(), compact({"candidates": candidates})) == Answer(
        (Piece("text", "1", "b"),)
    )


def test_arguments_that_come_bit_by_bit_are_joined() -> None:
    bits = [
        {"name": "look", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.cityName", "stringValue": "Ro"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.cityName", "stringValue": "me"}]},
        {"partialArgs": [{"jsonPath": "$.days", "numberValue": 2}]},
        {"partialArgs": [{"jsonPath": "$.all", "boolValue": True}]},
    ]
    body = sse(*(chunk({"functionCall": bit}) for bit in bits))
    assert answer(Gemini(), body).texts("arguments") == ["Rome2.0true"]


def test_a_blocked_prompt_has_no_answer() -> None:
    assert answer(Gemini(), compact({"promptFeedback": {"blockReason": "SAFETY"}})) == Answer()


# Embeddings


def test_texts_to_embed_stand_in_one_content_in_requests_or_in_instances() -> None:
    content = {"parts": [{"text": "a"}]}
    for asked in (
        {"model": "models/m", "content": content},
        {"requests": [{"model": "models/m", "content": content}]},
        {"instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}]},
        {"instances": [{"text": "a"}]},
    ):
        assert GeminiEmbeddings().prompt(compact(asked)) == Prompt(texts=("a",))


def test_images_to_embed_stand_beside_the_texts() -> None:
    asked = {"instances": [{"text": "a", "image": {"bytesBase64Encoded": "AA=="}}]}
    assert GeminiEmbeddings().prompt(compact(asked)) == Prompt(
        texts=("a",), messages=(Message("user", (Image("data:image/;base64,AA=="),)),)
    )


# Interactions


def test_the_input_of_an_interaction_may_be_a_text() -> None:
    asked = {
        "model": "m",
        "input": "hello",
        "system_instruction": "Be brief.",
        "previous_interaction_id": "v1_1",
        "generation_config": {"max_output_tokens": 9, "thinking_level": "low"},
    }
    assert GeminiInteractions().prompt(compact(asked)) == Prompt(
        messages=(Message("system", (Text("Be brief."),)), Message("user", (Text("hello"),))),
        limit=9,
        reasoning="low",
        elsewhere=("previous_interaction_id",),
    )


def test_the_input_of_an_interaction_may_be_content_turns_or_steps() -> None:
    image = {"type": "image", "data": "AA==", "mime_type": "image/png", "resolution": "high"}
    asked = {
        "input": [
            {"type": "user_input", "content": [{"type": "text", "text": "a"}, image]},
            {"type": "thought", "signature": "x", "summary": [{"type": "text", "text": "b"}]},
            {"type": "function_call", "id": "c", "name": "look", "arguments": {"cityName": "Rome"}},
            {"type": "function_result", "call_id": "c", "name": "look", "result": {"sky": 1}},
            {"type": "function_result", "call_id": "c", "result": [{"type": "text", "text": "d"}]},
            {"type": "function_result", "call_id": "c", "result": "e"},
            {"type": "model_output", "content": [{"type": "text", "text": "f"}]},
            {"role": "user", "content": "g"},
            {"type": "text", "text": "h"},
            {"type": "audio", "data": "AA==", "mime_type": "audio/wav"},
        ]
    }
    prompt = GeminiInteractions().prompt(compact(asked))
    assert prompt == Prompt(
        messages=(
            Message("user", (Text("a"), Image("data:image/png;base64,AA==", "high"))),
            Message("model", (Thought("b", "x"),)),
            Message("model", (ToolCall("look", '{"cityName":"Rome"}', "c"),)),
            Message("user", (ToolResult((Text('{"sky":1}'),), "look", "c"),)),
            Message("user", (ToolResult((Text("d"),), None, "c"),)),
            Message("user", (ToolResult((Text("e"),), None, "c"),)),
            Message("model", (Text("f"),)),
            Message("user", (Text("g"),)),
            Message("user", (Text("h"),)),
            Message("user", (Other("audio", 3),)),
        )
    )


def test_the_tools_and_the_format_of_an_interaction_are_read() -> None:
    choice = {"allowed_tools": {"mode": "any", "tools": ["look"]}}
    tools = [
        {"type": "function", "name": "look", "description": "Look.", "parameters": SCHEMA},
        {"type": "google_search"},
    ]
    read = Prompt(
        messages=(Message("user", (Text("a"),)),),
        tools=(Tool("look", "Look.", SCHEMA), Tool("google_search", kind="google_search")),
        tool_choice="look",
        schema=Tool("", parameters=SCHEMA, kind="schema"),
        answer_format="application/json",
    )
    text = {"type": "text", "mime_type": "application/json", "schema": SCHEMA}
    for formats in (text, [{"type": "audio"}, text]):
        asked = {
            "input": {"type": "text", "text": "a"},
            "tools": tools,
            "response_format": formats,
            "generation_config": {"tool_choice": choice},
        }
        assert GeminiInteractions().prompt(compact(asked)) == read
    bare = {"input": "a", "response_format": SCHEMA, "generation_config": {"tool_choice": "any"}}
    prompt = GeminiInteractions().prompt(compact(bare))
    assert prompt is not None
    assert (prompt.schema, prompt.tool_choice) == (read.schema, "required")


STEPS: list[dict[str, Any]] = [
    {"type": "thought", "signature": "x"},
    {"type": "function_call", "id": "c", "name": "look", "arguments": {"cityName": "Rome"}},
    {"type": "google_search_call", "id": "s", "arguments": {"queries": ["sky"]}},
    {"type": "google_search_result", "call_id": "s", "result": []},
    {"type": "code_execution_call", "id": "e", "arguments": {"code": "print(1)"}},
    {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]},
]
STEPPED = Answer(
    (
        Piece("hidden", "0", "x"),
        Piece("name", "1", "look"),
        Piece("arguments", "1", '{"cityName":"Rome"}'),
        Piece("name", "2", "google_search_call"),
        Piece("arguments", "2", '{"queries":["sky"]}'),
        Piece("text", "4", "print(1)"),
        Piece("text", "5", "Hello"),
    )
)


def test_an_interaction_is_the_same_plain_and_as_a_stream() -> None:
    said: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"type": "thought"}, [{"type": "thought_signature", "signature": "x"}]),
        (
            {"type": "function_call", "id": "c", "name": "look", "arguments": {}},
            [
                {"type": "arguments_delta", "arguments": '{"cityName":'},
                {"type": "arguments_delta", "arguments": '"Rome"}'},
            ],
        ),
        (STEPS[2], []),
        (STEPS[3], []),
        (
            {"type": "code_execution_call", "id": "e"},
            [{"type": "code_execution_call", "arguments": {"code": "print(1)"}}],
        ),
        (
            {"type": "model_output"},
            [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}],
        ),
    ]
    events: list[Any] = [{"event_type": "interaction.created", "interaction": {"id": "v1_1"}}]
    for at, (step, deltas) in enumerate(said):
        events.append({"event_type": "step.start", "index": at, "step": step})
        events += [{"event_type": "step.delta", "index": at, "delta": delta} for delta in deltas]
        events.append({"event_type": "step.stop", "index": at})
    ended = {"id": "v1_1", "object": "interaction", "status": "completed", "steps": STEPS}
    events.append({"event_type": "interaction.completed", "interaction": ended})
    assert answer(GeminiInteractions(), compact(ended)) == STEPPED
    assert answer(GeminiInteractions(), sse(*events, b"[DONE]")) == STEPPED


def test_an_interaction_may_make_what_nobody_here_can_weigh() -> None:
    image = {"type": "image", "mime_type": "image/png", "data": "AA=="}
    plain = {"steps": [{"type": "model_output", "content": [image]}]}
    delta = {"event_type": "step.delta", "index": 0, "delta": image}
    expected = Answer((Piece("other", "0", ""),))
    assert answer(GeminiInteractions(), compact(plain)) == expected
    assert answer(GeminiInteractions(), sse(delta)) == expected


# Odd bodies

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
NAMES = st.sampled_from(
    [
        *("contents", "parts", "text", "inlineData", "functionCall", "functionResponse", "tools"),
        *("functionDeclarations", "generationConfig", "candidates", "content", "requests", "index"),
        *("instances", "input", "steps", "step", "delta", "type", "arguments", "response_format"),
    ]
)
ODD = st.recursive(
    JSON, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)
DIALECTS = [Gemini(), GeminiEmbeddings(), GeminiInteractions()]


@given(ODD)
def test_odd_json_is_read_without_an_exception(value: Any) -> None:
    body = msgspec.json.encode(value)
    for dialect in DIALECTS:
        dialect.prompt(body)
        Answer.of(dialect.pieces(body))


@pytest.mark.parametrize("body", [b"", b"{", b"{]", b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_is_a_decode_error(body: bytes) -> None:
    for dialect in DIALECTS:
        with pytest.raises(msgspec.DecodeError):
            dialect.prompt(body)


def test_arguments_that_are_nested_very_deeply_do_no_harm() -> None:
    depth = 5_000
    args = '{"a":' * depth + "1" + "}" * depth
    body = f'{{"contents":[{{"parts":[{{"functionCall":{{"name":"f","args":{args}}}}}]}}]}}'
    try:
        Gemini().prompt(body.encode())
    except msgspec.DecodeError:
        return
