"""How many tokens a text is for Claude."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter.tokens import claude, vocabularies
from tokenmeter.tokens.claude import NEW, OLD

TEXT = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so every day."
CODE = "def half(number: float) -> float:\n    return number / 2  # as everybody knows\n"
each = pytest.mark.parametrize("version", [OLD, NEW])


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [(TEXT, 21, 31), (CODE, 22, 26), ('{"city": "Bonn", "days": [1, 2]}', 17, 20)],
)
def test_an_estimate_is_near_to_what_the_vendor_counts(text: str, old: int, new: int) -> None:
    """The numbers are ctok's, of the versions that agree with recorded exchanges."""
    assert claude.estimate(text, OLD) == pytest.approx(old, rel=0.1)
    assert claude.estimate(text, NEW) == pytest.approx(new, rel=0.2)


@each
def test_nothing_is_nothing_and_a_letter_is_something(version: str) -> None:
    assert claude.length("", version) == 0
    assert claude.estimate("a", version) == 1


@each
@settings(deadline=None)
@given(text=st.text(min_size=1))
def test_any_text_has_an_estimate(version: str, text: str) -> None:
    assert claude.estimate(text, version) >= 1


@each
@pytest.mark.parametrize(
    "text", ["a" * 100_000, " " * 100_000, "\ud800", "字" * 9, "<|endoftext|>"]
)
def test_odd_texts_have_an_estimate(version: str, text: str) -> None:
    assert claude.estimate(text, version) >= 1


def test_the_newer_vocabulary_is_finer() -> None:
    assert claude.estimate(TEXT, NEW) > claude.estimate(TEXT, OLD)


def test_every_token_has_a_kind_with_weights() -> None:
    kinds = set(claude._WEIGHTS[OLD])
    assert kinds == set(claude._WEIGHTS[NEW])
    encoding = vocabularies.encoding("o200k_base")
    tokens = [encoding.decode_single_token_bytes(token) for token in range(0, 199_998, 7)]
    assert {claude.kind_of(token)[0] for token in tokens} == kinds


def test_a_better_tokenizer_counts_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str]] = []

    def token_count(text: str, version: str) -> int:
        asked.append((len(text), version))
        return len(text) // 2 + claude.A_FRAME[version]

    monkeypatch.setitem(sys.modules, "ctok", SimpleNamespace(token_count=token_count))
    monkeypatch.setattr(claude, "IS_EXACT", True)
    claude._ctok.cache_clear()
    try:
        assert (claude.length("abcd", OLD), claude.length("abcd", NEW)) == (2, 2)
        assert claude.length("ab " * 200_000, NEW) == 300_000
    finally:
        claude._ctok.cache_clear()
    assert asked == [(4, OLD), (4, NEW), (claude.AT_ONCE, NEW)]
