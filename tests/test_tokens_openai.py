"""OpenAI's models by name."""

from __future__ import annotations

import pytest

from tokenmeter.tokens.families import family_of

NAMES = {
    "gpt-4o": ("gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o-mini", "chatgpt-4o-latest",
               "ft:gpt-4o-mini-2024-07-18:org::abc", "gpt-4o-audio-preview-2024-12-17"),
    "gpt-4o of May 2024": ("gpt-4o-2024-05-13",),
    "gpt-4o realtime": ("gpt-4o-realtime-preview", "gpt-realtime"),
    "gpt-4o transcribe": ("gpt-4o-mini-transcribe",),
    "gpt-4.1": ("gpt-4.1", "gpt-4.1-nano-2025-04-14", "azure/gpt-4.1-mini"),
    "gpt-4.5": ("gpt-4.5-preview",),
    "gpt-4": ("gpt-4", "gpt-4-0613"),
    "gpt-4 32k": ("gpt-4-32k", "gpt-4-32k-0613"),
    "gpt-4 turbo": ("gpt-4-turbo-2024-04-09", "gpt-4-1106-preview", "gpt-4-vision-preview"),
    "gpt-3.5": ("gpt-3.5-turbo", "gpt-35-turbo", "gpt-35-turbo-16k", "GPT-3.5-Turbo-0125"),
    "gpt-3.5 of March 2023": ("gpt-3.5-turbo-0301",),
    "gpt-3.5 instruct": ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct:20230824-v2"),
    "gpt-5": ("gpt-5", "gpt-5-mini-2025-08-07", "openai/gpt-5-nano"),
    "gpt-5 pro": ("gpt-5-pro-2025-10-06",),
    "gpt-5 chat": ("gpt-5-chat-latest", "gpt-5.1-chat-latest"),
    "gpt-5.x": ("gpt-5.1", "gpt-5.1-codex-max", "openai.gpt-5.5", "gpt-5.6-sol", "gpt-5.4-mini"),
    "gpt-5 of tomorrow": ("gpt-5.7", "gpt-5.60-mini"),
    "o3 and o4": ("o3", "o3-pro", "o4-mini-2025-04-16", "o4-mini-deep-research-2025-06-26"),
    "o1 and o3-mini": ("o1", "openai/o3-mini", "o1-2024-12-17"),
    "o1-preview": ("o1-preview-2024-09-12",),
    "gpt-oss": ("gpt-oss-120b", "gpt-oss:20b", "openai.gpt-oss-120b-1:0", "openai/gpt-oss-20b"),
    "base models": ("davinci-002", "davinci:2023-07-21-v2", "babbage-002"),
    "embeddings": ("text-embedding-3-small", "text-embedding-ada-002-v2"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "family"), [(model, family) for family, models in NAMES.items() for model in models]
)
def test_a_model_is_found_by_the_names_that_are_in_use(model: str, family: str) -> None:
    assert family_of(model).name == family


@pytest.mark.parametrize(
    "model",
    [
        *("vicuna-gpt-4", "gpt-4-x-alpaca", "gpt4all", "gpt-4all", "gpt-4ocean", "gpt-neox"),
        *("marco-o1", "AIDC/Marco-o1", "o1-open", "llama-o3", "gpt-j-6b", "claude-gpt-4"),
    ],
)
def test_somebody_elses_model_is_none_of_openais(model: str) -> None:
    assert family_of(model).name not in NAMES


def test_a_family_says_what_counts_and_how_long_an_answer_can_be() -> None:
    def said(model: str) -> tuple[str, int | None, bool]:
        family = family_of(model)
        return family.vocabulary, family.max_output, family.reasons

    assert said("gpt-4o") == ("o200k_base", 16_384, False)
    assert said("gpt-4-turbo") == ("cl100k_base", 4_096, False)
    assert said("gpt-4-32k") == ("cl100k_base", 32_768, False)
    assert said("gpt-3.5-turbo-16k") == ("cl100k_base", 16_385, False)
    assert said("gpt-realtime-2") == ("o200k_base", 32_000, False)
    assert said("gpt-5.5") == ("o200k_base", 128_000, True)
    assert said("gpt-5.7") == ("o200k_base", None, True)
    assert said("o3") == ("o200k_base", 100_000, True)
    assert said("gpt-oss-20b") == ("o200k_base", 131_072, False)
    assert said("text-embedding-3-large") == ("cl100k_base", None, False)
    assert family_of("openai/GPT-4o").model == "openai/gpt-4o"
