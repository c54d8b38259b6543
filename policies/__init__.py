"""Policies: rules over a stack's resources, the packs that enforce them, and the evidence.

This package may import `console` only: it judges resources, whichever program declared them.
To add a rule, add a function to `rules/TOPIC/rules.py`, add the weakenings that it must notice to `weakenings.py` beside
it, and run `make rules`. Test with `pytest tests/policies` and `make mutation`.
"""
