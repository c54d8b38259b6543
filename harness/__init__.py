"""What tests, drills and benchmarks share: the project's own programs, run on one machine with their surroundings.

`workerd.py` runs Cloudflare Workers, `offsite.py` serves object storage, `status_world.py` receives webhooks,
`postgres.py` and `repository.py` run PostgreSQL and pgBackRest. Everything listens on the loopback only.
`look.py` is a program: `python -m harness.look` serves the status page.
This package may import `model`, `machines` and `components`. It holds no test and no pytest fixture.
Add here what two of tests, drills and benchmarks use; a helper of one room's tests stays in tests/.
Test with `pytest tests/workers`, which uses most of it.
"""
