"""Models that only their vendors serve, and of which little is published.

What is here is empirical, fitted on the repositories that were fitted on.
"""

from __future__ import annotations

from tokenmeter.dialects.content import Written
from tokenmeter.tokens import images
from tokenmeter.tokens.families import Family
from tokenmeter.tokens.plain import Plain

_GROK: tuple[Written, ...] = ("text", "refusal")
"""Streams of Grok 2 report one token where a tool is called, and reasoning may be a summary."""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="grok 2",
        models=r"\bgrok-([123]\b|beta|vision)",
        rules=Plain(image=images.grok, sure=_GROK),
        input_error=0.5,
        output_error=0.2,
        output_worst=0.2,
    ),
    Family(
        name="grok 4",
        models=r"\bgrok-4(-0709|-latest|$)",
        rules=Plain(opening=680, tools=170, image=images.grok, sure=_GROK),
        input_error=0.3,
        output_error=0.2,
        output_worst=0.2,
        reasons=True,
    ),
    Family(
        name="grok",
        models=r"\bgrok\b",
        rules=Plain(opening=147, tools=170, image=images.grok, sure=_GROK),
        input_error=0.5,
        output_error=0.2,
        output_worst=0.2,
        reasons=True,
    ),
    Family(
        name="sonar",
        models=r"\bsonar\b",
        rules=Plain(message=0, answer=0),
        vocabulary="cl100k_base",
        foreign=0.6,
        input_error=0.2,
        output_error=0.2,
        output_worst=0.2,
        reasons=True,
    ),
    Family(
        name="jamba",
        models=r"\bjamba|\bj2-",
        rules=Plain(),
        input_error=0.3,
        output_error=0.3,
        output_worst=0.3,
    ),
    Family(
        name="palmyra",
        models=r"\bpalmyra",
        rules=Plain(preamble=25, tools=109, called=11),
        vocabulary="cl100k_base",
        input_error=0.3,
        output_error=0.3,
        output_worst=0.3,
    ),
    Family(
        name="voyage",
        models=r"\bvoyage|\brerank-\d",
        rules=Plain(),
        vocabulary="cl100k_base",
        input_error=0.3,
    ),
)
