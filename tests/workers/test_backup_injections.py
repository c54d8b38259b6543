"""One injection of each kind; `make injections` plays 200."""

from drills.injections import play
from harness.offsite import Offsite
from harness.workerd import Host


def test_each_is_found_named_and_put_right(host: Host, offsite: Offsite) -> None:
    assert len(play(host, offsite, count=12, seed=7)) == 12
