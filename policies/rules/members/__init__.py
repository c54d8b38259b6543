"""Redundancy: members over zones, and what is left without a node or a whole zone, computed from what stands where."""
