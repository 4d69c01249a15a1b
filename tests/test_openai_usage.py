"""What vendors who speak like OpenAI charge and bill beside the tokens."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tokenmeter import Cost, Meter
from tokenmeter.dialects import Dialect, Reading
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.wire.body import read
from wires import ASKED, LIBRARIES, chat, sse
from wires import CHAT as CHAT_URL

CHAT = OpenAIChat()
FORMATS: dict[Dialect, dict[str, Any]] = {
    CHAT: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}},
    OpenAIResponses(): {"object": "response", "usage": {"input_tokens": 5, "output_tokens": 3}},
    OpenAIEmbeddings(): {"object": "list", "usage": {"prompt_tokens": 5}},
}
formats = pytest.mark.parametrize("dialect", FORMATS, ids=lambda dialect: dialect.name)


def reading(dialect: Dialect, **usage: object) -> Reading:
    body = FORMATS[dialect]
    return read(dialect, json.dumps(body | {"usage": body["usage"] | usage}).encode())


@formats
@pytest.mark.parametrize(
    ("said", "amount"),
    [
        ({"cost": 0.00183, "is_byok": False}, "0.00183"),
        ({"cost": 0, "is_byok": False}, "0"),
        ({"cost": 0.016, "cost_details": {"upstream_inference_cost": 0.0002}}, "0.016"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.2"),
        ({"cost": {"total_cost": 0.00502}}, "0.00502"),
        ({"cost": {"currency": "USD", "total_cost": 2.8e-08}}, "2.8E-8"),
        ({"cost_in_usd_ticks": 1489500}, "0.0001489500"),
    ],
)
def test_what_the_vendor_charged_is_the_cost_to_the_last_digit(
    dialect: Dialect, said: dict[str, Any], amount: str
) -> None:
    cost = Cost(amount=Decimal(amount), currency="USD", price_source="provider")
    assert reading(dialect, **said).cost == cost


@formats
@pytest.mark.parametrize(
    "said",
    [
        {},
        {"cost": None, "is_byok": False},
        {"cost": 0.5},  # in whose money?
        {"cost": 0, "is_byok": True},  # the upstream's bill is unknown, and unknown is not zero
        {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}},
        {"cost": {"total_cost": 3, "currency": "CNY"}},
        {"cost": {"total_cost": None}},
        {"cost": {}},
        {"cost": -1, "is_byok": False},
        {"cost": "NaN", "is_byok": False},
        {"cost": "sNaN", "is_byok": True, "cost_details": {"upstream_inference_cost": 1}},
        {"cost": "Infinity", "is_byok": False},
        {"cost": 1e300, "is_byok": False},
        {"cost": "much", "is_byok": False},
        {"cost": [1], "is_byok": False},
        {"cost": True, "is_byok": False},
        {"cost_in_usd_ticks": -5},
        {"cost_in_usd_ticks": "5"},
    ],
)
def test_a_cost_that_is_not_known_to_be_dollars_is_unknown_and_harms_no_count(
    dialect: Dialect, said: dict[str, Any]
) -> None:
    got = reading(dialect, **said)
    assert got.cost is None
    assert got.usage == reading(dialect).usage


def test_a_stream_costs_what_its_last_report_says() -> None:  # C06
    usage = {"prompt_tokens": 5, "is_byok": False}
    chunks = [{"choices": [], "usage": usage | {"completion_tokens": n, "cost": n}} for n in (1, 2)]
    got = read(CHAT, sse(*chunks, "[DONE]"))
    assert (got.usage.output_tokens, got.cost and got.cost.amount) == (2, Decimal(2))


@pytest.mark.parametrize("total", [None, 8, 20])
def test_reasoning_is_added_to_the_output_only_where_the_total_says_it_is_outside(
    total: int | None,
) -> None:
    got = reading(CHAT, total_tokens=total, completion_tokens_details={"reasoning_tokens": 2})
    assert (got.usage.output_tokens, got.usage.reasoning_tokens) == (3, 2)
    got = reading(CHAT, total_tokens=10, completion_tokens_details={"reasoning_tokens": 2})
    assert (got.usage.output_tokens, got.usage.reasoning_tokens) == (5, 2)


def test_reasoning_at_the_top_of_the_usage_is_inside_unless_searches_are_billed_with_it() -> None:
    got = reading(CHAT, reasoning_tokens=2)
    assert (got.usage.output_tokens, got.usage.reasoning_tokens) == (3, 2)
    got = reading(CHAT, reasoning_tokens=20, num_search_queries=1)
    assert (got.usage.output_tokens, got.usage.reasoning_tokens) == (23, 20)


@pytest.mark.parametrize(
    ("usage", "given"),
    [
        ({"total_tokens": 383, "prompt_audio_seconds": 3}, 380),
        ({"total_tokens": 8, "prompt_audio_seconds": 3}, 5),
        ({"total_tokens": None, "prompt_audio_seconds": 3}, 5),
        ({"total_tokens": 383, "prompt_audio_seconds": None}, 5),
        ({"total_tokens": 383, "prompt_audio_seconds": 3, "completion_tokens": None}, 5),
    ],
)
def test_audio_that_the_total_holds_beside_the_prompt_is_input(
    usage: dict[str, Any], given: int
) -> None:
    assert reading(CHAT, **usage).usage.input_tokens == given


def test_the_served_tier_is_found_in_the_usage_too() -> None:  # C49
    assert reading(CHAT, service_tier="priority").service_tier == "priority"


def test_an_error_inside_a_stream_is_no_completed_call() -> None:  # C65
    chunk = {"id": "c1", "choices": [{"delta": {}, "finish_reason": "error"}]}
    got = read(CHAT, sse({"id": "c1", "choices": [{"delta": {"content": "x"}}]}, chunk, "[DONE]"))
    assert (got.status, got.error_type) == ("failed", "error")


def test_a_plain_answer_with_usage_and_no_choices_is_whole() -> None:  # C61
    for choices in (None, []):
        body = {"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
        got = read(CHAT, json.dumps(body).encode())
        assert (got.recognised, got.final, got.usage.total_tokens) == (True, True, 8)


@pytest.mark.parametrize("mark", ["from_cache", "hishel_from_cache", "none"])
def test_an_answer_from_an_http_cache_does_not_cost_what_it_once_did(mark: str) -> None:  # C23
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "cost": 0.25, "is_byok": False}
    costs: list[Decimal | None] = []
    for library in LIBRARIES:
        answer = library.Response(200, json=chat(usage=usage), extensions={mark: True})
        transport = library.MockTransport(lambda _, answer=answer: answer)
        meter = Meter(exporters=[lambda event: costs.append(event.cost_amount)])
        with meter.wrap(library.Client(transport=transport)) as client:
            client.post(CHAT_URL, json=ASKED)
        meter.shutdown()
    assert costs == [Decimal("0.25") if mark == "none" else None] * 2
