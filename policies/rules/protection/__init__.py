"""Redundancy: data is protected from deletion, and is on disks that belong to its machine."""
