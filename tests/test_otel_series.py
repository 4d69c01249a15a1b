"""Attribute sets: what is in them, and how many there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.otel_series import ALLOWED, SeriesTable

DURATION = names.METRICS[names.DURATION]
INPUT = names.METRICS[names.INPUT]


def event(**columns: Any) -> UsageEvent:
    return UsageEvent("call", "x", 1, datetime(2026, 11, 22, tzinfo=UTC), **columns)


FAILED = event(
    operation="chat",
    provider="openai",
    request_model="m",
    response_model="m-1",
    error_type="429",
    user="ada",
    task="T-1",
    team="compilers",
    tags={"project": "x", "size": 3},
)


def test_a_call_says_its_operation_provider_models_and_error_and_nobody() -> None:
    series = SeriesTable()[FAILED]
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m-1",
    }
    assert series.attributes(INPUT, None) == said
    assert series.attributes(DURATION, None) == said | {"error.type": "429"}
    assert series.attributes(INPUT, ("a", "b")) == said | {"a": "b"}
    assert series.attributes(DURATION, ("a", "b")) == said | {"error.type": "429", "a": "b"}


def test_what_is_allowed_by_name_is_said_where_it_is_known() -> None:
    table = SeriesTable(["team", "tag:project", "tag:size", "region"])
    said = table[FAILED].attributes(INPUT, None)
    assert {name: value for name, value in said.items() if name.startswith("tokenmeter")} == {
        "tokenmeter.team": "compilers",
        "tokenmeter.tag.project": "x",
        "tokenmeter.tag.size": 3,
    }


def test_every_column_that_is_allowed_is_one_of_the_event() -> None:
    assert set(ALLOWED) <= set(UsageEvent.__struct_fields__)
    for name in ALLOWED:
        said = SeriesTable([name])[event(**{name: "here"})].attributes(INPUT, None)
        assert said[names.named(name)] == "here"


def test_what_nobody_said_is_unknown_where_the_convention_requires_it() -> None:
    assert SeriesTable()[event()].attributes(DURATION, None) == {
        "gen_ai.operation.name": "unknown",
        "gen_ai.provider.name": "unknown",
    }


def test_the_rest_is_folded_into_one_series_whoever_makes_up_the_names() -> None:
    """C78: a label that anybody may choose must not grow the metrics without bound."""
    table = SeriesTable(["user"], limit=2)
    seen = [
        table[event(operation="chat", provider="openai", response_model=f"m-{n}", user=f"u-{n}")]
        for n in range(1_000)
    ]
    assert len(table) == 2
    assert len({id(series) for series in seen}) == 3
    assert seen[-1].attributes(INPUT, None) == {
        "gen_ai.operation.name": "_OTHER",
        "gen_ai.provider.name": "_OTHER",
        "gen_ai.request.model": "_OTHER",
        "gen_ai.response.model": "_OTHER",
        "user.id": "_OTHER",
    }
    assert (
        table[event(operation="chat", provider="openai", response_model="m-0", user="u-0")]
        is (seen[0])
    )


def test_of_the_rest_those_that_failed_are_told_apart() -> None:
    table = SeriesTable(limit=1)
    table[event()]
    fine, failed = table[event(provider="a")], table[event(provider="a", error_type="429")]
    assert "error.type" not in fine.attributes(DURATION, None)
    assert failed.attributes(DURATION, None)["error.type"] == "_OTHER"
    assert fine.attributes(INPUT, None) == failed.attributes(INPUT, None)


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        (["prompt"], "'prompt' cannot become an attribute of metrics; those that can are agent, "),
        (["tag:"], "'tag:' cannot become"),
        (["event_id"], "'event_id' cannot become"),
        ("team", "attributes is a list of names"),
    ],
)
def test_what_cannot_be_an_attribute_is_refused(allowed: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SeriesTable(allowed)


def test_less_than_one_series_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1; got 0"):
        SeriesTable(limit=0)
