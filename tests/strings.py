"""Strings of every kind that tokenizers stumble over, the same ones in each run."""

from __future__ import annotations

import inspect
import random
import textwrap

ENGLISH = "the of and to in is that it was for on as with his they at be this"
JAPANESE = "私は東京で働いていますカタカナとひらがなを混ぜて書く。「今日」は、良い天気でした。"
CHINESE = "我們在計算令牌的數量、中文没有空格。所以切分方式不同。繁體字與简体字都要試。"
OTHERS = "Привет, как дела? Größe über Straße; ελληνικά, עברית, العربية, ไทย, हिन्दी, 한국어 문장."
EMOJI = ("👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "☕️", "😀", "❤️‍🔥", "1️⃣", "\u200d", "\ufe0f")
SPECIAL = ("<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|start|>", "<|im_start|>", "<|")
SPACES = (*" \t\n\r\u00a0\u3000\u2028\x1c\x0bx/", "  ", "\r\n")
ENDINGS = ("'s", "'S", "'t", "'ll", "'LL", "'ve", "'re", "'d", "\u2019s", "'\u017f", "''s", "'")


def strings() -> list[str]:
    """Give some 2,300 of them."""
    chance, words = random.Random(20261122), ENGLISH.split()
    lines = inspect.getsource(textwrap).splitlines() + inspect.getsource(random).splitlines()
    found = ["", " ", "\n", "a", "\ud83d", "\udc00a", "\ud83d\ude00", "a\ud800\u4e00"]
    for n in range(200):
        found.append(" ".join(chance.choices(words, k=n)).capitalize() + ".")
        at = chance.randrange(len(lines))
        found.append("\n".join(lines[at : at + n % 40 + 1]))
        found += ["".join(chance.choices(of, k=n)) for of in (JAPANESE, CHINESE, OTHERS)]
        found.append("".join(chance.choices([*EMOJI, "a", " ", "字"], k=n % 50 + 1)))
        found.append("".join(chance.choices(SPACES, k=n % 60 + 1)))
        found.append("".join(chance.choices([*SPECIAL, " ", "a", "\n"], k=n % 12 + 1)))
        found.append("".join(_any_character(chance) for _ in range(n)))
        found.append("".join(w + chance.choice(ENDINGS) for w in chance.choices(words, k=9)))
        found.append(chance.choice("aA1 \n!字é\u0301/_") * chance.randrange(1, 3000))
        found.append("".join(chance.choices("abcdefghijklmnopqrstuvwxyzABC", k=n * 10)))
    return found


def _any_character(chance: random.Random) -> str:
    limit = chance.choice([0x80, 0x800, 0xD800, 0x110000])
    return chr(chance.randrange(limit))  # lone surrogates among them
