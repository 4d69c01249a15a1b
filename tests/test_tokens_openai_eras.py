"""What OpenAI once counted otherwise than today."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tokenmeter.dialects.content import Answer, Message, Piece, Prompt, Text, Tool
from tokenmeter.tokens import estimates
from tokenmeter.tokens.openai_eras import ERAS, TODAY, Era, era_of

ASKED = Prompt(messages=(Message("user", (Text("Hello"),)),))
RESPONSE = replace(ASKED, form="responses")
TOOLS = (Tool("add", parameters={"type": "object", "properties": {}}),)
SAID = Answer.of([Piece("text", "0", "Hello")])
CALLED = Answer.of([Piece("name", "0", "add"), Piece("arguments", "0", "{}")])


def more_read(asked: Prompt, day: date, model: str = "gpt-4o") -> int:
    """Give how much more a prompt weighed on a day than it does today."""
    then, now = (estimates.of_prompt(replace(asked, on=on), model).weight for on in (day, None))
    return then.tokens - now.tokens


def more_written(answer: Answer, asked: Prompt, day: date, model: str = "gpt-4o") -> int:
    then, now = (
        estimates.of_answer(replace(answer, asked=replace(asked, on=on)), model).weight.tokens
        for on in (day, None)
    )
    return then - now


def test_a_response_had_a_preamble_in_its_first_weeks_and_a_longer_one_with_functions() -> None:
    day = date(2025, 3, 27)
    assert more_read(RESPONSE, day) == 18
    assert more_read(replace(RESPONSE, tools=TOOLS), day) == 212
    assert more_read(replace(RESPONSE, tools=(Tool("", kind="web_search"),)), day) == 18
    assert more_read(ASKED, day) == 0


def test_the_lower_bound_does_not_lean_on_a_preamble() -> None:
    then = estimates.of_prompt(replace(RESPONSE, on=date(2025, 3, 27)), "gpt-4o").weight
    assert then.least == estimates.of_prompt(RESPONSE, "gpt-4o").weight.least


@pytest.mark.parametrize(
    ("answer", "asked", "more"),
    [
        (SAID, ASKED, 1),
        (CALLED, replace(ASKED, tools=TOOLS), 1),
        (SAID, replace(ASKED, tools=TOOLS), 1),
        (SAID, RESPONSE, 0),
    ],
)
def test_an_answer_of_a_chat_had_a_token_more_early_in_2025(
    answer: Answer, asked: Prompt, more: int
) -> None:
    assert more_written(answer, asked, date(2025, 4, 1)) == more


def test_models_with_another_format_are_counted_as_today() -> None:
    for model in ("o3-mini", "gpt-4"):
        assert more_read(RESPONSE, date(2025, 3, 27), model) == 0
        assert more_written(SAID, ASKED, date(2025, 4, 1), model) == 0


@given(st.dates(), st.sampled_from([ASKED, RESPONSE]), st.sampled_from(ERAS))
def test_a_time_has_its_first_day_and_not_the_one_after_its_last(
    day: date, asked: Prompt, era: Era
) -> None:
    its = asked.form == era.form
    assert era.has(replace(asked, on=day)) == (its and era.since <= day < era.until)
    assert era.has(replace(asked, form=era.form, on=era.until - timedelta(days=1)))
    assert not era.has(replace(asked, form=era.form, on=era.until))


def test_where_no_day_is_known_it_is_today() -> None:
    assert era_of(ASKED) is era_of(RESPONSE) is TODAY
    assert era_of(replace(RESPONSE, on=date.max)) is TODAY
