"""What Cohere's models read and wrote is found in both versions."""

from __future__ import annotations

from typing import Any

from dialects import compact, lines, sse
from tokenmeter.dialects.cohere import CohereChat, CohereEmbed
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
from tokenmeter.wire.body import pieces

CHAT, EMBED = CohereChat(), CohereEmbed()


def answer(body: bytes) -> Answer:
    return Answer.of(pieces(CHAT, body))


def test_a_conversation_of_v2_is_read_with_its_tools_and_documents() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": "Tells the weather.", "parameters": schema}
    call = {"id": "w1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    asked = {
        "model": "command-a",
        "documents": ["plain", {"id": "d", "data": {"title": "A"}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}},
            ]},
            {"role": "assistant", "tool_plan": "I will ask.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "w1", "content": [
                {"type": "document", "document": {"data": {"sky": "blue"}}},
            ]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}]},
        ],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": schema},
        "thinking": {"type": "enabled", "token_budget": 500},
        "max_tokens": 50,
    }  # fmt: skip
    assert CHAT.prompt(compact(asked)) == Prompt(
        messages=(
            Message("document", (Text("plain"),)),
            Message("document", (Text('{"title":"A"}'),)),
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Look"), Image("data:x", "low"))),
            Message("assistant", (Text("I will ask."), ToolCall("weather", "{}", "w1"))),
            Message("tool", (ToolResult((Text('{"sky":"blue"}'),), id="w1"),)),
            Message("assistant", (Thought("Hm."),)),
        ),
        tools=(Tool("weather", "Tells the weather.", schema),),
        tool_choice="required",
        schema=Tool("", parameters=schema),
        answer_format="json_object",
        limit=50,
        reasoning="500",
    )


def test_a_conversation_of_v1_is_read_and_what_it_only_names_is_said() -> None:
    definitions = {"city": {"type": "str", "description": "Where.", "required": True}}
    asked = {
        "message": "And now?",
        "preamble": "Be brief.",
        "chat_history": [{"role": "USER", "message": "Hi"}],
        "conversation_id": "c",
        "connectors": [{"id": "web-search"}],
        "tools": [{"name": "weather", "description": "W", "parameter_definitions": definitions}],
        "tool_results": [
            {"call": {"name": "weather", "parameters": {}}, "outputs": [{"sky": "blue"}]}
        ],
    }
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "str", "description": "Where."}},
        "required": ["city"],
    }
    assert CHAT.prompt(compact(asked)) == Prompt(
        messages=(
            Message("SYSTEM", (Text("Be brief."),)),
            Message("USER", (Text("Hi"),)),
            Message("USER", (Text("And now?"),)),
            Message("TOOL", (ToolResult((Text('{"sky":"blue"}'),), "weather"),)),
        ),
        tools=(Tool("weather", "W", parameters),),
        elsewhere=("conversation_id", "connectors"),
    )


def test_a_prompt_and_texts_to_embed_are_bare_texts() -> None:
    asked = {"prompt": "Once", "max_tokens": 5, "num_generations": 2}
    assert CHAT.prompt(compact(asked)) == Prompt(texts=("Once",), choices=2, limit=5)
    asked_vectors = {
        "texts": ["one", "two"],
        "images": ["data:a"],
        "inputs": [{"content": [{"type": "text", "text": "three"},
                                {"type": "image_url", "image_url": {"url": "data:b"}}]}],
    }  # fmt: skip
    assert EMBED.prompt(compact(asked_vectors)) == Prompt(
        messages=(Message("input", (Image("data:a"), Image("data:b"))),),
        texts=("one", "two", "three"),
    )


def test_a_stream_of_v2_and_the_plain_answer_hold_the_same() -> None:
    call = {"id": "w1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}
    content = [{"type": "thinking", "thinking": "Hm, yes"}, {"type": "text", "text": "Hello"}]
    message = {"role": "assistant", "tool_plan": "I ask", "content": content, "tool_calls": [call]}
    plain = answer(compact({"id": "1", "message": message, "citations": [{"text": "Hello"}]}))

    def event(kind: str, index: int | None, **said: Any) -> dict[str, Any]:
        at = {} if index is None else {"index": index}
        return {"type": kind, **at, "delta": {"message": said}}

    def calling(**function: str) -> dict[str, Any]:
        return {"function": function}

    streamed = answer(
        sse(
            {"type": "message-start", "delta": {"message": {"role": "assistant", "content": []}}},
            event("tool-plan-delta", None, tool_plan="I "),
            event("tool-plan-delta", None, tool_plan="ask"),
            event("content-start", 0, content={"type": "thinking", "thinking": ""}),
            event("content-delta", 0, content={"thinking": "Hm, yes"}),
            event("content-start", 1, content={"type": "text", "text": ""}),
            event("content-delta", 1, content={"text": "Hel"}),
            event("content-delta", 1, content={"text": "lo"}),
            event("citation-start", 0, citations={"start": 0, "end": 5, "text": "Hello"}),
            event("tool-call-start", 0, tool_calls=calling(name="weather", arguments="")),
            event("tool-call-delta", 0, tool_calls=calling(arguments='{"a"')),
            event("tool-call-delta", 0, tool_calls=calling(arguments=":1}")),
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
            b"[DONE]",
        )
    )
    assert plain == streamed == Answer((
        Piece("text", "plan", "I ask"),
        Piece("reasoning", "0", "Hm, yes"),
        Piece("text", "1", "Hello"),
        Piece("name", "0", "weather"),
        Piece("arguments", "0", '{"a":1}'),
    ))  # fmt: skip


def test_a_stream_of_v1_and_the_plain_answer_hold_the_same() -> None:
    said = {"text": "Hello", "tool_calls": [{"name": "weather", "parameters": {"a": 1}}]}
    plain = answer(compact({"generation_id": "1", **said, "chat_history": [{"message": "Hello"}]}))

    def calling(**delta: str) -> dict[str, Any]:
        return {"event_type": "tool-calls-chunk", "tool_call_delta": {"index": 0, **delta}}

    streamed = answer(
        lines(
            {"event_type": "stream-start"},
            {"event_type": "text-generation", "text": "Hel"},
            {"event_type": "text-generation", "text": "lo"},
            calling(name="weather"),
            calling(parameters='{"a":'),
            calling(parameters="1}"),
            {"event_type": "tool-calls-generation", "tool_calls": said["tool_calls"]},
            {"event_type": "stream-end", "response": said},
        )
    )  # fmt: skip
    assert plain == streamed == Answer((
        Piece("text", "0", "Hello"),
        Piece("name", "0", "weather"),
        Piece("arguments", "0", '{"a":1}'),
    ))  # fmt: skip


def test_every_generation_and_what_was_searched_for_was_written() -> None:
    made = {"generations": [{"text": "One"}, {"text": "Two"}]}
    assert answer(compact(made)).texts("text") == ["One", "Two"]
    searched = {"text": "", "search_queries": [{"text": "weather Rome"}]}
    assert answer(compact(searched)).parts == (Piece("text", "query 0", "weather Rome"),)
