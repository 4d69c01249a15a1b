"""Vocabularies: tiktoken's encodings, from ranks that ship with this package, never the network."""

from __future__ import annotations

import base64
import gzip
import threading
from importlib.resources import files

import tiktoken
import tiktoken_ext.openai_public as published

_lock = threading.Lock()
_encodings: dict[str, tiktoken.Encoding] = {}


def encoding(name: str) -> tiktoken.Encoding:
    """Give an encoding, built at its first use."""
    with _lock:
        if name not in _encodings:
            _encodings[name] = _build(name)
        return _encodings[name]


def _build(name: str) -> tiktoken.Encoding:
    packed = files("tokenmeter.tokens").joinpath("ranks", f"{name}.tiktoken.gz").read_bytes()
    ranks = {
        base64.b64decode(token): int(rank)
        for token, rank in (line.split() for line in gzip.decompress(packed).splitlines())
    }
    before = published.load_tiktoken_bpe
    published.load_tiktoken_bpe = lambda *_args, **_kwargs: ranks
    try:
        return tiktoken.Encoding(**getattr(published, name)())
    finally:
        published.load_tiktoken_bpe = before


def length(text: str, vocabulary: str) -> int:
    """Count the tokens of a text."""
    return len(encoding(vocabulary).encode(text, disallowed_special=()))
