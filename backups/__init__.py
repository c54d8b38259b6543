"""`python -m backups`: lists the backups, where each copy is and until when, and says whether all is well.

This package may import `model` and `console`. `judgement.py` decides, and is pure.
To add a command, add its arguments to `cli.py` and a function to `commands.py`.
Test with `pytest tests/backups`, which runs the commands against a server on the loopback and the report Worker.
"""
