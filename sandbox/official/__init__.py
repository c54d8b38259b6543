"""Runs the official Pulumi CLI on the simulated clouds: finds it, serves a language host, exchanges the stack's state.

May import `sandbox.engine` (the state and the program's process) and `sandbox.clouds`. Tests: `tests/sandbox/official`,
and `make conformance`, which compares both engines.
"""
