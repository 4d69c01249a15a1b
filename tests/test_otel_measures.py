"""What one event adds to which metric."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import UsageEvent
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.otel_measures import Measure, measures, split

BOTH = names.PROFILES["both"]
UNKNOWN = ("gen_ai.token.modality", "unknown")


def event(kind: Any = "call", **columns: Any) -> UsageEvent:
    return UsageEvent(kind, "x", 1, datetime(2026, 11, 22, tzinfo=UTC), **columns)


def measured(profile: str = "both", *, strict: bool = False, **columns: Any) -> list[Measure]:
    return measures(event(**columns), names.PROFILES[profile], strict=strict)


REPORTED: dict[str, Any] = {
    "operation": "chat",
    "input_tokens": 10,
    "output_tokens": 4,
    "cache_read_tokens": 6,
    "cache_write_tokens": 0,
    "reasoning_tokens": 1,
    "input_provenance": "reported",
    "output_provenance": "reported",
    "duration_s": 0.5,
    "time_to_first_chunk_s": 0.25,
}


def test_a_reported_call_in_the_current_profile() -> None:
    assert measured("current", **REPORTED) == [
        ("gen_ai.client.inference.usage.input_tokens", 10, UNKNOWN),
        ("gen_ai.client.inference.usage.cache_read.input_tokens", 6, UNKNOWN),
        ("gen_ai.client.inference.usage.cache_write.input_tokens", 0, UNKNOWN),
        ("gen_ai.client.inference.operation.input_tokens", 10, None),
        ("gen_ai.client.inference.usage.output_tokens", 4, UNKNOWN),
        ("gen_ai.client.inference.usage.reasoning.output_tokens", 1, UNKNOWN),
        ("gen_ai.client.inference.operation.output_tokens", 4, None),
        ("gen_ai.client.inference.duration", 0.5, None),
        ("gen_ai.client.inference.time_to_first_chunk", 0.25, None),
    ]


def test_a_reported_call_in_the_legacy_profile() -> None:
    assert measured("legacy", **REPORTED) == [
        ("gen_ai.client.token.usage", 10, ("gen_ai.token.type", "input")),
        ("gen_ai.client.token.usage", 4, ("gen_ai.token.type", "output")),
        ("gen_ai.client.operation.duration", 0.5, None),
        ("gen_ai.client.operation.time_to_first_chunk", 0.25, None),
    ]


def test_both_profiles_are_the_two_together() -> None:
    assert sorted(measured(**REPORTED), key=str) == sorted(
        measured("current", **REPORTED) + measured("legacy", **REPORTED), key=str
    )


@pytest.mark.parametrize("profile", names.PROFILES)
def test_what_is_no_inference_has_its_duration_once_under_the_older_name(profile: str) -> None:
    found = measured(profile, operation="embeddings", duration_s=0.5, input_tokens=7)
    assert [m for m in found if m[1] == 0.5] == [("gen_ai.client.operation.duration", 0.5, None)]


def test_an_estimate_goes_to_a_metric_of_its_own_and_says_what_it_is() -> None:
    assert measured(
        input_tokens=9,
        input_provenance="estimated",
        output_tokens=3,
        output_provenance="partial",
        reasoning_tokens=2,
    ) == [
        ("tokenmeter.estimated.input_tokens", 9, ("tokenmeter.provenance", "estimated")),
        ("tokenmeter.estimated.output_tokens", 3, ("tokenmeter.provenance", "partial")),
    ]


@pytest.mark.parametrize(
    ("sides", "which"),
    [
        ({"input_tokens": 1, "output_provenance": "unknown"}, "output"),
        ({"input_provenance": "unknown", "output_provenance": "none"}, "input"),
        ({}, "both"),
        ({"input_tokens": -1, "output_tokens": 2}, "input"),
    ],
)
def test_a_call_of_which_a_count_is_unknown_is_unmetered_once(
    sides: dict[str, Any], which: str
) -> None:
    found = [m for m in measured(**sides) if m[0] == "tokenmeter.calls.unmetered"]
    assert found == [("tokenmeter.calls.unmetered", 1, ("tokenmeter.unmetered", which))]
    assert all(amount > 0 for _, amount, _ in measured(**sides))


def test_an_attempt_with_nothing_to_count_has_its_duration_alone() -> None:
    sides = {"input_provenance": "none", "output_provenance": "none"}
    assert measured(**sides, duration_s=0.5) == [("gen_ai.client.operation.duration", 0.5, None)]


def test_strictly_what_is_not_there_is_the_0_of_the_convention() -> None:
    found = measured(strict=True, input_provenance="none", output_provenance="unknown")
    assert found == [
        ("gen_ai.client.inference.usage.input_tokens", 0, UNKNOWN),
        ("gen_ai.client.inference.usage.output_tokens", 0, UNKNOWN),
        ("tokenmeter.calls.unmetered", 1, ("tokenmeter.unmetered", "output")),
    ]


def test_an_estimate_is_no_0_even_strictly() -> None:
    found = measured(strict=True, input_tokens=3, input_provenance="estimated", output_tokens=0)
    assert names.INPUT not in {metric for metric, _, _ in found}


def test_the_cost_says_its_currency() -> None:
    sides = {"input_provenance": "none", "output_provenance": "none"}
    assert measured(cost_amount=Decimal("0.125"), cost_currency="EUR", **sides) == [
        ("tokenmeter.cost", 0.125, ("tokenmeter.cost.currency", "EUR"))
    ]


@pytest.mark.parametrize("kind", ["outcome", "run"])
def test_what_is_no_call_is_in_no_metric(kind: str) -> None:
    assert measures(event(kind, input_tokens=1, duration_s=1.0), BOTH, strict=True) == []


counts = st.none() | st.integers(0, 50)


@given(total=st.integers(0, 100), text=counts, image=counts, audio=counts)
def test_over_the_modalities_the_sum_is_the_total(
    total: int, text: int | None, image: int | None, audio: int | None
) -> None:
    found = measured(
        "current",
        input_tokens=total,
        input_text_tokens=text,
        input_image_tokens=image,
        input_audio_tokens=audio,
    )
    mine = [(amount, more) for metric, amount, more in found if metric == names.INPUT]
    assert sum(amount for amount, _ in mine) == total
    assert min(amount for amount, _ in mine) >= 0
    if sum(filter(None, (text, image, audio))) > total:
        assert mine == [(total, UNKNOWN)]


def test_a_part_below_nothing_makes_all_of_it_unknown() -> None:
    assert list(split(5, [(("m", "text"), -1), (("m", "image"), 6)])) == [(UNKNOWN, 5)]


provenances = st.sampled_from(["reported", "estimated", "partial", "unknown", "none", None])


@given(counts, provenances, counts, provenances, st.booleans())
def test_a_number_is_reported_or_estimated_and_never_both(
    read: int | None, how_read: Any, made: int | None, how_made: Any, strict: bool
) -> None:
    found = measured(
        strict=strict,
        input_tokens=read,
        input_provenance=how_read,
        output_tokens=made,
        output_provenance=how_made,
    )
    sums = {metric: 0.0 for metric, _, _ in found}
    for metric, amount, _ in found:
        sums[metric] += amount
    for reported, estimated, tokens in (
        (names.INPUT, names.ESTIMATED_INPUT, read),
        (names.OUTPUT, names.ESTIMATED_OUTPUT, made),
    ):
        assert not sums.get(reported) or not sums.get(estimated)
        assert sums.get(reported, 0) + sums.get(estimated, 0) in (0, tokens)


def test_every_metric_of_the_conventions_is_as_they_say() -> None:
    token_buckets = [
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    ]  # fmt: skip
    second_buckets = [
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ]  # fmt: skip
    assert list(names.TOKEN_BUCKETS) == token_buckets
    assert list(names.SECOND_BUCKETS) == second_buckets
    said = {
        name: (metric.unit, metric.buckets, metric.has_error)
        for name, metric in names.METRICS.items()
        if name.startswith("gen_ai.")
    }
    tokens, seconds = tuple(token_buckets), tuple(second_buckets)
    assert said == {
        "gen_ai.client.inference.usage.input_tokens": ("{token}", None, False),
        "gen_ai.client.inference.usage.output_tokens": ("{token}", None, False),
        "gen_ai.client.inference.usage.cache_read.input_tokens": ("{token}", None, False),
        "gen_ai.client.inference.usage.cache_write.input_tokens": ("{token}", None, False),
        "gen_ai.client.inference.usage.reasoning.output_tokens": ("{token}", None, False),
        "gen_ai.client.inference.operation.input_tokens": ("{token}", tokens, True),
        "gen_ai.client.inference.operation.output_tokens": ("{token}", tokens, True),
        "gen_ai.client.inference.duration": ("s", seconds, True),
        "gen_ai.client.inference.time_to_first_chunk": ("s", seconds, False),
        "gen_ai.client.token.usage": ("{token}", tokens, False),
        "gen_ai.client.operation.duration": ("s", seconds, True),
        "gen_ai.client.operation.time_to_first_chunk": ("s", seconds, False),
    }
