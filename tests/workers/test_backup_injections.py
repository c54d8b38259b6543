"""Random faults in backups: two in everyday tests, one of each kind in the long ones; `make injections` plays 200."""

import pytest

from drills.injections import play
from harness.offsite import Offsite
from harness.workerd import Host


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 12])
def test_injected_faults_are_found_and_repaired(host: Host, offsite: Offsite, count: int) -> None:
    assert sum(play(host, offsite, count=count, seed=7).faults.values()) == count
