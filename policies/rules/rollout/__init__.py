"""Redundancy: change goes through the members one by one, each behind the health of the one before."""
