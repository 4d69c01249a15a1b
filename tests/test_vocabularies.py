"""Texts have as many tokens here as with stock tiktoken, whatever they are, and no network."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import pytest
import tiktoken
import tiktoken_ext.openai_public as public
from hypothesis import given
from hypothesis import strategies as st

from strings import strings
from tokenmeter.tokens import ranks, vocabularies
from tokenmeter.tokens.vocabularies import SHIPPED, cut, encoding, length, shipped

NAMES = ["cl100k_base", "o200k_base", "o200k_harmony"]


def published(name: str) -> dict[str, Any]:
    """Give what tiktoken says of an encoding, with our ranks instead of a download."""

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        return ranks.load(url.rpartition("/")[2].removesuffix(".tiktoken"), expected_hash)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(public, "load_tiktoken_bpe", load)
        return public.ENCODING_CONSTRUCTORS[name]()


@pytest.fixture(scope="module", params=NAMES)
def stock(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    return tiktoken.Encoding(**published(request.param))


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabularies, "_encodings", {})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, tiktoken.Encoding]:
    found: dict[str, tiktoken.Encoding] = {}
    monkeypatch.setattr("tiktoken.registry.ENCODINGS", found)
    return found


# Equality with stock tiktoken


def test_every_string_has_the_token_ids_that_stock_tiktoken_gives(stock: tiktoken.Encoding) -> None:
    many, ours = strings(), encoding(stock.name)
    assert len(many) >= 2000
    for text in many:
        ids = stock.encode(text, disallowed_special=())
        assert ours.encode(text, disallowed_special=()) == ids, ascii(text)
        assert length(text, stock.name) == len(ids)


@pytest.mark.parametrize("name", NAMES[:2])
def test_patterns_and_sizes_are_those_of_tiktoken(name: str) -> None:
    says = published(name)
    size = max(says["special_tokens"].values()) + 1
    assert (says["pat_str"], size) == (SHIPPED[name].pattern, SHIPPED[name].size)


def test_harmony_differs_in_special_tokens_alone() -> None:
    harmony, base = published("o200k_harmony"), published("o200k_base")
    assert harmony["pat_str"] == base["pat_str"]
    assert harmony["mergeable_ranks"] == base["mergeable_ranks"]


def test_for_vocabularies_that_are_not_shipped_the_nearest_stands_in() -> None:
    assert {shipped(name) for name in public.ENCODING_CONSTRUCTORS} == set(SHIPPED) - {"gemma"}
    assert length("hello world", "p50k_base") == length("hello world", "cl100k_base") == 2


# Texts that are hard


def _letters(size: int) -> str:
    return "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=size))


HARD = {
    "one letter": "a" * 1_000_000,
    "one ideograph": "字" * 1_000_000,
    "letters without spaces": _letters(1_000_000),
    "spaces": " " * 1_000_500,
    "ideographic spaces": "\u3000" * 1_000_000,
    "spaces before a word": " " * 1_000_000 + "x",
    "line ends": "\r\n" * 500_000,
    "tabs and line ends": "\t\n" * 500_000,
    "lone surrogates": "\ud800" * 1_000_000,
    "lone surrogates and letters": "a\udfff" * 500_000,
    "special tokens": "<|endoftext|>" * 77_000,
    "joined emoji": "👩‍👩‍👧" * 200_000,
    "marks": "e" + "\u0301" * 1_000_000,
    "apostrophes": "a'" * 500_000,
}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("text", HARD.values(), ids=HARD)
def test_a_megabyte_of_anything_is_counted(text: str, name: str) -> None:
    assert 0 < length(text, name) < 4 * len(text)


def test_a_long_text_counts_as_much_as_in_one_piece(stock: tiktoken.Encoding) -> None:
    text = "\n".join(text for text in 2 * strings() if len(text) < 500)
    assert len(text) > 2 * vocabularies.PIECE
    assert length(text, stock.name) == len(stock.encode(text, disallowed_special=()))


@given(st.text(), st.integers(2, 20))
def test_pieces_are_the_text_and_none_is_too_long(text: str, size: int) -> None:
    pieces = list(cut(text, size))
    assert "".join(pieces) == text
    assert all(len(piece) <= size for piece in pieces)


WORDS = st.lists(
    st.sampled_from(["it's", "straße", "12345", "字字。", "don't,", "(a)", "x_y", "!/"])
)


@given(WORDS, st.sampled_from([" ", "\n", "  \n ", "\t", "\u3000"]), st.integers(30, 80))
def test_where_there_are_seams_the_pieces_count_what_the_text_counts(
    words: list[str], between: str, size: int
) -> None:
    text = between.join(["word", *(part for word in words for part in (word, "so"))])
    for name in NAMES:  # whose seams, after each "so", are nearer to each other than half a piece
        whole = length(text, name)
        pieces = list(cut(text, size))
        assert sum(length(piece, name) for piece in pieces) == whole, pieces


# Loading


@pytest.mark.usefixtures("unloaded", "registry")
def test_many_threads_load_a_vocabulary_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    build = vocabularies._built
    monkeypatch.setattr(vocabularies, "_built", lambda name: loads.append(name) or build(name))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(length("hello world", "cl100k_base")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (loads, found) == (["cl100k_base"], [2] * 8)


@pytest.mark.usefixtures("unloaded")
def test_what_the_program_has_loaded_is_used_and_nothing_is_registered(
    registry: dict[str, tiktoken.Encoding],
) -> None:
    encoding("cl100k_base")
    assert registry == {}
    theirs = registry["o200k_base"] = tiktoken.Encoding(**published("o200k_base"))
    assert encoding("o200k_harmony") is theirs
    assert registry == {"o200k_base": theirs}


@pytest.mark.usefixtures("unloaded")
def test_a_stranger_of_the_same_name_is_not_used(registry: dict[str, tiktoken.Encoding]) -> None:
    every = {bytes([n]): n for n in range(256)}
    registry["cl100k_base"] = tiktoken.Encoding(
        "cl100k_base", pat_str=".", mergeable_ranks=every, special_tokens={}
    )
    assert length("hello world", "cl100k_base") == 2


@pytest.mark.usefixtures("unloaded")
def test_a_child_forked_while_a_vocabulary_is_loaded_loads_its_own() -> None:
    vocabularies._locks.setdefault(os.getpid(), threading.Lock()).acquire()
    try:
        child = os.fork()
        if not child:
            os._exit(length("hello world", "cl100k_base"))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    finally:
        vocabularies._locks.clear()
