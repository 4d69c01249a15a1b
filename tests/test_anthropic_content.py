"""What Anthropic's formats give to read and what was written, in one neutral shape."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects import compact, sse
from test_dialect_contract import CHANGES, changed, places
from tokenmeter.dialects.anthropic_complete import AnthropicComplete
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
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

MESSAGES, COMPLETE = AnthropicMessages(), AnthropicComplete()
HI = {"type": "text", "text": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def read(request: object) -> Prompt:
    prompt = MESSAGES.prompt(compact(request))
    assert prompt is not None
    return prompt


def said(content: list[dict[str, Any]]) -> tuple[Any, ...]:
    return read({"messages": [{"role": "user", "content": content}]}).messages[0].parts


def answer(body: bytes) -> Answer:
    return Answer.of(pieces(MESSAGES, body))


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


WHOLE_REQUEST = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [
                        {"type": "text", "text": "Sun"},
                        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "t2", "content": "Rain"},
            ],
        },
    ],
    "tools": [
        {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA, "strict": True},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "tool", "name": "weather"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
}


def test_a_request_is_read_whole() -> None:
    assert read(WHOLE_REQUEST) == Prompt(
        messages=(
            Message("system", (Text("Be kind."),)),
            Message("user", (Text("Hi"),)),
            Message(
                "assistant",
                (Thought("Hm."), Thought(""), ToolCall("weather", '{"city":"Bonn"}', "t1")),
            ),
            Message(
                "user",
                (
                    ToolResult((Text("Sun"), Image("AAAA")), id="t1"),
                    ToolResult((Text("Rain"),), id="t2"),
                ),
            ),
        ),
        tools=(
            Tool("weather", "Tells it.", SCHEMA, strict=True),
            Tool("bash", kind="bash_20250124"),
            Tool("web_search", kind="web_search_20250305"),
        ),
        tool_choice="weather",
        schema=Tool("", parameters=SCHEMA, kind="json_schema"),
        limit=100,
        reasoning="1024",
        elsewhere=("web_search",),
    )


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        (HI, (Text("Hi"),)),
        ({"type": "image", "source": {"type": "url", "url": "https://x/y"}}, (Image("https://x/y"),)),
        ({"type": "image", "source": {"type": "file", "file_id": "f1"}}, (Image("f1"),)),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "data": "Hi"}},
            (Text("T"), Text("Hi")),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [HI]}},
            (Text("Hi"),),
        ),
        ({"type": "document", "source": {"type": "base64", "data": "AAAA"}}, (Other("file", 3),)),
        ({"type": "document", "source": {"type": "url", "url": "https://x"}}, (Other("file"),)),
        ({"type": "container_upload", "file_id": "f1"}, (Other("file"),)),
        (
            {"type": "search_result", "source": "https://x", "title": "T", "content": [HI]},
            (Text("https://x\nT"), Text("Hi")),
        ),
        (
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{}]},
            (ToolResult((Other("web_search"),), id="s1"),),
        ),
        (
            {"type": "code_execution_tool_result", "tool_use_id": "s1", "content": {"stdout": "4"}},
            (ToolResult((Text('{"stdout":"4"}'),), id="s1"),),
        ),
        (
            {"type": "web_fetch_tool_result", "content": {"source": {"type": "base64"}}},
            (ToolResult((Other("web_fetch_tool_result"),)),),
        ),
        ({"type": "mcp_tool_result", "content": [HI]}, (ToolResult((Text("Hi"),)),)),
        ({"type": "of_tomorrow", "text": "Hi"}, (Other("of_tomorrow"),)),
    ],
)  # fmt: skip
def test_a_block_is_read(given: dict[str, Any], parts: tuple[Any, ...]) -> None:
    assert said([given]) == parts


@pytest.mark.parametrize(
    ("given", "reasoning"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "adaptive"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, "high"),
        ({"output_config": {"effort": "low"}}, None),
    ],
)
def test_what_is_asked_of_thinking_is_read(given: dict[str, Any], reasoning: str | None) -> None:
    assert read(given) == Prompt(reasoning=reasoning)


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "weather"}, "weather"),
        ({"type": "none"}, "none"),
    ],
)
def test_the_choice_of_a_tool_is_read(given: dict[str, Any], choice: str) -> None:
    assert read({"tool_choice": given}) == Prompt(tool_choice=choice)


def test_a_tool_whose_loading_is_deferred_is_read_when_something_names_it() -> None:
    tools = [{"name": name, "defer_loading": True} for name in ("a", "b", "c", "d")]
    found = {"tool_references": [{"type": "tool_reference", "tool_name": "b"}]}
    content = [
        {"type": "tool_result", "content": [{"type": "tool_reference", "tool_name": "a"}]},
        {"type": "tool_search_tool_result", "content": found},
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "c"}},
    ]
    prompt = read({"tools": tools, "messages": [{"role": "user", "content": content}]})
    assert [tool.name for tool in prompt.tools] == ["a", "b", "c"]


def test_what_stands_before_a_compaction_is_not_read() -> None:
    messages = [
        {"role": "user", "content": "Long ago"},
        {"role": "assistant", "content": [{"type": "compaction", "content": "In short"}]},
        {"role": "user", "content": "Go on"},
    ]
    assert read({"messages": messages}).messages == (
        Message("assistant", (Text("In short"),)),
        Message("user", (Text("Go on"),)),
    )


def test_servers_of_tools_are_read_elsewhere() -> None:
    assert read({"mcp_servers": [{"name": "x"}]}).elsewhere == ("mcp",)


def test_a_legacy_prompt_is_read() -> None:
    body = compact({"prompt": "\n\nHuman: Hi", "max_tokens_to_sample": 7})
    assert COMPLETE.prompt(body) == Prompt(texts=("\n\nHuman: Hi",), limit=7)
    assert COMPLETE.prompt(b"{}") == Prompt(texts=("",))


PLAIN = compact(
    {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "Hm, so.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": "Hello!", "citations": [{"cited_text": "Hello"}]},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
            {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
            {"type": "web_search_tool_result", "content": [{"url": "https://x"}]},
        ],
    }
)
STREAM = sse(
    {"type": "message_start", "message": {"content": [], "usage": {"output_tokens": 1}}},
    *block(
        0,
        {"type": "thinking", "thinking": ""},
        {"type": "thinking_delta", "thinking": "Hm, "},
        {"type": "thinking_delta", "thinking": "so."},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
    {"type": "ping"},
    *block(
        2,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Hel"},
        {"type": "citations_delta", "citation": {"cited_text": "Hello"}},
        {"type": "text_delta", "text": "lo!"},
    ),
    *block(
        3,
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city"'},
        {"type": "input_json_delta", "partial_json": ':"Bonn"}'},
    ),
    *block(4, {"type": "tool_use", "id": "t2", "name": "now", "input": {}}),
    *block(5, {"type": "web_search_tool_result", "content": [{"url": "https://x"}]}),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
)
WHOLE = Answer(
    (
        Piece("reasoning", "0", "Hm, so."),
        Piece("hidden", "0", "c2ln"),
        Piece("hidden", "1", "ZGF0YQ=="),
        Piece("text", "2", "Hello!"),
        Piece("name", "3", "weather"),
        Piece("arguments", "3", '{"city":"Bonn"}'),
        Piece("name", "4", "now"),
    )
)


def test_a_plain_answer_and_its_stream_hold_the_same() -> None:
    assert answer(PLAIN) == WHOLE
    assert answer(STREAM) == WHOLE


def test_a_stream_that_begins_with_content_keeps_it() -> None:
    start = {"type": "message_start", "message": {"content": [{"type": "text", "text": "Hel"}]}}
    body = sse(start, *block(0, {"type": "text"}, {"type": "text_delta", "text": "lo!"}), b"[DONE]")
    assert answer(body) == Answer((Piece("text", "0", "Hello!"),))


def test_a_stream_that_is_cut_anywhere_holds_a_beginning() -> None:
    whole = {(part.kind, part.key): part.text for part in WHOLE.parts}
    for size in range(len(STREAM)):
        for part in answer(STREAM[:size]).parts:
            assert whole[part.kind, part.key].startswith(part.text)


def test_a_legacy_stream_and_its_plain_answer_hold_the_same() -> None:
    stream = sse({"completion": " Hel"}, {"type": "ping"}, {"completion": "lo!"})
    plain = compact({"type": "completion", "completion": " Hello!", "stop_reason": "stop_sequence"})
    whole = Answer((Piece("text", "0", " Hello!"),))
    assert Answer.of(pieces(COMPLETE, stream)) == whole
    assert Answer.of(pieces(COMPLETE, plain)) == whole


@settings(deadline=None)
@given(data=st.data())
def test_odd_values_are_passed_over(data: st.DataObject) -> None:
    bodies = (WHOLE_REQUEST, msgspec.json.decode(PLAIN))
    for body, look in zip(bodies, (MESSAGES.prompt, MESSAGES.pieces), strict=True):
        path = data.draw(st.sampled_from(list(places(body))))
        odd = changed(body, path, data.draw(st.sampled_from(CHANGES)))
        look(compact({} if odd is ... else odd))


@pytest.mark.parametrize("body", [b"", b"{", b"x", b'{"messages":' + b"[" * 5000])
def test_what_is_not_json_raises_nothing_else(body: bytes) -> None:
    for look in (MESSAGES.prompt, COMPLETE.prompt):
        with pytest.raises(msgspec.DecodeError):
            look(body)


def test_deep_nesting_raises_nothing_else() -> None:
    inner: dict[str, Any] = {"type": "text", "text": "Hi"}
    for _ in range(150):
        inner = {"type": "tool_result", "content": [inner]}
    request = compact({"messages": [{"role": "user", "content": [inner]}]})
    try:
        assert MESSAGES.prompt(request) is not None
    except msgspec.DecodeError as exc:
        assert str(exc) == "nested too deeply"  # noqa: PT017
