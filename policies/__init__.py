"""What must hold: rules over a stack's resources, the packs that enforce them, and the evidence that they held.

This package may import `console` only: it judges resources, whatever program declared them.
To add a rule, add a function to a module of `rules/`, name the rule in promises.toml, and add weakenings that it must
notice to `mutation/`. Test with `pytest tests/policies` and `make mutation`.
"""
