"""What OpenAI's chat formats have around text, each number beside what the text itself weighs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tokenmeter.tokens import estimates
from tokenmeter.tokens.families import Weight
from tokenmeter.tokens.vocabularies import length

HI = Message("user", (Text("Hello, who are you?"),))
SYSTEM = Message("system", (Text("Be short."),))
CALL = Message("assistant", (ToolCall("get_weather", '{"city":"Paris"}', "c1"),))
RESULT = Message("tool", (ToolResult((Text("sunny in Paris"),), id="c1"),))
TOOL = Tool("get_weather", parameters={"type": "object", "properties": {}})
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAGQAAABkCAYAAABw4pVU"  # 100 x 100

PATTERN = (
    "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
    "English."
)
CIRCLE = (
    "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
    "leverage."
)
LATER = "Let's talk later when we're less busy about how to do better."
PIVOT = "This late pivot means we don't have time to boil the ocean for the client deliverable."


def o200k(*texts: str) -> int:
    return sum(length(text, "o200k_base") for text in texts)


def read(model: str, *messages: Message, **asked: Any) -> int:
    return weight_of(model, *messages, **asked).tokens


def weight_of(model: str, *messages: Message, **asked: Any) -> Weight:
    return estimates.of_prompt(Prompt(messages=messages, **asked), model).weight


def wrote(model: str, *parts: Piece, **asked: Any) -> Weight:
    return estimates.of_answer(Answer(parts, Prompt(**asked)), model).weight


def test_a_message_has_three_tokens_around_its_role_and_text() -> None:
    assert read("gpt-4o", HI) == o200k("Hello, who are you?") + 4 + 3
    assert read("gpt-4o", SYSTEM, HI) == o200k("Be short.", "Hello, who are you?") + 8 + 3


def test_the_counts_of_the_cookbook_are_met() -> None:
    """The example of OpenAI's cookbook, as its notebook prints it."""
    said = [
        ("system", None, PATTERN),
        ("system", "example_user", "New synergies will help drive top-line growth."),
        ("system", "example_assistant", "Things working well together will increase revenue."),
        ("system", "example_user", CIRCLE),
        ("system", "example_assistant", LATER),
        ("user", None, PIVOT),
    ]
    messages = [Message(role, (Text(text),), name) for role, name, text in said]
    assert read("gpt-3.5-turbo", *messages) == 129
    assert read("gpt-4", *messages) == 129
    assert read("gpt-4o", *messages) == 124


def test_models_that_reason_have_one_token_less_and_two_for_what_they_said() -> None:
    said = Message("assistant", (Text("I am a model."),))
    for model in ("gpt-5", "gpt-5.4", "o3"):
        assert read(model, HI) == read("gpt-4o", HI) - 1
        assert read(model, HI, said, HI) == read("gpt-4o", HI, said, HI) - 1 + 2
    assert read("o3-mini", HI, said, HI) == read("gpt-4o", HI, said, HI) - 1


def test_parts_of_a_message_are_one_text() -> None:
    parted = Message("user", (Text("Some context. "), Text("Summarize.")))
    joined = Message("user", (Text("Some context. Summarize."),))
    assert read("gpt-4o", parted) == read("gpt-4o", joined)


def test_bare_texts_and_tokens_have_nothing_around_them() -> None:
    embedded = estimates.of_prompt(
        Prompt(texts=("Hello", "there"), ids=5), "text-embedding-3-small"
    )
    assert embedded.weight == Weight(tokens=7, least=7)
    assert read("davinci-002", texts=("Hello there",)) == 2


@pytest.mark.parametrize(
    ("model", "form", "around"),
    [
        ("gpt-4o", None, 15),
        ("gpt-5-mini", None, 21),
        ("gpt-4o", "responses", 13),
        ("o4-mini", "responses", 19),
    ],
)
def test_a_call_and_its_result_name_the_tool_each(
    model: str, form: str | None, around: int
) -> None:
    said = o200k("get_weather", '{"city":"Paris"}', "sunny in Paris")
    before, after = (read(model, *said_, form=form) for said_ in ((HI,), (HI, CALL, RESULT)))
    assert after - before == said + around


def test_a_call_that_is_stored_weighs_more() -> None:
    stored = Message("assistant", (ToolCall("f", "{}", "c1", stored=True),))
    new = Message("assistant", (ToolCall("f", "{}", "c1"),))
    ask = {"form": "responses"}
    assert read("gpt-4o", HI, stored, **ask) == read("gpt-4o", HI, new, **ask) + 3


def test_arguments_are_read_without_spaces() -> None:
    spaced = Message("assistant", (ToolCall("get_weather", '{"city": "Paris"}', "c1"),))
    assert read("gpt-4o", HI, spaced) == read("gpt-4o", HI, CALL)
    odd = Message("assistant", (ToolCall("f", "15 *  4"),))
    assert read("gpt-4o", HI, odd) > read("gpt-4o", HI)


def test_several_calls_are_one_in_models_before_harmony() -> None:
    calls = (ToolCall("get_country", "{}", "c1"), ToolCall("get_product_name", "{}", "c2"))
    results = [Message("tool", (ToolResult((Text("x"),), id=name),)) for name in ("c1", "c2")]
    together = Message("assistant", calls)
    apart = [Message("assistant", (call,)) for call in calls]
    uses = [{"recipient_name": f"functions.{call.name}", "parameters": {}} for call in calls]
    written = json.dumps({"tool_uses": uses}, separators=(",", ":"))
    told = read("gpt-4o", HI, together, *results) - read("gpt-4o", HI)
    assert told == o200k(written) + 2 + 24
    assert read("gpt-4o", HI, *apart, *results) == read("gpt-4o", HI, together, *results)


def test_reasoning_that_is_given_back_is_read_within_a_turn() -> None:
    hidden = Message("assistant", (Other("reasoning", 2500),))
    within = weight_of("gpt-5", HI, hidden, CALL, RESULT, form="responses")
    without = weight_of("gpt-5", HI, CALL, RESULT, form="responses")
    assert within.tokens == without.tokens + 6 + 500
    assert (within.without, without.without) == (("reasoning",), ())
    before = weight_of("gpt-5", HI, hidden, CALL, RESULT, HI, form="responses")
    assert before.without == ()


def test_reasoning_in_the_open_is_read_by_open_models_only() -> None:
    thought = Message("assistant", (Thought("Weather."), ToolCall("f", "{}")))
    bare = Message("assistant", (ToolCall("f", "{}"),))
    assert read("gpt-oss-20b", HI, thought) == read("gpt-oss-20b", HI, bare) + 6 + o200k("Weather.")
    assert read("gpt-4o", HI, thought) == read("gpt-4o", HI, bare)


def test_what_cannot_be_weighed_is_said() -> None:
    parts = (Text("See"), Image("https://x/y.png"), Other("audio"), Other("file"))
    tools = (Tool("web_search", kind="web_search"),)
    weight = weight_of("gpt-4o", Message("user", parts), tools=tools, elsewhere=("prompt",))
    assert weight.without == ("prompt", "web_search", "audio", "file", "image")


def test_an_image_in_the_request_is_weighed_for_its_model() -> None:
    seen = Message("user", (Text("See"), Image(PNG)))
    blind = Message("user", (Text("See"),))
    assert read("gpt-4o", seen) - read("gpt-4o", blind) == 255
    assert read("gpt-4o-mini", seen) - read("gpt-4o-mini", blind) == 8500


# What is written

SAID = Piece("text", "0", "I am a model.")
CALLED = (Piece("name", "0.0", "get_weather"), Piece("arguments", "0.0", '{"city":"Paris"}'))
TEXT, ARGUMENTS = o200k("I am a model."), o200k('{"city":"Paris"}')


@pytest.mark.parametrize(
    ("model", "asked", "around"),
    [
        ("gpt-4o", {}, 0),
        ("gpt-4o", {"tools": (TOOL,)}, 1),
        ("gpt-4o", {"schema": TOOL}, 0),
        ("gpt-4o", {"schema": TOOL, "tools": (TOOL,)}, 5),
        ("gpt-4o", {"form": "responses"}, 1),
        ("gpt-4o", {"form": "responses", "tools": (TOOL,)}, 2),
        ("gpt-5.4", {}, 3),
        ("gpt-5.4", {"form": "responses"}, 4),
        ("gpt-5.4", {"form": "responses", "schema": TOOL}, 7),
        ("gpt-5", {}, 9),
        ("gpt-5", {"form": "responses"}, 4),
        ("gpt-3.5-turbo-instruct", {}, 0),
    ],
)
def test_a_text_ends_and_has_a_channel(model: str, asked: dict[str, Any], around: int) -> None:
    assert wrote(model, SAID, **asked).tokens == TEXT + around


@pytest.mark.parametrize(
    ("model", "asked", "around"),
    [
        ("gpt-4o", {}, 9),
        ("gpt-4o", {"form": "responses"}, 10),
        ("gpt-5-mini", {}, 18),
        ("gpt-5.5", {}, 12),
        ("gpt-5.5", {"form": "responses"}, 13),
    ],
)
def test_a_call_is_addressed(model: str, asked: dict[str, Any], around: int) -> None:
    assert wrote(model, *CALLED, tools=(TOOL,), **asked).tokens == ARGUMENTS + around


def test_of_a_call_that_is_forced_only_the_arguments_are_written() -> None:
    forced = {"tools": (TOOL,), "tool_choice": "get_weather"}
    assert wrote("gpt-4o", *CALLED, **forced).tokens == ARGUMENTS
    assert wrote("gpt-4o", *CALLED, form="responses", **forced).tokens == ARGUMENTS + 1
    assert wrote("gpt-5.5", *CALLED, **forced).tokens == ARGUMENTS + 12


def test_several_calls_are_written_as_one_in_models_before_harmony() -> None:
    more = (Piece("name", "0.1", "now"), Piece("arguments", "0.1", "{}"))
    uses = [
        {"recipient_name": "functions.get_weather", "parameters": {"city": "Paris"}},
        {"recipient_name": "functions.now", "parameters": {}},
    ]
    written = json.dumps({"tool_uses": uses}, separators=(",", ":"))
    assert wrote("gpt-4o", *CALLED, *more, tools=(TOOL,)).tokens == o200k(written) + 10
    apart = ARGUMENTS + 12 + 3 + o200k("{}") + 10 + o200k("now")
    assert wrote("gpt-5.5", *CALLED, *more, tools=(TOOL,)).tokens == apart


def test_choices_are_counted_each_and_parts_of_a_response_as_one_answer() -> None:
    other = Piece("text", "1", "I am a model.")
    assert wrote("gpt-5.4", SAID, other).tokens == 2 * (TEXT + 3)
    response = (Piece("text", "0.0", "I am a model."), Piece("text", "1.0", "I am a model."))
    assert wrote("gpt-5.4", *response, form="responses").tokens == 2 * (TEXT + 3) + 3 + 1


def test_a_refusal_has_an_end() -> None:
    assert wrote("gpt-4o", Piece("refusal", "0", "I am a model.")).tokens == TEXT + 1


def test_reasoning_is_counted_where_it_is_shown_and_said_where_it_may_be_hidden() -> None:
    shown = Piece("reasoning", "0", "I am a model.")
    assert wrote("gpt-oss-20b", shown, SAID).tokens == 2 * TEXT + 10
    assert wrote("gpt-5.4", SAID).without == ("reasoning",)
    assert wrote("gpt-5.4", SAID, reasoning="none").without == ()
    assert wrote("gpt-5.4", SAID, form="responses").without == ()
    hidden = wrote("gpt-5.4", Piece("hidden", "0", ""), SAID, form="responses")
    assert hidden.without == ("reasoning",)


def test_an_answer_of_another_kind_is_said() -> None:
    assert wrote("gpt-4o", SAID, Piece("other", "0.audio", "")).without == ("other",)


# Laws


@given(st.text(max_size=300), st.integers(0, 300), st.sampled_from(["gpt-4o", "gpt-4", "gpt-5"]))
def test_what_was_certain_of_a_part_is_never_more_than_the_whole(
    text: str, size: int, model: str
) -> None:
    left = wrote(model, Piece("text", "0", text[:size]))
    assert left.least <= wrote(model, Piece("text", "0", text)).tokens


def test_a_gateway_asks_models_that_reason_for_a_response() -> None:
    assert wrote("openai/gpt-5", SAID).tokens == TEXT + 4
    assert wrote("openai/gpt-5", SAID).without == ("reasoning",)
    assert wrote("openai/gpt-4o", SAID).tokens == TEXT
    asked = {"tools": (TOOL,)}
    response = read("gpt-5", HI, form="responses", **asked)
    assert read("openai/gpt-5", HI, **asked) == response


def test_links_to_what_was_searched_are_not_certain() -> None:
    link = "([example.org](https://example.org/a/very/long/path?utm_source=openai))"
    cited = Piece("text", "0.0", f"It is sunny. {link} It will rain tomorrow, they say.")
    bare = Piece("text", "0.0", "It is sunny.  It will rain tomorrow, they say.")
    tools = (Tool("web_search", kind="web_search"),)
    asked = {"form": "responses", "tools": tools}
    assert wrote("gpt-4o", cited, **asked).least == wrote("gpt-4o", bare, **asked).least > 0


NAMES = st.sampled_from(["f", "get_weather", "ns.tool", "", "code_interpreter"])
ARGUMENTS_SAID = st.sampled_from(["", "{}", "{", "[1, 2]"])
PARTS = st.one_of(
    st.builds(Text, st.text(max_size=20)),
    st.builds(Thought, st.text(max_size=20)),
    st.builds(Image, st.sampled_from(["", PNG, "https://x", "data:,"])),
    st.builds(Other, st.sampled_from(["audio", "reasoning"]), st.none() | st.integers(0, 9999)),
    st.builds(
        ToolCall, NAMES, st.sampled_from(["", "{}", "{", "[1, 2]"]), st.none(), st.booleans()
    ),
    st.builds(ToolResult, st.just((Text("x"),))),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "tool", "x"]),
    st.tuples() | st.tuples(PARTS, PARTS),
)
MODELS = st.sampled_from(["gpt-3.5-turbo", "gpt-4", "gpt-4o", "gpt-5", "o1", "gpt-oss-20b"])


@given(MODELS, st.lists(MESSAGES, max_size=5), st.sampled_from([None, "responses"]))
def test_every_conversation_has_a_weight(
    model: str, messages: list[Message], form: str | None
) -> None:
    weight = weight_of(model, *messages, form=form)
    assert weight.tokens >= weight.least >= 0


def test_a_request_is_weighed_from_its_bytes() -> None:
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello, who are you?"}]}
    prompt = OpenAIChat().prompt(json.dumps(asked).encode())
    assert prompt is not None
    assert estimates.of_prompt(prompt, "gpt-4o").weight.tokens == read("gpt-4o", HI)
