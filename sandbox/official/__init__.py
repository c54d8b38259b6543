"""The official Pulumi CLI on the sandbox's clouds: it is found, given a host for Python, and shares the stack's state.

May import `sandbox.engine` (the state and the program's process) and `sandbox.clouds`. Tests: `tests/sandbox/official`,
and `make conformance`, which compares both engines.
"""
