"""Random failures in large numbers: outages of the platform, faults in backups, months of the backups' rotation.

Each module is a program (`python -m drills.outages --help`). It plays as many failures as it is told, from a seed,
checks the result, and exits with 1 if a promise was not kept. This package may import `harness`.
To add a drill, write a module with a function that plays it and a `main`, and add a target to the Makefile.
Test it with a small number of failures, as tests/workers/test_status_outages.py does.
"""
