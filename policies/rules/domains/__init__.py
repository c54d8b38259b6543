"""Redundancy: names, certificates and encryption at the edge, for each domain."""
