"""Redundancy: what goes wrong is noticed, and reaches people through two channels."""
