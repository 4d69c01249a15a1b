"""What all tests share: how many examples of each property are tried.

``HYPOTHESIS_PROFILE=fuzz``: many more; ``few``: so many as show that it runs at all.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fuzz", max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile("few", max_examples=10, deadline=None)
if profile := os.environ.get("HYPOTHESIS_PROFILE"):
    settings.load_profile(profile)
