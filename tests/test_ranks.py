"""The packed ranks are the published ones, bit by bit."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import ConfigurationError
from tokenmeter.tokens import ranks
from tokenmeter.tokens.ranks import files, load, pack, published, unpack
from tokenmeter.tokens.vocabularies import SHIPPED


@given(st.lists(st.binary(min_size=1, max_size=255)))
def test_what_is_packed_is_unpacked_and_published_as_it_was(tokens: list[bytes]) -> None:
    assert unpack(pack(published(tokens))) == tokens


@pytest.mark.parametrize("name", SHIPPED)
def test_the_published_file_comes_back_bit_by_bit(name: str) -> None:
    packed = files(ranks.__name__).joinpath(f"{name}.packed").read_bytes()
    file = published(unpack(packed))
    assert hashlib.sha256(file).hexdigest() == SHIPPED[name].sha256
    assert pack(file) == packed


def test_a_rank_is_the_place_of_its_token() -> None:
    found = load("cl100k_base", SHIPPED["cl100k_base"].sha256)
    assert len(found) == 100256
    assert list(found.values()) == list(range(100256))
    assert (found[b"!"], found[b" the"]) == (0, 279)


def test_a_file_that_is_not_the_published_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"o200k_base .* damaged, so install tokenmeter"):
        load("o200k_base", SHIPPED["cl100k_base"].sha256)


def test_the_notice_names_every_hash_and_the_licence() -> None:
    notice = files(ranks.__name__).joinpath("NOTICE.md").read_text()
    assert all(found.sha256 in notice for found in SHIPPED.values())
    assert "Apache License, Version 2.0" in notice
    assert "Copyright (c) 2022 OpenAI, Shantanu Jain" in notice
