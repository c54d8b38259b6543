"""Redundancy: members in zones, and which groups work without one machine or one zone."""
