"""What Mistral's models read and write beside the text itself.

Two vocabularies are published with the templates in ``mistral-common`` 1.13 (Apache-2.0, read
2026-11-22): Tekken with 131k tokens, and a SentencePiece one of 32k of the older models. Measured
with both on 1,039 texts of the repositories that were fitted on: Tekken has 1.02 tokens for one of
cl100k_base once each digit is one, SentencePiece 1.14; in six other scripts 0.55 and 1.0.

The template is ``<s>[INST]…[/INST]…</s>``; tools are JSON in ``[AVAILABLE_TOOLS]``, and a call is
``[TOOL_CALLS]name[ARGS]{…}``.

A model called ``latest`` is what it was on the day of the call, and today's where no day is known.
https://docs.mistral.ai/resources/changelogs says which model came out when, and the overview of
models in https://github.com/mistralai/platform-docs-public, as it was in 2024 and 2025, to which
``latest`` pointed; ``mistral-common`` has the tokenizer of each (all read 2026-11-22).
"""

from __future__ import annotations

import functools
from datetime import date

import msgspec

from tokenmeter.dialects.content import Tool
from tokenmeter.tokens import images
from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain, tool_json

_ROLES = {"system": 2, "user": 2, "assistant": 1, "tool": 2}


def _defined(tool: Tool) -> str:
    return tool_json(msgspec.structs.replace(tool, description=tool.description or ""))


RULES = Plain(
    opening=1,
    roles=_ROLES,
    answer=0,
    tools=2,
    written=_defined,
    call=2,
    ending=1,
    called=2,
    thought=2,
    image=functools.partial(images.mistral, model=""),
)
_BEFORE = msgspec.structs.replace(RULES, call=13, called=12)
"""Until 2025 a call was written as JSON: ``[{"name": …, "arguments": …, "id": …}]``."""

_OLDER = msgspec.structs.replace(_BEFORE, terse=0.93)
"""With the older vocabulary: in it, 213 tools of the repositories that were fitted on have 1.06
tokens for one of cl100k_base; of 315 calls half have 12.7 or fewer around them (11.5 in Tekken)."""

_LARGE_2 = msgspec.structs.replace(_OLDER, roles=_ROLES | {"tool": 20}, call=23)
"""Since July 2024 an earlier call is read with its id, and a result is JSON with that id."""

_LARGE_2_1 = msgspec.structs.replace(_OLDER, roles=_ROLES | {"tool": 10}, call=23)
"""Since November 2024 a result is its id and its text."""

_PIXTRAL = msgspec.structs.replace(
    _BEFORE, image=functools.partial(images.mistral, model="pixtral")
)

_SETTINGS = msgspec.structs.replace(RULES, opening=13)
"""Mistral Small 4 is told in every conversation how much it should reason."""


def _older(name: str, models: str, rules: Plain) -> Family:
    return Family(
        name=name,
        models=models,
        rules=rules,
        vocabulary="cl100k_base",
        factor=1.14,
        digits=1,
        foreign=1.0,
        input_error=0.15,
        output_error=0.12,
        output_worst=0.15,
    )


_TODAY: tuple[Family, ...] = (
    Family(
        name="mistral embeddings",
        models=r"mistral-embed|codestral-embed|e5-mistral",
        rules=Plain(opening=2),
        vocabulary="cl100k_base",
        factor=1.14,
        digits=1,
        foreign=1.0,
        input_error=0.15,
        output_worst=0.3,
    ),
    _older(
        "mistral v1",
        r"mistral-tiny|mi[sx]tral[-:](8x)?(7|22)b|codestral-2405|mathstral"
        r"|mistral-(medium-2312|small-240[29]|large-2402)",
        _OLDER,
    ),
    _older("mistral large 2", "mistral-large-2407", _LARGE_2),
    _older("mistral large 2.1", "mistral-large-2411", _LARGE_2_1),
    Family(
        name="pixtral",
        models=r"pixtral",
        rules=_PIXTRAL,
        vocabulary="cl100k_base",
        factor=1.02,
        digits=1,
        foreign=0.55,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
    ),
    Family(
        name="mistral v3",
        models=r"mistral-nemo|mistral-small-2[45]|ministral-\d+b-24",
        rules=_BEFORE,
        vocabulary="cl100k_base",
        factor=1.02,
        digits=1,
        foreign=0.55,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
    ),
    Family(
        name="mistral small 4",
        models=r"(mistral|magistral)-small-(latest|26)",
        rules=_SETTINGS,
        vocabulary="cl100k_base",
        factor=1.02,
        digits=1,
        foreign=0.55,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
    ),
    Family(
        name="mistral",
        models=r"mi[sx]tral|ministral|magistral|codestral|devstral|voxtral",
        rules=RULES,
        vocabulary="cl100k_base",
        factor=1.02,
        digits=1,
        foreign=0.55,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
    ),
)

_NAMED = {family.name: family for family in _TODAY}


def _until(first_day: date, names: str, family: str) -> Family:
    """Say what these names meant before a day."""
    return msgspec.structs.replace(_NAMED[family], models=names, until=first_day)


FAMILIES: tuple[Family, ...] = (
    _until(date(2024, 7, 24), "mistral-large-latest", "mistral v1"),
    _until(date(2024, 11, 18), "mistral-large-latest", "mistral large 2"),
    _until(date(2025, 1, 13), "codestral-latest", "mistral v1"),
    _until(date(2025, 1, 30), "mistral-small-latest", "mistral v1"),
    _until(date(2025, 5, 7), "mistral-medium-latest", "mistral v1"),
    _until(date(2025, 8, 12), "mistral-large-latest", "mistral large 2.1"),
    _until(date(2025, 12, 2), r"ministral-\d+b-latest", "mistral v3"),
    _until(date(2026, 3, 16), "mistral-small-latest", "mistral v3"),
    _until(date(2026, 3, 16), "magistral-small-latest", "mistral"),
    *_TODAY,
)
