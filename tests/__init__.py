"""Tests, in folders with the names of the packages that they test (tests/model, tests/components, …).

This package may import every package of the project. Code that drills or benchmarks also need is in `harness`.
To add a test, write it in `test_NAME.py` in the package's folder; its name states the behaviour. Mark a slow test with
`@pytest.mark.long`. No test may depend on the time, the order of tests or the machine's speed.
Run one file with `.venv/bin/python -m pytest tests/PACKAGE/test_NAME.py`, all with `make test` and `make test-long`.
"""
