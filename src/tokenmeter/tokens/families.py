"""Families of models that count alike, and finding the one that a model belongs to."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import date
from importlib import import_module
from typing import Protocol

import msgspec

from tokenmeter.dialects.content import Answer, Prompt

Length = Callable[[str], int]
"""Counts the tokens of a text for the model in question."""

VENDORS = (
    "openai",
    "anthropic",
    "gemini",
    "mistral",
    "cohere",
    "amazon",
    "hosted",
    "open_models",
    "unknown",
)
"""Modules of this package, in the order in which their families are tried; the last fits all."""


class Weight(msgspec.Struct, frozen=True, gc=False):
    """What something weighs.

    Args:
        tokens: The best estimate.
        error: How far it can be off, in tokens: no more in 95 of 100 recorded exchanges of its
            kind (``docs/estimates.md``); 0 is exact.
        least: What it weighs at least, by the worst error that is documented for its kind.
        without: What is in it and not in the number, because nobody can know it here.
    """

    tokens: int
    error: int = 0
    least: int = 0
    without: tuple[str, ...] = ()


class Rules(Protocol):
    """What a vendor's models read and write beside the text itself."""

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        ...

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds: all its choices, as far as it came."""
        ...


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Models that count alike.

    Args:
        name: The name of the family, for people.
        models: Pattern that is found in a model's name, in lower case.
        rules: What is read and written beside the text.
        vocabulary: The vocabulary that text is counted with.
        length: What counts text, where it is more than a vocabulary.
        estimator: The name of what counts, where it is not the vocabulary.
        factor: Tokens of the model for one of the vocabulary; where it is not 1 it is empirical.
        digits: Digits that the model's own vocabulary joins to one token.
        foreign: Tokens of the model for one of the vocabulary, in scripts other than Latin.
        input_error: Share of the input by which an estimate is off at most, in 95 of 100 cases.
        output_error: The same for the output.
        output_worst: Share by which the estimate of an output was ever too high.
        max_output: The most tokens an answer can have, where a source says it.
        reasons: Whether the model may reason without showing it.
        is_guess: Whether the model is an unknown one.
        model: The name that the family was found by.
        until: The first day on which these names meant other models; ``None``: they mean them now.
    """

    name: str
    models: str
    rules: Rules
    vocabulary: str = "o200k_base"
    length: Length | None = None
    estimator: str | None = None
    factor: float = 1.0
    digits: int = 3
    foreign: float = 1.0
    input_error: float = 0.0
    output_error: float = 0.0
    output_worst: float = 0.0
    max_output: int | None = None
    reasons: bool = False
    is_guess: bool = False
    model: str = ""
    until: date | None = None


@functools.lru_cache(maxsize=1000)
def family_of(model: str | None, on: date | None = None) -> Family:
    """Find the family of a model by its name; an unknown one gets a family that guesses.

    Args:
        model: The name.
        on: The day on which it was called so; ``None``: today.
    """
    name = (model or "").lower()
    found = next(by for by in _families() if _is_valid(by, on) and re.search(by.models, name))
    return msgspec.structs.replace(found, model=name)


def _is_valid(family: Family, on: date | None) -> bool:
    return family.until is None or (on is not None and on < family.until)


@functools.cache
def _families() -> tuple[Family, ...]:
    modules = [import_module(f"tokenmeter.tokens.{vendor}") for vendor in VENDORS]
    return tuple(family for module in modules for family in module.FAMILIES)
