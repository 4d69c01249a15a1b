"""How many tokens a text is for Claude, whose vocabulary nobody published.

Where the package ``ctok`` is installed (the extra ``claude``, Python 3.12 and later) it counts. It
is a reconstruction of two vocabularies by others: that of Claude 3 to 4.6 and Haiku 4.5, and the
finer one since Opus 4.7 (https://github.com/sanderland/ctok, read 2026-11-23). It agrees to the
token with nearly all recorded exchanges.

Else a text is cut into tokens of ``o200k_base``, and each weighs what tokens of its kind, length
and rank weigh on average; a factor for all would be off by twice as much. These weights are
empirical: least squares on what ``ctok`` counts in 4,400 pieces of text (documentation, code, JSON,
twenty languages, the texts in the repositories that constants are fitted on), in two halves judged
by each other: half of the texts of each kind are within 1 to 4 %, and 3 to 6 % for the newer one
(``tests/replay/claude_weights.py`` fits them).
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

from tokenmeter.tokens import vocabularies

OLD, NEW = "3.0", "4.8"
"""The vocabularies, by the names that ``ctok`` has for them."""

A_FRAME = {OLD: 7, NEW: 6}
"""What ``ctok`` adds for a message around a text."""

IS_EXACT = find_spec("ctok") is not None
"""Whether ``ctok`` is installed."""

ESTIMATOR = "ctok" if IS_EXACT else None

AT_ONCE = 200_000
"""Characters that ``ctok`` counts, in a second or two; of longer texts a part tells the rest."""


class Weights(NamedTuple):
    """What a token of a kind weighs.

    Args:
        one: The token.
        letter: Each character after its first.
        rare: Each doubling of its rank above 1,024.
        rarer: Each doubling above 11,585, in addition.
    """

    one: float
    letter: float
    rare: float
    rarer: float


_KIND = re.compile(
    r"(?P<space>\s+)|(?P<digits>\d+)|(?P<word> [a-z]+)|(?P<rest>[a-z]+)|(?P<name> [A-Z][a-z]*)"
    r"|(?P<hump>[A-Z][a-z]*)|(?P<upper> ?[A-Z]+)|(?P<mixed> ?[A-Za-z]+)|(?P<led>[!-~]+[a-zA-Z]+)"
    r"|(?P<mark> ?[!-~])|(?P<marks> ?[!-~]+)|(?P<line>[ -~]+\s+)|(?P<ascii>[\x00-\x7f]+)"
)
"""Kinds of tokens that are ASCII."""

_SCRIPTS = ((0x250, "latin"), (0x2E80, "middle"), (0x110000, "east"))
"""Kinds of letters that are not, by the code point that they lie below."""

_OLD = {
    "ascii": Weights(1.21, 0.52, 0.13, -0.07),
    "bytes": Weights(0.74, 0.86, 0.03, 0.04),
    "digits": Weights(1.32, -0.01, -0.04, -0.12),
    "east": Weights(0.95, 0.28, 0.10, -0.08),
    "hump": Weights(0.99, 0.10, -0.04, 0.12),
    "latin": Weights(0.69, 0.30, 0.08, 0.01),
    "led": Weights(1.58, 0.02, 0.12, -0.12),
    "line": Weights(1.89, 0.07, -0.04, -0.04),
    "mark": Weights(0.88, 0.23, -0.30, 0.0),
    "marks": Weights(0.83, 0.0, 0.02, 0.27),
    "middle": Weights(0.10, 0.14, 0.19, 0.26),
    "mixed": Weights(1.22, 0.05, 0.04, -0.03),
    "name": Weights(1.36, -0.05, -0.02, 0.29),
    "rest": Weights(0.99, 0.04, -0.01, 0.06),
    "space": Weights(0.92, 0.04, 0.23, -0.41),
    "symbol": Weights(0.72, -0.09, 0.23, 0.35),
    "upper": Weights(0.84, -0.04, 0.10, 0.08),
    "word": Weights(1.04, -0.01, 0.0, 0.21),
}

_NEW = {
    "ascii": Weights(1.39, 0.06, 0.40, -0.16),
    "bytes": Weights(0.77, 0.90, -0.04, 0.03),
    "digits": Weights(1.23, 0.06, -0.08, -0.07),
    "east": Weights(0.73, 0.0, 0.10, 0.21),
    "hump": Weights(0.86, 0.24, 0.14, 0.11),
    "latin": Weights(0.35, 0.33, 0.21, -0.04),
    "led": Weights(1.39, 0.08, 0.25, -0.10),
    "line": Weights(1.87, 0.18, 0.01, -0.09),
    "mark": Weights(0.74, 0.43, -0.08, 0.0),
    "marks": Weights(0.55, 0.22, 0.28, -0.06),
    "middle": Weights(0.81, -0.14, 0.12, 0.45),
    "mixed": Weights(1.25, 0.04, 0.26, 0.09),
    "name": Weights(1.39, 0.0, 0.24, 0.34),
    "rest": Weights(1.0, 0.0, 0.14, 0.09),
    "space": Weights(1.06, 0.01, 0.65, -0.35),
    "symbol": Weights(0.39, -0.02, 0.24, 0.44),
    "upper": Weights(1.36, 0.45, 0.09, -0.04),
    "word": Weights(0.77, 0.04, 0.29, 0.10),
}

_WEIGHTS = {OLD: _OLD, NEW: _NEW}


def length(text: str, version: str) -> int:
    """Count the tokens of a text, by ``ctok`` where it is installed.

    >>> length("", OLD)
    0
    """
    if not text:
        return 0
    if not IS_EXACT:
        return estimate(text, version)
    part = text[:AT_ONCE]
    found = _ctok()(part, version) - A_FRAME[version]
    if len(part) == len(text):
        return found
    return round(found * estimate(text, version) / estimate(part, version))


def estimate(text: str, version: str) -> int:
    """Estimate the tokens of a text from those of OpenAI's vocabulary."""
    encode = vocabularies.encoding("o200k_base").encode
    times: Counter[int] = Counter()
    for piece in vocabularies.cut(text):
        times.update(encode(piece, disallowed_special=()))
    return max(1, round(sum([n * _weight(token, version) for token, n in times.items()])))


def kind_of(token: bytes) -> tuple[str, int]:
    r"""Say of what kind a token is, and how long it is.

    >>> kind_of(b" hello"), kind_of(b"()"), kind_of("é".encode()), kind_of(b"\xe6")
    (('word', 6), ('marks', 2), ('latin', 1), ('bytes', 1))
    """
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return "bytes", len(token)
    if fits := _KIND.fullmatch(text):
        return str(fits.lastgroup), len(text)
    core = text.strip() or text
    if not any(map(str.isalpha, core)):
        return "symbol", len(core)
    return next(name for below, name in _SCRIPTS if ord(max(core)) < below), len(core)


@functools.lru_cache(maxsize=100_000)
def _weight(token: int, version: str) -> float:
    kind, size = kind_of(vocabularies.encoding("o200k_base").decode_single_token_bytes(token))
    weights, rank = _WEIGHTS[version][kind], math.log2(token + 1)
    rare = weights.rare * max(0.0, rank - 10) + weights.rarer * max(0.0, rank - 13.5)
    return weights.one + weights.letter * (size - 1) + rare


@functools.cache
def _ctok() -> Callable[[str, str], int]:
    return cast("Callable[[str, str], int]", import_module("ctok").token_count)
