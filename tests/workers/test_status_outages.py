"""A small run of random outages; `make outages` is the long one."""

import pytest

from drills.outages import run
from harness.workerd import Host


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_random_outages_are_recorded_and_announced_exactly_once(host: Host, seed: int) -> None:
    result = run(host, outages=12, seed=seed)
    assert result.problems == []
    assert result.crashes > 0
    assert result.deliveries > 50
