"""Gemma's vocabulary: what SentencePiece makes of a text, by merging bytes."""

from __future__ import annotations

import heapq
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter.tokens.ranks import load
from tokenmeter.tokens.vocabularies import SHIPPED, cut, encoding, length

RANKS = load("gemma", SHIPPED["gemma"].sha256)
WORDS = st.sampled_from(
    [
        "Hello",
        "world",
        "straße",
        "東京",
        "2024",
        "f(x)",
        "it's",
        "naïve",
        "e.g.",
        "<x",
        "a_b",
    ]
)


def tokens(text: str) -> list[bytes]:
    found = encoding("gemma")
    return [found.decode_single_token_bytes(token) for token in found.encode(text)]


def pieced(text: str) -> int:
    """Count as SentencePiece does: join the best neighbours until there are none."""
    parts = list(text)
    while True:
        joins = [(rank, at) for at, pair in enumerate(pairwise(parts)) if (rank := _rank(*pair))]
        if not joins:
            return len(parts)
        at = heapq.nsmallest(1, joins)[0][1]
        parts[at : at + 2] = ["".join(parts[at : at + 2])]


def _rank(left: str, right: str) -> int | None:
    return RANKS.get((left + right).encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", [b"Hello", b",", b" world", b"!"]),
        ("It is 2024.", [b"It", b" is", b" ", b"2", b"0", b"2", b"4", b"."]),
        ("a  b\n\n\tc", [b"a", b"  ", b"b", b"\n\n", b"\t", b"c"]),
        ("<table><tr>", [b"<table>", b"<tr>"]),
        (" " * 40 + "x", [b" " * 31, b" " * 9, b"x"]),
    ],
)
def test_text_is_cut_into_the_pieces_that_gemma_has(text: str, expected: list[bytes]) -> None:
    assert tokens(text) == expected


@given(st.lists(WORDS, max_size=6))
def test_words_count_what_sentencepiece_makes_of_them(words: list[str]) -> None:
    text = "".join(words)
    assert length(text, "gemma") == pieced(text)


@given(st.lists(WORDS, min_size=3), st.sampled_from([" ", "\n", "\n\n", " \t"]))
def test_pieces_of_a_long_text_count_what_it_counts(words: list[str], between: str) -> None:
    text = between.join(["word", *words])
    pieces = cut(text, 30, SHIPPED["gemma"].seam)
    assert sum(length(piece, "gemma") for piece in pieces) == length(text, "gemma")


def test_every_byte_has_a_rank() -> None:
    assert all(bytes([byte]) in RANKS for byte in range(256))
