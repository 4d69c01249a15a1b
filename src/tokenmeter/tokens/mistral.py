"""What Mistral's models read and write beside the text itself.

Two vocabularies are published with the templates in ``mistral-common`` 1.13 (Apache-2.0, read
2026-11-22): Tekken with 131k tokens, and a SentencePiece one of 32k of the older models. Measured
with both on 1,039 texts of the repositories that were fitted on: Tekken has 1.02 tokens for one of
cl100k_base once each digit is one, SentencePiece 1.14; in six other scripts 0.55 and 1.0.

The template is ``<s>[INST]…[/INST]…</s>``; tools are JSON in ``[AVAILABLE_TOOLS]``, and a call is
``[TOOL_CALLS]name[ARGS]{…}``. A model called ``latest`` is what it was on the day of the call, and
today's where no day is known: https://docs.mistral.ai/resources/changelogs says when which model came
out, and the overview of models in https://github.com/mistralai/platform-docs-public, in its versions of
2024 and 2025, to which of them ``latest`` pointed (both read 2026-11-22).
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

_V7 = msgspec.structs.replace(_BEFORE, roles=_ROLES | {"tool": 10}, call=23)
"""Mistral Large of November 2024, whose ids of calls and results are read: each has seven tokens."""

_PIXTRAL = msgspec.structs.replace(
    _BEFORE, image=functools.partial(images.mistral, model="pixtral")
)

_SETTINGS = msgspec.structs.replace(RULES, opening=13)
"""Mistral Small 4 is told in every conversation how much it should reason."""

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
    Family(
        name="mistral v1",
        models=(
            r"mistral-tiny|mi[sx]tral[-:](8x)?(7|22)b|codestral-2405|mathstral"
            r"|mistral-(medium-2312|small-240[29]|large-240[27])"
        ),
        rules=_BEFORE,
        vocabulary="cl100k_base",
        factor=1.14,
        digits=1,
        foreign=1.0,
        input_error=0.15,
        output_error=0.12,
        output_worst=0.15,
    ),
    Family(
        name="mistral v7",
        models=r"mistral-large-2411",
        rules=_V7,
        vocabulary="cl100k_base",
        factor=1.14,
        digits=1,
        foreign=1.0,
        input_error=0.15,
        output_error=0.12,
        output_worst=0.15,
    ),
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
    _until(date(2024, 11, 18), r"mistral-large-latest", "mistral v1"),
    _until(date(2025, 1, 13), r"codestral-latest", "mistral v1"),
    _until(date(2025, 1, 30), r"mistral-small-latest", "mistral v1"),
    _until(date(2025, 5, 7), r"mistral-medium-latest", "mistral v1"),
    _until(date(2025, 8, 12), r"mistral-large-latest", "mistral v7"),
    _until(date(2025, 12, 2), r"ministral-\d+b-latest", "mistral v3"),
    _until(date(2026, 3, 16), r"mistral-small-latest", "mistral v3"),
    _until(date(2026, 3, 16), r"magistral-small-latest", "mistral"),
    *_TODAY,
)
