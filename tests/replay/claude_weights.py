"""Fit what tokens weigh for Claude: ``python claude_weights.py TEXTS...`` with ctok and numpy.

TEXTS are directories. Of each file that is text a part is taken, up to 3,000 characters; what ctok
counts in it is explained by its tokens in OpenAI's vocabulary, by kind, length and rank. The parts
are divided in two halves; how far the weights of one are off in the other is printed with them.
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctok
import numpy as np

from tokenmeter.tokens import claude, vocabularies

SIZES = (60, 200, 800, 3000)
PULL, USUAL = 0.2, 1.2
"""How much a weight that few texts speak of is pulled to that of a usual token."""


def parts(directories: list[Path]) -> Iterator[str]:
    chance = random.Random(1)
    for path in sorted(path for directory in directories for path in directory.rglob("*.*")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        begin = chance.randrange(max(1, len(text) - SIZES[-1]))
        if part := text[begin : begin + chance.choice(SIZES)]:
            yield part


def features(text: str) -> Counter[tuple[str, int]]:
    """Sum, by kind: tokens, letters after the first, doublings of the rank above two marks."""
    encoding, found = vocabularies.encoding("o200k_base"), Counter[tuple[str, int]]()
    for token in encoding.encode(text, disallowed_special=()):
        kind, size = claude.kind_of(encoding.decode_single_token_bytes(token))
        rank = math.log2(token + 1)
        for n, x in enumerate((1, size - 1, max(0.0, rank - 10), max(0.0, rank - 13.5))):
            found[kind, n] += x
    return found


def fitted(x: Any, true: Any, names: list[tuple[str, int]]) -> Any:
    """Solve for weights, so that a short text says as much as a long one."""
    scale = 1 / np.sqrt(true * np.maximum(true, 30))
    usual = [USUAL if n == 0 else 0 for _, n in names]
    left = np.vstack([x * scale[:, None], PULL * np.eye(len(names))])
    right = np.concatenate([true * scale, PULL * np.array(usual)])
    return np.linalg.lstsq(left, right, rcond=None)[0]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("texts", type=Path, nargs="+")
    texts = list(parts(options.parse_args().texts))
    found = list(map(features, texts))
    names = sorted({name for each in found for name in each})
    x = np.array([[each[name] for name in names] for each in found])
    half = np.arange(len(texts)) % 2 == 0
    for version, frame in claude.A_FRAME.items():
        true = np.array([max(1, ctok.token_count(text, version) - frame) for text in texts])
        off = []
        for one, other in ((half, ~half), (~half, half)):
            off.append(np.abs(x[other] @ fitted(x[one], true[one], names) / true[other] - 1))
        print(version, len(texts), "texts, median and 95 % error of the other half:",
              np.quantile(np.concatenate(off), [0.5, 0.95]).round(3))  # fmt: skip
        weights = dict(zip(names, fitted(x, true, names), strict=True))
        for kind in sorted({kind for kind, _ in names}):
            numbers = ", ".join(f"{weights.get((kind, n), 0):.2f}" for n in range(4))
            print(f'    "{kind}": Weights({numbers}),')


if __name__ == "__main__":
    main()
