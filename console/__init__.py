"""What the command lines share: tables, errors with a remedy, tokens, and exit codes.

This package imports no other package of the project. Add here what two command lines need; what only one needs stays
in its package. Test with `pytest tests/console`.
"""
