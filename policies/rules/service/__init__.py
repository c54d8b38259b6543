"""Redundancy: the API at the edge, and the status page that must not fall with what it reports on."""
