"""Models that nobody here knows: a guess."""

from __future__ import annotations

from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain

FAMILIES: tuple[Family, ...] = (
    Family(
        name="unknown",
        models="",
        rules=Plain(),
        input_error=0.5,
        output_error=0.5,
        output_worst=0.5,
        reasons=True,
        is_guess=True,
    ),
)
