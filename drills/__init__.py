"""Drills: many random failures of the Cloudflare Workers' surroundings, and many days of backups, with checks.

Each module is a program (`python -m drills.outages --help`). It runs a number of failures or days from a seed, checks
the results, and exits with 1 if a promise was broken. This package may import `harness`.
To add a drill, write a module with a function that runs it and a `main`, and add a target to the Makefile.
Test it with a small number of failures, as tests/workers/test_status_outages.py does.
"""
