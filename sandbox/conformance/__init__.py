"""Compares the sandbox's engine with Pulumi's: both run the same programs on the same simulated clouds.

`python -m sandbox.conformance` runs all comparisons. `cases.py` lists small programs on a cloud of one type
(`things.py`), `stacks.py` the committed stacks with changed settings, `packs.py` the policy packs. Add a case by adding
an entry to one of these lists. May import `sandbox.engine`, `sandbox.official` and `sandbox.clouds`. The tests in
`tests/sandbox/conformance` check that the comparisons detect differences.
"""
