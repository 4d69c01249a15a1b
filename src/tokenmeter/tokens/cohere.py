"""What Cohere's models read and write: what it bills, which is text without a template.

Cohere says (https://docs.cohere.com/docs/how-does-cohere-pricing-work, read 2026-11-22) that tokens
which it or a model adds are not billed, and what is billed is what an event reports. Arguments of a
call are billed as short JSON, and tools where none may be called.

Its vocabulary of 256k tokens is not shipped here. Empirical, on the repositories that were fitted
on: o200k_base has as many tokens, once each digit is one; of the first ``command`` 1.03.

The longest answer of the first ``command`` is 4k (https://docs.cohere.com/docs/command-beta; 4,096
in litellm 1.109). The later ones have open weights: Cohere lets them write 8,000 tokens, Command A
Reasoning 32,000 and Command A+ 64,000, but whoever else serves them may let them fill their context
window, so that is the bound: 256,000 for the largest
(https://docs.cohere.com/docs/command-a-reasoning and litellm; all read 2026-11-23).
"""

from __future__ import annotations

import re

import msgspec

from tokenmeter.dialects.content import Answer, Piece, Prompt, Tool
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.plain import Plain

_INDENT = re.compile(r"\s*\n\s*")


class Billed:
    """Count text and short JSON; no template."""

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        offered = msgspec.structs.replace(prompt, tool_choice=None)  # are billed where none may be
        return _TEXT.read(offered, family, length)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        return _TEXT.wrote(Answer(tuple(map(_billed, answer.parts))), family, length)


def _billed(part: Piece) -> Piece:
    if part.kind == "reasoning":  # one recorded answer has it in its bill, and one has not
        return part._replace(kind="hidden", text="")
    if part.kind == "arguments":
        return part._replace(text=_INDENT.sub("", part.text))
    return part


def _defined(tool: Tool) -> str:
    parameters = msgspec.json.encode(tool.parameters).decode()
    return f"{tool.name} {tool.description or ''} {parameters}"


_TEXT = Plain(message=0, answer=0, written=_defined, recalls=False, called=1)
RULES = Billed()

CONTEXT = 256_000
"""The largest context window."""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="cohere embeddings",
        models=r"embed-(english|multilingual|v)\D*\d|cohere\S*embed",
        rules=RULES,
        digits=1,
        input_error=0.15,
        output_worst=0.15,
    ),
    Family(
        name="cohere reasoning",
        models=r"command-a-(reasoning|plus)",
        rules=RULES,
        digits=1,
        input_error=0.15,
        output_error=0.1,
        output_worst=0.15,
        max_output=CONTEXT,
    ),
    Family(
        name="cohere command",
        models=r"\bcommand(-light|-nightly|-xlarge|-medium|-text|$)",
        rules=RULES,
        factor=1.03,
        digits=1,
        input_error=0.15,
        output_error=0.1,
        output_worst=0.15,
        max_output=4_096,
    ),
    Family(
        name="cohere",
        models=r"\bcommand-|\bc4ai\b|\baya-",
        rules=RULES,
        digits=1,
        input_error=0.15,
        output_error=0.1,
        output_worst=0.15,
        max_output=CONTEXT,
    ),
)
