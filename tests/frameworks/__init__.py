"""Frameworks of agents, each in its newest release, against a scripted server."""
