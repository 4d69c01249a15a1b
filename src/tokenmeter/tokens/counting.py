"""``tokenmeter.count``: what a text or a prompt weighs before it is sent."""

from __future__ import annotations

from typing import Any

import msgspec

from tokenmeter.dialects import shapes
from tokenmeter.dialects.shapes import Beside
from tokenmeter.errors import CannotCountError
from tokenmeter.tokens import estimates
from tokenmeter.tokens.estimates import Estimate
from tokenmeter.tokens.tokenizers import Tokenizer, Tokenizers


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens something is, how that was counted, and how far it can be off.

    It is an integer wherever one is asked for: ``int(count)``, ``range(count)``.

    Args:
        model: The model that it was counted for.
        tokens: The number of tokens.
        error: How far it can be off, in tokens: no more in 95 of 100 recorded requests of its
            kind; 0 is exact.
        estimator: What counted: a vocabulary, or ``tokenizer`` for one of one's own.
        family: The family that the model was counted as.
        is_guess: Whether nobody here knows the model.
        without: What is in it and not in the number, because nobody can know it here: ``image``.
    """

    model: str
    tokens: int
    error: int
    estimator: str
    family: str
    is_guess: bool = False
    without: tuple[str, ...] = ()

    def __int__(self) -> int:
        return self.tokens

    __index__ = __int__

    def __str__(self) -> str:
        off = f" ± {self.error:,}" if self.error else ""
        noun = "token" if self.tokens == 1 and not off else "tokens"
        said = f"{self.tokens:,}{off} {noun} ({self.family}, by {self.estimator})"
        without = f", without {', '.join(self.without)}" if self.without else ""
        return said + without + ", a guess" * self.is_guess


def count(  # noqa: PLR0913 - what a request has, each with its default
    given: Any,
    /,
    model: str | None = None,
    *,
    tools: Any = None,
    system: Any = None,
    schema: Any = None,
    tokenizer: Tokenizer | None = None,
) -> Count:
    """Count what a model would read, offline.

    A text alone is counted as that text. Messages are counted as a request that has them, with
    what the vendor's chat format adds; so is a text that has something beside it.

    Args:
        given: A text, several, messages as OpenAI, Anthropic or Google take them, or the whole
            body of a request; objects of their SDKs too.
        model: The name of the model; may be left out where a body says it.
        tools: The tools that may be called, in any vendor's format.
        system: The system prompt or the instructions.
        schema: The format the answer must have: a JSON schema, a pydantic model, or OpenAI's
            ``response_format``.
        tokenizer: What counts a text instead of the built-in way.

    Raises:
        CannotCountError: What was given is nothing of the kind, or names no model.
        ConfigurationError: The tokenizer is none.

    >>> int(count("hello world", "gpt-5"))
    2
    >>> count("hello world", "somebody-s-own-model").is_guess
    True
    """
    asked = shapes.read(given, Beside(tools, system, schema))
    name = model or asked.model
    if not isinstance(name, str):
        raise CannotCountError(
            f"count() needs the name of a model, such as count(…, 'gpt-5'); got {model!r}"
        )
    by = _tokenizers(tokenizer)
    if asked.bare:
        return _count(name, estimates.of_texts(asked.prompt.texts, name, by))
    return _count(name, estimates.of_prompt(asked.prompt, name, by))


def _count(model: str, found: Estimate) -> Count:
    return Count(
        model=model,
        tokens=found.weight.tokens,
        error=found.weight.error,
        estimator=found.estimator,
        family=found.family.name,
        is_guess=found.family.is_guess,
        without=found.weight.without,
    )


def _tokenizers(tokenizer: Tokenizer | None) -> Tokenizers:
    from tokenmeter.meter import default

    meter = default()
    return meter.tokenizers if tokenizer is None else Tokenizers({"*": tokenizer}, meter.guard)
