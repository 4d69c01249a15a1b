"""What tests of frameworks share: a server, and a meter and a tree for the whole process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from frameworks.proof import Ran
from tokenmeter import follow
from tokenmeter.meter import default
from tokenmeter.testing import ModelServer


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def ran(server: ModelServer) -> Iterator[Ran]:
    """Meter and follow the whole process, as somebody would who changes nothing of their agents."""
    ran, before = Ran(server), dict(default().guard.failures)
    with ran.meter.instrument(), follow():
        yield ran
    ran.meter.shutdown()
    assert (ran.meter.guard.failures, default().guard.failures) == ({}, before)
