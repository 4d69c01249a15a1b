"""What tokenmeter counts for a real model is what its server counted itself.

llama.cpp's server counts, over its lifetime, the prompt tokens that it processed (without those
that it took from its cache) and the tokens that it predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from anthropic import Anthropic
from openai import OpenAI

import tokenmeter
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.memory import Memory
from tokenmeter.testing.llm import MissingModelError, SmallModel

QUESTIONS = ("What is a meter?", "Name two rivers of Europe.", "Why is the sky blue?")
ANSWER_TOKENS = 16


class Spent(NamedTuple):
    """Counts of tokens, by us or by the server."""

    prompt: int
    predicted: int


class Metered:
    """A server with both SDKs wrapped in front of it."""

    def __init__(self, model: SmallModel, *, exact_streams: bool = False) -> None:
        self.model = model
        self.memory = Memory()
        self.meter = tokenmeter.Meter(exporters=[self.memory], exact_streams=exact_streams)
        self.openai = self.meter.wrap(OpenAI(base_url=model.openai_url, api_key="none"))
        self.anthropic = self.meter.wrap(Anthropic(base_url=model.url, api_key="none"))

    def counted_by_server(self) -> Spent:
        metrics = self.model.metrics()
        return Spent(int(metrics["prompt_tokens_total"]), int(metrics["tokens_predicted_total"]))

    def events(self) -> list[UsageEvent]:
        self.meter.flush()
        return list(self.memory.events)

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()
        self.meter.shutdown()


def serve(*, prompt_cache: bool, exact_streams: bool = False) -> Iterator[Metered]:
    try:
        model = SmallModel(prompt_cache=prompt_cache)
    except MissingModelError as missing:
        pytest.skip(str(missing))
    with model:
        metered = Metered(model, exact_streams=exact_streams)
        yield metered
        metered.close()


@pytest.fixture(scope="module")
def cached() -> Iterator[Metered]:
    yield from serve(prompt_cache=True)


@pytest.fixture(scope="module")
def uncached() -> Iterator[Metered]:
    yield from serve(prompt_cache=False)


@pytest.fixture(scope="module")
def exact() -> Iterator[Metered]:
    yield from serve(prompt_cache=False, exact_streams=True)


def ask_in_every_way(metered: Metered) -> int:
    """Ask each question through both SDKs, plain and streamed; return the number of calls."""
    ways = (ask_openai, stream_openai, ask_responses, ask_anthropic, stream_anthropic)
    for question in QUESTIONS:
        for ask in ways:
            ask(metered, question)
    return len(QUESTIONS) * len(ways)


def ask_openai(metered: Metered, question: str) -> None:
    metered.openai.chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": question}],
        max_tokens=ANSWER_TOKENS,
    )


def stream_openai(metered: Metered, question: str) -> None:
    with metered.openai.chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": question}],
        max_tokens=ANSWER_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
    ) as chunks:
        assert list(chunks)


def ask_responses(metered: Metered, question: str) -> None:
    metered.openai.responses.create(
        model="smollm2", input=question, max_output_tokens=ANSWER_TOKENS
    )


def ask_anthropic(metered: Metered, question: str) -> None:
    metered.anthropic.messages.create(
        model="smollm2",
        messages=[{"role": "user", "content": question}],
        max_tokens=ANSWER_TOKENS,
    )


def stream_anthropic(metered: Metered, question: str) -> None:
    with metered.anthropic.messages.stream(
        model="smollm2",
        messages=[{"role": "user", "content": question}],
        max_tokens=ANSWER_TOKENS,
    ) as stream:
        assert stream.get_final_message()


def test_input_less_cache_reads_and_output_equal_the_counters_of_the_server(
    cached: Metered,
) -> None:
    calls = ask_in_every_way(cached)
    events = cached.events()
    assert len(events) == calls
    assert {event.status for event in events} == {"completed"}
    assert {event.input_provenance for event in events} == {"reported"}
    assert {event.output_provenance for event in events} == {"reported"}
    usages = [event.usage for event in events]
    processed = sum((u.input_tokens or 0) - (u.cache_read_tokens or 0) for u in usages)
    predicted = sum(u.output_tokens or 0 for u in usages)
    assert sum(u.cache_read_tokens or 0 for u in usages) > 0
    assert Spent(processed, predicted) == cached.counted_by_server()


def test_with_the_prompt_cache_off_input_itself_equals_the_counter_of_the_server(
    uncached: Metered,
) -> None:
    calls = ask_in_every_way(uncached)
    events = uncached.events()
    assert len(events) == calls
    usages = [event.usage for event in events]
    assert sum(u.cache_read_tokens or 0 for u in usages) == 0
    counted = Spent(
        sum(u.input_tokens or 0 for u in usages), sum(u.output_tokens or 0 for u in usages)
    )
    assert counted == uncached.counted_by_server()


def test_streams_that_ask_for_no_usage_are_counted_exactly_where_the_meter_asks(
    exact: Metered,
) -> None:
    for question in QUESTIONS:
        chat = exact.openai.chat.completions.create(
            model="smollm2",
            messages=[{"role": "user", "content": question}],
            max_tokens=ANSWER_TOKENS,
            stream=True,
        )
        chunks = list(chat)
        assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)
    events = exact.events()
    assert {(e.status, e.input_provenance, e.output_provenance) for e in events} == {
        ("completed", "reported", "reported")
    }
    counted = Spent(
        sum(e.input_tokens or 0 for e in events), sum(e.output_tokens or 0 for e in events)
    )
    assert counted == exact.counted_by_server()


def test_what_the_server_counted_of_streams_that_were_left_lies_between_the_bounds(
    uncached: Metered,
) -> None:
    for left_after in (1, 4, 8):
        known, before = len(uncached.events()), uncached.counted_by_server()
        with uncached.openai.chat.completions.create(
            model="smollm2",
            messages=[{"role": "user", "content": QUESTIONS[0]}],
            max_tokens=ANSWER_TOKENS,
            stream=True,
        ) as chunks:
            for _ in range(left_after):
                next(chunks)
        while uncached.model.metrics()["requests_processing"]:
            pass
        after = uncached.counted_by_server()
        event = uncached.events()[known]
        assert (event.status, event.input_provenance) == ("abandoned", "estimated")
        assert event.output_provenance == "partial"
        read = after.prompt - before.prompt
        assert abs((event.input_tokens or 0) - read) <= (event.input_tokens_error or 0)
        assert event.output_tokens_max == ANSWER_TOKENS
        assert (event.output_tokens or 0) <= after.predicted - before.predicted <= ANSWER_TOKENS
