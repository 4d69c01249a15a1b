"""What all tests share: how many examples of each property are tried.

``HYPOTHESIS_PROFILE=fuzz``: many more; ``few``: so many as show that it runs at all. Without it
40, because there are 1,500 properties and the tests of a change are to end while one waits.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz", max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile("few", max_examples=10, deadline=None)
settings.register_profile("some", max_examples=40)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "some"))
