"""What all tests share: how many examples of each property are tried, and a small heap.

``HYPOTHESIS_PROFILE=fuzz``: many more; ``few``: so many as show that it runs at all. Without it
40, because there are 1,500 properties and the tests of a change are to end while one waits.
"""

import gc
import os
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz", max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile("few", max_examples=10, deadline=None)
settings.register_profile("some", max_examples=40)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "some"))


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> Iterator[None]:
    """Take what is there before a file's first test out of the sight of the garbage collector.

    Thousands of tests collect garbage themselves, and to look at all modules, tests and reports
    each time takes most of a second. What a file leaves is collected, and warned of, in its name.
    """
    _collect()
    gc.freeze()
    yield
    _collect()


def _collect() -> None:
    with warnings.catch_warnings():
        # An SDK's client that a test leaves open closes itself when it is collected: before its
        # socket is, or after it, which the garbage collector does not say beforehand.
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        gc.collect()


def pytest_unconfigure() -> None:
    """Let the interpreter collect all of it when it ends."""
    gc.unfreeze()
