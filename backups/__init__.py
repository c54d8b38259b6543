"""`python -m backups`: show the backups of a stack, the state of each copy, open problems, and the retention table.

This package may import `model` and `console`. `judgement.py` finds problems in a report, as pure functions.
To add a command, add its arguments to `cli.py` and a function to `commands.py`.
Test with `pytest tests/backups`, which runs the commands against a server on the loopback and the report Worker.
"""
