"""A small deployment engine that speaks Pulumi's own protocols: it runs a program, plans, judges and carries out.

May import `sandbox.provider`, `sandbox.values` and `sandbox.ledger`, and no cloud: `deployment.py` is the place to
start reading. Test with `pytest tests/sandbox/engine`; Pulumi's own engine is its judge (`make conformance`).
"""
