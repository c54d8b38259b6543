"""Redundancy: members change one at a time, each after the previous one is healthy."""
