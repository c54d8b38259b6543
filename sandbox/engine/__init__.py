"""A small deployment engine on Pulumi's protocols: it runs a program, plans, evaluates policies, and updates.

May import `sandbox.provider`, `sandbox.values` and `sandbox.ledger`, but no cloud. Start reading in `deployment.py`.
Test with `pytest tests/sandbox/engine`; `make conformance` compares it with Pulumi's engine.
"""
