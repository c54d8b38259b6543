"""Redundancy: the network keeps working without any one zone."""
