"""The values: frozen, flat, and contradictions are named."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import (
    Attribution,
    Cost,
    InvariantError,
    Usage,
    UsageEvent,
    check_invariants,
)
from tokenmeter.event import Tags

COUNTS = Usage.__struct_fields__[:-1]


def event(**more: Any) -> UsageEvent:
    ts = datetime(2026, 11, 22, tzinfo=UTC)
    return UsageEvent(kind="call", event_id="x", schema=1, ts=ts, **more)


def test_every_part_is_a_column_of_the_event_under_the_same_name() -> None:
    columns = set(UsageEvent.__struct_fields__)
    assert set(Usage.__struct_fields__) <= columns
    assert set(Attribution.__struct_fields__) <= columns
    cost = {f"cost_{name}" for name in ("amount", "currency", "reason")}
    assert cost | {"price_source", "price_version", "price_date"} <= columns


def test_the_parts_of_an_event_are_values() -> None:
    whole = event(input_tokens=5, user="ada", tags={"a": 1}, cost_amount=Decimal("0.5"),
                  cost_currency="USD", price_date="2026-01-01")  # fmt: skip
    assert whole.usage == Usage(input_tokens=5)
    assert whole.attribution == Attribution(user="ada", tags={"a": 1})
    assert whole.cost == Cost(amount=Decimal("0.5"), currency="USD", price_date="2026-01-01")
    assert event().cost is None
    assert event(cost_reason="no price").cost == Cost(reason="no price")


@pytest.mark.parametrize("value", [event(user="ada"), Usage(input_tokens=1), Attribution(), Cost()])
def test_values_refuse_to_change(value: Any) -> None:
    with pytest.raises(AttributeError):
        setattr(value, value.__struct_fields__[0], "other")


@pytest.mark.parametrize(
    "change",
    [
        lambda tags: tags.__setitem__("a", 2),
        lambda tags: tags.__delitem__("a"),
        lambda tags: tags.update(b=1),
        lambda tags: tags.pop("a"),
        lambda tags: tags.popitem(),
        lambda tags: tags.clear(),
        lambda tags: tags.setdefault("b", 1),
        lambda tags: tags.__ior__({"b": 1}),
    ],
)
def test_tags_refuse_to_change(change: Callable[[Tags], object]) -> None:
    tags = Tags({"a": 1})
    with pytest.raises(TypeError, match="immutable"):
        change(tags)
    assert tags == {"a": 1}


def test_events_survive_pickling_copying_and_json() -> None:
    whole = event(user="ada", finish_reasons=("stop",), cost_amount=Decimal("0.1"),
                  other_counts={"x": 1})  # fmt: skip
    assert pickle.loads(pickle.dumps(whole)) == whole
    assert copy.deepcopy(whole) == copy.copy(whole) == whole
    assert msgspec.json.decode(msgspec.json.encode(whole), type=UsageEvent) == whole


def test_a_reader_ignores_columns_that_it_does_not_know() -> None:
    line = msgspec.json.encode(event())[:-1] + b',"from_the_future":[1]}'
    assert msgspec.json.decode(line, type=UsageEvent) == event()


def test_what_is_unknown_is_left_out_and_zero_is_not() -> None:
    assert msgspec.json.encode(Usage(input_tokens=0)) == b'{"input_tokens":0}'


def test_a_total_with_an_unknown_side_is_unknown() -> None:
    assert Usage(input_tokens=1, output_tokens=2).total_tokens == 3
    assert Usage(input_tokens=1).total_tokens is None
    assert Usage(output_tokens=1).total_tokens is None


# Invariants

PARTS = {
    "cache_read_tokens": "input_tokens",
    "cache_write_tokens": "input_tokens",
    "cache_write_5m_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_tokens",
    "input_text_tokens": "input_tokens",
    "input_audio_tokens": "input_tokens",
    "input_image_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
    "output_text_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
    "output_image_tokens": "output_tokens",
}


def test_every_count_is_a_whole_or_a_part_of_one() -> None:
    assert set(PARTS) | {"input_tokens", "output_tokens"} == set(COUNTS)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("make", [Usage, event])
def test_a_negative_count_is_named(make: Callable[..., Any], name: str) -> None:
    with pytest.raises(InvariantError, match="violated: found -1") as caught:
        check_invariants(make(**{name: -1}))
    assert caught.value.rule == f"{name} >= 0"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("part", "whole"), PARTS.items())
def test_a_part_that_exceeds_its_whole_is_named(part: str, whole: str) -> None:
    check_invariants(Usage(**{part: 2}))
    check_invariants(Usage(**{part: 2, whole: 2}))
    with pytest.raises(InvariantError, match="found 3 > 2") as caught:
        check_invariants(Usage(**{part: 3, whole: 2}))
    assert caught.value.rule == f"{part} <= {whole}"


@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize(
    ("provenance", "count", "fine"),
    [
        ("none", None, True),
        ("none", 0, False),
        ("unknown", None, True),
        ("unknown", 3, False),
        ("reported", 3, True),
        ("reported", 0, True),
        ("reported", None, False),
        ("estimated", 3, True),
        ("estimated", None, False),
        ("partial", 3, True),
        ("partial", None, True),
        (None, None, True),
        (None, 3, True),
    ],
)
def test_a_count_fits_its_provenance(
    side: str, provenance: str | None, count: int | None, fine: bool
) -> None:
    odd = event(**{f"{side}_provenance": provenance, f"{side}_tokens": count})
    if fine:
        check_invariants(odd)
    else:
        with pytest.raises(InvariantError) as caught:
            check_invariants(odd)
        assert f"{side}_provenance is {provenance!r}" in caught.value.rule


@given(st.fixed_dictionaries({}, optional={name: st.integers(-2, 5) for name in COUNTS}))
def test_the_invariants_are_exactly_the_rules(counts: dict[str, int]) -> None:
    broken = {f"{n} >= 0" for n, count in counts.items() if count < 0} | {
        f"{part} <= {whole}"
        for part, whole in PARTS.items()
        if part in counts and whole in counts and counts[part] > counts[whole]
    }
    with contextlib.ExitStack() as stack:
        if broken:
            caught = stack.enter_context(pytest.raises(InvariantError))
        check_invariants(Usage(**counts))
    assert not broken or caught.value.rule in broken
