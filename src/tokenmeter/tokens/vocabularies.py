"""Vocabularies: how many tokens a text is, by ranks that ship with this package.

tiktoken is the tokenizer, given ranks, patterns and nothing else: its own way to an encoding would
download the ranks, without a timeout. So nothing here touches the network, and nothing of tiktoken
is changed or registered. What the program itself has loaded through tiktoken is used as it is.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tokenmeter.tokens import ranks

if TYPE_CHECKING:
    from tiktoken import Encoding


_SEAM = re.compile(r"[^\W_](?=[\s.,;:!?()=。、，．！？；：「」（）])")  # noqa: RUF001
"""A letter or number before something that no pattern joins to it: text cut there counts the same.
"""


class Published(NamedTuple):
    """A vocabulary as its vendor published it.

    Args:
        sha256: The hash of the file of ranks.
        size: The highest token and one, special tokens included.
        pattern: Where text is cut before pairs are merged.
        seam: Where a text may be cut in two that together count the same.
    """

    sha256: str
    size: int
    pattern: str
    seam: re.Pattern[str] = _SEAM


_WORD_END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

_TAG = (
    r"</?(?:table|caption|thead|tbody|tfoot|tr|th|td|h[1-6]|blockquote|strong|em|b|i|u|s|sub|sup"
    r"|code|a|html|body|img|span|bbox|ul|li|div|iframe|footer)>"
)

SHIPPED = {
    "cl100k_base": Published(
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        100277,
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    ),
    "o200k_base": Published(
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        200019,
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        + _WORD_END
        + r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        + _WORD_END
        + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "gemma": Published(
        "2e58d7da4c430fe914d0be1af308ddcfe3abd922e3e09e927e9285c09bff570d",
        256699,
        rf"{_TAG}| {{2,31}}|\n{{1,31}}|\t{{1,31}}| ?(?:[^ \n\t<]|(?!{_TAG})<)+| ",
        re.compile(r"[^ \n\t](?=[ \n\t])"),
    ),
}
"""OpenAI's as in ``tiktoken_ext/openai_public.py`` of tiktoken 0.14 (MIT). Gemma's is no list of
ranks but pieces with scores, put in an order in which merging bytes does the same (``NOTICE.md``);
its pattern cuts at what is a token whatever stands around it. Special tokens are left out: text
that looks like one is text."""

STANDS_IN = {
    "o200k_harmony": "o200k_base",
    "gpt2": "cl100k_base",
    "p50k_base": "cl100k_base",
    "p50k_edit": "cl100k_base",
    "r50k_base": "cl100k_base",
}
"""What counts for a vocabulary that is not shipped: harmony differs from ``o200k_base`` in special
tokens alone, so that is exact; the others are those of models long gone, and it is the nearest."""

PIECE = 100_000
"""Characters that are encoded at once: with some 500,000 spaces tiktoken gives up."""

_encodings: dict[str, Encoding] = {}
_locks: dict[int, threading.Lock] = {}
"""By process: one that was forked while its parent held a lock has a lock of its own."""


def shipped(name: str) -> str:
    """Give the shipped vocabulary that counts for one of this name.

    >>> shipped("o200k_harmony")
    'o200k_base'
    """
    return STANDS_IN.get(name, name)


def length(text: str, vocabulary: str) -> int:
    """Count the tokens of a text, special tokens as the text that they are.

    The first count of a process loads the vocabulary: some 0.3 s and 80 MB, of which 0.15 s hold
    the interpreter.

    >>> length("hello world", "o200k_base")
    2
    """
    encode = (_encodings.get(vocabulary) or encoding(vocabulary)).encode
    if len(text) <= PIECE:
        return len(encode(text, disallowed_special=()))
    seam = SHIPPED[shipped(vocabulary)].seam
    return sum([len(encode(piece, disallowed_special=())) for piece in cut(text, seam=seam)])


def cut(text: str, size: int = PIECE, seam: re.Pattern[str] = _SEAM) -> Iterator[str]:
    """Cut a text into pieces of at most ``size`` characters, which together count the same.

    Only where there is no seam in half of that, in a run of letters or of spaces, it is cut
    anywhere; that is off by a token or two for each piece.
    """
    begin = 0
    while len(text) - begin > size:
        found = seam.search(text, begin + size // 2, begin + size)
        end = found.end() if found is not None else begin + size
        yield text[begin:end]
        begin = end
    yield text[begin:]


def encoding(vocabulary: str) -> Encoding:
    """Give tiktoken's encoding of a vocabulary, built once, at its first use."""
    name = shipped(vocabulary)
    with _locks.setdefault(os.getpid(), threading.Lock()):
        if name not in _encodings:
            _encodings[name] = _loaded(name) or _built(name)
        return _encodings[name]


def _loaded(name: str) -> Encoding | None:
    """Give what the program has loaded through tiktoken, which has checked its hash."""
    from tiktoken.registry import ENCODINGS

    found = ENCODINGS.get(name)
    return found if found is not None and found.n_vocab == SHIPPED[name].size else None


def _built(name: str) -> Encoding:
    from tiktoken import Encoding

    found = SHIPPED[name]
    loaded = ranks.load(name, found.sha256)
    return Encoding(name, pat_str=found.pattern, mergeable_ranks=loaded, special_tokens={})
