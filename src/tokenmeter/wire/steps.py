"""What has to wait, written once: a generator of what to call, driven in either colour."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

Steps = Generator[Callable[[], Any], Any, Any]
"""Yields functions to call, gets what they gave or raised, and returns a result."""


def run(steps: Steps) -> Any:
    """Call one after the other and give the result."""
    try:
        step = next(steps)
        while True:
            try:
                got = step()
            except BaseException as exc:  # noqa: BLE001 - the generator decides
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as done:
        return done.value


async def run_async(steps: Steps) -> Any:
    """Await one after the other and give the result."""
    try:
        step = next(steps)
        while True:
            try:
                got = await step()
            except BaseException as exc:  # noqa: BLE001 - the generator decides
                step = steps.throw(exc)
            else:
                step = steps.send(got)
    except StopIteration as done:
        return done.value
