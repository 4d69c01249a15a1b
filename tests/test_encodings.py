"""Content encodings are undone on a private copy, in whatever chunks they come."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter.wire.encodings import undo
from wires import cut


def gzip(body: bytes) -> bytes:
    return zlib.compress(body, wbits=31)


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("GZip", gzip),
    ("deflate", zlib.compress),
    ("deflate", lambda body: zlib.compress(body, wbits=-15)),
    ("br", brotli.compress),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("gzip, br", lambda body: brotli.compress(gzip(body))),
    ("deflate, gzip,zstd", lambda b: zstandard.compress(gzip(zlib.compress(b)))),
    ("identity", bytes),
    ("", bytes),
    ("gzip, identity", gzip),
]


@pytest.mark.parametrize(("name", "compress"), ENCODINGS)
@settings(max_examples=25, deadline=None)
@given(body=st.binary(max_size=300), size=st.integers(1, 50))
def test_every_encoding_is_undone_in_any_chunks(
    name: str, compress: Callable[[bytes], bytes], body: bytes, size: int
) -> None:
    decode = undo(name)
    assert decode is not None
    assert b"".join(decode(chunk) for chunk in cut(compress(body), size)) == body


def test_frames_of_zstd_after_each_other_are_one_body() -> None:
    decode = undo("zstd")
    assert decode is not None
    body = zstandard.compress(b"one ") + zstandard.compress(b"two")
    assert b"".join(map(decode, cut(body, 3))) == b"one two"


@pytest.mark.parametrize("name", ["rot13", "gzip, rot13", "aws-chunked"])
def test_an_unknown_encoding_cannot_be_undone(name: str) -> None:
    assert undo(name) is None


@pytest.mark.parametrize("missing", ["br", "zstd"])
def test_an_encoding_whose_package_is_missing_cannot_be_undone(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert undo(missing) is None
    assert undo("gzip") is not None


def test_zstd_is_undone_by_the_package_that_httpx2_uses_when_that_is_the_one_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Module:
        """The shape of `compression.zstd` and `backports.zstd`."""

        class ZstdDecompressor:
            def __init__(self) -> None:
                self.decompress = zstandard.ZstdDecompressor().decompressobj().decompress

    def import_module(name: str) -> Any:
        if name != "backports.zstd":
            raise ImportError(name)
        return Module

    monkeypatch.setattr(importlib, "import_module", import_module)
    decode = undo("zstd")
    assert decode is not None
    assert decode(zstandard.compress(b"hello")) == b"hello"
