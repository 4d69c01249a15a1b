"""What Claude's prompts and answers weigh; a word is a token here, so that sums can be seen."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
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
from tokenmeter.tokens import estimates
from tokenmeter.tokens.families import Weight, family_of

SONNET, OPUS, THREE = "claude-sonnet-4-5", "claude-opus-4-8", "claude-3-opus-20240229"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 280, 140)
SCHEMA = {"type": "object"}


def words(text: str) -> int:
    return len(text.split())


def read(prompt: Prompt, model: str = SONNET) -> Weight:
    family = family_of(model)
    return family.rules.read(prompt, family, words)


def wrote(*pieces: tuple[Any, str, str], choice: str | None = None, model: str = SONNET) -> Weight:
    family = family_of(model)
    answer = Answer(tuple([Piece(*piece) for piece in pieces]), Prompt(tool_choice=choice))
    return family.rules.wrote(answer, family, words)


def said(*messages: tuple[str, Any], **more: Any) -> Prompt:
    def parts(content: Any) -> tuple[Any, ...]:
        return (Text(content),) if isinstance(content, str) else content

    return Prompt(messages=tuple([Message(role, parts(given)) for role, given in messages]), **more)


HI = said(("user", "so it is"))
TOOL = Tool("weather", "tells it", SCHEMA)  # JSON with spaces: seven words


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-2.1", "claude-2"),
        ("anthropic.claude-v2:1", "claude-2"),
        ("claude-instant-1.2", "claude-2"),
        ("claude-3-haiku-20240307", "claude-3-haiku"),
        ("anthropic.claude-3-sonnet-20240229-v1:0", "claude-3-sonnet"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("claude-3-5-haiku-latest", "claude-3.5-haiku"),
        ("claude-3-5-sonnet-20240620", "claude-3.5-june"),
        ("anthropic/claude-3.5-sonnet", "claude-3.5"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "claude-3.7"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3.7"),
        ("claude-sonnet-4-20250514", "claude-4"),
        ("claude-opus-4@20250514", "claude-4"),
        ("claude-opus-4-1-20250805", "claude-4"),
        ("claude-sonnet-4-0", "claude-4"),
        ("databricks-claude-sonnet-4", "claude-4"),
        ("anthropic/claude-4.5-sonnet-20250929", "claude-4.5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-4.5"),
        ("Claude-Haiku-4-5", "claude-4.5"),
        ("anthropic/claude-4.6-sonnet-20260217", "claude-4.6"),
        ("claude-opus-4-7", "claude-4.7"),
        ("claude-opus-4-8", "claude-4.8"),
        ("claude-sonnet-5", "claude-sonnet-5"),
        ("claude-opus-5", "claude-5"),
        ("claude-opus-5-5", "claude-5"),
        ("claude-fable-5", "claude-5"),
        ("claude-mythos-preview", "claude-5"),
        ("claude-of-tomorrow-9", "claude"),
    ],
)
def test_a_name_finds_its_family(model: str, family: str) -> None:
    assert family_of(model).name == family


def test_an_answer_is_bounded_where_a_source_says_how_long_it_can_be() -> None:
    models = ("claude-opus-5-5", "claude-sonnet-4-6", "claude-3-7-sonnet", "claude-of-tomorrow-9")
    limits = [family_of(model).max_output for model in models]
    assert limits == [128_000, 128_000, 131_072, None]


def test_a_message_has_a_frame_around_it() -> None:
    assert read(HI) == Weight(tokens=10, error=6, least=0)
    assert read(HI, OPUS).tokens == 9


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        (said(("system", "be kind"), ("user", "so")), 7 + 3),
        (said(("user", "so"), ("assistant", "yes"), ("user", "so")), 7 + 3 + 2 * 3),
        (said(("user", "so"), ("assistant", "yes")), 7 + 2),
        (said(("user", "so"), ("user", "so")), 7 + 2 + 1),
        (said(("user", (Text("so"), Text("so")))), 7 + 2 + 1),
        (said(("user", "so"), reasoning="1024"), 7 + 1 + 29),
        (said(("user", "so"), reasoning="none"), 7 + 1),
        (Prompt(texts=("so it is",), ids=5), 3 + 5),
    ],
)
def test_what_stands_around_messages_is_weighed(prompt: Prompt, tokens: int) -> None:
    assert read(prompt).tokens == tokens


@pytest.mark.parametrize(
    ("choice", "model", "tokens"),
    [
        (None, SONNET, 496),
        ("none", SONNET, 496),
        ("required", SONNET, 588),
        ("weather", SONNET, 588 + 5),
        ("auto", THREE, 530),
        ("required", THREE, 281),
        ("auto", OPUS, 290),
    ],
)
def test_tools_bring_a_prompt_of_their_own(choice: str | None, model: str, tokens: int) -> None:
    bare = read(HI, model).tokens
    prompt = msgspec.structs.replace(HI, tools=(TOOL,), tool_choice=choice)
    assert read(prompt, model).tokens - bare == tokens + 8 + 2 + 4


def test_a_description_that_is_empty_weighs_nothing() -> None:
    bare = read(msgspec.structs.replace(HI, tools=(Tool("weather", "", SCHEMA),)))
    assert bare.tokens == 10 + 496 + 7 + 2


def test_tools_of_the_vendors_own_weigh_what_it_says() -> None:
    bash = msgspec.structs.replace(HI, tools=(Tool("bash", kind="bash_20250124"),))
    assert read(bash).tokens == 10 + 496 + 245


def test_a_format_is_weighed() -> None:
    prompt = msgspec.structs.replace(HI, schema=Tool("", parameters=SCHEMA, kind="json_schema"))
    assert read(prompt).tokens == 10 + 124 + 2


def test_calls_and_results_of_earlier_turns_are_weighed() -> None:
    call = ToolCall("weather", '{"city": "the old Bonn", "days": [1]}')
    result = ToolResult((Text("sun and rain"),))
    prompt = said(("user", "so"), ("assistant", (call,)), ("user", (result,)))
    assert read(prompt).tokens == 7 + 2 * 3 + 1 + (21 + 2 * 15 + 1 + 2 + 3 + 1) + (21 + 3)


def test_thoughts_are_read_again_until_the_next_question() -> None:
    turn = ("assistant", (Thought("hm so"), ToolCall("weather", "{}")))
    answered = said(("user", "so"), turn, ("user", (ToolResult((Text("sun"),)),)))
    further = said(("user", "so"), ("assistant", (Thought("hm so"), Text("yes"))), ("user", "so"))
    silent = said(("user", "so"), ("assistant", (Thought(""), Text("yes"))), ("user", "so"))
    assert read(answered).tokens == 7 + 2 * 3 + 1 + 2 + (21 + 1) + (21 + 1)
    assert read(further).tokens == read(silent).tokens
    assert read(further, OPUS).tokens == read(silent, OPUS).tokens + 2


def test_an_image_is_weighed_by_its_size_or_said_to_be_missing() -> None:
    here = said(("user", (Image(base64.b64encode(PNG).decode()),)))
    there = said(("user", (Image("https://example.com/x.png"), Other("file"))))
    assert (read(here).tokens, read(here).without) == (7 + 3 + 50, ())
    assert read(there).without == ("image", "file")
    assert read(there).tokens == 7


def test_what_the_vendor_may_edit_has_no_lower_bound() -> None:
    prompt = said(("user", "so " * 100), elsewhere=("context_management",))
    assert read(prompt) == Weight(107, 21, 0, ("context_management",))


def test_a_text_is_weighed() -> None:
    weight = wrote(("text", "0", "so it is " * 10))
    assert (weight.tokens, weight.error) == (33, 8)
    assert 13 <= weight.least <= 30


def test_texts_with_citations_have_something_between_them() -> None:
    assert wrote(("text", "0", "so"), ("text", "1", "it is")).tokens == 3 + 3 + 11


@pytest.mark.parametrize(
    ("choice", "tokens"),
    [
        (None, 3 + 14 + 16 + 2 * 15 + 1 + 2 + 3 + 1),
        ("required", 3 - 1 + 16 + 2 * 15 + 1 + 2 + 3 + 1),
        ("weather", 3 - 3 + 16 + 2 * 15 + 2 + 3 + 1),
    ],
)
def test_a_call_is_weighed_by_how_it_was_asked_for(choice: str | None, tokens: int) -> None:
    arguments = '{"city": "the old Bonn", "days": [1]}'
    call = (("name", "0", "weather"), ("arguments", "0", arguments))
    assert wrote(*call, choice=choice).tokens == tokens


def test_a_call_that_was_cut_off_is_weighed_as_it_stands() -> None:
    cut = wrote(("name", "0", "weather"), ("arguments", "0", '{"city": "the old'))
    assert cut.tokens == 3 + 14 + 16 + 1 + 3


def test_thinking_that_is_shown_whole_is_counted() -> None:
    weight = wrote(
        ("reasoning", "0", "so " * 20), ("hidden", "0", "c2ln"), model="claude-3-7-sonnet"
    )
    assert (weight.tokens, weight.error, weight.without) == (3 + 8 + 20, 14, ())
    assert 8 <= weight.least <= 20


def test_thinking_that_may_be_a_summary_is_said_to_be_missing() -> None:
    weight = wrote(("reasoning", "0", "so " * 20), ("hidden", "0", "c2ln"))
    assert weight == Weight(tokens=31, error=14, least=0, without=("reasoning",))


def test_thinking_that_is_sealed_is_weighed_by_its_size() -> None:
    weight = wrote(("hidden", "0", "x" * 1250), ("text", "1", "so"))
    assert weight == Weight(tokens=3 + 1 + 8 + 190, error=65, least=0, without=("reasoning",))


def test_what_nobody_can_weigh_is_named() -> None:
    assert wrote(("other", "0", "")).without == ("other",)


@settings(deadline=None)
@given(st.text(alphabet="=- \nab字", max_size=300), st.sampled_from([SONNET, OPUS]))
def test_the_lower_bound_of_a_beginning_is_never_above_that_of_the_whole(
    text: str, model: str
) -> None:
    whole = estimates.of_answer(Answer((Piece("text", "0", text),)), model).weight
    part = estimates.of_answer(Answer((Piece("text", "0", text[: len(text) // 2]),)), model).weight
    assert part.least <= whole.tokens
    assert whole.least <= whole.tokens


def test_an_estimate_names_what_counted() -> None:
    assert estimates.of_prompt(HI, SONNET).estimator in ("o200k_base", "ctok")
