"""Redundancy: what holds data cannot be deleted by a slip, and lies on disks that fit its machine."""
