"""A generator of what to call is driven alike in both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tokenmeter.wire.steps import Steps, run, run_async


def driven(steps: Callable[..., Steps], *calls: Callable[[], Any]) -> list[Any]:
    """Give what comes of it, sync and async."""

    def awaited(call: Callable[[], Any]) -> Callable[[], Any]:
        async def later() -> Any:
            return call()

        return later

    return [run(steps(*calls)), asyncio.run(run_async(steps(*map(awaited, calls))))]


def test_each_step_is_called_and_gives_its_result_to_the_generator() -> None:
    def both(first: Any, second: Any) -> Steps:
        return [(yield first), (yield second)]

    assert driven(both, lambda: 1, lambda: 2) == [[1, 2]] * 2


def test_what_a_step_raises_is_raised_in_the_generator_as_the_same_object() -> None:
    broken = KeyboardInterrupt()

    def breaks() -> None:
        raise broken

    def caught(step: Any) -> Steps:
        try:
            yield step
        except KeyboardInterrupt as exc:
            return exc

    def uncaught(step: Any) -> Steps:
        yield step

    assert driven(caught, breaks) == [broken, broken]
    with pytest.raises(KeyboardInterrupt) as raised:
        run(uncaught(breaks))
    assert raised.value is broken


def test_a_generator_without_a_step_is_its_result() -> None:
    def nothing() -> Steps:
        return 7
        yield

    assert driven(nothing) == [7, 7]
