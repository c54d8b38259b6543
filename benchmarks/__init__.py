"""The cost of planning, policies, the status page, backups and PostgreSQL clients, as ratios within one run.

Each module is a program (`python -m benchmarks.preview --help`); `make benchmark` runs all. This package may import
`model`, `components`, `sandbox` and `harness`.
To add a benchmark, write a module that measures with `measure.py`, and add it to the Makefile's target. It prints
ratios and their targets: a time by itself says little on a shared machine. Test with `pytest tests/benchmarks`.
"""
