"""The Pulumi components of the platform: the only code that creates cloud resources.

`platform.py` composes them. This package may import `model` and `machines`; everything that can be decided without a
cloud is decided in `model`.
To add a component, write a module with `X(ComponentResource)` and `XArgs`, make it in `platform.py`, and add it to the
table in docs/architecture.md. Test with `pytest tests/components`, which plans the program in the sandbox.
"""
