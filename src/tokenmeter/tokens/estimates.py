"""An estimate: what a prompt or an answer weighs for a model, and how far that can be off."""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from tokenmeter.dialects.content import Answer, Prompt
from tokenmeter.tokens import vocabularies
from tokenmeter.tokens.families import Family, Length, Weight, family_of
from tokenmeter.tokens.tokenizers import Tokenizers, UnusableError

TOKENIZER = "tokenizer"
"""The estimator where a tokenizer of the user's counted."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number of tokens that nobody reported.

    Args:
        weight: The number and its errors.
        family: The family that the model was counted as.
        estimator: What counted: a vocabulary, or ``tokenizer`` for one of the user's.
    """

    weight: Weight
    family: Family
    estimator: str


def of_prompt(prompt: Prompt, model: str | None, tokenizers: Tokenizers | None = None) -> Estimate:
    """Estimate what a request gives a model to read."""
    family = family_of(model, prompt.on)
    return _estimated(lambda by, length: by.rules.read(prompt, by, length), family, tokenizers)


def of_texts(
    texts: tuple[str, ...], model: str | None, tokenizers: Tokenizers | None = None
) -> Estimate:
    """Estimate what bare texts weigh, without what a request would have around them."""
    family = family_of(model)
    if _counts_text_alone(model) and (tokenizers is None or tokenizers.length(model) is None):
        tokens = sum([vocabularies.length(text, family.vocabulary) for text in texts])
        weight = Weight(tokens=tokens, least=tokens)
        return Estimate(weight=weight, family=family, estimator=_counter(family))
    found = of_prompt(Prompt(texts=texts), model, tokenizers)
    tokens = max(0, found.weight.tokens - _around(len(texts), model))
    weight = replace(found.weight, tokens=tokens, least=min(tokens, found.weight.least))
    return replace(found, weight=weight)


@functools.lru_cache(maxsize=1000)
def _counts_text_alone(model: str | None) -> bool:
    """Say whether a text weighs what its vocabulary says, and neither more nor about that."""
    family = family_of(model)
    said = family.rules.read(Prompt(texts=("",)), family, lambda _text: 1000)
    exact = (said.tokens - _around(1, model), said.error) == (1000, 0)
    return exact and family.length is None


def _counter(family: Family) -> str:
    return family.estimator or vocabularies.shipped(family.vocabulary)


@functools.lru_cache(maxsize=1000)
def _around(texts: int, model: str | None) -> int:
    family = family_of(model)
    prompt = Prompt(texts=("",) * texts)
    return family.rules.read(prompt, family, lambda _text: 0).tokens


def of_answer(answer: Answer, model: str | None, tokenizers: Tokenizers | None = None) -> Estimate:
    """Estimate what a model wrote, as far as it came."""
    family = family_of(model, answer.asked.on if answer.asked is not None else None)
    return _estimated(lambda by, length: by.rules.wrote(answer, by, length), family, tokenizers)


def _estimated(
    weigh: Callable[[Family, Length], Weight], family: Family, tokenizers: Tokenizers | None
) -> Estimate:
    own = tokenizers.length(family.model) if tokenizers is not None else None
    if own is not None:
        try:
            exact = replace(family, factor=1.0, digits=3, foreign=1.0)
            return Estimate(weight=weigh(exact, own), family=family, estimator=TOKENIZER)
        except UnusableError:
            pass
    built_in = functools.partial(vocabularies.length, vocabulary=family.vocabulary)
    length = family.length or built_in
    return Estimate(weight=weigh(family, length), family=family, estimator=_counter(family))
