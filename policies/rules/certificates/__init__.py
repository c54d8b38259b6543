"""Redundancy: the certificates by which machines know each other, and how long they are valid."""
