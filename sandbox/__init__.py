"""The platform on one machine: a deployment engine, simulated clouds, and the command line `python -m sandbox`.

This package imports no other package of the project: it runs any Pulumi program in Python. Only
`sandbox/conformance` names this project's stacks.
To add a resource type or a check of a cloud, edit `clouds/`; to add a command, edit `cli.py` and `commands.py`.
Test with `pytest tests/sandbox` and `make conformance`, which compares the engine with Pulumi's.
"""
