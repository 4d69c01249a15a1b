"""Whatever vendor's messages, tools and requests somebody has in hand are read as what they are."""

from __future__ import annotations

from collections import UserDict
from types import MappingProxyType
from typing import Any

import anthropic.types
import openai.types.chat
import openai.types.responses
import pydantic
import pytest
from google.genai import types as genai

from tokenmeter import CannotCountError
from tokenmeter.dialects import shapes
from tokenmeter.dialects.content import (
    Image,
    Message,
    Prompt,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.shapes import Asked, Beside

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def said(role: str, *parts: Any) -> Message:
    return Message(role, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def read(given: Any, **beside: Any) -> Prompt:
    return shapes.read(given, Beside(**beside)).prompt


# Messages


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        pytest.param([{"role": "user", "content": "Hi"}], [said("user", "Hi")], id="anybody's"),
        pytest.param({"role": "user", "content": "Hi"}, [said("user", "Hi")], id="one message"),
        pytest.param(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                ]},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "c", "type": "function",
                     "function": {"name": "look", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "c", "content": "A cat."},
            ],
            [
                said("system", "Be brief."),
                said("user", "What is it?", Image(PIXEL, "low")),
                said("assistant", ToolCall("look", "{}", "c")),
                said("tool", ToolResult((Text("A cat."),), None, "c")),
            ],
            id="OpenAI's chat",
        ),
        pytest.param(
            [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "A cat."},
            ],
            [
                said("user", "Hi"),
                said("assistant", ToolCall("look", "{}", "c")),
                said("tool", ToolResult((Text("A cat."),), None, "c")),
            ],
            id="OpenAI's responses",
        ),
        pytest.param(
            [
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "tool_use", "id": "c", "name": "look", "input": {"at": 1}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": "A cat."},
                ]},
            ],
            [
                said("assistant", Thought("Hm."), ToolCall("look", '{"at":1}', "c")),
                said("user", ToolResult((Text("A cat."),), None, "c")),
            ],
            id="Anthropic's",
        ),
        pytest.param(
            [{"role": r, "parts": [{"text": t}]} for r, t in (("user", "Hi"), ("model", "Ho"))],
            [said("user", "Hi"), said("model", "Ho")],
            id="Google's",
        ),
    ],
)  # fmt: skip
def test_messages_of_every_vendor_are_told_apart(given: Any, messages: list[Message]) -> None:
    found = read(given).messages
    assert [(m.role, m.parts) for m in found] == [(m.role, m.parts) for m in messages]


def test_objects_of_sdks_are_what_they_would_be_sent_as() -> None:
    chat = openai.types.chat.ChatCompletionMessage(role="assistant", content="Ho")
    assert read([{"role": "user", "content": "Hi"}, chat]).messages == (
        said("user", "Hi"),
        said("assistant", "Ho"),
    )
    block = anthropic.types.ToolUseBlock(id="c", name="look", input={}, type="tool_use")
    assert read([{"role": "assistant", "content": [block]}]).messages == (
        said("assistant", ToolCall("look", "{}", "c")),
    )
    content = genai.Content(role="user", parts=[genai.Part(text="Hi")])
    assert read([content]).messages == read(content).messages == (said("user", "Hi"),)


def test_texts_alone_are_texts_and_with_something_beside_them_a_message() -> None:
    assert read("Hi") == Prompt(texts=("Hi",))
    assert read(["Hi", "Ho"]) == Prompt(texts=("Hi", "Ho"))
    assert read([]) == Prompt()
    assert read("Hi", system="Be brief.").messages == (
        said("system", "Be brief."),
        said("user", "Hi"),
    )


def test_mappings_and_sequences_of_any_kind_are_taken() -> None:
    message = MappingProxyType({"role": "user", "content": "Hi"})
    assert read((message, UserDict(message))).messages == (said("user", "Hi"),) * 2


def test_what_is_no_character_is_a_replacement_character() -> None:
    assert read([{"role": "user", "content": "a\ud800"}]).messages == (said("user", "a\ufffd"),)


# What stands beside


class City(pydantic.BaseModel):
    city: str


JSON_SCHEMA = City.model_json_schema()


LOOK = {"name": "look", "description": "Looks."}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {**LOOK, "parameters": SCHEMA}},
        {"type": "function", **LOOK, "parameters": SCHEMA},
        {**LOOK, "input_schema": SCHEMA},
        {"functionDeclarations": [{**LOOK, "parameters": SCHEMA}]},
    ],
    ids=["chat", "responses", "Anthropic", "Google"],
)  # fmt: skip
def test_tools_of_every_vendor_may_stand_beside_any_messages(tool: dict[str, Any]) -> None:
    for given in ("Hi", [{"role": "user", "content": "Hi"}], [{"parts": [{"text": "Hi"}]}]):
        [found] = read(given, tools=[tool]).tools
        assert (found.name, found.description, found.parameters) == ("look", "Looks.", SCHEMA)
        assert read(given, tools=tool).tools == (found,)


def test_tools_and_schemas_of_responses_make_a_request_one_of_responses() -> None:
    flat = {"type": "json_schema", "name": "City", "schema": JSON_SCHEMA}
    assert read("Hi", tools=[{"type": "function", **LOOK}]).form == "responses"
    assert read("Hi", schema=flat).form == "responses"
    assert read("Hi", tools=[{"type": "function", "function": LOOK}]).form is None


@pytest.mark.parametrize(
    "system",
    ["Be brief.", [{"type": "text", "text": "Be brief."}], {"parts": [{"text": "Be brief."}]}],
)
def test_a_system_prompt_is_read_in_every_vendors_way(system: Any) -> None:
    [first, *rest] = read([{"role": "user", "content": "Hi"}], system=system).messages
    assert (first.parts, rest) == ((Text("Be brief."),), [said("user", "Hi")])


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "json_schema", "json_schema": {"name": "City", "schema": JSON_SCHEMA}},
        {"type": "json_schema", "name": "City", "schema": JSON_SCHEMA},
        JSON_SCHEMA,
        City,
    ],
    ids=["chat", "responses", "JSON schema", "pydantic"],
)  # fmt: skip
def test_a_schema_is_read_in_every_way(schema: Any) -> None:
    found = read("Hi", schema=schema).schema
    assert found is not None
    assert (found.name, found.parameters) == ("City", JSON_SCHEMA)


# Whole requests


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    "request_",
    [
        CHAT,
        {"model": "m", "input": [{"role": "user", "content": "Hi"}]},
        {"model": "m", "max_tokens": 9, "system": "", "messages": CHAT["messages"]},
        {"model": "m", "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": CHAT},
        {"custom_id": "1", "params": CHAT},
        {"key": "1", "request": {**CHAT}},
    ],
)
def test_a_whole_request_is_told_by_its_fields_and_says_the_model(request_: dict[str, Any]) -> None:
    asked = shapes.read(request_)
    assert [m for m in asked.prompt.messages if m.parts != (Text(""),)] == [said("user", "Hi")]
    assert asked.model == "m"


@pytest.mark.parametrize(
    ("request_", "texts", "ids"),
    [
        ({"model": "m", "prompt": "Once"}, ("Once",), 0),
        ({"model": "text-embedding-3-small", "input": "Once"}, ("Once",), 0),
        ({"model": "m", "input": ["Once", "upon"]}, ("Once", "upon"), 0),
        ({"model": "m", "input": [[1, 2], [3]]}, (), 3),
        ({"model": "m", "texts": ["Once", "upon"]}, ("Once", "upon"), 0),
        ({"model": "m", "query": "Once", "documents": ["upon"]}, ("Once", "upon"), 0),
    ],
)
def test_bare_texts_of_a_request_are_texts(
    request_: dict[str, Any], texts: tuple[str, ...], ids: int
) -> None:
    assert shapes.read(request_) == Asked(shapes.read(request_).prompt, request_["model"])
    assert (read(request_).texts, read(request_).ids) == (texts, ids)


def test_anthropics_fields_make_a_request_anthropics() -> None:
    request = {**CHAT, "system": "Be brief.", "tools": [{"name": "look", "input_schema": SCHEMA}]}
    found = read(request)
    assert found.messages == (said("system", "Be brief."), said("user", "Hi"))
    assert [tool.parameters for tool in found.tools] == [SCHEMA]


# What is nothing of the kind


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (7, "an object of type int"),
        (None, "an object of type NoneType"),
        (b"Hi", "bytes, which must be decoded first"),
        ({}, "an object of type dict"),
        ({"choices": []}, "a mapping with 'choices'"),
        ({"messages": 7}, "a mapping with 'messages'"),
        ([7], "a list with an object of type int"),
        (["Hi", {"text": "Ho"}], "a list with an object of type str"),
        ([object()], "an object of type list"),
        ({"Hi"}, "an object of type set"),
    ],
)
def test_what_is_nothing_of_the_kind_is_refused_by_name(given: Any, named: str) -> None:
    with pytest.raises(
        CannotCountError, match=r"count\(\) takes a text, a list of messages"
    ) as caught:
        shapes.read(given)
    assert str(caught.value).endswith(f"got {named}")


def test_what_holds_itself_is_refused() -> None:
    messages: list[Any] = []
    messages.append(messages)
    with pytest.raises(CannotCountError):
        read(messages)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"tools": ["look"]}, r"tools are those that a request would have.*got \['look'\]"),
        ({"tools": [print]}, r"got an object of type list"),
        ({"system": 7}, "system is a text, or blocks of text; got 7"),
        ({"schema": "City"}, "schema is a JSON schema, a pydantic model or .*got 'City'"),
    ],
)
def test_what_cannot_stand_beside_is_refused(beside: dict[str, Any], message: str) -> None:
    with pytest.raises(CannotCountError, match=message):
        read("Hi", **beside)
