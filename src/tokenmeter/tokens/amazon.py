"""What Amazon's own models read and write beside the text itself.

Their tokenizers are not published: what is here is empirical, fitted on the repositories that were
fitted on. Maximum outputs are those of the model cards in the user guide of Bedrock, read 2026-11-22.
"""

from __future__ import annotations

from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain

FAMILIES: tuple[Family, ...] = (
    Family(
        name="amazon nova 2",
        models=r"\bnova-2",
        rules=Plain(message=3, answer=-3, tools=840, ending=1, called=10),
        input_error=0.2,
        output_error=0.2,
        output_worst=0.1,
        max_output=65_536,
        reasons=True,
    ),
    Family(
        name="amazon nova",
        models=r"\bnova-(micro|lite|pro|premier)",
        rules=Plain(message=3, answer=-3, tools=300, ending=1, called=10),
        input_error=0.2,
        output_error=0.2,
        output_worst=0.1,
        max_output=10_000,
    ),
    Family(
        name="amazon titan",
        models=r"\btitan|amazon\.nova",
        rules=Plain(message=0, answer=0),
        input_error=0.3,
        output_error=0.3,
        output_worst=0.3,
    ),
)
