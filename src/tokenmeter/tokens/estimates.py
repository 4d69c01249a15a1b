"""An estimate: what a prompt or an answer weighs for a model, and how far that can be off."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec

from tokenmeter.dialects.content import Answer, Prompt
from tokenmeter.tokens import vocabularies
from tokenmeter.tokens.families import Family, Length, Weight, family_of

Tokenizer = Callable[[str, str | None], int]
"""Counts the tokens of a text for a model: a plug-in."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number of tokens that nobody reported.

    Args:
        weight: The number and its errors.
        family: The family that the model was counted as.
        estimator: What counted: a vocabulary, or a tokenizer of the user's.
    """

    weight: Weight
    family: Family
    estimator: str


def of_prompt(prompt: Prompt, model: str | None, tokenizer: Tokenizer | None = None) -> Estimate:
    """Estimate what a request gives a model to read."""
    family, length = _means(model, tokenizer)
    return Estimate(
        weight=family.rules.read(prompt, family, length),
        family=family,
        estimator=family.vocabulary if tokenizer is None else "tokenizer",
    )


def of_answer(answer: Answer, model: str | None, tokenizer: Tokenizer | None = None) -> Estimate:
    """Estimate what a model wrote, as far as it came."""
    family, length = _means(model, tokenizer)
    return Estimate(
        weight=family.rules.wrote(answer, family, length),
        family=family,
        estimator=family.vocabulary if tokenizer is None else "tokenizer",
    )


def _means(model: str | None, tokenizer: Tokenizer | None) -> tuple[Family, Length]:
    family = family_of(model)
    if tokenizer is not None:
        exact = msgspec.structs.replace(family, factor=1.0, digits=3, foreign=1.0)
        return exact, lambda text: tokenizer(text, model)
    return family, functools.partial(vocabularies.length, vocabulary=family.vocabulary)
