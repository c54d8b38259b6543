"""The cost of planning, policies, the status page, backups and PostgreSQL clients, as ratios within one run.

Each module is a program (`python -m benchmarks.preview --help`); `make benchmark` runs all. This package may import
`model`, `components`, `sandbox` and `harness`.
To add a benchmark, write a module that prints ratios and their targets (`measure.py` measures previews), and add it to
the Makefile's target. An absolute time depends on the machine's load. Test with `pytest tests/benchmarks`.
"""
