"""What Google's models read and write: the numbers of small prompts, by hand."""

from __future__ import annotations

from functools import partial

import pytest

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
from tokenmeter.tokens.estimates import of_answer, of_prompt
from tokenmeter.tokens.families import Weight, family_of
from tokenmeter.tokens.vocabularies import length

HELLO = Prompt(messages=(Message("user", (Text("Hello, world!"),)),))
WEATHER = Tool(
    "get_weather",
    "Get the weather.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CALLED = Answer((Piece("name", "0", "get_weather"), Piece("arguments", "0", '{"city":"Paris"}')))
PIXEL = "data:image/gif;base64,R0lGODlhCgAUAAAAACw="

gemma = partial(length, vocabulary="gemma")


def read(prompt: Prompt, model: str) -> int:
    return of_prompt(prompt, model).weight.tokens


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gemini-1.5-flash", "gemini 1"),
        ("gemini-pro", "gemini 1"),
        ("models/gemini-2.0-flash-001", "gemini 2"),
        ("gemini-2.0-flash-exp-image-generation", "gemini 2 in images and sound"),
        ("gemini-2.0-flash-thinking-exp", "gemini 2.0 thinking"),
        ("google/gemini-2.5-flash", "gemini 2.5"),
        ("publishers/google/models/gemini-2.5-pro", "gemini 2.5"),
        ("gemini-2.5-flash-image", "gemini 2.5 image"),
        ("gemini-3-flash-preview", "gemini 3"),
        ("gemini-4-argon", "gemini 4"),
        ("gemini-flash-latest", "gemini"),
        ("gemini-embedding-001", "google embeddings"),
        ("text-embedding-004", "google embeddings"),
        ("gemma3:1b", "gemma"),
        ("google/gemma-3-27b-it", "gemma"),
    ],
)
def test_a_model_belongs_to_a_family(model: str, family: str) -> None:
    found = family_of(model)
    assert (found.name, found.vocabulary) == (family, "gemma")


def test_an_answer_is_bounded_where_a_source_says_how_long_it_can_be() -> None:
    models = ("gemini-2.0-flash", "gemini-3-pro", "gemini-4-argon", "gemini-flash-latest")
    limits = [family_of(model).max_output for model in models]
    assert limits == [8_192, 65_536, 1_048_576, None]


def test_embeddings_of_openai_are_none_of_googles() -> None:
    assert family_of("text-embedding-3-small").name != "google embeddings"


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gemini-2.0-flash", 4), ("gemini-2.5-flash", 5), ("gemini-3-pro", 5), ("gemma3:1b", 13)],
)
def test_text_weighs_its_tokens_and_what_stands_around_a_message(model: str, tokens: int) -> None:
    assert read(HELLO, model) == tokens


def test_texts_to_embed_weigh_their_tokens() -> None:
    prompt = Prompt(texts=("Hello, world!", "Hello"))
    assert of_prompt(prompt, "gemini-embedding-001").weight == Weight(tokens=5, error=3, least=2)


def test_functions_are_read_as_python_by_gemini_2_5() -> None:
    written = (
        "def get_weather(\n    city: str,\n) -> dict:\n"
        '  """Get the weather.\n\n  Args:\n    city: \n  """\n\n'
    )
    prompt = Prompt(messages=HELLO.messages, tools=(WEATHER,))
    assert read(prompt, "gemini-2.5-flash") == 5 + gemma(written)


def test_functions_are_read_as_declarations_by_gemini_3() -> None:
    """A control token opens and closes the declaration, and each of its texts."""
    texts = (
        *("declaration:get_weather{description:", "Get the weather."),
        *(",parameters:{properties:{city:{type:", "STRING", "}},required:[", "city"),
        *("],type:", "OBJECT", "}}"),
    )
    prompt = Prompt(messages=HELLO.messages, tools=(WEATHER,))
    assert read(prompt, "gemini-3-flash") == 5 + sum(map(gemma, texts)) + 2 + 8


def test_functions_are_read_by_their_texts_alone_before_and_on_vertex_ai() -> None:
    texts = gemma("get_weather") + gemma("Get the weather.")
    prompt = Prompt(messages=HELLO.messages, tools=(WEATHER,))
    assert read(prompt, "gemini-2.0-flash") == 4 + texts
    on_vertex = Prompt(messages=HELLO.messages, tools=(WEATHER,), form="vertex_ai")
    assert read(on_vertex, "gemini-2.5-pro") == read(on_vertex, "gemini-3-pro") == 4 + texts


def test_a_schema_of_googles_own_weighs_its_names_and_types() -> None:
    own = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    prompt = Prompt(messages=HELLO.messages, tools=(Tool("f", None, own, native=True),))
    assert read(prompt, "gemini-2.0-flash") == 4 + 1 + 4


def test_classes_of_nested_arguments_stand_before_the_function() -> None:
    inner = {
        "type": "object",
        "description": "Where.",
        "properties": {"street": {"type": "string"}},
    }
    kinds = {
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Home"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "unit": {"enum": ["c", "f"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "more": {"type": "object"},
        },
        "required": ["home", "unit"],
        "$defs": {"Home": inner},
    }
    written = (
        '@dataclasses.dataclass(kw_only=True)\nclass SaveHome:\n  """Where.\n\n'
        '  Attributes:\n    street: \n  """\n  street: str | None = None\n\n\n'
        "def save(\n    home: SaveHome,\n    tags: list[str] | None = None,\n"
        '    unit: Literal["c", "f"],\n    note: str | None = None,\n'
        '    more: dict[str, Any] | None = None,\n) -> dict:\n  """\n\n  Args:\n'
        '    home: Where.\n    tags: \n    unit: \n    note: \n    more: \n  """\n\n'
    )
    prompt = Prompt(messages=HELLO.messages, tools=(Tool("save", None, kinds),))
    assert read(prompt, "gemini-2.5-flash") == 5 + gemma(written)


SELF = {"type": "object", "properties": {"next": {"$ref": "#/$defs/S"}}, "$defs": {}}
SELF["$defs"] = {"S": {"type": "object", "properties": {"next": {"$ref": "#/$defs/S"}}}}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash", "gemini-2.0-flash"])
@pytest.mark.parametrize(
    "schema",
    [SELF, None, 7, [], {"properties": []}, {"properties": {"a": 1}, "required": 3, "enum": 2}],
)
def test_odd_schemas_are_weighed_without_an_exception(model: str, schema: object) -> None:
    tools = (Tool("f", None, schema), Tool("f", "d", schema, native=True))
    assert read(Prompt(messages=HELLO.messages, tools=tools), model) > 4


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash", "gemini-2.0-flash"])
def test_what_is_nested_very_deeply_does_no_harm(model: str) -> None:
    for depth in (300, 900, 2000):
        call = ToolCall("f", '{"a":' * depth + "1" + "}" * depth)
        result = ToolResult((Text("[" * depth + "]" * depth),), "f")
        assert read(Prompt(messages=(Message("model", (call, result)),)), model) >= 0


TURNS = (
    *HELLO.messages,
    Message("model", (ToolCall("get_weather", '{"city":"Paris"}'),)),
    Message("user", (ToolResult((Text('{"sky":"blue"}'),), "get_weather"),)),
)


def test_calls_and_results_are_read_in_the_form_of_the_generation() -> None:
    prompt = Prompt(messages=TURNS)
    code = gemma('print(default_api.get_weather(city = "Paris"))')
    result = gemma('{"get_weather_response": {"sky": "blue"}}')
    assert read(prompt, "gemini-2.5-flash") == 4 + code + result + 3
    called = gemma("call:get_weather{city:") + gemma("Paris") + gemma("}") + 4
    given = gemma("response:get_weather{sky:") + gemma("blue") + gemma("}") + 4
    assert read(prompt, "gemini-3-flash") == 4 + called + given + 3
    texts = sum(map(gemma, ("get_weather", "city", "Paris", "get_weather", "sky", "blue")))
    assert read(prompt, "gemini-2.0-flash") == 4 + texts


def test_reasoning_of_the_turn_that_goes_on_is_read_again_by_gemini_3() -> None:
    signed = Message("model", (Thought("", "s" * 610), ToolCall("f", "{}")))
    now = Prompt(messages=(*HELLO.messages, signed))
    before = Prompt(messages=(signed, *HELLO.messages))
    skipped = Message("model", (Thought("", "s" * 44), ToolCall("f", "{}")))
    none = read(Prompt(messages=(*HELLO.messages, skipped)), "gemini-3-flash")
    assert read(now, "gemini-3-flash") - none == 100
    assert read(before, "gemini-3-flash") == none
    assert of_prompt(now, "gemini-3-flash").weight.error > 30


def test_what_cannot_be_weighed_is_named() -> None:
    parts = (Text("Hello"), Other("audio"), Image("gs://b/a.png"))
    prompt = Prompt(
        messages=(Message("user", parts),),
        tools=(Tool("google_search", kind="google_search"),),
        elsewhere=("cachedContent",),
    )
    without = of_prompt(prompt, "gemini-2.5-flash").weight.without
    assert without == ("cachedContent", "audio", "image", "google_search")


def test_an_image_weighs_what_its_generation_gives_it() -> None:
    prompt = Prompt(messages=(Message("user", (Image(PIXEL),)),))
    assert of_prompt(prompt, "gemini-2.5-flash").weight.without == ()
    assert read(prompt, "gemini-2.5-flash") == 1 + 258


# Answers


@pytest.mark.parametrize(
    ("model", "tokens"), [("gemini-2.0-flash", 5), ("gemini-2.5-flash", 15), ("gemini-3-pro", 16)]
)
def test_a_call_weighs_what_the_model_writes(model: str, tokens: int) -> None:
    assert of_answer(CALLED, model).weight.tokens == tokens


def test_on_vertex_ai_a_call_weighs_its_texts_and_four() -> None:
    answer = Answer(CALLED.parts, Prompt(form="vertex_ai"))
    assert of_answer(answer, "gemini-3-flash").weight.tokens == 5 + 4


def test_text_weighs_its_tokens_and_less_is_certain() -> None:
    answer = Answer((Piece("text", "0", "Hello, world! " * 10),))
    weight = of_answer(answer, "gemini-2.0-flash").weight
    assert weight == Weight(tokens=41, error=3, least=36)


def test_hidden_reasoning_is_named_or_weighed_by_its_signature() -> None:
    text = Piece("text", "0", "Hello")
    plain = of_answer(Answer((text,)), "gemini-2.5-flash").weight
    assert (plain.tokens, plain.without) == (1, ("hidden",))
    signed = Answer((text, Piece("hidden", "0.signature", "s" * 610)))
    weight = of_answer(signed, "gemini-2.5-flash").weight
    assert (weight.tokens, weight.least, weight.without) == (1 + 100, 0, ())


def test_what_is_no_text_is_named() -> None:
    answer = Answer((Piece("other", "0.image", ""),))
    assert of_answer(answer, "gemini-2.0-flash").weight.without == ("other",)


def test_arguments_that_were_cut_are_weighed_as_text() -> None:
    cut = Answer((Piece("name", "0", "f"), Piece("arguments", "0", '{"city":"Pa')))
    for model in ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-flash"):
        assert of_answer(cut, model).weight.least <= of_answer(cut, model).weight.tokens
