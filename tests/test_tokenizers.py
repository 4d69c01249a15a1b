"""Tokenizers of one's own: which one counts, and what becomes of one that fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.dialects.content import Answer, Piece, Prompt
from tokenmeter.guard import Guard
from tokenmeter.tokens import estimates, tokenizers
from tokenmeter.tokens.tokenizers import Tokenizer, Tokenizers, UnusableError

BROUGHT = {"brought-*": lambda text, _model: 1000 + len(text)}
"""What the entry points of these tests name."""


class PanicException(BaseException):
    """What a tokenizer in Rust raises."""


def words(text: str, _model: str | None) -> int:
    return len(text.split())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    points: list[EntryPoint] = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    tokenizers._installed.cache_clear()
    yield points
    tokenizers._installed.cache_clear()


def counted(found: Tokenizers, model: str | None, text: str = "so it is") -> int | None:
    length = found.length(model)
    return length(text) if length is not None else None


def test_the_first_pattern_that_fits_the_name_counts_in_any_case() -> None:
    found = Tokenizers({"My-model*": words, "my-*": lambda text, _model: len(text)})
    assert counted(found, "my-MODEL-7b") == 3
    assert counted(found, "my-other") == 8
    assert counted(found, "gpt-5") is None


def test_a_tokenizer_is_told_the_name_as_it_was_given_and_none_where_there_is_none() -> None:
    names: list[str | None] = []
    found = Tokenizers({"*": lambda _text, model: names.append(model) or 1})
    for name in ("GPT-5", None):
        assert counted(found, name) == 1
    assert names == ["GPT-5", None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([words], "tokenizers is a mapping of patterns .* got "),
        ({"": words}, "a pattern of model names is a string such as 'my-model\\*'; got ''"),
        ({7: words}, "a pattern of model names is a string .* got 7"),
        ({"m": 7}, "the tokenizer for 'm' is a function of a text .* got 7"),
    ],
)
def test_what_is_no_tokenizer_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Tokenizers(given)


def test_a_coroutine_function_is_no_tokenizer() -> None:
    async def later(text: str, model: str | None) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="the tokenizer for 'm' is a function of a text"):
        Tokenizers({"m": later})  # type: ignore[dict-item]


def raising(error: BaseException) -> Tokenizer:
    def tokenizer(_text: str, _model: str | None) -> int:
        raise error

    return tokenizer


@pytest.mark.parametrize(
    "tokenizer",
    [
        raising(KeyError("a prompt")),
        raising(PanicException("a prompt")),
        lambda _text, _model: -1,
        lambda _text, _model: 3.5,
        lambda _text, _model: None,
        lambda _text: 1,
    ],
)
def test_one_that_fails_is_noted_and_the_built_in_way_counts(
    tokenizer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    guard = Guard()
    found = Tokenizers({"gpt-*": tokenizer}, guard)
    with caplog.at_level(logging.WARNING):
        ours = estimates.of_prompt(Prompt(texts=("hello world",)), "gpt-5", found)
    assert ours == estimates.of_prompt(Prompt(texts=("hello world",)), "gpt-5")
    assert guard.failures == {"the tokenizer for gpt-*": 1}
    assert "a prompt" not in caplog.text


def test_what_must_end_the_program_ends_it() -> None:
    found = Tokenizers({"*": raising(KeyboardInterrupt())})
    with pytest.raises(KeyboardInterrupt):
        counted(found, "gpt-5")


def test_an_estimate_says_that_a_tokenizer_counted_and_no_factor_is_laid_on_it() -> None:
    found = Tokenizers({"*": lambda text, _model: len(text)})

    def wrote(text: str) -> int:
        answer = Answer((Piece("text", "0", text),))
        return estimates.of_answer(answer, "open-mistral-7b", found).weight.tokens

    assert estimates.of_texts(("a" * 100,), "open-mistral-7b").family.factor > 1
    read = estimates.of_texts(("a" * 100,), "open-mistral-7b", found)
    assert (read.weight.tokens, read.estimator) == (100, "tokenizer")
    assert wrote("a" * 100) - wrote("") == 100


def test_packages_are_searched_at_the_first_count_and_come_after_what_was_given(
    installed: list[EntryPoint],
) -> None:
    found = Tokenizers({"brought-but-*": words})
    installed.append(EntryPoint("acme", f"{__name__}:BROUGHT", tokenizers.ENTRY_POINTS))
    assert counted(found, "brought-7b") == 1008
    assert counted(found, "brought-but-given") == 3
    assert counted(found, "gpt-5") is None


@pytest.mark.parametrize("value", [f"{__name__}:words", "no_such_package:TOKENIZERS"])
def test_a_package_that_brings_something_else_is_left_out(
    value: str, installed: list[EntryPoint]
) -> None:
    installed.append(EntryPoint("acme", value, tokenizers.ENTRY_POINTS))
    guard = Guard()
    found = Tokenizers({"my-*": words}, guard)
    assert (counted(found, "gpt-5"), counted(found, "my-model")) == (None, 3)
    assert guard.failures == {"the tokenizers of acme": 1}


def test_a_failure_reaches_only_those_who_ask_for_a_length() -> None:
    length = Tokenizers({"*": raising(ValueError())}).length("gpt-5")
    assert length is not None
    with pytest.raises(UnusableError):
        length("a text")
