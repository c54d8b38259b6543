"""Shared by the command lines: tables, errors with a remedy, tokens, and exit codes.

This package imports no other package of the project. Add code here if two command lines need it; otherwise
keep it in the package that needs it. Test with `pytest tests/console`.
"""
