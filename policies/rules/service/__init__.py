"""Redundancy: the API at the edge, and the status page, which must not fail with the platform."""
