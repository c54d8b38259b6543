"""One injection of each kind; `make injections` plays 200."""

from .injections import play
from .offsite import Offsite
from .workerd import Host


def test_each_is_found_named_and_put_right(host: Host) -> None:
    offsite = Offsite()
    try:
        counts = play(host, offsite, count=12, seed=7)
    finally:
        offsite.close()
    assert len(counts) == 12
