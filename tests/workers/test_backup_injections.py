"""One injection of each kind in the long lane, two in the everyday one; `make injections` plays 200."""

import pytest

from drills.injections import play
from harness.offsite import Offsite
from harness.workerd import Host


@pytest.mark.parametrize("count", [2, pytest.param(12, marks=pytest.mark.long)])
def test_each_is_found_named_and_put_right(host: Host, offsite: Offsite, count: int) -> None:
    assert len(play(host, offsite, count=count, seed=7)) == count
