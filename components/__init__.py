"""The Pulumi components of the platform: the only code that creates cloud resources.

`platform.py` composes them. This package may import `model` and `machines`. A decision that needs no value from a cloud
belongs in `model`, as a pure function.
To add a component, write a module with `X(ComponentResource)` and `XArgs`, create an instance in `platform.py`, and add
it to the table in docs/architecture.md. Test with `pytest tests/components`, which previews the program in the sandbox.
"""
