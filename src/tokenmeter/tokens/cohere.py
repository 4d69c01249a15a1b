"""What Cohere's models read and write: what it bills, which is the text and no template.

Cohere says (https://docs.cohere.com/docs/how-does-cohere-pricing-work, read 2026-11-22) that tokens
which it or a model adds are not billed, and what is billed is what an event reports. Its vocabulary
of 256k tokens is not shipped here; o200k_base has as many tokens for English text, within 1 % on
the repositories that were fitted on.
"""

from __future__ import annotations

from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain, tool_text

RULES = Plain(message=0, answer=0, written=tool_text)

FAMILIES: tuple[Family, ...] = (
    Family(
        name="cohere embeddings",
        models=r"embed-(english|multilingual|v)\D*\d|cohere\S*embed",
        rules=RULES,
        input_error=0.2,
    ),
    Family(
        name="cohere reasoning",
        models=r"command-a-(reasoning|plus)",
        rules=RULES,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
        max_output=32_000,
    ),
    Family(
        name="cohere",
        models=r"\bcommand(-|$)|\bc4ai\b|\baya-",
        rules=RULES,
        input_error=0.1,
        output_error=0.1,
        output_worst=0.1,
    ),
)
