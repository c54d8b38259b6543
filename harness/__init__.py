"""Test environments that tests, drills and benchmarks share: real programs and simulated services on the loopback.

`workerd.py` runs Cloudflare Workers, `offsite.py` serves S3, `status_world.py` simulates the API and webhook receivers,
`postgres.py` and `repository.py` run PostgreSQL and pgBackRest; `python -m harness.look` serves the status page.
This package may import `model` and `machines`. It contains no test and no pytest fixture.
Add code here if two of tests, drills and benchmarks need it; otherwise keep it in that package.
Test with `pytest tests/workers`, which uses most of it.
"""
