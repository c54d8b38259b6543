"""Policies: rules over a stack's resources, the packs that enforce them, and the evidence.

This package may import `console` only: it judges resources, whichever program declared them.
To add a rule, add a function to `rules/TOPIC/rules.py`, add its weakenings to `rules/TOPIC/weakenings.py`, and run
`make rules`. Test with `pytest tests/policies` and `make mutation`.
"""
