"""Tests with a real kernel, real notebooks and a real browser: the group `notebooks`."""
