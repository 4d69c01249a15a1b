import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.dialects.content import Message, Prompt, Text, Tool
from tokenmeter.tokens import vocabularies
from tokenmeter.tokens.functions import (
    CHAT,
    OLD_CHAT,
    REASONING_CHAT,
    RESPONSES,
    Style,
    told,
)
from tokenmeter.tokens.functions import weigh as weigh_prompt

length = functools.partial(vocabularies.length, vocabulary="o200k_base")

PLACE = {
    "title": "Place",
    "description": "Somewhere.",
    "type": "object",
    "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
    "required": ["lat", "lon"],
}
WEATHER = Tool(
    "get_weather",
    "Tell the weather.\n\n    Ask once.",
    {
        "title": "Asked",
        "description": "What is asked.",
        "type": "object",
        "properties": {
            "city": {"type": "string", "title": "City", "description": "Its name"},
            "unit": {"enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "array", "items": {"type": "integer"}},
            "near": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
            "box": {"type": "object", "properties": {"w": {"type": ["integer", "null"]}}},
        },
        "required": ["city", "near"],
        "$defs": {"Place": PLACE},
        "additionalProperties": False,
    },
)
NOW = Tool("now", None, {"type": "object", "properties": {}})
JOKE = Tool(
    "joke",
    "Tells it.",
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "A joke.",
        "type": "object",
        "properties": {"required": {"type": "string", "additionalProperties": False}},
        "required": ["required"],
        "additionalProperties": False,
    },
    "json_schema",
)


def weigh(tools, schema, choice, style, system=None):
    messages = [] if system is None else [Message("system", (Text(system),))]
    prompt = Prompt(
        messages=(*messages, Message("user", (Text("Hi"),))),
        tools=tuple(tools),
        schema=schema,
        tool_choice=choice,
    )
    return weigh_prompt(prompt, style, length)


def test_functions_are_told_as_types_of_typescript():
    assert told([WEATHER, NOW], None, CHAT) == (
        "# Tools\n\n## functions\n\nnamespace functions {\n\n"
        "// Tell the weather.\n//\n// Ask once.\n"
        "type get_weather = (_: // What is asked.\n"
        "{\n// Asked\n// City\n// Its name\ncity: string,\n"
        'unit?: "celsius" | "fahrenheit", // default: "celsius"\n'
        "days?: number[],\n"
        "near: {\n// Place\n// Somewhere.\nlat: number,\nlon: number,\n} | null,\n"
        "box?: { w?: number | null },\n"
        "}) => any;\n\n"
        "type now = () => any;\n\n"
        "} // namespace functions"
    )


def test_older_models_are_told_no_titles():
    tool = Tool("say", "\n  One.\n", {"type": "object", "properties": {"a": {"title": "A"}}})
    assert told([tool], None, OLD_CHAT).removeprefix(OLD_CHAT.head) == (
        "// One.\ntype say = (_: { a?: any }) => any;\n\n} // namespace functions"
    )


def test_a_format_is_told_as_a_schema_without_the_words_that_only_bind_the_answer():
    assert told([], JOKE, CHAT) == (
        "# Response Formats\n\n## joke\n\n// Tells it.\n"
        '{"description":"A joke.","type":"object","properties":{"required":{"type":"string"}}}'
    )


def test_a_type_that_contains_itself_ends():
    node = {"type": "object", "properties": {"next": {"$ref": "#"}, "odd": {"$ref": "#/no/where"}}}
    assert "(_: { next?: { next?: any, odd?: any }, odd?: any })" in told(
        [Tool("walk", None, node)], None, CHAT
    )


def test_tools_are_a_message_of_their_own_or_join_the_system_message():
    text = told([NOW], None, CHAT)
    assert weigh([NOW], None, "auto", CHAT) == 4 + length(text) - 1
    said = "Be brief."
    joined = length(f"{said}\n\n{text}") - length(said) - 1
    assert weigh([NOW], None, "auto", CHAT, said) == joined
    assert weigh([NOW], None, "auto", RESPONSES, said) == 4 + length(text) - 6 - 1


def test_tools_and_a_format_share_what_is_around_them():
    assert weigh([NOW], JOKE, None, CHAT) == 4 + length(told([NOW], JOKE, CHAT))


def test_a_format_alone_is_named_once_more_where_it_begins_the_answer():
    assert weigh([], JOKE, None, CHAT) == 4 + length(told([], JOKE, CHAT)) + 2 + length("joke")
    assert weigh([], JOKE, None, RESPONSES) == 4 + length(told([], JOKE, CHAT)) - 3


@pytest.mark.parametrize(
    ("style", "choice", "more"),
    [
        (CHAT, "now", 8),
        (CHAT, "required", 0),
        (CHAT, "another", 0),
        (RESPONSES, "required", 8),
        (OLD_CHAT, "now", 5),
        (REASONING_CHAT, "now", 0),
    ],
)
def test_a_function_that_must_be_called_is_read(style: Style, choice: str, more: int):
    free = weigh([NOW], None, "auto", style)
    assert weigh([NOW], None, choice, style) - free == more


def test_nothing_weighs_nothing():
    assert weigh([], None, None, CHAT) == 0


def test_tools_of_the_vendor_are_not_written_and_some_weigh_something_even_unused():
    web, other = Tool("web", kind="web_search"), Tool("code", kind="code_interpreter")
    assert weigh([web, other], None, None, CHAT) == 294
    assert weigh([web, NOW], None, None, CHAT) - weigh([NOW], None, None, CHAT) == 294


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "anyOf", "$ref", "enum", "title", "required"]
            ),
            inner | st.sampled_from(["object", "array", "#"]),
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(json)
def test_no_schema_raises(schema: object):
    odd = Tool("odd", None, schema)
    assert weigh([odd], odd, None, CHAT) > 0


def test_a_schema_nested_too_deeply_is_weighed_by_its_name():
    deep: dict[str, object] = {}
    for _ in range(490):
        deep = {"type": "object", "properties": {"a": deep}}
    assert weigh([Tool("deep", None, deep)], None, None, CHAT) > 20
