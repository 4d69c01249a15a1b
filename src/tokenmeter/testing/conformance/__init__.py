"""A pytest plug-in for authors of exporters: hand in a factory, get the suite.

In a test file of your own::

    import functools
    from tokenmeter.ledger import read
    from tokenmeter.exporters.jsonl import Jsonl

    pytest_plugins = ["tokenmeter.testing.conformance"]

    def test_it_keeps_its_promises(conformance, tmp_path):
        path = tmp_path / "usage.jsonl"
        conformance(make=functools.partial(Jsonl, path), arrived=lambda: read(path))

Each promise is a test of its own. Only this module imports pytest, and only who names it above
imports this module. PYTEST_DONT_REWRITE: so that it may be imported before it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import pytest

from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.testing.conformance import (
    arriving,
    closing,
    faults,
    forking,
    full,
    processes,
    values,
)
from tokenmeter.testing.conformance.rig import BrokenError, CannotCheckError, Check, Outage, Rig

CHECKS: dict[str, Check] = {
    check.__name__: check
    for module in (arriving, values, faults, full, closing, forking, processes)
    for check in module.CHECKS
}
"""What is checked, by name."""


class Conformance(Protocol):
    """What the fixture ``conformance`` gives; its arguments are those of `Rig`."""

    def __call__(
        self,
        make: Callable[[], Exporter],
        arrived: Callable[[], Iterable[UsageEvent | str]],
        *,
        outage: Outage | None = None,
        shared: bool = True,
        idempotent: bool = True,
    ) -> None:
        """Check one promise."""


@pytest.fixture(params=CHECKS)
def conformance(request: pytest.FixtureRequest) -> Conformance:
    """Give what checks one promise of an exporter; a test that wants it runs once for each."""
    check = CHECKS[request.param]

    def run(
        make: Callable[[], Exporter],
        arrived: Callable[[], Iterable[UsageEvent | str]],
        *,
        outage: Outage | None = None,
        shared: bool = True,
        idempotent: bool = True,
    ) -> None:
        __tracebackhide__ = True
        broken, skipped = _outcome(check, Rig(make, arrived, outage, shared, idempotent))
        if broken is not None:
            pytest.fail(f"{check.__doc__}\n{broken}", pytrace=False)
        if skipped is not None:
            pytest.skip(str(skipped))

    return run


def _outcome(check: Check, rig: Rig) -> tuple[BrokenError | None, CannotCheckError | None]:
    try:
        check(rig)
    except BrokenError as exc:
        return exc, None
    except CannotCheckError as exc:
        return None, exc
    return None, None
